//! A process's stdio: pipes or nothing; a terminal is opened inside the container.

use crate::error::{LaunchError, Step};
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// The shim's ends of a process's stdio.
#[derive(Debug, Default)]
pub struct Stdio {
    /// Towards the process.
    pub stdin: Option<OwnedFd>,
    /// From the process: the terminal, or stdout.
    pub stdout: Option<OwnedFd>,
    /// From the process.
    pub stderr: Option<OwnedFd>,
}

/// Which stdio a process gets; what it does not get is /dev/null.
#[derive(Debug, Clone, Copy)]
pub struct Wiring {
    /// A terminal for everything.
    pub terminal: bool,
    /// A pipe for stdin.
    pub stdin: bool,
    /// Pipes for stdout and stderr.
    pub output: bool,
}

/// The process's ends.
pub struct Ends {
    null: OwnedFd,
    stdin: Option<OwnedFd>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
}

/// The number at which a new process keeps its end of the channel to the shim.
pub const CHANNEL: RawFd = 3;
/// The first number that nothing stands at.
const FIRST_FREE: u32 = 4;

fn pipe() -> Result<(OwnedFd, OwnedFd), LaunchError> {
    nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).step("make a pipe")
}

/// What a pipe of output holds, bytes. With the kernel's 64 KiB, whoever writes in large blocks waits at each of them.
const OUTPUT: i32 = 256 * 1024;

fn output_pipe() -> Result<(OwnedFd, OwnedFd), LaunchError> {
    let pipe = pipe()?;
    // One of the usual size serves, too.
    let _as_it_is = nix::fcntl::fcntl(&pipe.0, nix::fcntl::FcntlArg::F_SETPIPE_SZ(OUTPUT));
    Ok(pipe)
}

impl Wiring {
    /// Makes both sides.
    pub fn make(self) -> Result<(Stdio, Ends), LaunchError> {
        let null = File::options().read(true).write(true).open("/dev/null").step("open /dev/null")?;
        let mut ours = Stdio::default();
        let mut ends = Ends { null: null.into(), stdin: None, stdout: None, stderr: None };
        if self.terminal {
            return Ok((ours, ends));
        }
        if self.stdin {
            let (read, write) = pipe()?;
            (ends.stdin, ours.stdin) = (Some(read), Some(write));
        }
        if self.output {
            let (read, write) = output_pipe()?;
            (ours.stdout, ends.stdout) = (Some(read), Some(write));
            let (read, write) = output_pipe()?;
            (ours.stderr, ends.stderr) = (Some(read), Some(write));
        }
        Ok((ours, ends))
    }
}

fn put(fd: RawFd, at: RawFd, flags: i32) -> Result<(), LaunchError> {
    // SAFETY: plain numbers; the target is one of this process's own that is meant to be replaced.
    if fd != at && unsafe { libc::dup3(fd, at, flags) } < 0 {
        return Err(std::io::Error::last_os_error()).step("set up stdio");
    }
    Ok(())
}

impl Ends {
    /// All three, for a program that hands them on.
    pub fn whole(self) -> Result<[OwnedFd; 3], LaunchError> {
        let null = self.null;
        let or_null = |end: Option<OwnedFd>| match end {
            Some(end) => Ok(end),
            None => null.try_clone().step("keep /dev/null"),
        };
        Ok([or_null(self.stdin)?, or_null(self.stdout)?, or_null(self.stderr)?])
    }

    /// Moves them to 0 to 2 and the channel to [`CHANNEL`], and closes everything else: nothing of the host may stay
    /// open while paths of the container are used (CVE-2024-21626). For a copy of the shim, whose own stdio is open, so
    /// that none of the sources stands below 3.
    pub fn take(&self, channel: RawFd) -> Result<(), LaunchError> {
        for (at, end) in (0..).zip([&self.stdin, &self.stdout, &self.stderr]) {
            put(end.as_ref().unwrap_or(&self.null).as_raw_fd(), at, 0)?;
        }
        put(channel, CHANNEL, libc::O_CLOEXEC)?;
        close_rest()
    }
}

/// Closes all but stdio and the channel.
pub fn close_rest() -> Result<(), LaunchError> {
    close_from(FIRST_FREE)
}

/// Closes every descriptor from `first` on.
fn close_from(first: u32) -> Result<(), LaunchError> {
    // SAFETY: closes descriptors of a process that is about to execute another program and uses none of them.
    if unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0u32) } != 0 {
        return Err(std::io::Error::last_os_error()).step("close descriptors");
    }
    Ok(())
}

/// Puts a terminal's slave in place of all three.
pub fn take_terminal(slave: &OwnedFd) -> Result<(), LaunchError> {
    (0..3).try_for_each(|at| put(slave.as_raw_fd(), at, 0))
}

/// Makes the terminal at 0 the controlling one of this session.
pub fn control_terminal() -> Result<(), LaunchError> {
    // SAFETY: TIOCSCTTY takes an integer.
    if unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) } != 0 {
        return Err(std::io::Error::last_os_error()).step("take the terminal");
    }
    Ok(())
}
