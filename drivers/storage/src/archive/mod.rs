//! Image archives as `docker save`, skopeo and OCI tools write them. Nothing of them is unpacked but layers: files are
//! read where they lie in the tar stream, so that no name inside ever names a place of ours.

mod docker;
mod layers;
mod oci;

use crate::core::{Core, Taken};
use crate::decompress::{decompress, is_plain};
use crate::file::failed;
use crate::limits::{Bounded, Limits, count, remember};
use crate::making::Making;
use crate::reference::Reference;
use crate::tar::{Members, bad};
use contract::image::{Progress, ProgressSink};
use contract::{Kind, PortError};
use rustix::fs::{self as rfs, Mode, OFlags};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Largest JSON file taken from an archive, bytes: some thousand images' manifests; more would be held in memory.
const JSON_LIMIT: u64 = 4 << 20;
/// Links to links are followed this often.
const HOPS: usize = 8;
/// A layer's progress is shown this often.
const PACE: Duration = Duration::from_millis(100);

/// A file's place in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Extent {
    offset: u64,
    size: u64,
}

/// An image found in an archive.
struct Found {
    /// Configuration, byte for byte.
    config: Vec<u8>,
    /// Layers, lowest first.
    layers: Vec<Extent>,
    /// Names it is to have.
    names: Vec<Reference>,
}

enum Entry {
    File(Extent),
    Link(String),
}

/// An archive's files.
struct Archive {
    file: File,
    entries: BTreeMap<String, Entry>,
}

fn invalid(text: impl Into<String>) -> PortError {
    PortError::new(Kind::Invalid, text)
}

/// Failures of reading what a client sent.
fn unreadable(error: io::Error) -> PortError {
    let kind = match error.kind() {
        io::ErrorKind::QuotaExceeded | io::ErrorKind::StorageFull => Kind::Exhausted,
        _ => Kind::Invalid,
    };
    PortError::new(kind, format!("the archive cannot be read: {error}"))
}

impl Archive {
    fn open(path: &Path, tmp: &Path, limits: Limits) -> Result<Self, PortError> {
        let file = File::open(path).map_err(failed("opening", path))?;
        let file = plain(file, tmp, limits).map_err(unreadable)?;
        let entries = entries(&file, limits).map_err(unreadable)?;
        Ok(Self { file, entries })
    }

    /// Where the file of that name lies.
    fn find(&self, name: &str) -> Result<Extent, PortError> {
        let mut name = normal(name);
        for _ in 0..HOPS {
            match self.entries.get(&name) {
                Some(Entry::File(extent)) => return Ok(*extent),
                Some(Entry::Link(target)) => name.clone_from(target),
                None => break,
            }
        }
        Err(invalid(format!("invalid archive: does not contain {name}")))
    }

    fn has(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    fn read(&self, extent: Extent) -> impl Read + Send + '_ {
        Section { file: &self.file, at: extent.offset, left: extent.size }
    }

    fn bytes(&self, name: &str) -> Result<Vec<u8>, PortError> {
        let extent = self.find(name)?;
        if extent.size > JSON_LIMIT {
            return Err(invalid(format!("{name} in the archive is larger than {JSON_LIMIT} bytes")));
        }
        let mut out = Vec::new();
        self.read(extent).read_to_end(&mut out).map_err(unreadable)?;
        Ok(out)
    }

    fn json(&self, name: &str) -> Result<Value, PortError> {
        serde_json::from_slice(&self.bytes(name)?)
            .map_err(|e| PortError::caused(Kind::Invalid, format!("{name} in the archive is not valid"), e))
    }

    fn images(&self) -> Result<Vec<Found>, PortError> {
        if self.has("manifest.json") {
            return docker::images(self);
        }
        if self.has("index.json") {
            return oci::images(self);
        }
        Err(invalid("invalid archive: does not contain a manifest.json"))
    }
}

/// The archive as a plain tar file: itself, or decompressed into a nameless one that is gone with its handle.
fn plain(mut file: File, tmp: &Path, limits: Limits) -> io::Result<File> {
    let mut magic = Vec::new();
    (&mut file).take(4).read_to_end(&mut magic)?;
    io::Seek::rewind(&mut file)?;
    if is_plain(&magic) {
        return Ok(file);
    }
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let mut out = File::from(rfs::open(tmp, flags, Mode::from_raw_mode(0o600))?);
    let mut from =
        BufReader::with_capacity(1 << 17, Bounded { inner: decompress(file)?, left: limits.bytes });
    io::copy(&mut from, &mut out)?;
    Ok(out)
}

/// Reads a part of a file without moving anybody's position.
struct Section<'a> {
    file: &'a File,
    at: u64,
    left: u64,
}

impl Read for Section<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let Some(piece) = buffer.get_mut(..most).filter(|p| !p.is_empty()) else { return Ok(0) };
        let count = self.file.read_at(piece, self.at)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        (self.at, self.left) = (self.at + count as u64, self.left - count as u64);
        Ok(count)
    }
}

fn entries(file: &File, limits: Limits) -> io::Result<BTreeMap<String, Entry>> {
    let whole = Section { file, at: 0, left: file.metadata()?.len() };
    let mut members = Members::new(BufReader::with_capacity(1 << 16, whole));
    let (mut out, mut seen, mut names) = (BTreeMap::new(), 0, 0);
    while let Some(member) = members.next()? {
        count(&mut seen, limits.files)?;
        let name = normal(&String::from_utf8_lossy(&member.path));
        remember(&mut names, name.as_bytes())?;
        let entry = if member.kind.is_file() {
            if member.sparse.is_some() {
                return Err(bad(format!("{name} has holes")));
            }
            let buffered = members.reader();
            let offset = buffered.get_ref().at - buffered.buffer().len() as u64;
            Entry::File(Extent { offset, size: member.size })
        } else if member.kind.is_symlink() || member.kind.is_hard_link() {
            let parent =
                if member.kind.is_symlink() { name.rsplit_once('/').map_or("", |(p, _)| p) } else { "" };
            let target = join(parent, &String::from_utf8_lossy(&member.link));
            remember(&mut names, target.as_bytes())?;
            Entry::Link(target)
        } else {
            continue;
        };
        out.insert(name, entry);
    }
    Ok(out)
}

fn normal(name: &str) -> String {
    join("", name)
}

/// A name relative to a folder of the archive; `..` stops at its root.
fn join(folder: &str, relative: &str) -> String {
    let folder = if relative.starts_with('/') { "" } else { folder };
    let mut parts: Vec<&str> = folder.split('/').filter(|p| !p.is_empty()).collect();
    for part in relative.split('/').filter(|p| !p.is_empty() && *p != ".") {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts.join("/")
}

fn say(progress: &ProgressSink, status: String) {
    // Whoever asked may have left.
    let _left = progress.blocking_send(Progress { status, ..Progress::default() });
}

/// Finds every image of an archive and reads its configuration.
#[cfg(any(test, feature = "fuzz"))]
pub(crate) fn look(path: &Path, tmp: &Path, limits: Limits) -> Result<(), PortError> {
    for found in Archive::open(path, tmp, limits)?.images()? {
        crate::config::diff_ids(&found.config)?;
    }
    Ok(())
}

/// Stores every image of an archive; answers their names, or ids where there are none. What is said on the way are
/// layers' progress and, without an id, Docker's lines.
pub(crate) fn load(core: &Arc<Core>, path: &Path, progress: &ProgressSink) -> Result<Vec<String>, PortError> {
    let archive = Archive::open(path, core.tmp(), core.layers.limits())?;
    let mut loaded = Vec::new();
    for found in archive.images()? {
        let (id, taken) = load_one(&archive, &Making::new(core.clone()), &found, progress)?;
        if taken.is_empty() {
            say(progress, format!("Loaded image ID: {id}"));
            loaded.push(id);
        }
        for Taken { name, from } in taken {
            if let Some(old) = from {
                say(
                    progress,
                    format!(
                        "The image {name} already exists, renaming the old one with ID {old} to empty string"
                    ),
                );
            }
            say(progress, format!("Loaded image: {name}"));
            loaded.push(name);
        }
    }
    Ok(loaded)
}

fn load_one(
    archive: &Archive,
    making: &Making,
    found: &Found,
    progress: &ProgressSink,
) -> Result<(String, Vec<Taken>), PortError> {
    layers::bring(archive, making, found, progress)?;
    let names: Vec<String> = found.names.iter().map(Reference::tagged).collect();
    making.finish(&found.config, &names)
}
