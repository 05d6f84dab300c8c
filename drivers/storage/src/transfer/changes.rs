//! What a container changed of its image: its own layer held against what lies below.
//!
//! The list is Docker's: a path was added, changed or deleted; a folder in which something was is changed too; of what
//! lay in a deleted folder nothing is said. Mount points that the engine made are nobody's change.

use super::pack::Packer;
use super::{Held, Inside, folder, hold_in, names, open};
use crate::place::{is_opaque_at, is_whiteout};
use rustix::fs::{self as rfs, FileType};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

/// Levels of folders that a path of the kernel's length can have.
const DEPTH: u32 = 2048;

/// Docker's kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Modified,
    Added,
    Deleted,
}

/// Where changes go, parents first.
trait Sink {
    /// An open folder.
    fn folder(&mut self, kind: Kind, path: &[u8], at: &OwnedFd) -> io::Result<()>;
    /// Anything else that is there.
    fn other(&mut self, kind: Kind, path: &[u8], held: &Held) -> io::Result<()>;
    /// What is not there any more.
    fn gone(&mut self, path: &[u8]) -> io::Result<()>;
    /// Whether a file is also told of when only its content could be another one.
    fn strict(&self) -> bool;
}

/// Docker's JSON.
struct Listed<W> {
    out: W,
    any: bool,
}

impl<W: Write> Listed<W> {
    fn line(&mut self, kind: Kind, path: &[u8]) -> io::Result<()> {
        let path = format!("/{}", String::from_utf8_lossy(path));
        let line = serde_json::json!({ "Path": path, "Kind": kind as u8 });
        write!(self.out, "{}{line}", if self.any { "," } else { "[" })?;
        self.any = true;
        Ok(())
    }
}

impl<W: Write> Sink for Listed<W> {
    fn folder(&mut self, kind: Kind, path: &[u8], _: &OwnedFd) -> io::Result<()> {
        self.line(kind, path)
    }

    fn other(&mut self, kind: Kind, path: &[u8], _: &Held) -> io::Result<()> {
        self.line(kind, path)
    }

    fn gone(&mut self, path: &[u8]) -> io::Result<()> {
        self.line(Kind::Deleted, path)
    }

    fn strict(&self) -> bool {
        false
    }
}

impl<W: Write> Sink for Packer<'_, W> {
    fn folder(&mut self, _: Kind, path: &[u8], at: &OwnedFd) -> io::Result<()> {
        Packer::folder(self, at, path)
    }

    fn other(&mut self, _: Kind, path: &[u8], held: &Held) -> io::Result<()> {
        Packer::other(self, held, path)
    }

    fn gone(&mut self, path: &[u8]) -> io::Result<()> {
        self.whiteout(path)
    }

    fn strict(&self) -> bool {
        true
    }
}

/// Writes the changes as JSON; without any it is `null`, as in Docker.
pub(super) fn list(inside: &Inside, own: &[String], out: &mut impl Write) -> io::Result<()> {
    let mut listed = Listed { out, any: false };
    Comparison::new(inside, own, &mut listed).all()?;
    let end = if listed.any { "]\n" } else { "null\n" };
    write!(listed.out, "{end}")?;
    listed.out.flush()
}

/// Writes the changes as members of a layer.
pub(super) fn layer<W: Write>(inside: &Inside, own: &[String], packer: &mut Packer<'_, W>) -> io::Result<()> {
    Comparison::new(inside, own, packer).all()
}

struct Comparison<'a, S> {
    inside: &'a Inside,
    own: Vec<Vec<u8>>,
    sink: &'a mut S,
    /// Unchanged folders on the way down, not told of yet.
    pending: Vec<(Vec<u8>, OwnedFd)>,
}

impl<'a, S: Sink> Comparison<'a, S> {
    fn new(inside: &'a Inside, own: &[String], sink: &'a mut S) -> Self {
        let own = own.iter().map(|p| p.trim_matches('/').as_bytes().to_vec()).collect();
        Self { inside, own, sink, pending: Vec::new() }
    }

    fn all(&mut self) -> io::Result<()> {
        let inside = self.inside;
        self.level(&inside.root, inside.below.as_ref(), b"", DEPTH)
    }

    /// Something follows: the folders around it have changed.
    fn flush(&mut self) -> io::Result<()> {
        for (path, at) in std::mem::take(&mut self.pending) {
            self.sink.folder(Kind::Modified, &path, &at)?;
        }
        Ok(())
    }

    fn gone(&mut self, path: &[u8]) -> io::Result<()> {
        self.flush()?;
        self.sink.gone(path)
    }

    fn level(&mut self, upper: &OwnedFd, below: Option<&OwnedFd>, path: &[u8], depth: u32) -> io::Result<()> {
        if depth == 0 {
            return Err(Errno::NAMETOOLONG.into());
        }
        let mut all: BTreeMap<Vec<u8>, bool> = names(upper)?.into_iter().map(|n| (n, true)).collect();
        if let Some(below) = below.filter(|_| is_opaque_at(upper)) {
            for name in names(below)? {
                all.entry(name).or_insert(false);
            }
        }
        for (name, is_here) in all {
            let name = OsStr::from_bytes(&name);
            let path = if path.is_empty() {
                name.as_bytes().to_vec()
            } else {
                [path, b"/", name.as_bytes()].concat()
            };
            let before = below.and_then(|below| present(below, name));
            let held = match is_here.then(|| hold_in(upper, name)) {
                None => None,
                Some(Err(Errno::NOENT)) => continue,
                Some(held) => Some(held?).filter(|h| !is_whiteout(&h.stat)),
            };
            match held {
                None if before.is_some() => self.gone(&path)?,
                None => {}
                Some(held) => self.compare(held, before, &path, depth)?,
            }
        }
        Ok(())
    }

    fn compare(&mut self, held: Held, before: Option<Held>, path: &[u8], depth: u32) -> io::Result<()> {
        if before.is_none() && self.is_own(&held, path) {
            return Ok(());
        }
        let kind = match &before {
            None => Some(Kind::Added),
            Some(before) if differs(self.inside, &held, before) => Some(Kind::Modified),
            Some(_) => None,
        };
        if held.kind() != FileType::Directory {
            let kind = kind.or(self.sink.strict().then_some(Kind::Modified));
            let Some(kind) = kind else { return Ok(()) };
            self.flush()?;
            return self.sink.other(kind, path, &held);
        }
        let upper = match folder(&held.file) {
            Err(Errno::NOENT) => return Ok(()),
            other => other?,
        };
        let below =
            before.filter(|b| b.kind() == FileType::Directory).map(|b| folder(&b.file)).transpose()?;
        match kind {
            Some(kind) => {
                self.flush()?;
                self.sink.folder(kind, path, &upper)?;
            }
            None => self.pending.push((path.to_vec(), upper.try_clone()?)),
        }
        self.level(&upper, below.as_ref(), path, depth - 1)?;
        if self.pending.last().is_some_and(|(pending, _)| pending == path) {
            self.pending.pop();
        }
        Ok(())
    }

    /// A mount point of the engine's, or a folder that was made for some alone.
    fn is_own(&self, held: &Held, path: &[u8]) -> bool {
        if self.own.iter().any(|own| own == path) {
            return held.kind() == FileType::Directory || held.stat.st_size == 0;
        }
        let prefix = [path, b"/"].concat();
        if held.kind() != FileType::Directory || !self.own.iter().any(|own| own.starts_with(&prefix)) {
            return false;
        }
        let inner = folder(&held.file).map_err(io::Error::from).and_then(|inner| Ok((names(&inner)?, inner)));
        let Ok((names, inner)) = inner else { return false };
        !names.is_empty()
            && names.iter().all(|name| {
                let held = hold_in(&inner, OsStr::from_bytes(name));
                held.is_ok_and(|held| self.is_own(&held, &[prefix.as_slice(), name].concat()))
            })
    }
}

/// A name below, unless a layer says that it is gone.
fn present(below: &OwnedFd, name: &OsStr) -> Option<Held> {
    hold_in(below, name).ok().filter(|held| !is_whiteout(&held.stat))
}

/// What Docker compares: content only by its time and length, folders by neither.
fn differs(inside: &Inside, now: &Held, before: &Held) -> bool {
    let (a, b) = (&now.stat, &before.stat);
    let content = |s: &rfs::Stat| (s.st_mtime, s.st_mtime_nsec, s.st_size);
    let capability = |held: &Held| {
        let mut value = [0u8; 64];
        let file = open(&inside.descriptors, &held.file).ok()?;
        let length = rfs::fgetxattr(&file, "security.capability", &mut value[..]).ok()?;
        value.get(..length).map(<[u8]>::to_vec)
    };
    (a.st_mode, a.st_uid, a.st_gid, a.st_rdev) != (b.st_mode, b.st_uid, b.st_gid, b.st_rdev)
        || now.kind() != FileType::Directory && content(a) != content(b)
        || now.kind() == FileType::RegularFile && capability(now) != capability(before)
}
