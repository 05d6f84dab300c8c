//! Work inside a container's root, done by a process that has entered it.
//!
//! The container may change everything while it is looked at. So a file is first taken hold of without being opened,
//! then looked at, and only a regular file or a folder is opened, through the same hold: nothing can be swapped in
//! between, no device or pipe is ever opened, and no path leads out of the root.

mod changes;
mod lay;
mod pack;
mod stat;
pub(crate) mod survey;
mod usage;

use crate::decompress::decompress;
use crate::place::{Makes, Place};
use crate::tar::Members;
use contract::archive::{PathStat, Placed, Put, Report, Work};
use contract::{Kind, PortError};
use pack::{Attributes, Faults, Holes, Packer};
use rustix::fs::{self as rfs, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::cell::Cell;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

/// Bytes of user and group files that are read.
const FILE: u64 = 1 << 20;

/// What this process has entered.
pub struct Inside {
    /// The root, also this process's; or a container's own layer.
    root: OwnedFd,
    /// What lies below that layer, for the kinds of work that compare.
    below: Option<OwnedFd>,
    /// Where files to be copied into the root are.
    sources: Vec<OwnedFd>,
    /// `/proc/self/fd` of the host.
    descriptors: OwnedFd,
    /// Something was written to the output: what goes wrong now can only break it off.
    told: Cell<bool>,
}

/// A file held without being opened.
pub(crate) struct Held {
    pub(crate) file: OwnedFd,
    pub(crate) stat: rfs::Stat,
}

impl Held {
    pub(crate) fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }
}

/// Whether a link at a path's end is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    Follow,
    Keep,
}

impl Inside {
    /// In a root and, for comparisons, what lies below.
    pub fn new(root: OwnedFd, below: Option<OwnedFd>, descriptors: OwnedFd) -> Self {
        Self { root, below, sources: Vec::new(), descriptors, told: Cell::new(false) }
    }

    /// With files beside it, to be copied into the root.
    pub fn beside(self, sources: Vec<OwnedFd>) -> Self {
        Self { sources, ..self }
    }

    /// Whether a report was made.
    pub fn has_told(&self) -> bool {
        self.told.get()
    }

    fn report(&self, output: &mut impl Write, told: &Report) -> Result<(), PortError> {
        self.told.set(true);
        report(output, told)
    }

    /// Takes hold of what a path leads to.
    pub(crate) fn hold(&self, path: &[u8], link: Link) -> rustix::io::Result<Held> {
        hold_below(&self.root, path, link)
    }

    /// Where a held file is, seen from the root.
    pub(crate) fn whereabouts(&self, held: &Held) -> rustix::io::Result<Vec<u8>> {
        let name = held.file.as_raw_fd().to_string();
        Ok(rfs::readlinkat(&self.descriptors, name, Vec::new())?.into_bytes())
    }

    /// Text of a file of the container, empty when there is none.
    pub fn text(&self, path: &str) -> String {
        let read = || -> io::Result<String> {
            let held = self.hold(path.as_bytes(), Link::Follow)?;
            let mut text = Vec::new();
            if held.kind() == FileType::RegularFile {
                open(&self.descriptors, &held.file)?.take(FILE).read_to_end(&mut text)?;
            }
            Ok(String::from_utf8_lossy(&text).into_owned())
        };
        // A root without users has none.
        read().unwrap_or_default()
    }

    /// Does the work; a stream is written to `output` behind its report. `owner` are the numbers of [`Put::owner`].
    pub fn perform(
        &self,
        work: &Work,
        owner: Option<(u32, u32)>,
        input: impl Read + Send,
        output: impl Write,
    ) -> Result<(), PortError> {
        let mut output = BufWriter::with_capacity(1 << 16, output);
        match work {
            Work::Stat(path) => self.report(&mut output, &Report::Path(self.stat(path)?)),
            Work::Read(path) => self.read(path, &mut output),
            Work::Write(put) => {
                self.write(put, owner, input)?;
                self.report(&mut output, &Report::Fine)
            }
            Work::Export => {
                self.report(&mut output, &Report::Fine)?;
                let mut packer = Packer::new(&mut output, &self.descriptors, Faults::Skip);
                packer.below(&self.root, b"").and_then(|()| packer.finish()).map_err(broken)
            }
            Work::Changes(own) => {
                self.report(&mut output, &Report::Fine)?;
                changes::list(self, own, &mut output).map_err(broken)
            }
            Work::Layer(own) => {
                self.report(&mut output, &Report::Fine)?;
                let mut packer = Packer::new(&mut output, &self.descriptors, Faults::Tell);
                (packer.attributes, packer.holes) = (Attributes::All, Holes::Keep);
                changes::layer(self, own, &mut packer).and_then(|()| packer.finish()).map_err(broken)
            }
            Work::Survey(patterns) => {
                let found = survey::survey(&self.root, &self.descriptors, patterns, survey::Owners::Count)?;
                self.report(&mut output, &Report::Fine)?;
                let list = serde_json::to_writer(&mut output, &found).map_err(io::Error::from);
                list.and_then(|()| output.flush()).map_err(broken)
            }
            Work::Place(target) => {
                let pieces: Vec<Placed> = serde_json::from_reader(input)
                    .map_err(|e| PortError::caused(Kind::Bug, "read what is to be copied", e))?;
                lay::all(self, &pieces, target)?;
                self.report(&mut output, &Report::Fine)
            }
            Work::Usage(folders) => {
                let sizes = folders.iter().map(|f| usage::below(f)).collect();
                self.report(&mut output, &Report::Sizes(sizes))
            }
        }
    }

    fn read(&self, path: &[u8], output: &mut impl Write) -> Result<(), PortError> {
        let (stat, held) = self.describe(path)?;
        let name = stat::base(path);
        self.report(output, &Report::Path(stat))?;
        let mut packer = Packer::new(output, &self.descriptors, Faults::Skip);
        let packed = match held.kind() {
            FileType::Directory => folder(&held.file).map_err(io::Error::from).and_then(|folder| {
                // The root's own name is none.
                let name = if name == b"/" { b"" } else { name.as_slice() };
                packer.folder(&folder, name)?;
                packer.below(&folder, &[name, b"/"].concat())
            }),
            _ => packer.other(&held, &name),
        };
        packed.and_then(|()| packer.finish()).map_err(broken)
    }

    fn write(&self, put: &Put, owner: Option<(u32, u32)>, input: impl Read + Send) -> Result<(), PortError> {
        let invalid = |text: &str| PortError::new(Kind::Invalid, text);
        let held = self.hold(&put.path, Link::Follow).map_err(|e| stat::missing(&put.path, e))?;
        if held.kind() != FileType::Directory {
            return Err(invalid("extraction point is not a directory"));
        }
        let place = self.whereabouts(&held).map_err(|e| stat::missing(&put.path, e))?;
        match innermost(&put.mounts, &place) {
            Some(true) => return Err(invalid("mounted volume is marked read-only")),
            None if put.read_only => return Err(invalid("container rootfs is marked read-only")),
            _ => {}
        }
        let makes = Makes::Files { keep_kinds: put.keep_kinds, owner };
        self.unpack(&place, makes, input).map_err(broken)
    }

    fn unpack(&self, place: &[u8], makes: Makes, input: impl Read + Send) -> io::Result<()> {
        let mut members = Members::new(io::BufReader::with_capacity(1 << 16, decompress(input)?));
        let mut into = Place::below(File::from(self.root.try_clone()?), place, makes);
        while let Some(member) = members.next()? {
            if member.kind.is_pax_global_extensions() {
                continue;
            }
            into.member(&member, &mut members.content()).map_err(|e| {
                let shown = String::from_utf8_lossy(&member.path);
                match e.raw_os_error() {
                    None => e,
                    Some(_) => io::Error::new(e.kind(), format!("{shown}: {}", words(&e))),
                }
            })?;
        }
        into.finish()?;
        // A client that is still writing when nobody reads any more would report that.
        members.finish().map(drop)
    }

    fn stat(&self, path: &[u8]) -> Result<PathStat, PortError> {
        self.describe(path).map(|(stat, _)| stat)
    }
}

/// Takes hold of what a path below a folder leads to: a link's `/` is that folder.
pub(crate) fn hold_below(root: &OwnedFd, path: &[u8], link: Link) -> rustix::io::Result<Held> {
    let mut relative = path;
    while let [b'/', rest @ ..] = relative {
        relative = rest;
    }
    let relative = if relative.is_empty() { &b"."[..] } else { relative };
    let mut flags = OFlags::PATH | OFlags::CLOEXEC;
    if link == Link::Keep {
        flags |= OFlags::NOFOLLOW;
    }
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    loop {
        match rfs::openat2(root, OsStr::from_bytes(relative), flags, Mode::empty(), resolve) {
            // Somebody renamed or mounted anywhere on the machine meanwhile.
            Err(Errno::AGAIN | Errno::INTR) => std::thread::yield_now(),
            other => {
                let file = other?;
                let stat = rfs::fstat(&file)?;
                return Ok(Held { file, stat });
            }
        }
    }
}

/// Whether the mount that a path is in is read-only; `None` outside of all.
fn innermost(mounts: &[(String, bool)], path: &[u8]) -> Option<bool> {
    let holds = |target: &str| {
        let rest = path.strip_prefix(target.trim_end_matches('/').as_bytes());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    };
    let around = mounts.iter().filter(|(target, _)| holds(target));
    around.max_by_key(|(target, _)| target.len()).map(|(_, read_only)| *read_only)
}

/// A held regular file or folder, opened.
pub(crate) fn open(descriptors: &OwnedFd, held: impl AsFd) -> rustix::io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY;
    let name = held.as_fd().as_raw_fd().to_string();
    rfs::openat(descriptors, name, flags, Mode::empty()).map(File::from)
}

/// A held folder, opened.
pub(crate) fn folder(held: impl AsFd) -> rustix::io::Result<OwnedFd> {
    rfs::openat(held, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// A name in a folder, held.
pub(crate) fn hold_in(folder: impl AsFd, name: &OsStr) -> rustix::io::Result<Held> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rfs::openat(folder, name, flags, Mode::empty())?;
    let stat = rfs::fstat(&file)?;
    Ok(Held { file, stat })
}

/// Names in a folder, in order.
pub(crate) fn names(folder: &OwnedFd) -> io::Result<Vec<Vec<u8>>> {
    let mut out = Vec::new();
    for entry in rfs::Dir::read_from(folder)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            out.push(name);
        }
    }
    out.sort_unstable();
    Ok(out)
}

/// Says a line.
pub fn report(output: &mut impl Write, report: &Report) -> Result<(), PortError> {
    let line = serde_json::to_string(report).map_err(|e| PortError::caused(Kind::Bug, "report", e))?;
    writeln!(output, "{line}").and_then(|()| output.flush()).map_err(broken)
}

pub(crate) fn broken(error: io::Error) -> PortError {
    let kind = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Kind::Exhausted,
        _ => Kind::Bug,
    };
    PortError::new(kind, words(&error))
}

/// The system's own words, without Rust's number behind them.
pub(crate) fn words(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error ") {
        Some((text, _)) => text.to_lowercase(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::innermost;

    #[test]
    fn the_innermost_mount_decides_and_a_neighbour_with_a_longer_name_does_not() {
        let mounts = [("/data".to_owned(), true), ("/data/in".to_owned(), false)];
        for (path, found) in [
            ("/data", Some(true)),
            ("/data/x", Some(true)),
            ("/data/in/x", Some(false)),
            ("/database", None),
            ("/", None),
        ] {
            assert_eq!(innermost(&mounts, path.as_bytes()), found, "{path}");
        }
    }
}
