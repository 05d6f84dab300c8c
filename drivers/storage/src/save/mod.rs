//! `docker save`: images as an OCI layout that older readers understand too, each layer once.

mod names;
mod papers;

use crate::core::Core;
use crate::file::failed;
use crate::making::Making;
use crate::pipe::Sender;
use crate::tar::bad;
use crate::tar::write::{Entry, Writer};
use ::tar::EntryType;
use contract::{Kind, PortError};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::Arc;

/// A file of the archive.
enum Content {
    Bytes(Vec<u8>),
    /// A layer's stream, and its length.
    Layer(String, u64),
}

/// An archive that is ready to be written: everything in it is known to be there and stays until then.
pub(crate) struct Saving {
    making: Making,
    /// By path, in whose order they are written; with seconds since the epoch.
    files: BTreeMap<String, (i64, Content)>,
    /// The images' ids.
    pub(crate) images: Vec<String>,
}

fn blob(digest: &str) -> String {
    format!("blobs/{}", digest.replace(':', "/"))
}

/// Gathers what is to be written.
pub(crate) fn prepare(core: &Arc<Core>, names: &[String]) -> Result<Saving, PortError> {
    let chosen = core.ask(|index| names::choose(index, names))?;
    let making = Making::new(core.clone());
    let (mut files, mut papers) = (BTreeMap::new(), papers::Papers::default());
    for image in &chosen {
        let layers = core.ask(|index| index.images.get(&image.id).cloned()).unwrap_or_default();
        if layers.is_empty() {
            return Err(PortError::new(Kind::Bug, "empty export - not implemented"));
        }
        let path = core.config_path(&image.id);
        let config = std::fs::read(&path).map_err(failed("reading", &path))?;
        let created = created(&config);
        let mut lengths = Vec::new();
        for layer in &layers {
            making.hold(layer);
            let length = core.layers.stream(layer)?.length();
            files.insert(blob(layer), (created, Content::Layer(layer.clone(), length)));
            lengths.push((layer.as_str(), length));
        }
        let manifest = papers.add(image, config.len(), &lengths);
        files.insert(blob(&manifest.0), (0, Content::Bytes(manifest.1)));
        files.insert(blob(&image.id), (created, Content::Bytes(config)));
    }
    for (name, bytes) in papers.finish() {
        files.insert(name.to_owned(), (0, Content::Bytes(bytes)));
    }
    Ok(Saving { making, files, images: chosen.into_iter().map(|c| c.id).collect() })
}

/// When the image was made, seconds since the epoch.
fn created(config: &[u8]) -> i64 {
    let config: Option<serde_json::Value> = serde_json::from_slice(config).ok();
    let created = config.as_ref().and_then(|c| c.get("created")?.as_str()?.parse::<jiff::Timestamp>().ok());
    created.map_or(0, |c| c.as_second().max(0))
}

impl Saving {
    /// Writes the archive and says how it ended.
    pub(crate) fn write(self, to: Sender) {
        let mut writer = Writer::new(to);
        let outcome = self.archive(&mut writer);
        if let Err(error) = &outcome
            && error.kind() != io::ErrorKind::BrokenPipe
        {
            tracing::warn!("saving images: {error}");
        }
        writer.into_inner().end(outcome);
    }

    fn archive(&self, writer: &mut Writer<Sender>) -> io::Result<()> {
        for folder in ["blobs/", "blobs/sha256/"] {
            writer.entry(&entry(folder, EntryType::Directory, 0, 0))?;
        }
        let mut buffer = vec![0; 1 << 17];
        for (path, (time, content)) in &self.files {
            match content {
                Content::Bytes(bytes) => {
                    let size = bytes.len() as u64;
                    writer.entry(&entry(path, EntryType::Regular, *time, size))?;
                    writer.bytes(bytes)?;
                    writer.pad(size)?;
                }
                Content::Layer(layer, length) => {
                    writer.entry(&entry(path, EntryType::Regular, *time, *length))?;
                    let stream = self.making.core().layers.stream(layer).map_err(io::Error::other)?;
                    copy(stream, *length, writer, &mut buffer)?;
                    writer.pad(*length)?;
                }
            }
        }
        writer.end()
    }
}

/// Exactly as many bytes as the header has promised.
fn copy<W: Write>(mut from: impl Read, length: u64, to: &mut Writer<W>, buffer: &mut [u8]) -> io::Result<()> {
    let mut written = 0;
    loop {
        let count = from.read(buffer)?;
        if count == 0 {
            break;
        }
        to.bytes(buffer.get(..count).unwrap_or_default())?;
        written += count as u64;
    }
    if written == length { Ok(()) } else { Err(bad("a layer has another length than it had")) }
}

fn entry(path: &str, kind: EntryType, mtime: i64, size: u64) -> Entry<'_> {
    let mode = if kind.is_dir() { 0o755 } else { 0o644 };
    Entry {
        path: path.as_bytes(),
        kind,
        link: b"",
        mode,
        uid: 0,
        gid: 0,
        mtime,
        size,
        device: (0, 0),
        records: Vec::new(),
    }
}
