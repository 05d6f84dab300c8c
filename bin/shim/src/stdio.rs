//! Small things done to descriptors.

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use sandbox::launch;
use std::os::fd::{AsFd, OwnedFd};

/// The daemon's pipe was only for the handshake.
pub fn detach_stdio() {
    if let Ok(null) = std::fs::File::options().read(true).write(true).open("/dev/null") {
        for number in 0..3 {
            launch::replace(number, &null);
        }
    }
}

/// Makes a descriptor of ours answer at once.
pub fn nonblocking(fd: Option<&OwnedFd>) {
    if let Some(fd) = fd {
        // Failing leaves the descriptor blocking; it is only ever read when poll says so.
        let _blocking = fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK));
    }
}

/// Writes as much as the process takes; a process that is gone takes everything.
pub fn write_some(to: &mut Option<OwnedFd>, bytes: &mut Vec<u8>) {
    while !bytes.is_empty() {
        let Some(fd) = to else {
            bytes.clear();
            return;
        };
        match nix::unistd::write(fd.as_fd(), bytes) {
            Ok(n) => drop(bytes.drain(..n)),
            Err(Errno::EAGAIN) => return,
            Err(Errno::EINTR) => {}
            Err(_) => *to = None,
        }
    }
}
