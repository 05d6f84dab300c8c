//! The OCI image layout: `index.json` leads by digests to manifests, configurations and layers under `blobs/`.

use super::{Archive, Content, Found, invalid, unreadable};
use crate::reference::{Reference, is_digest};
use contract::PortError;
use contract::image::WantedPlatform;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::io::{self, Read};

/// Indexes inside indexes are followed this deep.
const DEPTH: usize = 4;

fn list<'a>(value: &'a Value, key: &str) -> Option<&'a Vec<Value>> {
    value.get(key).and_then(Value::as_array)
}

fn digest(descriptor: &Value) -> Result<&str, PortError> {
    let digest = descriptor.get("digest").and_then(Value::as_str).unwrap_or_default();
    if is_digest(digest) { Ok(digest) } else { Err(invalid(format!("unsupported digest {digest:?}"))) }
}

/// A blob whose content is checked against its name and size.
fn blob(archive: &Archive, descriptor: &Value) -> Result<(String, Content), PortError> {
    let digest = digest(descriptor)?;
    let name = format!("blobs/{}", digest.replace(':', "/"));
    let content = archive.find(&name)?;
    let (found, length) = match content {
        Content::Layer(number) => archive.made(number)?.file()?,
        Content::Aside(extent) => (digest_of(archive.read(extent)).map_err(unreadable)?, extent.size),
    };
    let size = descriptor.get("size").and_then(Value::as_u64);
    if found != digest || size.is_some_and(|s| s != length) {
        return Err(invalid(format!("the content of {name} is not what its descriptor says")));
    }
    Ok((name, content))
}

fn digest_of(mut from: impl Read) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 17];
    loop {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            return Ok(format!("sha256:{}", hex::encode(hasher.finalize())));
        }
        hasher.update(buffer.get(..count).unwrap_or_default());
    }
}

/// A small blob whose content is checked against its name.
fn json(archive: &Archive, descriptor: &Value) -> Result<(Vec<u8>, Value), PortError> {
    let (name, _) = blob(archive, descriptor)?;
    Ok((archive.bytes(&name)?, archive.json(&name)?))
}

fn fits(descriptor: &Value, wanted: Option<&WantedPlatform>) -> bool {
    let Some(platform) = descriptor.get("platform") else { return true };
    if let Some(wanted) = wanted {
        return (wanted.fits)(platform);
    }
    let is = |key: &str, wanted: &str| platform.get(key).and_then(Value::as_str) == Some(wanted);
    is("os", "linux") && is("architecture", crate::import::architecture())
}

/// The manifest a descriptor leads to, through indexes if need be.
fn manifest(
    archive: &Archive,
    descriptor: &Value,
    wanted: Option<&WantedPlatform>,
    depth: usize,
) -> Result<Value, PortError> {
    let (_, found) = json(archive, descriptor)?;
    let Some(inner) = list(&found, "manifests") else { return Ok(found) };
    let own = inner.iter().find(|d| fits(d, wanted)).filter(|_| depth > 0);
    let own = own.ok_or_else(|| {
        let own = || format!("linux/{}", crate::import::architecture());
        let platform = wanted.map_or_else(own, |w| w.shown.clone());
        invalid(format!("no matching manifest for {platform} in the manifest list entries"))
    })?;
    manifest(archive, own, wanted, depth - 1)
}

/// The image's name: containerd writes it whole, others the tag or the name whole.
fn name(descriptor: &Value) -> Option<&str> {
    let note = |key: &str| descriptor.get("annotations").and_then(|a| a.get(key)).and_then(Value::as_str);
    note("io.containerd.image.name")
        .or_else(|| note("org.opencontainers.image.ref.name"))
        .filter(|n| n.contains([':', '/']))
}

pub(super) fn images(archive: &Archive, wanted: Option<&WantedPlatform>) -> Result<Vec<Found>, PortError> {
    let index = archive.json("index.json")?;
    let mut out = Vec::new();
    for descriptor in list(&index, "manifests").into_iter().flatten() {
        let manifest = manifest(archive, descriptor, wanted, DEPTH)?;
        let layers = list(&manifest, "layers").into_iter().flatten();
        out.push(Found {
            config: json(archive, manifest.get("config").unwrap_or(&Value::Null))?.0,
            layers: layers.map(|l| blob(archive, l).map(|(_, c)| c)).collect::<Result<_, _>>()?,
            names: name(descriptor).map(Reference::parse).into_iter().collect::<Result<_, _>>()?,
        });
    }
    Ok(out)
}
