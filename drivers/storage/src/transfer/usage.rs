//! How many bytes files take below a folder.

use super::{folder, hold_in, names};
use rustix::fs::{self as rfs, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Levels of folders that a path of the kernel's length can have.
const DEPTH: u32 = 2048;

/// Sizes of all regular files, each once whatever its names; a missing folder has none.
pub(super) fn below(path: &Path) -> io::Result<u64> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rfs::open(path, flags, Mode::empty()) {
        Ok(top) => sum(&top, &mut BTreeSet::new(), DEPTH),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(0),
        Err(e) => Err(e.into()),
    }
}

fn sum(at: &OwnedFd, seen: &mut BTreeSet<(u64, u64)>, depth: u32) -> io::Result<u64> {
    if depth == 0 {
        return Err(Errno::NAMETOOLONG.into());
    }
    let mut total = 0u64;
    for name in names(at)? {
        let held = match hold_in(at, OsStr::from_bytes(&name)) {
            // It went meanwhile.
            Err(Errno::NOENT) => continue,
            other => other?,
        };
        let own = match held.kind() {
            FileType::Directory => match folder(&held.file) {
                Ok(inner) => sum(&inner, seen, depth - 1)?,
                Err(Errno::NOENT) => 0,
                Err(e) => return Err(e.into()),
            },
            FileType::RegularFile
                if held.stat.st_nlink < 2 || seen.insert((held.stat.st_dev, held.stat.st_ino)) =>
            {
                u64::try_from(held.stat.st_size).unwrap_or(0)
            }
            _ => 0,
        };
        total = total.saturating_add(own);
    }
    Ok(total)
}
