//! An image made of one root file system.

use crate::file::failed;
use crate::making::Making;
use contract::{ImageId, PortError};
use std::fs::File;
use std::path::Path;

/// This machine's architecture as images name it.
pub(crate) fn architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}

/// What the image says of itself.
pub(crate) struct Described {
    /// Its history's comment.
    pub(crate) message: String,
    /// Dockerfile instructions.
    pub(crate) changes: Vec<String>,
}

/// Makes an image of a (compressed) tar file.
pub(crate) fn import(
    making: &Making,
    path: &Path,
    names: &[String],
    described: Described,
) -> Result<ImageId, PortError> {
    let config = crate::commit::amended(serde_json::Map::new(), &described.changes)?;
    let reader = File::open(path).map_err(failed("opening", path))?;
    let layer = making.unpack(reader, None, None)?;
    let now = jiff::Timestamp::now().to_string();
    let message = if described.message.is_empty() { "Imported from -" } else { &described.message };
    let image = serde_json::json!({
        "architecture": architecture(), "comment": message, "config": config, "created": now,
        "history": [{ "created": now, "comment": message }], "os": "linux",
        "rootfs": { "type": "layers", "diff_ids": [layer.diff_id] },
    });
    Ok(ImageId::new(making.finish(image.to_string().as_bytes(), names)?.0))
}
