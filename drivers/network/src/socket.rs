//! A blocking netlink socket: batches with acknowledgements, and dumps.

use crate::error::NetlinkError;
use crate::message::{Message, Reply, flag, split, u32_at};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, getsockname, recv, send,
    setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;
use std::cell::RefCell;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;

const ERROR: u16 = 2;
const DONE: u16 = 3;
// Errors quote the refused request, and a request may be 64 KiB.
const RECEIVE: usize = 256 * 1024;

/// A socket of one netlink family, bound to the network namespace it was opened in.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    sequence: u32,
}

thread_local! {
    /// Where what is received lies until it is read: one for a thread, for each container has a socket.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; RECEIVE]);
}

impl Socket {
    /// For links, addresses and routes.
    pub fn route() -> Result<Self, NetlinkError> {
        Self::open(SockProtocol::NetlinkRoute)
    }

    /// For nftables and connection tracking.
    pub fn netfilter() -> Result<Self, NetlinkError> {
        Self::open(SockProtocol::NetlinkNetFilter)
    }

    fn open(protocol: SockProtocol) -> Result<Self, NetlinkError> {
        let fd = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)
            .map_err(NetlinkError::Socket)?;
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, 0)).map_err(NetlinkError::Socket)?;
        // The kernel answers at once; a lost answer must not hang the thread for ever.
        setsockopt(&fd, sockopt::ReceiveTimeout, &TimeVal::new(10, 0)).map_err(NetlinkError::Socket)?;
        setsockopt(&fd, sockopt::SndBuf, &(1 << 20)).map_err(NetlinkError::Socket)?;
        Ok(Self { fd, sequence: 0 })
    }

    /// Its address, by which the kernel tells whose request a change was.
    pub fn port(&self) -> Result<u32, NetlinkError> {
        let address: NetlinkAddr = getsockname(self.fd.as_raw_fd()).map_err(NetlinkError::Socket)?;
        Ok(address.pid())
    }

    /// Sends requests in one datagram, waits for every acknowledgement; the first refusal is the error.
    pub fn transact(&mut self, messages: Vec<Message>) -> Result<Vec<Reply>, NetlinkError> {
        let first = self.sequence.wrapping_add(1);
        let names: Vec<String> = messages.iter().map(|m| m.what().to_owned()).collect();
        let mut waiting = messages.iter().filter(|m| m.wants_ack()).count();
        let mut datagram = Vec::new();
        for message in messages {
            self.sequence = self.sequence.wrapping_add(1);
            datagram.extend(message.finish(self.sequence));
        }
        self.send(&datagram)?;
        let mut replies = Vec::new();
        let mut refused = None;
        while waiting > 0 {
            for reply in self.receive()? {
                let place = reply.sequence.wrapping_sub(first) as usize;
                let Some(what) = names.get(place) else { continue };
                if reply.kind != ERROR {
                    replies.push(reply);
                    continue;
                }
                waiting = waiting.saturating_sub(1);
                if let Some(errno) = refusal(&reply.body) {
                    // A batch refused as a whole is answered once, at its opening message.
                    if place == 0 && names.len() > 1 {
                        waiting = 0;
                    }
                    refused.get_or_insert(NetlinkError::Refused { what: what.clone(), errno });
                }
            }
        }
        refused.map_or(Ok(replies), Err)
    }

    /// Sends one request that must be acknowledged.
    pub fn request(&mut self, message: Message) -> Result<Vec<Reply>, NetlinkError> {
        self.transact(vec![message])
    }

    /// Sends one dump request and collects its answers.
    pub fn dump(&mut self, message: Message) -> Result<Vec<Reply>, NetlinkError> {
        let what = message.what().to_owned();
        self.sequence = self.sequence.wrapping_add(1);
        let sequence = self.sequence;
        self.send(&message.finish(sequence))?;
        let mut replies = Vec::new();
        loop {
            for reply in self.receive()? {
                if reply.sequence != sequence {
                    continue;
                }
                match reply.kind {
                    ERROR | DONE => {
                        return match refusal(&reply.body) {
                            Some(errno) => Err(NetlinkError::Refused { what, errno }),
                            None => Ok(replies),
                        };
                    }
                    _ => replies.push(reply),
                }
            }
        }
    }

    fn send(&self, datagram: &[u8]) -> Result<(), NetlinkError> {
        loop {
            match send(self.fd.as_raw_fd(), datagram, MsgFlags::empty()) {
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(NetlinkError::Socket(errno)),
            }
        }
    }

    fn receive(&mut self) -> Result<Vec<Reply>, NetlinkError> {
        BUFFER.with_borrow_mut(|buffer| {
            loop {
                match recv(self.fd.as_raw_fd(), buffer, MsgFlags::empty()) {
                    Ok(length) => return Ok(split(buffer.get(..length).unwrap_or_default())),
                    Err(Errno::EINTR) => {}
                    Err(errno) => return Err(NetlinkError::Socket(errno)),
                }
            }
        })
    }
}

/// `RTNLGRP_LINK`.
pub const LINKS: u32 = 1;
/// `NFNLGRP_NFTABLES`.
pub const NFTABLES: u32 = 7;
/// Bytes of notifications that may wait: a flush of some ten thousand elements.
const WAITING: usize = 8 << 20;

/// Opens a socket of the kernel's notifications of links, in the network namespace of the calling thread.
pub fn notifications_of_route(group: u32) -> Result<UnixDatagram, NetlinkError> {
    notifications(SockProtocol::NetlinkRoute, group)
}

/// The same of netfilter.
pub fn notifications_of_netfilter(group: u32) -> Result<UnixDatagram, NetlinkError> {
    notifications(SockProtocol::NetlinkNetFilter, group)
}

/// A datagram is read alike from whatever family of sockets, and a runtime waits for this type.
fn notifications(protocol: SockProtocol, group: u32) -> Result<UnixDatagram, NetlinkError> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol).map_err(NetlinkError::Socket)?;
    // Without the right to more than the system's limit, what is lost is looked up.
    let _smaller = setsockopt(&fd, sockopt::RcvBufForce, &WAITING);
    bind(fd.as_raw_fd(), &NetlinkAddr::new(0, 1 << (group - 1))).map_err(NetlinkError::Socket)?;
    Ok(fd.into())
}

fn refusal(body: &[u8]) -> Option<Errno> {
    let code = u32_at(body, 0) as i32;
    (code != 0).then(|| Errno::from_raw(-code))
}

/// Flags for a request that is acknowledged.
pub const ACKED: u16 = flag::REQUEST | flag::ACK;
