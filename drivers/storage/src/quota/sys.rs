//! The system calls of project quota, which no crate in use has.
#![allow(unsafe_code)]

use rustix::ioctl::{Getter, Setter, ioctl, opcode};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// `struct fsxattr` (linux/fs.h).
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
struct Attributes {
    flags: u32,
    extent_size: u32,
    extents: u32,
    project: u32,
    copy_extent_size: u32,
    padding: [u8; 8],
}

/// What is made inside gets the same project (`FS_XFLAG_PROJINHERIT`).
const INHERITED: u32 = 0x200;
/// `QCMD(Q_SETQUOTA, PRJQUOTA)` (linux/quota.h): XFS takes the generic form too.
const SET_PROJECT_LIMIT: u32 = (0x80_0008 << 8) | 2;
/// Bytes of a block in a generic limit (`QIF_DQBLKSIZE`).
const BLOCK: u64 = 1024;
/// The limits of blocks are the ones given (`QIF_BLIMITS`).
const BLOCK_LIMITS: u32 = 1;

fn attributes(folder: &File) -> io::Result<Attributes> {
    const GET: rustix::ioctl::Opcode = opcode::read::<Attributes>(b'X', 31);
    // SAFETY: FS_IOC_FSGETXATTR fills a `struct fsxattr`, whose layout `Attributes` has.
    Ok(unsafe { ioctl(folder, Getter::<GET, Attributes>::new()) }?)
}

/// The project of a folder.
pub(super) fn project(folder: &File) -> io::Result<u32> {
    Ok(attributes(folder)?.project)
}

/// Gives a folder a project, and with it all that will be made inside.
pub(super) fn set_project(folder: &File, project: u32) -> io::Result<()> {
    const SET: rustix::ioctl::Opcode = opcode::write::<Attributes>(b'X', 32);
    let old = attributes(folder)?;
    let new = Attributes { project, flags: old.flags | INHERITED, ..old };
    // SAFETY: FS_IOC_FSSETXATTR reads a `struct fsxattr`, whose layout `Attributes` has.
    Ok(unsafe { ioctl(folder, Setter::<SET, Attributes>::new(new)) }?)
}

/// Sets how many bytes a project may take on the folder's file system; 0 = any.
pub(super) fn set_limit(folder: &File, project: u32, bytes: u64) -> io::Result<()> {
    let blocks = bytes.div_ceil(BLOCK);
    // SAFETY: all of `dqblk` are numbers, for which zeros are valid.
    let mut limits: libc::dqblk = unsafe { std::mem::zeroed() };
    limits.dqb_bhardlimit = blocks;
    limits.dqb_bsoftlimit = blocks;
    limits.dqb_valid = BLOCK_LIMITS;
    let (fd, limits) = (folder.as_raw_fd(), &raw mut limits);
    // SAFETY: the descriptor is open and `limits` a valid `struct if_dqblk`, which the call only reads.
    match unsafe { libc::syscall(libc::SYS_quotactl_fd, fd, SET_PROJECT_LIMIT, project, limits) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
