//! Archives made by hand, and a store to try them on.
#![allow(dead_code)]

use contract::PortError;
use contract::image::{Force, Images, ImportSpec, Parents, Removal};
use contract::incoming::{Incoming, incoming};
use gantry_storage::{Limits, Store};
use sha2::{Digest, Sha256};
use std::io::Write;
use std::path::PathBuf;

/// A removal while no container uses anything.
pub fn removal(force: Force) -> Removal {
    Removal { force, parents: Parents::Prune, users: Vec::new() }
}

/// A tar stream with headers no honest writer makes.
#[derive(Clone, Default)]
pub struct Tar(pub Vec<u8>);

pub fn header(kind: u8, name: &[u8], link: &[u8], size: u64) -> [u8; 512] {
    let mut block = [0u8; 512];
    block[..name.len().min(100)].copy_from_slice(&name[..name.len().min(100)]);
    block[100..108].copy_from_slice(b"0000755\0");
    block[108..116].copy_from_slice(b"0000000\0");
    block[116..124].copy_from_slice(b"0000000\0");
    block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    block[136..148].copy_from_slice(b"00000000001\0");
    block[156] = kind;
    block[157..157 + link.len().min(100)].copy_from_slice(&link[..link.len().min(100)]);
    block[257..265].copy_from_slice(b"ustar\x0000");
    sum(&mut block);
    block
}

pub fn sum(block: &mut [u8; 512]) {
    block[148..156].copy_from_slice(b"        ");
    let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

impl Tar {
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub fn member(
        mut self,
        kind: u8,
        name: impl AsRef<[u8]>,
        link: impl AsRef<[u8]>,
        content: &[u8],
    ) -> Self {
        self.0.extend_from_slice(&header(kind, name.as_ref(), link.as_ref(), content.len() as u64));
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub fn file(self, name: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Self {
        self.member(b'0', name, "", content.as_ref())
    }

    pub fn folder(self, name: impl AsRef<[u8]>) -> Self {
        self.member(b'5', name, "", b"")
    }

    pub fn link(self, name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        self.member(b'2', name, target, b"")
    }

    pub fn hard(self, name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        self.member(b'1', name, target, b"")
    }

    pub fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut body = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let mut length = rest + 1;
            while length != rest + length.to_string().len() {
                length = rest + length.to_string().len();
            }
            body.extend_from_slice(format!("{length} {key}=").as_bytes());
            body.extend_from_slice(value);
            body.push(b'\n');
        }
        self.member(b'x', "pax", "", &body)
    }

    pub fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 1024]);
        self.0
    }
}

pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

pub fn config(diff_ids: &[String], more: &str) -> Vec<u8> {
    let ids = serde_json::to_string(diff_ids).unwrap();
    format!(r#"{{"architecture":"amd64","os":"linux"{more},"rootfs":{{"type":"layers","diff_ids":{ids}}}}}"#)
        .into()
}

/// A docker-archive of one image.
pub fn archive(layers: &[&[u8]], names: &[&str]) -> Vec<u8> {
    let ids: Vec<String> = layers.iter().map(|l| digest(l)).collect();
    let files: Vec<String> = (0..layers.len()).map(|i| format!("{i}/layer.tar")).collect();
    let manifest = serde_json::json!([{"Config": "config.json", "RepoTags": names, "Layers": files}]);
    let mut tar =
        Tar::default().file("manifest.json", manifest.to_string()).file("config.json", config(&ids, ""));
    for (file, layer) in files.iter().zip(layers) {
        tar = tar.file(file, layer);
    }
    tar.end()
}

/// Bytes on their way, in pieces that end anywhere.
pub fn sent(bytes: &[u8]) -> Incoming {
    let ((mut to, from), bytes) = (incoming(), bytes.to_vec());
    tokio::spawn(async move {
        for piece in bytes.chunks(10_007) {
            to.put(piece.to_vec().into()).await;
        }
        to.end().await;
    });
    from
}

pub struct Place {
    pub root: tempfile::TempDir,
    pub store: Store,
}

pub fn place() -> Place {
    bounded(Limits::default())
}

pub fn bounded(limits: Limits) -> Place {
    let root = tempfile::tempdir().unwrap();
    let store = Store::bounded(root.path().join("data"), None, limits).unwrap();
    Place { root, store }
}

impl Place {
    pub fn data(&self) -> PathBuf {
        self.root.path().join("data")
    }

    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.root.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Imports a layer; answers where it is unpacked.
    pub async fn import(&self, layer: &[u8]) -> Result<PathBuf, PortError> {
        let id = self.store.import(sent(layer), ImportSpec::default()).await?;
        Ok(self.store.find(id.as_str()).await?.folders[0].clone())
    }

    pub async fn load(&self, archive: &[u8]) -> Result<Vec<String>, PortError> {
        let (sender, mut lines) = tokio::sync::mpsc::channel(8);
        let drain = tokio::spawn(async move { while lines.recv().await.is_some() {} });
        let outcome = self.store.load(sent(archive), None, sender).await;
        drain.await.unwrap();
        outcome
    }

    /// Every file of the data root, but for the index's reserve and the marks that go by themselves.
    pub fn left(&self) -> Vec<String> {
        let mut out = Vec::new();
        let mut folders = vec![self.data()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().flatten() {
                if ["unsynced", "reserve"].iter().any(|own| entry.file_name() == *own) {
                    continue;
                }
                let kind = entry.file_type().unwrap();
                let depth = entry.path().strip_prefix(self.data()).unwrap().components().count();
                if !kind.is_dir() || depth > 2 || entry.path().parent().unwrap().ends_with("layers") {
                    out.push(entry.path().display().to_string());
                }
                if kind.is_dir() {
                    folders.push(entry.path());
                }
            }
        }
        out
    }
}
