//! A container's pseudo terminal.

use crate::error::{LaunchError, Step};
use crate::rootfs::lies_on;
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, makedev};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// DEVPTS_SUPER_MAGIC (include/uapi/linux/magic.h).
const DEVPTS: i64 = 0x1cd1;

/// The master is for the shim; the slave becomes the process's stdio.
pub struct Terminal {
    /// Kept by the shim.
    pub master: OwnedFd,
    /// Given to the process.
    pub slave: OwnedFd,
}

/// Opens a terminal of the container's own devpts. What lies at that path may have been put there by the container: it
/// must be the real thing before anything is asked of it.
pub fn open() -> Result<Terminal, LaunchError> {
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let path = "/dev/pts/ptmx";
    let master = nix::fcntl::open(path, flags | OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW, Mode::empty())
        .step(format!("open {path}"))?;
    let is = rustix::fs::fstat(&master).step(format!("look at {path}"))?;
    if is.st_rdev != makedev(5, 2) || !lies_on(&master, DEVPTS)? {
        return Err(LaunchError::new(format!("open {path}"), "it is no terminal multiplexer"));
    }
    let unlock: libc::c_int = 0;
    // SAFETY: TIOCSPTLCK reads one int that lives over the call.
    if unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &raw const unlock) } != 0 {
        return Err(std::io::Error::last_os_error()).step("unlock the terminal");
    }
    // SAFETY: TIOCGPTPEER takes open flags and returns a new descriptor; the slave is the master's own peer, not
    // whatever a path inside the container names.
    let slave = unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER, flags.bits()) };
    if slave < 0 {
        return Err(std::io::Error::last_os_error()).step("open the terminal's slave");
    }
    // SAFETY: the kernel has just handed this descriptor to us alone.
    Ok(Terminal { master, slave: unsafe { OwnedFd::from_raw_fd(slave) } })
}

/// Sets a terminal's size in cells.
pub fn resize(terminal: &OwnedFd, rows: u16, cols: u16) -> Result<(), LaunchError> {
    let size = libc::winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: `size` lives over the call, which reads it.
    if unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) } != 0 {
        return Err(std::io::Error::last_os_error()).step("resize the terminal");
    }
    Ok(())
}
