//! The manifest of a push: Docker's schema 2, to the byte as Docker writes it.

use serde_json::{Value, json};

/// Its own type.
pub const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";

/// A blob that the registry has, or somebody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// `sha256:…`.
    pub digest: String,
    /// Bytes.
    pub size: u64,
    /// Media type in a manifest of Docker's.
    pub media_type: String,
    /// Where it is to be had instead of at the registry.
    pub urls: Vec<String>,
}

/// The type that layers have when they are compressed here.
pub fn gzip() -> String {
    format!("{LAYER}.gzip")
}

/// Docker's name for the type that another manifest gave a layer; `None` for one that leaves its compression open.
pub fn dockers(media_type: &str) -> Option<String> {
    let (kind, packing) = match media_type.strip_prefix("application/vnd.oci.image.layer.v1.tar") {
        Some(packing) => (LAYER, packing.trim_start_matches('+')),
        None => (LAYER, media_type.strip_prefix(LAYER)?.trim_start_matches('.')),
    };
    match packing {
        "" => Some(kind.to_owned()),
        "gzip" | "zstd" => Some(format!("{kind}.{packing}")),
        _ => None,
    }
}

fn describe(media_type: &str, digest: &str, size: u64) -> Value {
    json!({ "mediaType": media_type, "size": size, "digest": digest })
}

/// The manifest of this configuration and these layers, lowest first.
pub fn manifest(config: (&str, u64), layers: &[Stored]) -> Vec<u8> {
    let layers: Vec<Value> = layers
        .iter()
        .map(|l| {
            let mut described = describe(&l.media_type, &l.digest, l.size);
            if let Some(map) = described.as_object_mut().filter(|_| !l.urls.is_empty()) {
                map.insert("urls".into(), json!(l.urls));
            }
            described
        })
        .collect();
    let whole = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": describe(CONFIG, config.0, config.1), "layers": layers,
    });
    let mut out = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"   ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, formatter);
    // Writing JSON into memory cannot fail.
    let _written = serde::Serialize::serialize(&whole, &mut serializer);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_are_dockers_to_the_byte() {
        let layer = Stored { digest: "sha256:b".into(), size: 2, media_type: gzip(), urls: Vec::new() };
        let wanted = r#"{
   "schemaVersion": 2,
   "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
   "config": {
      "mediaType": "application/vnd.docker.container.image.v1+json",
      "size": 1,
      "digest": "sha256:a"
   },
   "layers": [
      {
         "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
         "size": 2,
         "digest": "sha256:b"
      }
   ]
}"#;
        assert_eq!(String::from_utf8(manifest(("sha256:a", 1), &[layer])).unwrap(), wanted);
    }

    #[test]
    fn layers_keep_their_compression_under_dockers_names() {
        for (given, wanted) in [
            (
                "application/vnd.oci.image.layer.v1.tar+gzip",
                Some("application/vnd.docker.image.rootfs.diff.tar.gzip"),
            ),
            (
                "application/vnd.oci.image.layer.v1.tar+zstd",
                Some("application/vnd.docker.image.rootfs.diff.tar.zstd"),
            ),
            ("application/vnd.oci.image.layer.v1.tar", Some("application/vnd.docker.image.rootfs.diff.tar")),
            (
                "application/vnd.docker.image.rootfs.diff.tar.gzip",
                Some("application/vnd.docker.image.rootfs.diff.tar.gzip"),
            ),
            ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", None),
            ("application/octet-stream", None),
            ("", None),
        ] {
            assert_eq!(dockers(given).as_deref(), wanted, "{given}");
        }
    }
}
