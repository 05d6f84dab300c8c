//! Trees removed whatever their depth.
//!
//! A container or a layer can make a tree deeper than a path may be long, than a process may have descriptors and than
//! a stack is big. So nothing here recurses: a folder found inside another one is first moved to the top.

use rustix::fs::{self as rfs, AtFlags, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Removes a tree, a file or a link (never what it points at); absent is fine.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    let top = match rfs::open(path, FOLDER, Mode::empty()) {
        Ok(top) => top,
        Err(Errno::NOENT) => return Ok(()),
        Err(Errno::NOTDIR | Errno::LOOP) => return std::fs::remove_file(path),
        Err(e) => return Err(e.into()),
    };
    let mut moved = 0u64;
    loop {
        let folders = clear(&top)?;
        if folders.is_empty() {
            break;
        }
        for name in folders {
            let folder = rfs::openat(&top, &name, FOLDER, Mode::empty())?;
            for inner in clear(&folder)? {
                moved = lift(&folder, &inner, &top, moved)?;
            }
            rfs::unlinkat(&top, &name, AtFlags::REMOVEDIR)?;
        }
    }
    std::fs::remove_dir(path)
}

/// Levels of folders that a path of the kernel's length can have.
const DEPTH: u32 = 2048;

/// Removes a folder of a container that may run: nothing in it is moved, for an overlay refuses that.
pub(crate) fn clear_away(parent: &OwnedFd, name: &OsStr) -> io::Result<()> {
    descend(parent, name, DEPTH)
}

fn descend(parent: &OwnedFd, name: &OsStr, depth: u32) -> io::Result<()> {
    if depth == 0 {
        return Err(Errno::NAMETOOLONG.into());
    }
    let folder = rfs::openat(parent, name, FOLDER, Mode::empty())?;
    for inner in clear(&folder)? {
        descend(&folder, OsStr::from_bytes(inner.to_bytes()), depth - 1)?;
    }
    match rfs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

/// Removes what is no folder, and empty folders; answers the others.
fn clear(folder: &OwnedFd) -> io::Result<Vec<CString>> {
    let mut rest = Vec::new();
    for entry in rfs::Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let is_folder = match entry.file_type() {
            FileType::Unknown => {
                let stat = rfs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
                FileType::from_raw_mode(stat.st_mode) == FileType::Directory
            }
            known => known == FileType::Directory,
        };
        let flags = if is_folder { AtFlags::REMOVEDIR } else { AtFlags::empty() };
        match rfs::unlinkat(folder, name, flags) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(Errno::NOTEMPTY | Errno::EXIST) if is_folder => rest.push(name.to_owned()),
            Err(e) => return Err(e.into()),
        }
    }
    Ok(rest)
}

/// Moves a folder to the top under a name nothing there has; answers the next number to try.
fn lift(from: &OwnedFd, name: &CString, top: &OwnedFd, mut number: u64) -> io::Result<u64> {
    loop {
        let free = format!(".{number}");
        number += 1;
        match rfs::renameat_with(from, name, top, free, RenameFlags::NOREPLACE) {
            Ok(()) => return Ok(number),
            Err(Errno::EXIST) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_tree_deeper_than_paths_and_descriptors_goes_and_links_are_not_followed() {
        let base = tempfile::tempdir().unwrap();
        let (tree, outside) = (base.path().join("tree"), base.path().join("outside"));
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("kept"), b"x").unwrap();
        std::fs::create_dir(&tree).unwrap();
        symlink(&outside, tree.join("link")).unwrap();
        std::fs::create_dir(tree.join(".0")).unwrap();
        std::fs::write(tree.join(".0/file"), b"x").unwrap();
        let mut at = rfs::open(&tree, FOLDER, Mode::empty()).unwrap();
        for _ in 0..2_500 {
            rfs::mkdirat(&at, "d", Mode::from_raw_mode(0o700)).unwrap();
            at = rfs::openat(&at, "d", FOLDER, Mode::empty()).unwrap();
        }
        symlink(&outside, tree.join("d/d/link")).unwrap();
        remove_tree(&tree).unwrap();
        assert!(!tree.exists());
        assert!(outside.join("kept").exists());
        remove_tree(&tree).unwrap();
    }
}
