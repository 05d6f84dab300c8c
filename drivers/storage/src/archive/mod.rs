//! Image archives as `docker save`, skopeo and OCI tools write them. Nothing of them is unpacked but layers, and those
//! under names of ours: no name inside ever names a place.

mod docker;
mod intake;
mod layers;
mod oci;
mod shelf;
mod window;

use crate::core::{Core, Taken};
use crate::making::Making;
use crate::pieces::Pieces;
use crate::reference::Reference;
use contract::image::{Progress, ProgressSink, WantedPlatform};
use contract::{Kind, PortError};
use layers::Made;
use serde_json::Value;
use shelf::Shelf;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

/// Largest JSON file taken from an archive, bytes: some thousand images' manifests; more would be held in memory.
pub(crate) const JSON_LIMIT: u64 = 4 << 20;
/// Links to links are followed this often.
const HOPS: usize = 8;
/// A layer's progress is shown this often.
const PACE: Duration = Duration::from_millis(100);

/// A piece of the file for what has to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Extent {
    offset: u64,
    size: u64,
}

/// Where the content of an archive's file went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    /// It lies aside.
    Aside(Extent),
    /// It looked like a layer and was unpacked: the one of this number.
    Layer(usize),
}

/// An image found in an archive.
struct Found {
    /// Configuration, byte for byte.
    config: Vec<u8>,
    /// Layers, lowest first.
    layers: Vec<Content>,
    /// Names it is to have.
    names: Vec<Reference>,
}

enum Entry {
    File(Content),
    Link(String),
}

/// An archive's files.
struct Archive {
    shelf: Shelf,
    entries: BTreeMap<String, Entry>,
    /// What became of its layers, by their numbers; what no image asks for goes with this.
    made: BTreeMap<usize, Made>,
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
    /// The file of that name.
    fn find(&self, name: &str) -> Result<Content, PortError> {
        let mut name = normal(name);
        for _ in 0..HOPS {
            match self.entries.get(&name) {
                Some(Entry::File(content)) => return Ok(*content),
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
        Section { shelf: &self.shelf, at: extent.offset, left: extent.size }
    }

    /// What was unpacked as the archive's layer of that number.
    fn made(&self, number: usize) -> Result<&Made, PortError> {
        self.made.get(&number).ok_or_else(|| PortError::new(Kind::Bug, "a layer is nowhere"))
    }

    fn bytes(&self, name: &str) -> Result<Vec<u8>, PortError> {
        let Content::Aside(extent) = self.find(name)? else {
            return Err(invalid(format!("{name} in the archive is not valid: it is an archive itself")));
        };
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

    /// Its images, or those for one platform.
    fn images(&self, wanted: Option<&WantedPlatform>) -> Result<Vec<Found>, PortError> {
        let mut images = match (self.has("manifest.json"), self.has("index.json")) {
            (true, _) => docker::images(self)?,
            (false, true) => oci::images(self, wanted)?,
            (false, false) => return Err(missing()),
        };
        let Some(wanted) = wanted else { return Ok(images) };
        let any = !images.is_empty();
        images
            .retain(|image| serde_json::from_slice(&image.config).is_ok_and(|config| (wanted.fits)(&config)));
        if any && images.is_empty() {
            let text = format!("requested platform ({}) not found in the archive", wanted.shown);
            return Err(PortError::new(Kind::NotFound, text));
        }
        Ok(images)
    }
}

fn missing() -> PortError {
    invalid("invalid archive: does not contain a manifest.json")
}

/// Reads a part of a file without moving anybody's position.
struct Section<'a> {
    shelf: &'a Shelf,
    at: u64,
    left: u64,
}

impl Read for Section<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let Some(piece) = buffer.get_mut(..most).filter(|p| !p.is_empty()) else { return Ok(0) };
        let count = self.shelf.read_at(piece, self.at)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        (self.at, self.left) = (self.at + count as u64, self.left - count as u64);
        Ok(count)
    }
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
pub(crate) fn look(core: &Core, pieces: impl Pieces) -> Result<(), PortError> {
    let (progress, _nobody) = tokio::sync::mpsc::channel(1);
    for found in intake::take_in(core, pieces, &progress)?.images(None)? {
        crate::config::diff_ids(&found.config)?;
    }
    Ok(())
}

/// Stores every image of an archive; answers their names, or ids where there are none. What is said on the way are
/// layers' progress and, without an id, Docker's lines.
pub(crate) fn load(
    core: &Arc<Core>,
    pieces: impl Pieces,
    wanted: Option<&WantedPlatform>,
    progress: &ProgressSink,
) -> Result<Vec<String>, PortError> {
    let archive = intake::take_in(core, pieces, progress)?;
    // Images share layers: none goes between one and the next.
    let making = Making::new(core.clone());
    let mut loaded = Vec::new();
    for found in archive.images(wanted)? {
        let (id, taken) = load_one(&archive, &making, &found, progress)?;
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
