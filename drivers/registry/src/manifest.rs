//! What a name stands for: manifest lists, image indexes and manifests.

use crate::auth::{Session, unreachable};
use contract::{Kind, PortError};
use reqwest::StatusCode;
use serde_json::Value;
use sha2::{Digest, Sha256};

const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, \
                      application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";
/// Largest manifest taken, bytes (distribution-spec: registries should take 4 MiB).
const LIMIT: usize = 4 << 20;

/// A blob as a manifest names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// `sha256:…`.
    pub digest: String,
    /// Bytes.
    pub size: u64,
}

impl Descriptor {
    fn read(value: Option<&Value>) -> Result<Self, PortError> {
        let field = |key: &str| value.and_then(|v| v.get(key));
        let digest = field("digest").and_then(Value::as_str).unwrap_or_default().to_owned();
        let hex = digest.strip_prefix("sha256:").unwrap_or_default();
        if hex.len() != 64 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(PortError::new(Kind::Invalid, format!("invalid digest {digest:?} in the manifest")));
        }
        Ok(Self { digest, size: field("size").and_then(Value::as_u64).unwrap_or(0) })
    }

    /// Twelve digits, as progress shows layers.
    pub fn short(&self) -> &str {
        self.digest.get(7..19).unwrap_or(&self.digest)
    }
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
pub async fn resolve(session: &Session, wanted: &str, platform: Option<&str>) -> Result<Resolved, PortError> {
    let (digest, mut manifest) = fetch(session, wanted).await?;
    if let Some(list) = manifest.get("manifests").and_then(Value::as_array) {
        let own = choose(list, platform).ok_or_else(|| {
            let platform = platform.map_or_else(|| format!("linux/{}", arch()), str::to_owned);
            PortError::new(
                Kind::NotFound,
                format!("no matching manifest for {platform} in the manifest list entries"),
            )
        })?;
        let own = Descriptor::read(Some(own))?;
        manifest = fetch(session, &own.digest).await?.1;
    }
    let layers = manifest.get("layers").and_then(Value::as_array).into_iter().flatten();
    Ok(Resolved {
        digest,
        config: Descriptor::read(manifest.get("config"))?,
        layers: layers.map(|l| Descriptor::read(Some(l))).collect::<Result<_, _>>()?,
    })
}

async fn fetch(session: &Session, wanted: &str) -> Result<(String, Value), PortError> {
    let response = session.get(&format!("manifests/{wanted}"), Some(ACCEPT), 0).await?;
    match response.status() {
        status if status.is_success() => {}
        StatusCode::NOT_FOUND => {
            let name = session.familiar();
            let name =
                if wanted.contains(':') { format!("{name}@{wanted}") } else { format!("{name}:{wanted}") };
            let text = format!("manifest for {name} not found: manifest unknown: manifest unknown");
            return Err(PortError::new(Kind::NotFound, text));
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(session.denied()),
        status => {
            let body = response.text().await.unwrap_or_default();
            let text =
                format!("the registry answered {status}: {}", body.chars().take(300).collect::<String>());
            return Err(PortError::new(Kind::Unavailable, text));
        }
    }
    let body = response.bytes().await.map_err(|e| unreachable(wanted, e))?;
    if body.len() > LIMIT {
        return Err(PortError::new(
            Kind::Invalid,
            format!("the manifest of {wanted} is larger than {LIMIT} bytes"),
        ));
    }
    let digest = format!("sha256:{}", hex::encode(Sha256::digest(&body)));
    if wanted.starts_with("sha256:") && wanted != digest {
        let text = format!("manifest verification failed for digest {wanted}");
        return Err(PortError::new(Kind::Invalid, text));
    }
    let value = serde_json::from_slice(&body)
        .map_err(|e| PortError::caused(Kind::Invalid, format!("the manifest of {wanted} is not valid"), e))?;
    Ok((digest, value))
}

fn arch() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}

fn choose<'a>(list: &'a [Value], platform: Option<&str>) -> Option<&'a Value> {
    let own = format!("linux/{}", arch());
    let mut wanted = platform.unwrap_or(&own).split('/');
    let (os, architecture, variant) = (wanted.next()?, wanted.next(), wanted.next());
    list.iter().find(|entry| {
        let field = |key: &str| entry.get("platform").and_then(|p| p.get(key)).and_then(Value::as_str);
        field("os") == Some(os)
            && architecture.is_none_or(|a| field("architecture") == Some(a))
            && variant.is_none_or(|v| field("variant") == Some(v))
    })
}

/// The diff ids of a configuration, lowest first.
pub fn diff_ids(config: &[u8]) -> Result<Vec<String>, PortError> {
    let value: Value = serde_json::from_slice(config)
        .map_err(|e| PortError::caused(Kind::Invalid, "the image's configuration is not valid", e))?;
    let ids = value.get("rootfs").and_then(|r| r.get("diff_ids")).and_then(Value::as_array);
    Ok(ids.into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_platform_chooses_among_manifests() {
        let list = [
            json!({"platform": {"os": "linux", "architecture": "s390x"}}),
            json!({"platform": {"os": "linux", "architecture": arch()}}),
        ];
        assert_eq!(choose(&list, None), list.get(1));
        assert_eq!(choose(&list, Some("linux/s390x")), list.first());
        assert_eq!(choose(&list, Some("windows/amd64")), None);
    }
}
