//! What another container has mounted, brought over: the kernel copies mounts only out of the namespace one is in, so this
//! one looks in there for a moment. Nothing of the other container's is executed, and no link of its is followed.

use super::detached::{self, Reach};
use super::tree;
use crate::config::Mount;
use crate::error::{LaunchError, Step};
use nix::sched::{CloneFlags, setns};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use std::fs::File;
use std::os::fd::OwnedFd;

/// Whether a mount is the memory of the container with the process `pid`, and nothing of the user's in its place.
pub fn is_theirs(pid: &str, entry: &Mount) -> bool {
    entry.destination == "/dev/shm" && entry.source == format!("/proc/{pid}/root/dev/shm")
}

/// A copy of the mount at /dev/shm of the container with the process `pid`.
pub fn shared_memory(pid: &str) -> Result<OwnedFd, LaunchError> {
    let back = "return to this mount namespace";
    let own = File::open("/proc/thread-self/ns/mnt").step(back)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open("/", flags, Mode::empty()).step(back)?;
    let step = "share /dev/shm";
    let other = File::open(format!("/proc/{pid}/ns/mnt")).step(step)?;
    setns(&other, CloneFlags::CLONE_NEWNS).step(step)?;
    let copied = copy();
    setns(&own, CloneFlags::CLONE_NEWNS).step(back)?;
    nix::unistd::fchdir(&root).step(back)?;
    nix::unistd::chroot(".").step(back)?;
    copied
}

fn copy() -> Result<OwnedFd, LaunchError> {
    let step = "share /dev/shm";
    let how = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let found = rustix::fs::openat2(rustix::fs::CWD, "/dev/shm", flags, Mode::empty(), how).step(step)?;
    if !tree::lies_on(&found, libc::TMPFS_MAGIC)? {
        return Err(LaunchError::new(step, "it is not a tmpfs there"));
    }
    detached::copy(&found, Reach::One)
}
