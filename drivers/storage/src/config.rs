//! What the store needs to know of an image's configuration (OCI image specification, "Image Configuration").

use crate::reference::is_digest;
use contract::{Kind, PortError};
use serde_json::Value;

/// Layers an image may have (Docker's overlay2 limit).
pub(crate) const MAX_LAYERS: usize = 128;

fn invalid(text: impl Into<String>) -> PortError {
    PortError::new(Kind::Invalid, text)
}

/// Diff ids of an image for this system, lowest first.
pub(crate) fn diff_ids(config: &[u8]) -> Result<Vec<String>, PortError> {
    let parsed: Value = serde_json::from_slice(config)
        .map_err(|e| PortError::caused(Kind::Invalid, "invalid image configuration", e))?;
    let os = parsed.get("os").and_then(Value::as_str).unwrap_or_default();
    if !matches!(os, "" | "linux") {
        return Err(invalid(format!("cannot load {os} image on linux")));
    }
    let rootfs = parsed.get("rootfs").filter(|r| r.is_object());
    // Docker's text for a configuration without it.
    let rootfs = rootfs.ok_or_else(|| invalid("invalid image JSON, no RootFS key"))?;
    let ids = match rootfs.get("diff_ids") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(ids)) => ids,
        Some(_) => return Err(invalid("invalid image configuration: diff_ids is no list")),
    };
    if ids.len() > MAX_LAYERS {
        return Err(invalid("max depth exceeded"));
    }
    ids.iter()
        .map(|v| v.as_str().filter(|s| is_digest(s)).map(str::to_owned))
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| invalid("invalid image configuration: bad diff id"))
}

/// Ids of the layers together with all below them, by which Docker names layers (OCI image specification, "ChainID").
pub(crate) fn chain_ids(layers: &[String]) -> Vec<String> {
    let mut chain = String::new();
    let mut out = Vec::new();
    for layer in layers {
        chain = match chain.is_empty() {
            true => layer.clone(),
            false => crate::core::digest_of(format!("{chain} {layer}").as_bytes()),
        };
        out.push(chain.clone());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::diff_ids;

    #[test]
    fn configurations_that_are_not_an_images_are_refused() {
        let many = format!(
            "{{\"rootfs\":{{\"diff_ids\":[{}]}}}}",
            vec![format!("\"sha256:{}\"", "a".repeat(64)); 129].join(",")
        );
        for text in [
            "",
            "[]",
            "{}",
            r#"{"rootfs":[]}"#,
            r#"{"rootfs":{"diff_ids":{}}}"#,
            r#"{"rootfs":{"diff_ids":["sha256:../../x"]}}"#,
            r#"{"os":"windows","rootfs":{"diff_ids":[]}}"#,
            many.as_str(),
        ] {
            assert!(diff_ids(text.as_bytes()).is_err(), "{text}");
        }
        assert_eq!(diff_ids(br#"{"os":"linux","rootfs":{"type":"layers"}}"#).unwrap(), [""; 0]);
    }
}
