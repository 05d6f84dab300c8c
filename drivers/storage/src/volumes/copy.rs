//! A tree copied whole: owners, modes, times, extended attributes, links hard and symbolic, devices. No path of either
//! side is followed through a link, so nobody who has the target mounted can lead the copy elsewhere.

use rustix::fs::{
    self as rfs, AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, XattrFlags,
};
use rustix::io::Errno;
use std::collections::HashMap;
use std::ffi::{CStr, OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

const BENEATH: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS);
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Opens a folder.
pub fn folder(path: &Path) -> io::Result<OwnedFd> {
    Ok(rfs::open(path, FOLDER, Mode::empty())?)
}

/// Folders still to be read, and what is known of those that were.
#[derive(Default)]
struct Copy {
    ahead: Vec<PathBuf>,
    /// Times are set last: filling a folder changes its own.
    folders: Vec<(PathBuf, rfs::Stat)>,
    /// Where a file with several names was copied to first.
    twins: HashMap<(u64, u64), PathBuf>,
}

/// Copies what is in `source`, and its own looks, over `target`.
pub fn tree(source: OwnedFd, target: OwnedFd) -> io::Result<()> {
    let source = rfs::openat(&source, ".", FOLDER, Mode::empty())?;
    let mut copy = Copy::default();
    copy.enter(&source, &target, PathBuf::from("."))?;
    while let Some(path) = copy.ahead.pop() {
        let from = at(&source, &path)?;
        let to = at(&target, &path)?;
        let mut names = Vec::new();
        for entry in rfs::Dir::read_from(&from)? {
            let name = OsStr::from_bytes(entry?.file_name().to_bytes()).to_owned();
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        for name in names {
            copy.entry((&from, &to), (&source, &target), &path, &name)
                .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", path.join(&name).display())))?;
        }
    }
    for (path, is) in copy.folders.iter().rev() {
        rfs::futimens(at(&target, path)?, &times(is))?;
    }
    Ok(())
}

fn at(root: &OwnedFd, path: &Path) -> io::Result<OwnedFd> {
    Ok(rfs::openat2(root, path, FOLDER, Mode::empty(), BENEATH)?)
}

impl Copy {
    /// A folder that was made: it looks as its original, and is filled later.
    fn enter(&mut self, from: &OwnedFd, to: &OwnedFd, path: PathBuf) -> io::Result<()> {
        let is = rfs::fstat(from)?;
        dress(from, to, &is)?;
        self.folders.push((path.clone(), is));
        self.ahead.push(path);
        Ok(())
    }

    fn entry(
        &mut self,
        (from, to): (&OwnedFd, &OwnedFd),
        (_, target): (&OwnedFd, &OwnedFd),
        path: &Path,
        name: &OsString,
    ) -> io::Result<()> {
        let is = rfs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let kind = FileType::from_raw_mode(is.st_mode);
        if kind == FileType::Directory {
            rfs::mkdirat(to, name, Mode::from_raw_mode(0o700))?;
            let flags = FOLDER | OFlags::NOFOLLOW;
            let inner = rfs::openat(from, name, flags, Mode::empty())?;
            let made = rfs::openat(to, name, flags, Mode::empty())?;
            return self.enter(&inner, &made, path.join(name));
        }
        if kind == FileType::CharacterDevice && is.st_rdev == 0 {
            // A layer's mark for a name that is gone.
            return Ok(());
        }
        if is.st_nlink > 1 {
            if let Some(twin) = self.twins.get(&(is.st_dev, is.st_ino)) {
                let folder = at(target, twin.parent().unwrap_or(Path::new(".")))?;
                let first = twin.file_name().unwrap_or_default();
                return Ok(rfs::linkat(&folder, first, to, name, AtFlags::empty())?);
            }
            self.twins.insert((is.st_dev, is.st_ino), path.join(name));
        }
        match kind {
            FileType::RegularFile => file(from, to, name, &is),
            FileType::Symlink => {
                let leads = rfs::readlinkat(from, name, Vec::new())?;
                rfs::symlinkat(leads.as_c_str(), to, name)?;
                outside(from, to, name, &is)
            }
            // A socket belongs to the process that listens on it.
            FileType::Socket => Ok(()),
            kind => {
                rfs::mknodat(to, name, kind, Mode::from_raw_mode(0o600), is.st_rdev)?;
                outside(from, to, name, &is)
            }
        }
    }
}

fn file(from: &OwnedFd, to: &OwnedFd, name: &OsStr, is: &rfs::Stat) -> io::Result<()> {
    let read = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let mut source = File::from(rfs::openat(from, name, read, Mode::empty())?);
    let write = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut made = File::from(rfs::openat(to, name, write, Mode::from_raw_mode(0o600))?);
    // Within one file system the kernel copies by itself.
    io::copy(&mut source, &mut made)?;
    dress(&source, &made, is)?;
    Ok(rfs::futimens(&made, &times(is))?)
}

/// Owner, mode and attributes of an open file or folder.
fn dress(from: &impl AsFd, to: &impl AsFd, is: &rfs::Stat) -> io::Result<()> {
    // Ownership first: changing it clears the set-id bits and file capabilities.
    rfs::fchown(to, Some(Uid::from_raw(is.st_uid)), Some(Gid::from_raw(is.st_gid)))?;
    rfs::fchmod(to, Mode::from_raw_mode(is.st_mode & 0o7777))?;
    let list = listed(|buffer| rfs::flistxattr(from, buffer))?;
    for key in keys(&list) {
        let value = listed(|buffer| rfs::fgetxattr(from, key, buffer))?;
        tolerate(rfs::fsetxattr(to, key, &value, XattrFlags::empty()))?;
    }
    Ok(())
}

/// The same, and the time, of what cannot be opened: links, fifos, devices.
fn outside(from: &OwnedFd, to: &OwnedFd, name: &OsStr, is: &rfs::Stat) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(is.st_uid), Gid::from_raw(is.st_gid));
    rfs::chownat(to, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    if FileType::from_raw_mode(is.st_mode) != FileType::Symlink {
        rfs::chmodat(to, name, Mode::from_raw_mode(is.st_mode & 0o7777), AtFlags::empty())?;
    }
    let through = |fd: &OwnedFd| PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd())).join(name);
    let (source, made) = (through(from), through(to));
    let list = listed(|buffer| rfs::llistxattr(&source, buffer))?;
    for key in keys(&list) {
        let value = listed(|buffer| rfs::lgetxattr(&source, key, buffer))?;
        tolerate(rfs::lsetxattr(&made, key, &value, XattrFlags::empty()))?;
    }
    Ok(rfs::utimensat(to, name, &times(is), AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Asks for attributes, with more room if there are more; file systems without them have none.
fn listed(ask: impl Fn(&mut [u8]) -> rustix::io::Result<usize>) -> io::Result<Vec<u8>> {
    /// The kernel's bounds of a list and of a value (include/uapi/linux/limits.h) are the second.
    const ROOM: [usize; 2] = [256, 65536];
    for room in ROOM {
        let mut buffer = vec![0; room];
        match ask(&mut buffer) {
            Ok(length) => {
                buffer.truncate(length);
                return Ok(buffer);
            }
            Err(Errno::OPNOTSUPP | Errno::NODATA) => return Ok(Vec::new()),
            Err(Errno::RANGE) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Err(Errno::RANGE.into())
}

/// Names that end in zero bytes, but for those that steer overlayfs.
fn keys(list: &[u8]) -> impl Iterator<Item = &CStr> {
    let names = list.split_inclusive(|b| *b == 0).filter_map(|name| CStr::from_bytes_with_nul(name).ok());
    names.filter(|n| {
        let name = n.to_bytes();
        !name.starts_with(b"trusted.overlay.") && !name.starts_with(b"user.overlay.")
    })
}

fn tolerate(outcome: rustix::io::Result<()>) -> io::Result<()> {
    match outcome {
        Ok(()) | Err(Errno::OPNOTSUPP) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

fn times(is: &rfs::Stat) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: is.st_atime as _, tv_nsec: is.st_atime_nsec as _ },
        last_modification: Timespec { tv_sec: is.st_mtime as _, tv_nsec: is.st_mtime_nsec as _ },
    }
}
