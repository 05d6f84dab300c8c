//! What the sources of `COPY` and `ADD` name in a root, and digests of it.

use super::{Held, Link, broken, folder, hold_below, hold_in, names, open, words};
use contract::archive::Sighting;
use contract::build::Shape;
use contract::{Kind, PortError};
use patterns::{Glob, clean, has_wildcards};
use rustix::fs::{self as rfs, FileType};
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

/// Content is read in pieces of this size.
const PIECE: usize = 1 << 17;
/// Levels of folders that a path of the kernel's length can have.
const DEPTH: u32 = 2048;

/// Patterns that name nothing.
pub(crate) const NOTHING: &str = "no source files were specified";

/// Whether a file's owner makes it another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owners {
    /// Yes: it is kept.
    Count,
    /// No: everything is root's.
    Vary,
}

/// What the patterns name, in their order. `descriptors` is the host's `/proc/self/fd`. Errors have no instruction's name
/// in front.
pub(crate) fn survey(
    root: &OwnedFd,
    descriptors: &OwnedFd,
    patterns: &[String],
    owners: Owners,
) -> Result<Vec<Sighting>, PortError> {
    let mut survey = Survey { root, descriptors, owners, buffer: vec![0; PIECE] };
    let mut found = Vec::new();
    for pattern in patterns {
        let path = pattern.strip_prefix('/').unwrap_or(pattern);
        let path = path.strip_prefix("./").unwrap_or(path);
        if has_wildcards(path) {
            for path in survey.matching(path).map_err(broken)? {
                found.push(survey.sighting(&path)?);
            }
        } else {
            found.push(survey.sighting(literal(path).as_bytes())?);
        }
    }
    if found.is_empty() {
        return Err(PortError::new(Kind::Invalid, NOTHING));
    }
    Ok(found)
}

/// A path in which nothing is a pattern.
fn literal(path: &str) -> String {
    let tidy = clean(path);
    if tidy == "." { String::new() } else { tidy }
}

struct Survey<'a> {
    root: &'a OwnedFd,
    descriptors: &'a OwnedFd,
    owners: Owners,
    buffer: Vec<u8>,
}

impl Survey<'_> {
    /// Paths that a pattern matches, folders before what is in them. Links on the way are not followed.
    fn matching(&self, pattern: &str) -> io::Result<Vec<Vec<u8>>> {
        // Docker takes a bad pattern for one that matches nothing.
        let Ok(glob) = Glob::new(pattern) else { return Ok(Vec::new()) };
        // A wildcard stands for no slash; only a class may.
        let depth = if pattern.contains('[') { DEPTH as usize } else { pattern.matches('/').count() };
        let mut found = Vec::new();
        self.descend(&folder(self.root)?, b"", &glob, depth, &mut found)?;
        Ok(found)
    }

    fn descend(
        &self,
        at: &OwnedFd,
        prefix: &[u8],
        glob: &Glob,
        depth: usize,
        found: &mut Vec<Vec<u8>>,
    ) -> io::Result<()> {
        for name in names(at)? {
            let path = [prefix, name.as_slice()].concat();
            if glob.matches(&String::from_utf8_lossy(&path)) {
                found.push(path.clone());
            }
            if depth > 0 {
                let held = hold_in(at, OsStr::from_bytes(&name))?;
                if held.kind() == FileType::Directory {
                    let prefix = [path.as_slice(), b"/"].concat();
                    self.descend(&folder(&held.file)?, &prefix, glob, depth - 1, found)?;
                }
            }
        }
        Ok(())
    }

    fn sighting(&mut self, path: &[u8]) -> Result<Sighting, PortError> {
        let shown = String::from_utf8_lossy(path).into_owned();
        if path == b".." || path.starts_with(b"../") {
            let text = format!("forbidden path outside the build context: {shown} ()");
            return Err(PortError::new(Kind::Invalid, text));
        }
        let held = hold_below(self.root, path, Link::Follow).map_err(|e| match e {
            Errno::NOENT => PortError::new(Kind::NotFound, format!("stat {shown}: file does not exist")),
            e => PortError::new(Kind::Invalid, format!("stat {shown}: {}", words(&e.into()))),
        })?;
        let mut sum = Sha256::new();
        let summed = if held.kind() == FileType::Directory {
            folder(&held.file).map_err(io::Error::from).and_then(|at| self.tree(&mut sum, &at, b"", DEPTH))
        } else {
            let name = path.rsplit(|b| *b == b'/').next().unwrap_or_default();
            self.entry(&mut sum, &held, name)
        };
        summed.map_err(|e| {
            let error = broken(e);
            PortError::new(error.kind, format!("{shown}: {}", error.text))
        })?;
        let (shape, word) = match held.kind() {
            FileType::Directory => (Shape::Folder, "dir"),
            _ => (Shape::File, "file"),
        };
        let digest = format!("{word}:{}", hex::encode(sum.finalize()));
        Ok(Sighting { path: path.to_vec(), shape, digest })
    }

    fn tree(&mut self, sum: &mut Sha256, at: &OwnedFd, prefix: &[u8], depth: u32) -> io::Result<()> {
        if depth == 0 {
            return Err(Errno::NAMETOOLONG.into());
        }
        for name in names(at)? {
            let held = hold_in(at, OsStr::from_bytes(&name))?;
            let path = [prefix, name.as_slice()].concat();
            self.entry(sum, &held, &path)?;
            if held.kind() == FileType::Directory {
                let inner = folder(&held.file)?;
                self.tree(sum, &inner, &[path.as_slice(), b"/"].concat(), depth - 1)?;
            }
        }
        Ok(())
    }

    /// Everything about a file that a copy of it has, but times. Each part has its length in front.
    fn entry(&mut self, sum: &mut Sha256, held: &Held, path: &[u8]) -> io::Result<()> {
        let stat = &held.stat;
        let mut part = |bytes: &[u8]| {
            sum.update((bytes.len() as u64).to_le_bytes());
            sum.update(bytes);
        };
        part(path);
        part(&stat.st_mode.to_le_bytes());
        if self.owners == Owners::Count {
            part(&stat.st_uid.to_le_bytes());
            part(&stat.st_gid.to_le_bytes());
        }
        match held.kind() {
            FileType::Symlink => part(rfs::readlinkat(&held.file, "", Vec::new())?.to_bytes()),
            FileType::CharacterDevice | FileType::BlockDevice => part(&stat.st_rdev.to_le_bytes()),
            FileType::RegularFile => {
                let mut file = open(self.descriptors, &held.file)?;
                let mut capability = [0u8; 64];
                let length = rfs::fgetxattr(&file, "security.capability", &mut capability[..]).unwrap_or(0);
                part(capability.get(..length).unwrap_or_default());
                part(&stat.st_size.to_le_bytes());
                loop {
                    match file.read(&mut self.buffer) {
                        Ok(0) => break,
                        Ok(count) => sum.update(self.buffer.get(..count).unwrap_or_default()),
                        Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                        Err(e) => return Err(e),
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}
