//! The sockets that hold ports.

use contract::network::Protocol;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, SockaddrIn6, bind, setsockopt, socket, sockopt,
};
use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};

/// A socket bound to an address. None where the kernel has no such sockets: then no other program has the port.
pub fn held(protocol: Protocol, address: SocketAddr) -> Result<Option<OwnedFd>, Errno> {
    let kind = match protocol {
        Protocol::Tcp => SockType::Stream,
        Protocol::Udp => SockType::Datagram,
        // Of the internet's families SCTP alone has it.
        Protocol::Sctp => SockType::SeqPacket,
    };
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let fd = match socket(family, kind, SockFlag::SOCK_CLOEXEC, None) {
        Ok(fd) => fd,
        Err(Errno::ESOCKTNOSUPPORT | Errno::EPROTONOSUPPORT) if protocol == Protocol::Sctp => {
            return Ok(None);
        }
        Err(errno) => return Err(errno),
    };
    match address {
        SocketAddr::V4(four) => bind(fd.as_raw_fd(), &SockaddrIn::from(four))?,
        SocketAddr::V6(six) => {
            // The same port of IPv4 is held, or not, by a socket of its own.
            setsockopt(&fd, sockopt::Ipv6V6Only, &true)?;
            bind(fd.as_raw_fd(), &SockaddrIn6::from(six))?;
        }
    }
    Ok(Some(fd))
}

/// Whether the host has IPv6.
pub fn has_ipv6() -> bool {
    UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

/// The system's reason in Docker's words.
pub fn reason(errno: Errno) -> String {
    match errno {
        Errno::EADDRINUSE => "address already in use".into(),
        Errno::EADDRNOTAVAIL => "cannot assign requested address".into(),
        other => other.desc().to_lowercase(),
    }
}
