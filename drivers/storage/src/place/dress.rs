//! What a file is beside its content: owner, mode, attributes, times.

use super::Makes;
use super::open::{Gives, Open};
use crate::tar::{Member, bad};
use rustix::fs::{self as rfs, AtFlags, FileType, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

pub(super) fn times((tv_sec, tv_nsec): (i64, i64)) -> Timestamps {
    let at = Timespec { tv_sec, tv_nsec };
    Timestamps { last_access: at, last_modification: at }
}

pub(super) fn mode(member: &Member) -> io::Result<Mode> {
    Ok(Mode::from_raw_mode(member.mode()?))
}

/// The path of a name in an open folder, for calls that know no folder descriptors; the name itself is not followed by
/// those used here.
fn through(parent: &OwnedFd, name: &OsStr) -> PathBuf {
    Path::new(&format!("/proc/self/fd/{}", parent.as_raw_fd())).join(name)
}

pub(super) fn node(parent: &Open, name: &OsStr, member: &Member, makes: Makes) -> io::Result<()> {
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
pub(super) fn own(fd: impl AsFd, member: &Member, makes: Makes) -> io::Result<()> {
    // Ownership first: changing it clears the set-id bits and file capabilities.
    let (uid, gid) = owner(member, makes);
    rfs::fchown(&fd, Some(uid), Some(gid))?;
    rfs::fchmod(&fd, mode(member)?)?;
    grant(fd, member)
}

/// The same of one that was just made with that mode, as far as it has not got it by that.
pub(super) fn finish(fd: impl AsFd, member: &Member, makes: Makes, gives: Gives) -> io::Result<()> {
    let set_id = mode(member)?.intersects(Mode::SUID | Mode::SGID);
    if gives == Gives::Something || set_id {
        return own(fd, member, makes);
    }
    let (uid, gid) = owner(member, makes);
    if !ours(uid, gid) {
        rfs::fchown(&fd, Some(uid), Some(gid))?;
    }
    grant(fd, member)
}

fn grant(fd: impl AsFd, member: &Member) -> io::Result<()> {
    attributes(member)
        .try_for_each(|(name, value)| tolerate(rfs::fsetxattr(&fd, name, value, XattrFlags::empty())))
}

/// Whether what this process makes is theirs.
fn ours(uid: Uid, gid: Gid) -> bool {
    uid == rustix::process::geteuid() && gid == rustix::process::getegid()
}

/// The same, and the time, of what cannot be opened: links, fifos, devices.
pub(super) fn dress(parent: &Open, name: &OsStr, member: &Member, makes: Makes) -> io::Result<()> {
    let (uid, gid) = owner(member, makes);
    let link = member.kind.is_symlink();
    if !link || parent.gives == Gives::Something || !ours(uid, gid) {
        rfs::chownat(parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    }
    if !link {
        rfs::chmodat(parent, name, mode(member)?, AtFlags::empty())?;
    }
    for (key, value) in attributes(member) {
        let path = match makes {
            Makes::Layer | Makes::Context => through(&parent.fd, name),
            // The container's /proc is not to be trusted, and only this thread has a working folder.
            Makes::Files { .. } => {
                rustix::process::fchdir(parent)?;
                Path::new(".").join(name)
            }
        };
        tolerate(rfs::lsetxattr(&path, key, value, XattrFlags::empty()))?;
    }
    Ok(rfs::utimensat(parent, name, &times(member.mtime), AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Whether a folder made here gives access lists of its own to what is made in it.
pub(super) fn lists(member: &Member) -> bool {
    member.pax.contains_key("SCHILY.xattr.system.posix_acl_default")
}

/// The same of one that is there.
pub(super) fn has_lists(folder: impl AsFd) -> bool {
    !matches!(
        rfs::fgetxattr(folder, "system.posix_acl_default", &mut [0u8; 0][..]),
        Err(Errno::NODATA | Errno::OPNOTSUPP)
    )
}
