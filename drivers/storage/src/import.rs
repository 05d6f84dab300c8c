//! An image made of one root file system.

use crate::making::Making;
use contract::image::ImportSpec;
use contract::incoming::Incoming;
use contract::{ImageId, PortError};

/// This machine's architecture as images name it.
pub(crate) fn architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}

/// Makes an image of a (compressed) tar stream.
pub(crate) fn import(
    making: &Making,
    content: Incoming,
    names: &[String],
    spec: &ImportSpec,
) -> Result<ImageId, PortError> {
    let config = crate::commit::amended(serde_json::Map::new(), &spec.changes)?;
    let layer = making.unpack(content, None, None)?;
    let now = jiff::Timestamp::now().to_string();
    let (machine, variant) = &spec.architecture;
    let machine = if machine.is_empty() { architecture() } else { machine };
    let mut image = serde_json::json!({
        "architecture": machine, "comment": spec.message, "config": config, "created": now,
        "history": [{ "created": now, "comment": spec.message }], "os": "linux",
        "rootfs": { "type": "layers", "diff_ids": [layer.diff_id] },
    });
    if let Some(map) = image.as_object_mut().filter(|_| !variant.is_empty()) {
        map.insert("variant".into(), variant.as_str().into());
    }
    Ok(ImageId::new(making.finish(image.to_string().as_bytes(), names)?.0))
}
