//! How many bytes files take below a folder.

use super::{folder, hold_in, names};
use rustix::fs::{self as rfs, FileType, Mode, OFlags};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Levels of folders that a path of the kernel's length can have.
const DEPTH: u32 = 2048;

/// Sizes of all regular files, each once whatever its names; a missing folder has none. What cannot be looked at counts
/// nothing: one container that goes, or hides in depth, must not keep the sizes of the others back.
pub(super) fn below(path: &Path) -> u64 {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rfs::open(path, flags, Mode::empty()).map_or(0, |top| sum(&top, &mut BTreeSet::new(), DEPTH))
}

fn sum(at: &OwnedFd, seen: &mut BTreeSet<(u64, u64)>, depth: u32) -> u64 {
    let mut total = 0u64;
    for name in names(at).unwrap_or_default() {
        let Ok(held) = hold_in(at, OsStr::from_bytes(&name)) else { continue };
        let stat = &held.stat;
        let own = match held.kind() {
            FileType::Directory if depth > 0 => {
                folder(&held.file).map_or(0, |inner| sum(&inner, seen, depth - 1))
            }
            FileType::RegularFile if stat.st_nlink < 2 || seen.insert((stat.st_dev, stat.st_ino)) => {
                u64::try_from(stat.st_size).unwrap_or(0)
            }
            _ => 0,
        };
        total = total.saturating_add(own);
    }
    total
}
