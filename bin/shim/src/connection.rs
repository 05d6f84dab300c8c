//! One connection of the daemon: requests and events, or after an attach the stdio of a process.

use nix::errno::Errno;
use sandbox::protocol::{self, Answer, Request};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;

/// Unsent bytes beyond which a process's output is not read (attached) or events are left out.
const PENDING: usize = 256 * 1024;

/// Whose stdio a connection carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attached {
    /// The main process's stdin.
    Main,
    /// All of a session's.
    Exec(String),
}

/// A connection and its buffers.
pub struct Connection {
    /// The socket, non-blocking.
    pub stream: UnixStream,
    inbound: Vec<u8>,
    outbound: Vec<u8>,
    /// Wants events.
    pub subscribed: bool,
    /// Has left the request protocol.
    pub attached: Option<Attached>,
    /// The daemon's side has said all it will.
    pub half_closed: bool,
    /// To be dropped once everything is sent.
    pub closing: bool,
    /// Broken.
    pub dead: bool,
}

impl Connection {
    /// Takes an accepted socket.
    pub fn new(stream: UnixStream) -> std::io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            inbound: Vec::new(),
            outbound: Vec::new(),
            subscribed: false,
            attached: None,
            half_closed: false,
            closing: false,
            dead: false,
        })
    }

    /// Reads what is there.
    pub fn fill(&mut self) {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => self.half_closed = true,
            Ok(n) => self.inbound.extend_from_slice(buffer.get(..n).unwrap_or_default()),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => self.dead = true,
        }
    }

    /// The next whole request.
    pub fn request(&mut self) -> Option<Request> {
        match protocol::decode(&mut self.inbound) {
            Ok(request) => request,
            Err(e) => {
                // The frame cannot be skipped safely: its sender and we disagree.
                self.answer(&Answer::Error { reason: protocol::Reason::Failed, text: format!("shim: {e}") });
                self.inbound.clear();
                self.closing = true;
                None
            }
        }
    }

    /// Bytes for a process's stdin.
    pub fn typed(&mut self) -> &mut Vec<u8> {
        &mut self.inbound
    }

    /// Queues an answer or event.
    pub fn answer(&mut self, answer: &Answer) {
        match protocol::encode(answer) {
            Ok(frame) => self.outbound.extend(frame),
            Err(_) => self.dead = true,
        }
        self.flush();
    }

    /// Queues an event unless the daemon is not reading: it will look for itself when it does.
    pub fn notify(&mut self, event: &Answer) {
        if self.outbound.len() < PENDING {
            self.answer(event);
        }
    }

    /// Queues a frame of output.
    pub fn output(&mut self, stream: u8, bytes: &[u8]) {
        self.outbound.push(stream);
        self.outbound.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
        self.outbound.extend_from_slice(bytes);
        self.flush();
    }

    /// Whether more output may be queued.
    pub fn has_room(&self) -> bool {
        self.outbound.len() < PENDING
    }

    /// Whether typed bytes wait for their process.
    pub fn has_typed(&self) -> bool {
        !self.inbound.is_empty()
    }

    /// Whether more typed bytes would only pile up.
    pub fn full(&self) -> bool {
        self.attached.is_some() && self.inbound.len() >= PENDING
    }

    /// Whether something waits to be sent.
    pub fn wants_write(&self) -> bool {
        !self.outbound.is_empty()
    }

    /// Sends what the socket takes.
    pub fn flush(&mut self) {
        while !self.outbound.is_empty() {
            match self.stream.write(&self.outbound) {
                Ok(n) => drop(self.outbound.drain(..n)),
                Err(e) if e.kind() == ErrorKind::WouldBlock => return,
                Err(e) if e.raw_os_error() == Some(Errno::EINTR as i32) => {}
                Err(_) => {
                    self.dead = true;
                    return;
                }
            }
        }
    }
}
