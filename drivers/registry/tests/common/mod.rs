//! A sink that keeps what a pull brings, and images to push.
#![allow(dead_code)]

use async_trait::async_trait;
use contract::archive::BlockingStream;
use contract::image::{LayerSink, Passed, Progress, Pulled, Puller, RemoteName};
use contract::{Kind, PortError};
use gantry_registry::{RegistryClient, RegistryConfig};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// Keeps the content of layers by diff id.
pub struct Kept {
    pub folder: tempfile::TempDir,
    pub layers: Mutex<BTreeMap<String, Vec<u8>>>,
}

impl Kept {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { folder: tempfile::tempdir().unwrap(), layers: Mutex::default() })
    }

    /// Files of broken downloads.
    pub fn partial(&self) -> Vec<(String, u64)> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap().flatten();
        entries.map(|e| (e.file_name().to_string_lossy().into_owned(), e.metadata().unwrap().len())).collect()
    }
}

#[async_trait]
impl LayerSink for Kept {
    fn partial(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    async fn has_layer(&self, diff_id: &str) -> bool {
        self.layers.lock().unwrap().contains_key(diff_id)
    }

    async fn has_image(&self, _: &str) -> bool {
        false
    }

    async fn unpack(&self, mut blob: BlockingStream, diff_id: &str, passed: Passed) -> Result<(), PortError> {
        let mut bytes = Vec::new();
        let read = tokio::task::spawn_blocking(move || blob.read_to_end(&mut bytes).map(|_| bytes));
        let bytes = read.await.unwrap().map_err(|e| PortError::new(Kind::Invalid, e.to_string()))?;
        passed(bytes.len() as u64);
        let mut plain = Vec::new();
        match bytes.as_slice() {
            [0x1f, 0x8b, ..] => {
                assert!(flate2::read::GzDecoder::new(bytes.as_slice()).read_to_end(&mut plain).unwrap() > 0)
            }
            [0x28, 0xb5, ..] => plain = zstd::decode_all(bytes.as_slice()).unwrap(),
            _ => plain = bytes,
        }
        assert_eq!(digest(&plain), diff_id);
        assert!(self.layers.lock().unwrap().insert(diff_id.to_owned(), plain).is_none(), "unpacked twice");
        Ok(())
    }
}

pub fn name(host: &str, repository: &str, tag: &str) -> RemoteName {
    let digest = tag.contains(':').then(|| tag.to_owned());
    RemoteName {
        host: host.to_owned(),
        repository: repository.to_owned(),
        tag: if digest.is_some() { String::new() } else { tag.to_owned() },
        digest,
        familiar: format!("{host}/{repository}"),
    }
}

pub fn client() -> RegistryClient {
    RegistryClient::new(RegistryConfig { pause: Duration::from_millis(1), ..RegistryConfig::default() })
        .unwrap()
}

/// Pulls; the lines told come along.
pub async fn pull(
    client: &RegistryClient,
    name: &RemoteName,
    platform: Option<&str>,
    sink: Arc<Kept>,
) -> (Result<Pulled, PortError>, Vec<Progress>) {
    let (sender, mut receiver) = tokio::sync::mpsc::channel(16);
    let lines = tokio::spawn(async move {
        let mut lines = Vec::new();
        while let Some(line) = receiver.recv().await {
            lines.push(line);
        }
        lines
    });
    let outcome = client.pull(name, platform.map(str::to_owned), None, sink, sender).await;
    (outcome, lines.await.unwrap())
}

/// Whether these states of one id were told in this order.
pub fn told(lines: &[Progress], id: &str) -> Vec<String> {
    let mut states: Vec<String> = lines.iter().filter(|l| l.id == id).map(|l| l.status.clone()).collect();
    states.dedup();
    states
}

/// Layers, configuration and manifest of an image.
pub struct Image {
    pub layers: Vec<Vec<u8>>,
    pub packed: Vec<Vec<u8>>,
    pub config: Vec<u8>,
    pub manifest: Vec<u8>,
}

pub enum Packing {
    None,
    Gzip,
    Zstd,
}

pub fn layer(name: &str, content: &[u8]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, name, content).unwrap();
    tar.into_inner().unwrap()
}

impl Image {
    pub fn new(layers: Vec<(Vec<u8>, Packing)>) -> Self {
        let mut packed = Vec::new();
        let mut types = Vec::new();
        for (layer, packing) in &layers {
            let (bytes, suffix) = match packing {
                Packing::None => (layer.clone(), ""),
                Packing::Gzip => {
                    let mut out = Vec::new();
                    flate2::read::GzEncoder::new(layer.as_slice(), flate2::Compression::fast())
                        .read_to_end(&mut out)
                        .unwrap();
                    (out, "+gzip")
                }
                Packing::Zstd => (zstd::encode_all(layer.as_slice(), 1).unwrap(), "+zstd"),
            };
            packed.push(bytes);
            types.push(format!("application/vnd.oci.image.layer.v1.tar{suffix}"));
        }
        let layers: Vec<Vec<u8>> = layers.into_iter().map(|(l, _)| l).collect();
        let ids: Vec<String> = layers.iter().map(|l| digest(l)).collect();
        let config = serde_json::json!({"os": "linux", "rootfs": {"type": "layers", "diff_ids": ids}});
        let config = config.to_string().into_bytes();
        let describe = |bytes: &[u8], media: &str| serde_json::json!({"digest": digest(bytes), "size": bytes.len(), "mediaType": media});
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": describe(&config, "application/vnd.oci.image.config.v1+json"),
            "layers": packed.iter().zip(&types).map(|(l, t)| describe(l, t)).collect::<Vec<_>>(),
        });
        Self { layers, packed, config, manifest: manifest.to_string().into_bytes() }
    }

    pub fn short(&self, layer: usize) -> String {
        digest(&self.packed[layer])[7..19].to_owned()
    }
}
