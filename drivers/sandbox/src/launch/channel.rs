//! What shim and new process say to each other over a socket pair: single letters, an error in JSON, a terminal.

use crate::error::{LaunchError, Step};
use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, sendmsg,
    setsockopt, socketpair, sockopt,
};
use nix::sys::time::TimeVal;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// Opens the control groups to the process: it is in them.
pub const GROUPED: u8 = b'g';
/// Opens the start gate.
pub const START: u8 = b's';

/// One end.
#[derive(Debug)]
pub struct Channel(OwnedFd);

/// What the new process said.
#[derive(Debug)]
pub enum Heard {
    /// It is prepared; its terminal, if it has one.
    Ready(Option<OwnedFd>),
    /// The process that runs the program.
    Pid(i32),
    /// It ends, and why.
    Failed(LaunchError),
    /// It said nothing more: it runs the program, or died.
    Closed,
}

impl Channel {
    /// Both ends, closed at exec.
    pub fn pair() -> Result<(Self, Self), LaunchError> {
        let made = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC);
        made.map(|(a, b)| (Self(a), Self(b))).step("make a socket pair")
    }

    /// Takes over an end that was put in its place.
    pub fn from_fd(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// Its descriptor.
    pub fn raw(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// From now on waits no longer than this to hear something.
    pub fn patience(&self, seconds: i64) -> Result<(), LaunchError> {
        setsockopt(&self.0, sockopt::ReceiveTimeout, &TimeVal::new(seconds, 0)).step("set a time limit")
    }

    /// Says a word. Whoever has died already left its reason in the socket.
    pub fn tell(&self, word: u8) -> Result<(), LaunchError> {
        self.send(&[word], &[])
    }

    /// Tells the pid of the process that runs the program.
    pub fn tell_pid(&self, pid: i32) -> Result<(), LaunchError> {
        self.send(&[&b"p"[..], &pid.to_le_bytes()].concat(), &[])
    }

    /// Says that everything is prepared, and hands a terminal over.
    pub fn ready(&self, terminal: Option<&OwnedFd>) -> Result<(), LaunchError> {
        let fds: Vec<RawFd> = terminal.iter().map(|fd| fd.as_raw_fd()).collect();
        self.send(b"r", &fds)
    }

    /// Says why this process ends.
    pub fn report(&self, error: &LaunchError) {
        let text = serde_json::to_vec(error).unwrap_or_default();
        // Nobody is left to hear of a failure to report a failure.
        let _gone = self.send(&text, &[]);
    }

    fn send(&self, bytes: &[u8], fds: &[RawFd]) -> Result<(), LaunchError> {
        let rights = [ControlMessage::ScmRights(fds)];
        let control: &[ControlMessage<'_>] = if fds.is_empty() { &[] } else { &rights };
        match sendmsg::<()>(self.raw(), &[IoSlice::new(bytes)], control, MsgFlags::MSG_NOSIGNAL, None) {
            Ok(_) | Err(Errno::EPIPE | Errno::ECONNRESET) => Ok(()),
            Err(e) => Err(e).step("speak over the start channel"),
        }
    }

    /// Waits for a word; `false` when the other side is gone.
    pub fn wait_for(&self, word: u8) -> Result<bool, LaunchError> {
        let mut buffer = [0];
        Ok(nix::unistd::read(&self.0, &mut buffer).step("wait for the shim")? == 1 && buffer == [word])
    }

    /// Hears what the new process has to say.
    pub fn hear(&self) -> Result<Heard, LaunchError> {
        let step = "listen to the container's process";
        let mut buffer = vec![0; 4096];
        let mut space = cmsg_space!(RawFd);
        let mut slices = [IoSliceMut::new(&mut buffer)];
        let message =
            match recvmsg::<()>(self.raw(), &mut slices, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC) {
                Ok(message) => message,
                Err(Errno::ECONNRESET) => return Ok(Heard::Closed),
                Err(Errno::EAGAIN) => return Err(LaunchError::new(step, "it does not answer")),
                Err(e) => return Err(e).step(step),
            };
        let mut terminal = None;
        for control in message.cmsgs().step("receive the terminal")? {
            if let ControlMessageOwned::ScmRights(fds) = control {
                for fd in fds {
                    // SAFETY: the kernel has just handed this descriptor to us alone.
                    terminal = Some(unsafe { OwnedFd::from_raw_fd(fd) });
                }
            }
        }
        let length = message.bytes;
        Ok(match buffer.get(..length).unwrap_or_default() {
            [] => Heard::Closed,
            b"r" => Heard::Ready(terminal),
            [b'p', a, b, c, d] => Heard::Pid(i32::from_le_bytes([*a, *b, *c, *d])),
            json => Heard::Failed(serde_json::from_slice(json).map_err(|e| LaunchError::new(step, e))?),
        })
    }
}
