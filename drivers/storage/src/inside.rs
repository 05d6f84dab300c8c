//! Paths resolved inside one folder by the kernel (`openat2`, `RESOLVE_IN_ROOT`): an absolute link leads to the folder's
//! own root, and `..` never above it. Nothing here joins path strings.

use crate::tar::bad;
use rustix::fs::{self as rfs, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

/// Components of a member's path; `..` is refused. An absolute path starts at the layer's root.
pub(crate) fn components(path: &[u8]) -> io::Result<Vec<&[u8]>> {
    let parts: Vec<&[u8]> = path.split(|b| *b == b'/').filter(|p| !p.is_empty() && *p != b".").collect();
    if parts.iter().any(|p| *p == b".." || p.contains(&0)) {
        return Err(bad("path leads outside of the archive"));
    }
    Ok(parts)
}

fn open(root: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
    resolved(root, path, flags, ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS)
}

/// The folder of that path, no part of which may be a link (`ELOOP`).
pub(crate) fn beneath(root: BorrowedFd<'_>, path: &[u8]) -> rustix::io::Result<OwnedFd> {
    resolved(root, path, OFlags::empty(), ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS)
}

fn resolved(
    root: BorrowedFd<'_>,
    path: &[u8],
    flags: OFlags,
    resolve: ResolveFlags,
) -> rustix::io::Result<OwnedFd> {
    let path = OsStr::from_bytes(if path.is_empty() { b"." } else { path });
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | flags;
    loop {
        match rfs::openat2(root, path, flags, Mode::empty(), resolve) {
            // Somebody renamed or mounted anywhere on the machine while a `..` of a link was resolved: not ours.
            Err(Errno::AGAIN | Errno::INTR) => std::thread::yield_now(),
            other => return other,
        }
    }
}

/// The folder of that path, if it is one and no link.
pub(crate) fn existing_folder(root: BorrowedFd<'_>, path: &[u8]) -> rustix::io::Result<OwnedFd> {
    open(root, path, OFlags::NOFOLLOW)
}

/// The same as [`folder_at`], and the folder's path with no links in it, `None` where that is longer than paths can be.
pub(crate) fn located(root: BorrowedFd<'_>, parts: &[&[u8]]) -> io::Result<(OwnedFd, Option<Vec<u8>>)> {
    let path = parts.join(&b'/');
    match beneath(root, &path) {
        Err(Errno::NOENT | Errno::LOOP) => {}
        other => return Ok((other?, Some(path))),
    }
    let folder = folder_at(root, parts)?;
    match beneath(root, &path) {
        Err(Errno::LOOP) => {}
        other => return Ok((other?, Some(path))),
    }
    let whole = |fd: BorrowedFd<'_>| {
        rfs::readlinkat(rfs::CWD, format!("/proc/self/fd/{}", fd.as_raw_fd()), Vec::new())
    };
    let (base, whole) = match (whole(root)?, whole(folder.as_fd())) {
        (base, Ok(whole)) => (base, whole),
        (_, Err(Errno::NAMETOOLONG)) => return Ok((folder, None)),
        (_, Err(e)) => return Err(e.into()),
    };
    let below = whole.to_bytes().strip_prefix(base.to_bytes());
    let path = below.ok_or_else(|| bad("path leads outside of the archive"))?;
    Ok((folder, Some(path.strip_prefix(b"/").unwrap_or(path).to_vec())))
}

/// The folder at these components, links resolved inside the root, missing ones made.
pub(crate) fn folder_at(root: BorrowedFd<'_>, parts: &[&[u8]]) -> io::Result<OwnedFd> {
    match open(root, &parts.join(&b'/'), OFlags::empty()) {
        Err(Errno::NOENT) => {}
        other => return Ok(other?),
    }
    let mut at = open(root, b"", OFlags::empty())?;
    let mut path = Vec::new();
    for part in parts {
        let made = match rfs::mkdirat(&at, OsStr::from_bytes(part), Mode::from_raw_mode(0o755)) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(e) => return Err(e.into()),
        };
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(part);
        at = open(root, &path, OFlags::empty())?;
        if made {
            // The daemon's umask says nothing about images.
            rfs::fchmod(&at, Mode::from_raw_mode(0o755))?;
        }
    }
    Ok(at)
}
