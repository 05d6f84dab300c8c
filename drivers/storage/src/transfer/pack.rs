//! Files of a container written as a tar stream.

use super::{Held, folder, hold_in, names, open};
use crate::tar::write::{Entry, Writer};
use ::tar::EntryType;
use rustix::fs::{self as rfs, FileType, SeekFrom};
use rustix::io::Errno;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

/// Content is copied in pieces of this size.
const PIECE: usize = 1 << 17;
/// Levels of folders that a path of the kernel's length can have.
const DEPTH: u32 = 2048;
/// Pieces of a file with holes; one in more pieces is written whole.
const SEGMENTS: usize = 1 << 15;

/// What becomes of a file that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Faults {
    /// It is left out, as in Docker: a container that runs changes its files as it likes.
    Skip,
    /// It ends the stream.
    Tell,
}

/// Which extended attributes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attributes {
    /// Docker's: others could not be set where its client unpacks.
    Capability,
    /// Users' too.
    All,
}

/// What becomes of holes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holes {
    /// Zeros, which every tar reads.
    Fill,
    /// They stay (GNU's format 1.0).
    Keep,
}

/// Writes files as members.
pub(super) struct Packer<'a, W> {
    writer: Writer<W>,
    descriptors: &'a OwnedFd,
    faults: Faults,
    pub(super) attributes: Attributes,
    pub(super) holes: Holes,
    /// First names of files that have several.
    links: HashMap<(u64, u64), Vec<u8>>,
    buffer: Vec<u8>,
}

impl<'a, W: Write> Packer<'a, W> {
    pub(super) fn new(out: W, descriptors: &'a OwnedFd, faults: Faults) -> Self {
        Self {
            writer: Writer::new(out),
            descriptors,
            faults,
            attributes: Attributes::Capability,
            holes: Holes::Fill,
            links: HashMap::new(),
            buffer: vec![0; PIECE],
        }
    }

    pub(super) fn finish(self) -> io::Result<()> {
        self.writer.finish()
    }

    /// Everything in an open folder, whose members' names begin with `prefix`.
    pub(super) fn below(&mut self, at: &OwnedFd, prefix: &[u8]) -> io::Result<()> {
        self.level(at, prefix, DEPTH)
    }

    fn level(&mut self, at: &OwnedFd, prefix: &[u8], depth: u32) -> io::Result<()> {
        if depth == 0 {
            return self.fault(Errno::NAMETOOLONG);
        }
        for name in names(at)? {
            let held = match hold_in(at, OsStr::from_bytes(&name)) {
                Ok(held) => held,
                Err(e) => {
                    self.fault(e)?;
                    continue;
                }
            };
            let path = [prefix, name.as_slice()].concat();
            if held.kind() != FileType::Directory {
                self.other(&held, &path)?;
                continue;
            }
            match folder(&held.file) {
                Ok(inner) => {
                    self.folder(&inner, &path)?;
                    self.level(&inner, &[path.as_slice(), b"/"].concat(), depth - 1)?;
                }
                Err(e) => self.fault(e)?,
            }
        }
        Ok(())
    }

    fn fault(&self, error: Errno) -> io::Result<()> {
        match self.faults {
            Faults::Skip => Ok(()),
            // It went meanwhile: that is what the stream tells.
            Faults::Tell if error == Errno::NOENT => Ok(()),
            Faults::Tell => Err(error.into()),
        }
    }

    /// A folder, without what is in it.
    pub(super) fn folder(&mut self, at: &OwnedFd, path: &[u8]) -> io::Result<()> {
        let stat = rfs::fstat(at)?;
        let path = [path, b"/"].concat();
        let records = self.attributes(at);
        self.writer.entry(&Entry { records, ..entry(&path, EntryType::Directory, &stat) })
    }

    /// That a name is gone.
    pub(super) fn whiteout(&mut self, path: &[u8]) -> io::Result<()> {
        let at = path.iter().rposition(|b| *b == b'/').map_or(0, |at| at + 1);
        let (above, name) = path.split_at(at);
        let path = [above, b".wh.", name].concat();
        self.writer.entry(&Entry {
            path: &path,
            kind: EntryType::Regular,
            link: b"",
            mode: 0,
            uid: 0,
            gid: 0,
            mtime: 0,
            size: 0,
            device: (0, 0),
            records: Vec::new(),
        })
    }

    /// What is no folder.
    pub(super) fn other(&mut self, held: &Held, path: &[u8]) -> io::Result<()> {
        let stat = &held.stat;
        if stat.st_nlink > 1 {
            match self.links.get(&(stat.st_dev, stat.st_ino)) {
                Some(first) => {
                    let link = first.clone();
                    return self.writer.entry(&Entry { link: &link, ..entry(path, EntryType::Link, stat) });
                }
                None => drop(self.links.insert((stat.st_dev, stat.st_ino), path.to_vec())),
            }
        }
        match held.kind() {
            FileType::RegularFile => match open(self.descriptors, &held.file) {
                Ok(file) => self.file(file, path),
                Err(e) => {
                    self.links.remove(&(stat.st_dev, stat.st_ino));
                    self.fault(e)
                }
            },
            FileType::Symlink => {
                let link = rfs::readlinkat(&held.file, "", Vec::new())?;
                self.writer.entry(&Entry { link: link.to_bytes(), ..entry(path, EntryType::Symlink, stat) })
            }
            FileType::Fifo => self.writer.entry(&entry(path, EntryType::Fifo, stat)),
            FileType::CharacterDevice => self.writer.entry(&entry(path, EntryType::Char, stat)),
            FileType::BlockDevice => self.writer.entry(&entry(path, EntryType::Block, stat)),
            // A socket has no form in an archive.
            _ => Ok(()),
        }
    }

    fn file(&mut self, mut file: File, path: &[u8]) -> io::Result<()> {
        let stat = rfs::fstat(&file)?;
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let records = self.attributes(&file);
        if self.holes == Holes::Keep
            && let Some(segments) = segments(&file, size)
        {
            return self.sparse(&mut file, path, &segments, records);
        }
        self.writer.entry(&Entry { records, size, ..entry(path, EntryType::Regular, &stat) })?;
        self.writer.content(&mut file, size, &mut self.buffer)?;
        self.writer.pad(size)
    }

    /// GNU's sparse format 1.0: the map in front of the content, in whole blocks.
    fn sparse(
        &mut self,
        file: &mut File,
        path: &[u8],
        segments: &[(u64, u64)],
        mut records: Vec<(String, Vec<u8>)>,
    ) -> io::Result<()> {
        let stat = rfs::fstat(&*file)?;
        let mut map = format!("{}\n", segments.len());
        for (offset, length) in segments {
            map.push_str(&format!("{offset}\n{length}\n"));
        }
        let mut map = map.into_bytes();
        map.resize(map.len().next_multiple_of(crate::tar::BLOCK), 0);
        let stored: u64 = segments.iter().map(|(_, length)| length).sum();
        let real = segments.last().map_or(0, |(offset, length)| offset + length);
        for (key, value) in [
            ("GNU.sparse.major", b"1".to_vec()),
            ("GNU.sparse.minor", b"0".to_vec()),
            ("GNU.sparse.name", path.to_vec()),
            ("GNU.sparse.realsize", real.to_string().into_bytes()),
        ] {
            records.push((key.into(), value));
        }
        let size = stored + map.len() as u64;
        self.writer.entry(&Entry { records, size, ..entry(path, EntryType::Regular, &stat) })?;
        self.writer.bytes(&map)?;
        for (offset, length) in segments {
            rfs::seek(&*file, SeekFrom::Start(*offset))?;
            self.writer.content(file, *length, &mut self.buffer)?;
        }
        self.writer.pad(size)
    }

    fn attributes(&self, file: impl AsFd) -> Vec<(String, Vec<u8>)> {
        let mut out = Vec::new();
        for name in listed(&file) {
            let wanted = name == "security.capability"
                || self.attributes == Attributes::All
                    && name.starts_with("user.")
                    && !name.starts_with("user.overlay.");
            let mut value = vec![0u8; if wanted { 1 << 16 } else { 0 }];
            if wanted && let Ok(length) = rfs::fgetxattr(&file, &name, &mut value[..]) {
                value.truncate(length);
                out.push((format!("SCHILY.xattr.{name}"), value));
            }
        }
        out
    }
}

/// Names of a file's extended attributes; most files have none.
fn listed(file: impl AsFd) -> Vec<String> {
    let mut few = [0u8; 512];
    let split = |list: &[u8]| -> Vec<String> {
        let names = list.split(|b| *b == 0).filter(|n| !n.is_empty());
        names.map(|n| String::from_utf8_lossy(n).into_owned()).collect()
    };
    match rfs::flistxattr(&file, &mut few[..]) {
        Ok(length) => split(few.get(..length).unwrap_or_default()),
        Err(Errno::RANGE) => {
            let mut many = vec![0u8; 1 << 16];
            let length = rfs::flistxattr(&file, &mut many[..]).unwrap_or(0);
            split(many.get(..length).unwrap_or_default())
        }
        Err(_) => Vec::new(),
    }
}

fn entry<'a>(path: &'a [u8], kind: EntryType, stat: &rfs::Stat) -> Entry<'a> {
    let device = matches!(kind, EntryType::Char | EntryType::Block);
    Entry {
        path,
        kind,
        link: b"",
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        mtime: stat.st_mtime,
        size: 0,
        device: if device { (rfs::major(stat.st_rdev), rfs::minor(stat.st_rdev)) } else { (0, 0) },
        records: Vec::new(),
    }
}

/// Pieces of data between holes, with an empty one at the end to say how long the file is; `None` without holes.
fn segments(file: &File, size: u64) -> Option<Vec<(u64, u64)>> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < size {
        let start = match rfs::seek(file, SeekFrom::Data(at)) {
            Ok(start) => start,
            // Nothing but a hole is left.
            Err(Errno::NXIO) => break,
            Err(_) => return None,
        };
        let end = rfs::seek(file, SeekFrom::Hole(start)).ok()?.min(size);
        if start == 0 && end == size || out.len() >= SEGMENTS {
            rfs::seek(file, SeekFrom::Start(0)).ok()?;
            return None;
        }
        out.push((start, end.saturating_sub(start)));
        at = end;
    }
    if size == 0 {
        return None;
    }
    out.push((size, 0));
    Some(out)
}
