//! The shim's own program file, guarded against the containers it starts.

use crate::error::LaunchError;
use crate::rootfs::{Reach, change};
use rustix::mount::{MountAttrFlags, OpenTreeFlags, open_tree};
use std::os::fd::OwnedFd;
use std::path::Path;

/// The program at `path` on a read-only mount of its own that stands in no file system tree. Executed through this
/// descriptor, `/proc/…/exe` of a process inside a container leads to that mount: even root there, with every
/// capability over its own mounts, cannot write to the file (CVE-2019-5736). Which kernels refuse to write to a
/// program that runs is no longer certain since 6.11.
pub fn guarded(path: &Path) -> Result<OwnedFd, LaunchError> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let mount = open_tree(rustix::fs::CWD, path, flags)
        .map_err(|e| LaunchError::new(format!("open {}", path.display()), e))?;
    change(&mount, Reach::One, MountAttrFlags::MOUNT_ATTR_RDONLY, None)?;
    Ok(mount)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::OpenOptions;
    use std::io::Write;
    use std::os::fd::AsRawFd;

    #[test]
    fn the_guarded_file_can_be_read_and_not_written_while_the_path_can() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("program");
        std::fs::write(&file, "text").unwrap();
        let guarded = guarded(&file).unwrap();
        let through = format!("/proc/self/fd/{}", guarded.as_raw_fd());
        assert_eq!(std::fs::read_to_string(&through).unwrap(), "text");
        let refused = OpenOptions::new().write(true).open(&through).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EROFS));
        OpenOptions::new().append(true).open(&file).unwrap().write_all(b"more").unwrap();
    }
}
