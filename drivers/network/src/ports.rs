//! Host ports held by bound sockets, so that no other program takes them.

use crate::error::PortsError;
use contract::network::{PortBinding, Protocol};
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, socket};
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::ops::RangeInclusive;
use std::os::fd::{AsRawFd, OwnedFd};

/// One held port.
#[derive(Debug)]
struct Held {
    container: String,
    target: Ipv4Addr,
    binding: PortBinding,
    // Bound, never listening: traffic is redirected before it gets here.
    _socket: OwnedFd,
}

/// All held ports.
#[derive(Debug)]
pub struct Reservations {
    held: Vec<Held>,
    ephemeral: RangeInclusive<u16>,
    next: u16,
}

impl Reservations {
    /// Nothing held; ephemeral ports come from the kernel's local range.
    pub fn new() -> Self {
        let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
        let mut bounds = text.split_whitespace().filter_map(|n| n.parse().ok());
        let ephemeral = match (bounds.next(), bounds.next()) {
            (Some(low), Some(high)) if low <= high => low..=high,
            _ => 49153..=65535,
        };
        Self { held: Vec::new(), next: *ephemeral.start(), ephemeral }
    }

    /// Holds all ports or none; ports already held by the container stay.
    pub fn reserve(
        &mut self,
        container: &str,
        target: Ipv4Addr,
        wanted: Vec<PortBinding>,
    ) -> Result<Vec<PortBinding>, PortsError> {
        let before = self.held.len();
        let mut out: Vec<PortBinding> = Vec::with_capacity(wanted.len());
        for want in wanted {
            let known = self.held.iter().take(before).find(|h| {
                h.container == container
                    && h.target == target
                    && answers(&h.binding, &want)
                    && !out.contains(&h.binding)
            });
            let result = match known {
                Some(held) => Ok(held.binding.clone()),
                None => self.hold(container, target, want),
            };
            match result {
                Ok(binding) => out.push(binding),
                Err(e) => {
                    self.held.truncate(before);
                    return Err(e);
                }
            }
        }
        Ok(out)
    }

    /// Lets go of a container's ports on one address.
    pub fn release(&mut self, container: &str, target: Ipv4Addr) {
        self.held.retain(|h| h.container != container || h.target != target);
    }

    /// Whether another container holds this host port.
    pub fn held_by_other(&self, container: &str, binding: &PortBinding) -> bool {
        self.held.iter().any(|h| {
            h.container != container
                && h.binding.protocol == binding.protocol
                && h.binding.host_port == binding.host_port
                && h.binding.host_ip == binding.host_ip
        })
    }

    fn hold(
        &mut self,
        container: &str,
        target: Ipv4Addr,
        want: PortBinding,
    ) -> Result<PortBinding, PortsError> {
        let IpAddr::V4(host) = want.host_ip else { return Err(PortsError::Ipv6(want.host_ip)) };
        let tries = if want.host_port == 0 { self.ephemeral.len() } else { 1 };
        for _ in 0..tries {
            let port = if want.host_port == 0 { self.advance() } else { want.host_port };
            let address = SocketAddrV4::new(host, port);
            if self.held.iter().any(|h| same_port(&h.binding, want.protocol, address)) {
                if want.host_port == 0 {
                    continue;
                }
                return Err(PortsError::Allocated { host: address.to_string() });
            }
            match bound(want.protocol, address) {
                Ok(socket) => {
                    let binding = PortBinding { host_port: port, ..want };
                    let kept = binding.clone();
                    self.held.push(Held {
                        container: container.into(),
                        target,
                        binding: kept,
                        _socket: socket,
                    });
                    return Ok(binding);
                }
                Err(Errno::EADDRINUSE) if want.host_port == 0 => {}
                Err(errno) => {
                    return Err(PortsError::Bind {
                        host: address.to_string(),
                        target: SocketAddrV4::new(target, want.container_port).to_string(),
                        protocol: want.protocol.name(),
                        reason: reason(errno),
                        errno,
                    });
                }
            }
        }
        Err(PortsError::Exhausted)
    }

    fn advance(&mut self) -> u16 {
        let port = self.next;
        self.next = if port >= *self.ephemeral.end() { *self.ephemeral.start() } else { port + 1 };
        port
    }
}

/// Whether a held port is the wanted one, on the same address or on all of them.
fn same_port(held: &PortBinding, protocol: Protocol, wanted: SocketAddrV4) -> bool {
    let overlaps =
        held.host_ip.is_unspecified() || wanted.ip().is_unspecified() || held.host_ip == *wanted.ip();
    held.protocol == protocol && held.host_port == wanted.port() && overlaps
}

fn answers(held: &PortBinding, want: &PortBinding) -> bool {
    held.protocol == want.protocol
        && held.host_ip == want.host_ip
        && held.container_port == want.container_port
        && (want.host_port == 0 || held.host_port == want.host_port)
}

fn bound(protocol: Protocol, address: SocketAddrV4) -> Result<OwnedFd, Errno> {
    let kind = match protocol {
        Protocol::Tcp => SockType::Stream,
        Protocol::Udp => SockType::Datagram,
        Protocol::Sctp => return Err(Errno::EPROTONOSUPPORT),
    };
    let fd = socket(AddressFamily::Inet, kind, SockFlag::SOCK_CLOEXEC, None)?;
    bind(fd.as_raw_fd(), &SockaddrIn::from(address))?;
    Ok(fd)
}

fn reason(errno: Errno) -> String {
    match errno {
        Errno::EADDRINUSE => "address already in use".into(),
        Errno::EADDRNOTAVAIL => "cannot assign requested address".into(),
        other => other.desc().to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host_port: u16) -> PortBinding {
        let host_ip = Ipv4Addr::LOCALHOST.into();
        PortBinding { protocol: Protocol::Tcp, host_ip, host_port, container_port: 80 }
    }

    #[test]
    fn a_taken_port_is_refused_in_dockers_words_and_nothing_stays_held() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let mut ports = Reservations::new();
        let error = ports.reserve("c", Ipv4Addr::new(172, 17, 0, 2), vec![tcp(0), tcp(port)]).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "failed to bind host port for 127.0.0.1:{port}:172.17.0.2:80/tcp: address already in use"
            )
        );
        assert!(ports.held.is_empty());
    }

    #[test]
    fn reserving_again_gives_the_same_port_until_released() {
        let mut ports = Reservations::new();
        let target = Ipv4Addr::new(172, 17, 0, 2);
        let first = ports.reserve("c", target, vec![tcp(0)]).unwrap();
        assert_eq!(ports.reserve("c", target, vec![tcp(0)]).unwrap(), first);
        let refused = ports.reserve("d", target, first.clone()).unwrap_err();
        let words = format!("Bind for 127.0.0.1:{} failed: port is already allocated", first[0].host_port);
        assert!(ports.held_by_other("d", &first[0]) && refused.to_string() == words, "{refused}");
        ports.release("c", target);
        // Another program may be quicker than "d": what counts is that nobody here has it.
        assert!(!ports.held_by_other("d", &first[0]) && ports.held.is_empty());
    }
}
