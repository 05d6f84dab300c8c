//! An archive read while it comes: whatever looks like a layer is unpacked at once, and everything else is laid aside.
//!
//! What an archive's files are is known only when all of it has come, so layers are unpacked on suspicion, each under no
//! name. They get one when a manifest asks for them and they are what it says; the others go.

use super::layers::{Made, Way, make};
use super::shelf::Shelf;
use super::window::Window;
use super::{Archive, Content, Entry, Extent, join, normal, unreadable};
use crate::core::Core;
use crate::decompress::{MAGIC, decompress, is_plain};
use crate::limits::{Bounded, count, remember};
use crate::pieces::{Cut, Joined, Pieces};
use crate::reference::is_digest;
use crate::tar::{BLOCK, Members, bad, is_archive};
use contract::image::ProgressSink;
use contract::{Kind, PortError};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, scope};

/// Bytes that are handed on together: each time somebody is woken.
const BATCH: usize = 1 << 17;

/// Takes an archive in.
pub(super) fn take_in(
    core: &Core,
    pieces: impl Pieces,
    progress: &ProgressSink,
) -> Result<Archive, PortError> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let shelf = Shelf::new(core.tmp()).map_err(unreadable)?;
    let window = Window::new(&shelf, cores);
    let (ways, made) = (Mutex::new(Vec::<Way>::new()), Mutex::new(BTreeMap::<usize, Made>::new()));
    let work = || {
        while let Some(layer) = window.take() {
            let number = layer.number;
            let way = ways.lock().unwrap_or_else(PoisonError::into_inner).get(number).cloned();
            let Some(way) = way else { break };
            let outcome = make(core, layer, &way, progress);
            made.lock().unwrap_or_else(PoisonError::into_inner).insert(number, outcome);
        }
    };
    let (entries, broken) = scope(|scope| {
        let workers: Vec<_> =
            (0..cores).map(|_| Builder::new().name("layers".into()).spawn_scoped(scope, work)).collect();
        let intake = Intake { core, shelf: &shelf, window: &window, ways: &ways };
        let opened = window.open();
        let entries = match workers.iter().any(Result::is_ok) {
            true => intake.entries(pieces),
            false => Err(io::Error::other("no thread can be had")),
        };
        drop(opened);
        (entries, workers.into_iter().flatten().any(|worker| worker.join().is_err()))
    });
    drop(window);
    if broken {
        return Err(PortError::new(Kind::Bug, "unpacking a layer broke off"));
    }
    let made = made.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Archive { shelf, entries: entries.map_err(unreadable)?, made })
}

struct Intake<'a> {
    core: &'a Core,
    shelf: &'a Shelf,
    window: &'a Window<'a>,
    ways: &'a Mutex<Vec<Way>>,
}

impl Intake<'_> {
    /// Reads the archive, packed or not; answers what is in it.
    fn entries(&self, pieces: impl Pieces) -> io::Result<BTreeMap<String, Entry>> {
        let mut whole = Joined::new(pieces);
        if is_plain(whole.gather(MAGIC)?) {
            return self.members(Members::new(whole));
        }
        let limits = self.core.layers.limits();
        let unpacked = Bounded { inner: decompress(whole)?, left: limits.bytes };
        self.members(Members::new(Joined::new(Cut(unpacked))))
    }

    fn members(&self, mut members: Members<Joined<impl Pieces>>) -> io::Result<BTreeMap<String, Entry>> {
        let limits = self.core.layers.limits();
        let (mut out, mut seen, mut names) = (BTreeMap::new(), 0, 0);
        while let Some(member) = members.next()? {
            count(&mut seen, limits.files)?;
            let name = normal(&String::from_utf8_lossy(&member.path));
            remember(&mut names, name.as_bytes())?;
            let entry = if member.kind.is_file() {
                if member.sparse.is_some() {
                    return Err(bad(format!("{name} has holes")));
                }
                Entry::File(self.file(&name, member.size, &mut members)?)
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
        // Also what follows the end is read: a client hears of nothing before it has sent everything.
        members.finish()?;
        Ok(out)
    }

    fn file(&self, name: &str, size: u64, members: &mut Members<Joined<impl Pieces>>) -> io::Result<Content> {
        let begin = members.begin(BLOCK)?;
        let packed = !is_plain(begin);
        let called = called(name);
        // A layer that is there already may be asked for under that name: most often there is nothing to do.
        let known = called.as_ref().is_some_and(|id| self.core.layers.has(id));
        if known || !packed && !is_archive(begin) {
            return self.aside(size, members);
        }
        self.ways.lock().unwrap_or_else(PoisonError::into_inner).push(Way { called, packed, size });
        let layer = self.window.begin();
        let (mut batch, mut bytes) = (Vec::new(), 0);
        loop {
            let piece = members.piece()?;
            let ended = piece.is_empty();
            bytes += piece.len();
            batch.extend(Some(piece).filter(|piece| !piece.is_empty()));
            if bytes >= BATCH || ended && bytes > 0 {
                self.window.add(layer, std::mem::take(&mut batch))?;
                bytes = 0;
            }
            if ended {
                break;
            }
        }
        self.window.whole(layer);
        Ok(Content::Layer(layer))
    }

    fn aside(&self, size: u64, members: &mut Members<Joined<impl Pieces>>) -> io::Result<Content> {
        let offset = self.shelf.end();
        loop {
            let piece = members.piece()?;
            if piece.is_empty() {
                return Ok(Content::Aside(Extent { offset, size }));
            }
            self.shelf.put(&piece)?;
        }
    }
}

/// The digest that a file is named after: `blobs/sha256/HEX`, `HEX.tar`.
fn called(name: &str) -> Option<String> {
    let last = name.rsplit('/').next().unwrap_or(name);
    let digest = format!("sha256:{}", last.strip_suffix(".tar").unwrap_or(last));
    is_digest(&digest).then_some(digest)
}

#[cfg(test)]
mod tests {
    use super::called;

    #[test]
    fn files_are_named_after_digests_in_two_ways() {
        let hex = "0123456789abcdef".repeat(4);
        let digest = Some(format!("sha256:{hex}"));
        assert_eq!(called(&format!("blobs/sha256/{hex}")), digest);
        assert_eq!(called(&format!("{hex}.tar")), digest);
        assert_eq!(called(&format!("{hex}/layer.tar")), None);
        assert_eq!(called("manifest.json"), None);
    }
}
