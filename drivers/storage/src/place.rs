//! One member after another placed in a layer's folder, never touching anything outside it.
//!
//! The form is overlayfs's (kernel documentation, "whiteouts and opaque directories"), the archive's that of the OCI
//! image specification ("Representing Changes").

use crate::erase::remove_tree;
use crate::inside::{components, existing_folder, folder_at};
use crate::limits::{exceeded, remember};
use crate::tar::{Member, bad};
use rustix::fs::{self as rfs, AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Content is copied in pieces of this size.
const PIECE: usize = 1 << 17;
const OPAQUE: &str = "trusted.overlay.opaque";

/// A layer on its way to disk.
pub(crate) struct Place {
    root: File,
    /// Folders and their times.
    folders: Vec<(Vec<u8>, (i64, i64))>,
    names: usize,
    size: u64,
    limit: u64,
    buffer: Vec<u8>,
}

/// What was there when a member came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    Folder,
    Whiteout,
}

impl Place {
    /// Into this folder; files may have `limit` bytes together, holes counted.
    pub(crate) fn new(root: File, limit: u64) -> Self {
        Self { root, folders: Vec::new(), names: 0, size: 0, limit, buffer: vec![0; PIECE] }
    }

    /// Sets the folders' times, last because placing members inside changes them; answers the bytes of all files.
    pub(crate) fn finish(self) -> io::Result<u64> {
        for (path, time) in self.folders.iter().rev() {
            match existing_folder(self.root.as_fd(), path) {
                Ok(folder) => rfs::futimens(folder, &times(*time))?,
                // A later member took its place.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(self.size)
    }

    fn remember(&mut self, path: Vec<u8>, member: &Member) -> io::Result<()> {
        remember(&mut self.names, &path)?;
        self.folders.push((path, member.mtime));
        Ok(())
    }

    /// Places one member.
    pub(crate) fn member(&mut self, member: &Member, content: &mut impl Read) -> io::Result<()> {
        let parts = components(&member.path)?;
        let Some((name, above)) = parts.split_last() else {
            if !member.kind.is_dir() {
                return Err(bad("the root is no folder"));
            }
            own(&self.root, member)?;
            return self.remember(Vec::new(), member);
        };
        if parts.iter().any(|p| p.starts_with(b".wh..wh.") && *p != b".wh..wh..opq") {
            // Notes of aufs to itself.
            return Ok(());
        }
        if above.iter().any(|p| p.starts_with(b".wh.")) {
            return Err(bad("path leads through a whiteout"));
        }
        let parent = folder_at(self.root.as_fd(), above)?;
        if *name == b".wh..wh..opq" {
            return opaque(&parent);
        }
        if let Some(gone) = name.strip_prefix(b".wh.") {
            return whiteout(&parent, gone);
        }
        let name = OsStr::from_bytes(name);
        let before = clear(&parent, name, member.kind.is_dir())?;
        if member.kind.is_dir() {
            folder(&parent, name, member, before)?;
            self.remember(parts.join(&b'/'), member)
        } else if member.kind.is_file() || member.kind.is_contiguous() {
            self.file(&parent, name, member, content)
        } else if member.kind.is_hard_link() {
            let target = components(&member.link)?;
            let Some((target, above)) = target.split_last() else { return Err(bad("hard link to the root")) };
            // A link to a link is a link itself: its target is not followed.
            let from = folder_at(self.root.as_fd(), above)?;
            Ok(rfs::linkat(&from, OsStr::from_bytes(target), &parent, name, AtFlags::empty())?)
        } else if member.kind.is_symlink() {
            rfs::symlinkat(OsStr::from_bytes(&member.link), &parent, name)?;
            dress(&parent, name, member)
        } else {
            node(&parent, name, member)
        }
    }

    fn file(
        &mut self,
        parent: &OwnedFd,
        name: &OsStr,
        member: &Member,
        content: &mut impl Read,
    ) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(rfs::openat(parent, name, flags, Mode::from_raw_mode(0o600))?);
        let size = member.sparse.as_ref().map_or(member.size, |s| s.real);
        let Some(sum) = self.size.checked_add(size).filter(|s| *s <= self.limit) else {
            return Err(exceeded("unpacks to more bytes"));
        };
        self.size = sum;
        match &member.sparse {
            None => self.copy(content, &mut file, member.size)?,
            Some(sparse) => {
                for (offset, length) in &sparse.segments {
                    file.seek(SeekFrom::Start(*offset))?;
                    self.copy(content, &mut file, *length)?;
                }
                file.set_len(sparse.real)?;
            }
        }
        own(&file, member)?;
        Ok(rfs::futimens(&file, &times(member.mtime))?)
    }

    fn copy(&mut self, from: &mut impl Read, to: &mut File, mut length: u64) -> io::Result<()> {
        while length > 0 {
            let most = usize::try_from(length).unwrap_or(PIECE).min(PIECE);
            let Some(piece) = self.buffer.get_mut(..most) else { break };
            let count = from.read(piece)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            to.write_all(piece.get(..count).unwrap_or_default())?;
            length -= count as u64;
        }
        Ok(())
    }
}

fn times((tv_sec, tv_nsec): (i64, i64)) -> Timestamps {
    let at = Timespec { tv_sec, tv_nsec };
    Timestamps { last_access: at, last_modification: at }
}

fn mode(member: &Member) -> io::Result<Mode> {
    Ok(Mode::from_raw_mode(member.mode()?))
}

/// The path of a name in an open folder, for calls that know no folder descriptors; the name itself is not followed by
/// those used here.
fn through(parent: &OwnedFd, name: &OsStr) -> PathBuf {
    Path::new(&format!("/proc/self/fd/{}", parent.as_raw_fd())).join(name)
}

/// Makes room for a member of that name.
fn clear(parent: &OwnedFd, name: &OsStr, for_folder: bool) -> io::Result<Before> {
    let stat = match rfs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(Before::Nothing),
        other => other?,
    };
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory if for_folder => return Ok(Before::Folder),
        FileType::Directory => remove_tree(&through(parent, name))?,
        _ => rfs::unlinkat(parent, name, AtFlags::empty())?,
    }
    Ok(if is_whiteout(&stat) { Before::Whiteout } else { Before::Nothing })
}

fn is_whiteout(stat: &rfs::Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

fn opaque(folder: impl AsFd) -> io::Result<()> {
    Ok(rfs::fsetxattr(folder, OPAQUE, b"y", XattrFlags::empty())?)
}

fn whiteout(parent: &OwnedFd, gone: &[u8]) -> io::Result<()> {
    if gone.is_empty() || gone == b"." || gone == b".." {
        return Err(bad("invalid whiteout"));
    }
    match rfs::mknodat(parent, OsStr::from_bytes(gone), FileType::CharacterDevice, Mode::empty(), 0) {
        Ok(()) => Ok(()),
        // The layer brings the name itself, and whiteouts are only about layers below: what a folder had there is gone.
        Err(Errno::EXIST) => match existing_folder(parent.as_fd(), gone) {
            Ok(folder) => opaque(folder),
            Err(Errno::NOTDIR | Errno::LOOP) => Ok(()),
            Err(e) => Err(e.into()),
        },
        Err(e) => Err(e.into()),
    }
}

fn folder(parent: &OwnedFd, name: &OsStr, member: &Member, before: Before) -> io::Result<()> {
    if before != Before::Folder {
        rfs::mkdirat(parent, name, Mode::from_raw_mode(0o700))?;
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = rfs::openat(parent, name, flags, Mode::empty())?;
    if before == Before::Whiteout {
        // The name was deleted from the layers below and made anew: nothing of theirs may show through.
        opaque(&folder)?;
    }
    own(folder, member)
}

fn node(parent: &OwnedFd, name: &OsStr, member: &Member) -> io::Result<()> {
    let number = || member.device().map(|(major, minor)| rfs::makedev(major, minor));
    // A device node in a layer opens nothing: the container's device policy decides.
    let (kind, device) = match member.kind {
        k if k.is_fifo() => (FileType::Fifo, 0),
        k if k.is_character_special() => (FileType::CharacterDevice, number()?),
        k if k.is_block_special() => (FileType::BlockDevice, number()?),
        k => return Err(bad(format!("unhandled tar header type {}", k.as_byte()))),
    };
    rfs::mknodat(parent, name, kind, Mode::from_raw_mode(0o600), device)?;
    dress(parent, name, member)
}

/// Attributes a layer may not set: they would steer overlayfs.
fn reserved(name: &str) -> bool {
    name.starts_with("trusted.overlay.") || name.starts_with("user.overlay.")
}

fn attributes(member: &Member) -> impl Iterator<Item = (&str, &[u8])> {
    let named = member.pax.iter().filter_map(|(k, v)| Some((k.strip_prefix("SCHILY.xattr.")?, v.as_slice())));
    named.filter(|(name, _)| !reserved(name))
}

/// File systems without extended attributes, and kinds of files that cannot have user's, go without.
fn tolerate(outcome: rustix::io::Result<()>) -> io::Result<()> {
    match outcome {
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::PERM) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

/// Owner, mode and attributes of an open file or folder.
fn own(fd: impl AsFd, member: &Member) -> io::Result<()> {
    // Ownership first: changing it clears the set-id bits and file capabilities.
    rfs::fchown(&fd, Some(Uid::from_raw(member.uid)), Some(Gid::from_raw(member.gid)))?;
    rfs::fchmod(&fd, mode(member)?)?;
    attributes(member)
        .try_for_each(|(name, value)| tolerate(rfs::fsetxattr(&fd, name, value, XattrFlags::empty())))
}

/// The same, and the time, of what cannot be opened: links, fifos, devices.
fn dress(parent: &OwnedFd, name: &OsStr, member: &Member) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(member.uid), Gid::from_raw(member.gid));
    rfs::chownat(parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    if !member.kind.is_symlink() {
        rfs::chmodat(parent, name, mode(member)?, AtFlags::empty())?;
    }
    let path = through(parent, name);
    for (key, value) in attributes(member) {
        tolerate(rfs::lsetxattr(&path, key, value, XattrFlags::empty()))?;
    }
    Ok(rfs::utimensat(parent, name, &times(member.mtime), AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Whether a layer's folder hides everything below it.
pub(crate) fn is_opaque(folder: &Path) -> bool {
    let mut value = [0u8; 1];
    matches!(rfs::lgetxattr(folder, OPAQUE, &mut value[..]), Ok(1)) && value == *b"y"
}
