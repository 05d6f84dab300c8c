//! What a name stands for: manifest lists, image indexes and manifests.

use crate::fault::Fault;
use crate::platform::Platform;
use crate::session::{Session, bounded};
use reqwest::header::CONTENT_TYPE;
use serde_json::Value;
use sha2::{Digest, Sha256};

const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, \
                      application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";
/// Largest manifest taken, bytes (distribution-spec: registries should take 4 MiB).
const LIMIT: usize = 4 << 20;
/// Layers an image may have (the limit of Docker's overlay2).
pub const MAX_LAYERS: usize = 128;
/// Indexes inside indexes are followed this deep.
const DEPTH: usize = 3;

/// A blob as a manifest names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// `sha256:…`.
    pub digest: String,
    /// Bytes.
    pub size: u64,
    /// What the manifest says that it is, in lower case.
    pub media_type: String,
    /// Where its owner gives it out, if no registry is to (image-spec, "Non-Distributable Layers").
    pub urls: Vec<String>,
}

/// Addresses that a layer may have; a manifest with more is refused.
const MAX_URLS: usize = 32;

/// `sha256:` and 64 lower-case hex digits.
fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| {
        hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

impl Descriptor {
    /// Reads one; what no image has is refused.
    pub fn read(value: &Value) -> Result<Self, Fault> {
        let digest = text(value, "digest").to_owned();
        if !is_digest(&digest) {
            return Err(Fault::Content(format!("could not validate digest {digest:?}: unsupported digest")));
        }
        let size = value.get("size").and_then(Value::as_u64);
        let size = size.ok_or_else(|| Fault::Content(format!("the manifest gives {digest} no size")))?;
        let media = text(value, "mediaType").to_lowercase();
        if !known(&media) {
            return Err(Fault::Content(format!("unsupported media type {media}")));
        }
        let urls = value.get("urls").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        if urls.len() > MAX_URLS {
            return Err(Fault::Content(format!(
                "the manifest gives {digest} more than {MAX_URLS} addresses"
            )));
        }
        let urls = urls.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        Ok(Self { digest, size, media_type: media, urls })
    }

    /// Twelve digits, as progress shows layers.
    pub fn short(&self) -> &str {
        self.digest.get(7..19).unwrap_or(&self.digest)
    }
}

/// Types of an image's parts, with what old registries wrote in their place.
fn known(media: &str) -> bool {
    const PLAIN: [&str; 4] = ["", "application/octet-stream", "application/json", "text/html"];
    PLAIN.contains(&media)
        || ["application/vnd.oci.image.", "application/vnd.docker."].iter().any(|p| media.starts_with(p))
}

/// An image's parts.
#[derive(Debug)]
pub struct Resolved {
    /// Digest of what the name stood for.
    pub digest: String,
    /// Its configuration.
    pub config: Descriptor,
    /// Its layers, lowest first.
    pub layers: Vec<Descriptor>,
}

/// Follows a tag or digest to the image for the platform.
pub async fn resolve(session: &Session, wanted: &str, platform: &Platform) -> Result<Resolved, Fault> {
    let (digest, mut manifest) = fetch(session, wanted).await?;
    let mut depth = 0;
    while let Some(list) = manifest.get("manifests") {
        let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
        let chosen = platform.choose(list);
        depth += 1;
        let own = chosen.first().filter(|_| depth <= DEPTH).ok_or_else(|| {
            let text = format!("no matching manifest for {} in the manifest list entries", platform.shown());
            Fault::Missing(text)
        })?;
        let own = Descriptor::read(own)?;
        manifest = fetch(session, &own.digest).await?.1;
    }
    let (config, layers) = parts(&manifest)?;
    Ok(Resolved { digest, config, layers })
}

/// The configuration and the layers, lowest first, that a manifest names.
pub fn parts(manifest: &Value) -> Result<(Descriptor, Vec<Descriptor>), Fault> {
    let config = manifest.get("config").unwrap_or(&Value::Null);
    let media = text(config, "mediaType");
    if !matches!(
        media,
        "application/vnd.docker.container.image.v1+json"
            | "application/vnd.oci.image.config.v1+json"
            | "application/octet-stream"
            | "application/json"
            | "text/html"
            | ""
    ) {
        let class = if media == "application/vnd.docker.plugin.v1+json" { "plugin" } else { "unknown" };
        return Err(Fault::Content(format!("Encountered remote {media:?}({class}) when fetching")));
    }
    let layers = manifest.get("layers").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if layers.len() > MAX_LAYERS {
        return Err(Fault::Content("max depth exceeded".into()));
    }
    let layers = layers.iter().map(Descriptor::read).collect::<Result<_, _>>()?;
    Ok((Descriptor::read(config)?, layers))
}

/// A manifest or index as the registry has it.
pub struct Whole {
    /// `sha256:…`.
    pub digest: String,
    /// Bytes.
    pub size: usize,
    /// What it or else the registry says that it is.
    pub media_type: String,
    /// Itself.
    pub content: Value,
}

async fn fetch(session: &Session, wanted: &str) -> Result<(String, Value), Fault> {
    let Whole { digest, content, .. } = fetch_whole(session, wanted).await?;
    Ok((digest, content))
}

/// What a tag or digest stands for.
pub async fn fetch_whole(session: &Session, wanted: &str) -> Result<Whole, Fault> {
    let response = session.get(&format!("manifests/{wanted}"), Some(ACCEPT), 0).await?;
    let media =
        response.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let body = bounded(response, LIMIT).await?;
    let digest = format!("sha256:{}", hex::encode(Sha256::digest(&body)));
    if wanted.starts_with("sha256:") && wanted != digest {
        return Err(Fault::Content(format!("manifest verification failed for digest {wanted}")));
    }
    let value = read(wanted, &media, &body)?;
    let own = text(&value, "mediaType");
    let media_type = if own.is_empty() { media } else { own.to_owned() };
    Ok(Whole { digest, size: body.len(), media_type, content: value })
}

/// Reads the document that a name stands for and that was said to be of this type.
pub fn read(name: &str, media: &str, body: &[u8]) -> Result<Value, Fault> {
    let value = serde_json::from_slice(body)
        .map_err(|e| Fault::Content(format!("the manifest of {name} is not valid: {e}")))?;
    check(&value, media)?;
    Ok(value)
}

/// One document must have one meaning: what is a manifest to one reader must not be an index to another.
fn check(manifest: &Value, header: &str) -> Result<(), Fault> {
    let unsupported = || Fault::Content("unsupported manifest format".into());
    if manifest.get("schemaVersion").and_then(Value::as_u64) == Some(1) {
        let text = "Docker Image Format v1 and Docker Image manifest version 2, schema 1 support has been removed. \
                    More information at https://docs.docker.com/go/deprecated-image-specs/";
        return Err(Fault::Content(text.into()));
    }
    let index = manifest.get("manifests").is_some();
    if index == (manifest.get("layers").is_some() || manifest.get("config").is_some()) {
        return Err(unsupported());
    }
    let says_index = |media: &str| media.contains("manifest.list.") || media.contains("image.index.");
    let says_image =
        |media: &str| media.contains("distribution.manifest.v2") || media.contains("image.manifest.");
    for media in [header, text(manifest, "mediaType")] {
        if (index && says_image(media)) || (!index && says_index(media)) {
            return Err(unsupported());
        }
    }
    Ok(())
}

/// The diff ids of a configuration, lowest first.
pub fn diff_ids(config: &[u8]) -> Result<Vec<String>, Fault> {
    let value: Value = serde_json::from_slice(config)
        .map_err(|e| Fault::Content(format!("the image's configuration is not valid: {e}")))?;
    let rootfs = value.get("rootfs").filter(|r| r.is_object());
    let rootfs = rootfs.ok_or_else(|| Fault::Content("invalid rootfs in image configuration".into()))?;
    let ids = rootfs.get("diff_ids").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let id = |v: &Value| v.as_str().filter(|d| is_digest(d)).map(str::to_owned);
    let ids = ids.iter().map(id).collect::<Option<_>>();
    ids.ok_or_else(|| Fault::Content("invalid rootfs in image configuration".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_document_of_two_meanings_is_refused() {
        assert!(check(&json!({"manifests": [], "layers": []}), "").is_err());
        assert!(check(&json!({"schemaVersion": 2}), "").is_err());
        assert!(check(&json!({"manifests": []}), "application/vnd.oci.image.manifest.v1+json").is_err());
        assert!(
            check(&json!({"config": {}, "mediaType": "application/vnd.oci.image.index.v1+json"}), "")
                .is_err()
        );
        assert!(check(&json!({"schemaVersion": 1, "fsLayers": []}), "").is_err());
        assert!(
            check(&json!({"config": {}, "layers": []}), "application/vnd.oci.image.manifest.v1+json").is_ok()
        );
        assert!(check(&json!({"manifests": []}), "application/json").is_ok());
    }

    #[test]
    fn descriptors_must_have_a_digest_a_size_and_an_images_type() {
        let digest = format!("sha256:{}", "a".repeat(64));
        assert!(Descriptor::read(&json!({"digest": digest, "size": 1})).is_ok());
        for bad in [
            json!({"digest": digest}),
            json!({"digest": digest.to_uppercase(), "size": 1}),
            json!({"digest": "sha256:../../etc/passwd", "size": 1}),
            json!({"digest": digest, "size": -1}),
            json!({"digest": digest, "size": 1, "mediaType": "application/vnd.cncf.helm.chart.content.v1.tar+gzip"}),
        ] {
            assert!(Descriptor::read(&bad).is_err(), "{bad}");
        }
    }
}
