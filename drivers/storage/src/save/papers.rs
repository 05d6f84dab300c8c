//! The JSON files of a saved archive (OCI image specification, "Image Layout"; Docker's `manifest.json` and
//! `repositories`).

use super::blob;
use super::names::Chosen;
use crate::core::digest_of;
use crate::reference::Reference;
use serde_json::{Map, Value, json};

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// What is told of the images so far.
#[derive(Default)]
pub(super) struct Papers {
    items: Vec<Value>,
    descriptors: Vec<Value>,
    repositories: Map<String, Value>,
}

/// `docker.io/library/busybox:latest`.
fn canonical(name: &Reference) -> String {
    format!("{}/{}:{}", name.host, name.repository, tag(name))
}

fn tag(name: &Reference) -> &str {
    name.tag.as_deref().unwrap_or("latest")
}

impl Papers {
    /// Tells of an image; answers its manifest's digest and bytes. Layers come with their lengths, lowest first.
    pub(super) fn add(&mut self, image: &Chosen, config: usize, layers: &[(&str, u64)]) -> (String, Vec<u8>) {
        let layer = |(id, size): &(&str, u64)| json!({ "mediaType": LAYER, "digest": id, "size": size });
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": { "mediaType": CONFIG, "digest": image.id, "size": config },
            "layers": layers.iter().map(layer).collect::<Vec<_>>(),
        });
        let manifest = manifest.to_string().into_bytes();
        let digest = digest_of(&manifest);
        let plain = json!({ "mediaType": MANIFEST, "digest": digest, "size": manifest.len() });
        if image.names.is_empty() {
            self.descriptors.push(plain.clone());
        }
        let top = layers.last().map_or("", |(id, _)| id.trim_start_matches("sha256:"));
        for name in &image.names {
            let mut named = plain.clone();
            if let Some(map) = named.as_object_mut() {
                let notes = json!({
                    "io.containerd.image.name": canonical(name),
                    "org.opencontainers.image.ref.name": tag(name),
                });
                map.insert("annotations".into(), notes);
            }
            self.descriptors.push(named);
            let tags = self.repositories.entry(name.familiar()).or_insert_with(|| json!({}));
            if let Some(tags) = tags.as_object_mut() {
                tags.insert(tag(name).to_owned(), top.into());
            }
        }
        let tags: Vec<String> = image.names.iter().map(Reference::tagged).collect();
        let sources: Map<String, Value> = layers.iter().map(|l| (l.0.to_owned(), layer(l))).collect();
        self.items.push(json!({
            "Config": blob(&image.id),
            "RepoTags": if tags.is_empty() { Value::Null } else { json!(tags) },
            "Layers": layers.iter().map(|(id, _)| blob(id)).collect::<Vec<_>>(),
            "LayerSources": sources,
        }));
        (digest, manifest)
    }

    /// The files that tell of all images.
    pub(super) fn finish(self) -> Vec<(&'static str, Vec<u8>)> {
        let line = |value: Value| format!("{value}\n").into_bytes();
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": self.descriptors });
        let mut out = vec![
            ("index.json", index.to_string().into_bytes()),
            ("manifest.json", line(self.items.into())),
            ("oci-layout", br#"{"imageLayoutVersion": "1.0.0"}"#.to_vec()),
        ];
        if !self.repositories.is_empty() {
            out.push(("repositories", line(self.repositories.into())));
        }
        out
    }
}
