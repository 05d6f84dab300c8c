//! One member after another placed in a layer's folder or in a container's, never touching anything outside it.
//!
//! A layer's form is overlayfs's (kernel documentation, "whiteouts and opaque directories"), the archive's that of the OCI
//! image specification ("Representing Changes").

use crate::erase::clear_away;
use crate::inside::{components, existing_folder, folder_at, located};
use crate::limits::{exceeded, remember};
use crate::stream::kept::Kept;
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

/// What the members make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Makes {
    /// A layer: names may stand for deletions.
    Layer,
    /// A build's files, all of them root's.
    Context,
    /// Files of a container, seen from its root by a process that has one thread.
    Files {
        /// A folder and something else never take each other's place.
        keep_kinds: bool,
        /// Who gets everything, instead of whom the stream names.
        owner: Option<(u32, u32)>,
    },
}

/// A stream on its way to disk.
pub(crate) struct Place {
    root: File,
    /// The folder below the root that everything goes to.
    base: Vec<u8>,
    makes: Makes,
    /// Folders and their times.
    folders: Vec<(Vec<u8>, (i64, i64))>,
    names: usize,
    size: u64,
    limit: u64,
    buffer: Vec<u8>,
    /// Where files go that another takes the place of; `None` lets them go.
    kept: Option<Kept>,
    /// Files that got content.
    filled: u64,
}

/// What was there when a member came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    Folder,
    Whiteout,
}

impl Place {
    /// A layer into this folder; files may have `limit` bytes together, holes counted.
    pub(crate) fn layer(root: File, limit: u64, kept: Kept) -> Self {
        Self { kept: Some(kept), limit, ..Self::below(root, b"", Makes::Layer) }
    }

    /// A build's files into this folder; they may have `limit` bytes together.
    pub(crate) fn context(root: File, limit: u64) -> Self {
        Self { limit, ..Self::below(root, b"", Makes::Context) }
    }

    /// Whatever it makes, into a folder below this root.
    pub(crate) fn below(root: File, base: &[u8], makes: Makes) -> Self {
        Self {
            root,
            base: base.to_vec(),
            makes,
            folders: Vec::new(),
            names: 0,
            size: 0,
            limit: u64::MAX,
            buffer: vec![0; PIECE],
            kept: None,
            filled: 0,
        }
    }

    /// Path from the root.
    fn path(&self, parts: &[&[u8]]) -> Vec<u8> {
        let base: Vec<&[u8]> = self.base.split(|b| *b == b'/').filter(|p| !p.is_empty()).collect();
        [base.as_slice(), parts].concat().join(&b'/')
    }

    /// The folder, and its path with no links in it where that is of use.
    fn folder(&self, parts: &[&[u8]]) -> io::Result<(OwnedFd, Option<Vec<u8>>)> {
        let path = self.path(parts);
        let parts: Vec<&[u8]> = path.split(|b| *b == b'/').filter(|p| !p.is_empty()).collect();
        match self.kept {
            Some(_) => located(self.root.as_fd(), &parts),
            None => Ok((folder_at(self.root.as_fd(), &parts)?, None)),
        }
    }

    /// Sets the folders' times, last because placing members inside changes them; answers the bytes of all files.
    pub(crate) fn finish(self) -> io::Result<u64> {
        for (path, time) in &self.folders {
            match existing_folder(self.root.as_fd(), path) {
                Ok(folder) => rfs::futimens(folder, &times(*time))?,
                // A later member took its place.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Err(e) => return Err(e.into()),
            }
        }
        self.kept.map_or(Ok(()), Kept::finish)?;
        Ok(self.size)
    }

    fn remember(&mut self, path: Vec<u8>, member: &Member) -> io::Result<()> {
        remember(&mut self.names, &path)?;
        self.folders.push((path, member.mtime));
        Ok(())
    }

    /// Places one member; answers the path of the file that got its content.
    pub(crate) fn member(&mut self, member: &Member, content: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
        let parts = components(&member.path)?;
        let Some((name, above)) = parts.split_last() else {
            if self.makes != Makes::Layer {
                // The folder that is copied into stays as it is.
                return Ok(None);
            }
            if !member.kind.is_dir() {
                return Err(bad("the root is no folder"));
            }
            own(&self.root, member, self.makes)?;
            return self.remember(Vec::new(), member).map(|()| None);
        };
        let layer = self.makes == Makes::Layer;
        if layer && parts.iter().any(|p| p.starts_with(b".wh..wh.") && *p != b".wh..wh..opq") {
            // Notes of aufs to itself.
            return Ok(None);
        }
        if layer && above.iter().any(|p| p.starts_with(b".wh.")) {
            return Err(bad("path leads through a whiteout"));
        }
        let (parent, mut path) = self.folder(above)?;
        if layer && *name == b".wh..wh..opq" {
            return opaque(&parent).map(|()| None);
        }
        if let Some(gone) = name.strip_prefix(b".wh.").filter(|_| layer) {
            return whiteout(&parent, gone).map(|()| None);
        }
        if let Some(path) = &mut path {
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(name);
        }
        let name = OsStr::from_bytes(name);
        let before = self.clear(&parent, name, path.as_deref(), member)?;
        if member.kind.is_dir() {
            folder(&parent, name, member, before, self.makes)?;
            self.remember(self.path(&parts), member)?;
        } else if member.kind.is_file() || member.kind.is_contiguous() {
            self.file(&parent, name, member, content)?;
            if member.size > 0 {
                self.filled += 1;
                return match path {
                    // What cannot be named again cannot be read again.
                    None if self.kept.is_some() => Err(Errno::NAMETOOLONG.into()),
                    path => Ok(path),
                };
            }
        } else if member.kind.is_hard_link() {
            let target = components(&member.link)?;
            let Some((target, above)) = target.split_last() else { return Err(bad("hard link to the root")) };
            // A link to a link is a link itself: its target is not followed.
            let (from, _) = self.folder(above)?;
            rfs::linkat(&from, OsStr::from_bytes(target), &parent, name, AtFlags::empty())?;
        } else if member.kind.is_symlink() {
            rfs::symlinkat(OsStr::from_bytes(&member.link), &parent, name)?;
            dress(&parent, name, member, self.makes)?;
        } else {
            node(&parent, name, member, self.makes)?;
        }
        Ok(None)
    }

    /// Makes room for a member.
    fn clear(
        &mut self,
        parent: &OwnedFd,
        name: &OsStr,
        path: Option<&[u8]>,
        member: &Member,
    ) -> io::Result<Before> {
        let stat = match rfs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(Before::Nothing),
            other => other?,
        };
        let (is, comes) =
            (FileType::from_raw_mode(stat.st_mode) == FileType::Directory, member.kind.is_dir());
        if let Makes::Files { keep_kinds: true, .. } = self.makes
            && is != comes
        {
            let word = |folder| if folder { "directory" } else { "non-directory" };
            let (shown, base) = (String::from_utf8_lossy(&member.path), String::from_utf8_lossy(&self.base));
            let text = format!(
                "cannot overwrite {} {:?} with {} {:?}",
                word(is),
                shown.trim_end_matches('/'),
                word(comes),
                format!("/{}", base.trim_start_matches('/')),
            );
            return Err(io::Error::other(text));
        }
        match (is, comes) {
            (true, true) => return Ok(Before::Folder),
            (true, false) if self.kept.is_none() => clear_away(parent, name)?,
            _ => match &mut self.kept {
                Some(kept) if is || has_content(&stat) => {
                    kept.take(parent, name, path.ok_or(Errno::NAMETOOLONG)?, self.filled)?;
                }
                _ => rfs::unlinkat(parent, name, AtFlags::empty())?,
            },
        }
        Ok(if is_whiteout(&stat) { Before::Whiteout } else { Before::Nothing })
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
        own(&file, member, self.makes)?;
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

fn has_content(stat: &rfs::Stat) -> bool {
    stat.st_size > 0 && FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

pub(crate) fn is_whiteout(stat: &rfs::Stat) -> bool {
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

fn folder(parent: &OwnedFd, name: &OsStr, member: &Member, before: Before, makes: Makes) -> io::Result<()> {
    if before != Before::Folder {
        rfs::mkdirat(parent, name, Mode::from_raw_mode(0o700))?;
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = rfs::openat(parent, name, flags, Mode::empty())?;
    if before == Before::Whiteout && makes == Makes::Layer {
        // The name was deleted from the layers below and made anew: nothing of theirs may show through.
        opaque(&folder)?;
    }
    own(folder, member, makes)
}

fn node(parent: &OwnedFd, name: &OsStr, member: &Member, makes: Makes) -> io::Result<()> {
    let number = || member.device().map(|(major, minor)| rfs::makedev(major, minor));
    // A device node in a layer opens nothing: the container's device policy decides.
    let (kind, device) = match member.kind {
        k if k.is_fifo() => (FileType::Fifo, 0),
        k if k.is_character_special() => (FileType::CharacterDevice, number()?),
        k if k.is_block_special() => (FileType::BlockDevice, number()?),
        k => return Err(bad(format!("unhandled tar header type {}", k.as_byte()))),
    };
    rfs::mknodat(parent, name, kind, Mode::from_raw_mode(0o600), device)?;
    dress(parent, name, member, makes)
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

fn owner(member: &Member, makes: Makes) -> (Uid, Gid) {
    let (uid, gid) = match makes {
        Makes::Files { owner: Some(owner), .. } => owner,
        Makes::Context => (0, 0),
        _ => (member.uid, member.gid),
    };
    (Uid::from_raw(uid), Gid::from_raw(gid))
}

/// Owner, mode and attributes of an open file or folder.
fn own(fd: impl AsFd, member: &Member, makes: Makes) -> io::Result<()> {
    // Ownership first: changing it clears the set-id bits and file capabilities.
    let (uid, gid) = owner(member, makes);
    rfs::fchown(&fd, Some(uid), Some(gid))?;
    rfs::fchmod(&fd, mode(member)?)?;
    attributes(member)
        .try_for_each(|(name, value)| tolerate(rfs::fsetxattr(&fd, name, value, XattrFlags::empty())))
}

/// The same, and the time, of what cannot be opened: links, fifos, devices.
fn dress(parent: &OwnedFd, name: &OsStr, member: &Member, makes: Makes) -> io::Result<()> {
    let (uid, gid) = owner(member, makes);
    rfs::chownat(parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    if !member.kind.is_symlink() {
        rfs::chmodat(parent, name, mode(member)?, AtFlags::empty())?;
    }
    let path = match makes {
        Makes::Layer | Makes::Context => through(parent, name),
        // The container's /proc is not to be trusted, and only this thread has a working folder.
        Makes::Files { .. } => {
            rustix::process::fchdir(parent)?;
            Path::new(".").join(name)
        }
    };
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

/// The same of an open one.
pub(crate) fn is_opaque_at(folder: impl AsFd) -> bool {
    let mut value = [0u8; 1];
    matches!(rfs::fgetxattr(folder, OPAQUE, &mut value[..]), Ok(1)) && value == *b"y"
}
