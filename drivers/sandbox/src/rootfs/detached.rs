//! Mounts that are made, and finished with all their flags, before anybody can see them: the kernel's descriptor-based
//! mount calls (5.2, with mount_setattr 5.12). No path is resolved twice, so nothing can be swapped in between.

use crate::error::{LaunchError, Step};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// How a mount passes later mounts on to copies of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// Not at all.
    Private,
    /// It receives the host's.
    Slave,
    /// Both ways.
    Shared,
}

/// Which mounts of a tree a change reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The topmost.
    One,
    /// All.
    Tree,
}

/// A new file system; options are `key=value` or flags, none for ``.
pub fn filesystem(
    kind: &str,
    source: &str,
    options: &str,
    flags: MountAttrFlags,
) -> Result<OwnedFd, LaunchError> {
    let step = || format!("mount {kind}");
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).step(step())?;
    fsconfig_set_string(&context, "source", source).step(step())?;
    for option in options.split(',').filter(|o| !o.is_empty()) {
        match option.split_once('=') {
            Some((key, value)) => fsconfig_set_string(&context, key, value),
            None => fsconfig_set_flag(&context, option),
        }
        .step(format!("mount {kind} with {option}"))?;
    }
    fsconfig_create(&context).step(step())?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, flags).step(step())
}

/// A copy of what is mounted at `at`.
pub fn copy(at: &impl AsFd, reach: Reach) -> Result<OwnedFd, LaunchError> {
    let mut flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    if reach == Reach::Tree {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    open_tree(at, "", flags).step("copy a mount")
}

/// Puts a mount on top of `target`.
pub fn attach(mount: &impl AsFd, target: &impl AsFd) -> Result<(), LaunchError> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, "", target, "", flags).step("attach a mount")
}

/// `struct mount_attr` (include/uapi/linux/mount.h).
#[repr(C)]
#[derive(Default)]
struct Attributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

/// Adds flags to a mount and sets its propagation.
pub fn change(
    mount: &impl AsFd,
    reach: Reach,
    flags: MountAttrFlags,
    propagation: Option<Propagation>,
) -> Result<(), LaunchError> {
    let attributes = Attributes {
        set: u64::from(flags.bits()),
        propagation: match propagation {
            None => 0,
            Some(Propagation::Private) => libc::MS_PRIVATE,
            Some(Propagation::Slave) => libc::MS_SLAVE,
            Some(Propagation::Shared) => libc::MS_SHARED,
        },
        ..Attributes::default()
    };
    let recursive = if reach == Reach::Tree { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the empty path and `attributes` live over the call, which reads them; the size is the struct's.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_fd().as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | recursive,
            &raw const attributes,
            size_of::<Attributes>(),
        )
    };
    if done != 0 {
        return Err(std::io::Error::last_os_error()).step("set a mount's flags");
    }
    Ok(())
}
