//! The container's /dev: nodes, links, the console.

use super::detached::{self, Reach};
use super::tree::{self, Shape};
use crate::config::Device;
use crate::error::{LaunchError, Step};
use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::{Mode, SFlag, makedev, mknodat};
use nix::unistd::{Gid, Uid};
use rustix::fs::OFlags;
use std::os::fd::{AsFd, OwnedFd};

/// Device nodes every container has: name, major, minor.
const NODES: [(&str, u64, u64); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];
/// Links in /dev: name, target.
const LINKS: [(&str, &str); 6] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
    ("ptmx", "pts/ptmx"),
];

/// Fills a fresh /dev. The umask must be empty.
pub fn fill(dev: &OwnedFd) -> Result<(), LaunchError> {
    for (name, major, minor) in NODES {
        let mode = Mode::from_bits_truncate(0o666);
        mknodat(dev, name, SFlag::S_IFCHR, mode, makedev(major, minor))
            .step(format!("make device /dev/{name}"))?;
    }
    for (name, target) in LINKS {
        rustix::fs::symlinkat(target, dev, name).step(format!("link /dev/{name}"))?;
    }
    Ok(())
}

/// Makes a device that was asked for; one that is there already is left.
pub fn add(root: &OwnedFd, device: &Device) -> Result<(), LaunchError> {
    let (folder, name) = device.path.rsplit_once('/').unwrap_or(("/", &device.path));
    let parent = tree::ensure(root, if folder.is_empty() { "/" } else { folder }, Shape::Folder)?;
    let kind = match device.kind.as_str() {
        "b" => SFlag::S_IFBLK,
        "p" => SFlag::S_IFIFO,
        _ => SFlag::S_IFCHR,
    };
    let number = makedev(device.major, device.minor);
    match mknodat(&parent, name, kind, Mode::from_bits_truncate(device.file_mode), number) {
        Err(Errno::EEXIST) => return Ok(()),
        other => other.step(format!("make device {}", device.path))?,
    }
    if (device.uid, device.gid) == (0, 0) {
        return Ok(());
    }
    let (uid, gid) = (Some(Uid::from_raw(device.uid)), Some(Gid::from_raw(device.gid)));
    nix::unistd::fchownat(&parent, name, uid, gid, AtFlags::AT_SYMLINK_NOFOLLOW)
        .step(format!("give device {} to its owner", device.path))
}

/// The null device at `null`, proven to be it and not what somebody put there (CVE-2025-31133).
pub fn null(file: OwnedFd) -> Result<OwnedFd, LaunchError> {
    let is = rustix::fs::fstat(&file).step("look at /dev/null")?;
    if is.st_rdev != makedev(1, 3) || tree::kind_of(&file)? != SFlag::S_IFCHR {
        return Err(LaunchError::new("mask paths", "/dev/null is not the null device"));
    }
    Ok(file)
}

/// Makes the terminal the container's console (CVE-2025-52565: neither end is named by a path that could change).
pub fn bind_console(dev: &OwnedFd, slave: &impl AsFd) -> Result<(), LaunchError> {
    let step = "make /dev/console";
    match mknodat(dev, "console", SFlag::S_IFREG, Mode::from_bits_truncate(0o666), 0) {
        // A privileged container has the host's console there.
        Ok(()) | Err(Errno::EEXIST) => {}
        Err(e) => return Err(e).step(step),
    }
    let target = tree::within(dev, "console", OFlags::PATH).step(step)?;
    detached::attach(&detached::copy(slave, Reach::One)?, &target)
}
