//! A layer's stream unpacked into a folder, verified while it passes.
//!
//! Three things go on beside one another: decompressing, digesting, and placing files.

use crate::decompress::{MAGIC, decompress, is_plain};
use crate::limits::{Limits, count, exceeded};
use crate::pieces::{self, Cut, Digesting, Fed, Feed, Joined, Pieces};
use crate::place::{Modes, Place};
use crate::stream::kept::Kept;
use crate::stream::{DIFF, KEPT, Recorder, STREAM};
use crate::tar::Members;
use bytes::Bytes;
use nix::sched::{CloneFlags, unshare};
use rustix::fs::Mode;
use std::fs::File;
use std::io;
use std::path::Path;
use std::thread::{Builder, scope};

/// What was unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unpacked {
    /// `sha256:…` of the uncompressed stream.
    pub(crate) diff_id: String,
    /// Bytes of file content.
    pub(crate) size: u64,
}

/// Unpacks a (compressed) tar stream into a layer's folder, in overlay's form, and records the stream. All of it is read,
/// also what a decoder has no use for: only at its end is the stream known to be good.
pub(crate) fn unpack(mut source: impl Pieces, layer: &Path, limits: Limits) -> io::Result<Unpacked> {
    scope(|scope| {
        let (mut to, from) = pieces::channel();
        // A thread that ends with this: it has a umask of its own.
        let placing = Builder::new().name("placing".into());
        let placing = placing.spawn_scoped(scope, move || place(from, layer, limits))?;
        let digest = decoded(&mut source, &mut to, limits.bytes).unwrap_or_else(|error| {
            // What is placed ends with it.
            to.send(Err(error));
            None
        });
        drop(to);
        let size = placing.join().unwrap_or_else(|_| Err(io::Error::other("placing its files broke off")))?;
        let diff_id = digest.ok_or(io::ErrorKind::UnexpectedEof)?;
        while !source.next()?.is_empty() {}
        Ok(Unpacked { diff_id, size })
    })
}

/// Feeds the uncompressed stream; answers its digest, nothing when nobody takes it any more.
fn decoded(source: &mut impl Pieces, to: &mut Feed, limit: u64) -> io::Result<Option<String>> {
    let mut whole = Joined::new(source);
    let plain = is_plain(whole.gather(MAGIC)?);
    if plain {
        return passed(whole.rest(), to, limit);
    }
    scope(|scope| {
        let (mut packed, unpacked) = pieces::channel();
        let digesting = Builder::new().name("digesting".into());
        let digesting = digesting.spawn_scoped(scope, move || passed(unpacked, to, limit))?;
        let mut decoder = Cut(decompress(whole)?);
        loop {
            let piece = decoder.next();
            let last = piece.as_ref().map_or(true, Bytes::is_empty);
            if !packed.send(piece) || last {
                break;
            }
        }
        digesting.join().unwrap_or_else(|_| Err(io::Error::other("digesting it broke off")))
    })
}

/// Feeds what comes, as it is.
fn passed(pieces: impl Pieces, to: &mut Feed, limit: u64) -> io::Result<Option<String>> {
    let (mut pieces, mut left) = (Digesting::new(pieces), limit);
    loop {
        let piece = pieces.next()?;
        left = left.checked_sub(piece.len() as u64).ok_or_else(|| exceeded("unpacks to more bytes"))?;
        let ended = piece.is_empty();
        if !to.send(Ok(piece)) {
            return Ok(None);
        }
        if ended {
            return Ok(Some(pieces.digest()));
        }
    }
}

/// Places every member; answers the bytes of files.
fn place(from: Fed, layer: &Path, limits: Limits) -> io::Result<u64> {
    let mut members = Members::new(Recorder::new(Joined::new(from), &layer.join(STREAM))?);
    let kept = Kept::new(layer.join(KEPT));
    let mut place = Place::layer(File::open(layer.join(DIFF))?, limits.bytes, kept, unmasked());
    let mut seen = 0u64;
    while let Some(member) = members.next()? {
        count(&mut seen, limits.members)?;
        members.reader_mut().begin();
        let file = place.member(&member, &mut members.content()).map_err(|e| {
            let shown: String = String::from_utf8_lossy(&member.path).chars().take(200).collect();
            io::Error::new(e.kind(), format!("{shown}: {e}"))
        })?;
        let pieces = member.sparse.as_ref().map(|s| s.segments.as_slice());
        members.reader_mut().end(file.as_deref(), pieces)?;
    }
    let size = place.finish()?;
    members.finish()?.finish()?;
    Ok(size)
}

/// Gives this thread, which is about to end with its work, an empty umask of its own.
fn unmasked() -> Modes {
    match unshare(CloneFlags::CLONE_FS) {
        Ok(()) => {
            rustix::process::umask(Mode::empty());
            Modes::Exact
        }
        Err(_) => Modes::Masked,
    }
}
