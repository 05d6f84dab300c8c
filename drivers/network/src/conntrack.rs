//! Connections without an end: the kernel remembers where datagrams went, and goes on sending them there as long as they
//! come. What leads to a container that is gone, or past one that is new, is forgotten.

use crate::error::NetlinkError;
use crate::message::{Message, Reply, attribute, flag};
use crate::nft::elements::Published;
use crate::socket::{ACKED, Socket};
use contract::network::{Family, Protocol};
use nix::errno::Errno;
use std::net::IpAddr;

const SUBSYSTEM: u16 = 1 << 8;
const GET: u16 = 1;
const DELETE: u16 = 2;
/// Attribute numbers of `linux/netfilter/nfnetlink_conntrack.h`.
const ORIGINAL: u16 = 1;
const ANSWER: u16 = 2;
const ID: u16 = 12;
const FILTER: u16 = 25;
/// Bits of a filter: source address, protocol, destination port (`CTA_FILTER_F_*`, Linux 5.8).
const SOURCE: u32 = 1;
const PROTOCOL: u32 = 1 << 3;
const PORT: u32 = 1 << 5;

/// One direction of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Direction {
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    source_port: u16,
    destination_port: u16,
}

/// Forgets what leads to ports of a container that is going.
pub fn forget(socket: &mut Socket, ports: &[Published]) -> Result<(), NetlinkError> {
    for (port, target) in ports.iter().filter(|(port, _)| port.protocol == Protocol::Udp) {
        let found = dump(socket, *target, ANSWER, |tuple| {
            tuple.nest(1, |ip| address(ip, *target));
            tuple.nest(2, |proto| {
                proto.bytes(1, &[port.protocol.number()]);
            });
            SOURCE | PROTOCOL
        })?;
        let ours = |answer: &Direction, _: &Direction| {
            answer.source == *target
                && answer.source_port == port.container_port
                && answer.protocol == port.protocol.number()
        };
        delete(socket, *target, &found, ours)?;
    }
    Ok(())
}

/// Forgets what comes to these ports and goes elsewhere than they lead now.
pub fn unstick(socket: &mut Socket, ports: &[Published]) -> Result<(), NetlinkError> {
    for (port, target) in ports.iter().filter(|(port, _)| port.protocol == Protocol::Udp) {
        let found = dump(socket, *target, ORIGINAL, |tuple| {
            tuple.nest(2, |proto| {
                proto.bytes(1, &[port.protocol.number()]).bytes(3, &port.host_port.to_be_bytes());
            });
            PROTOCOL | PORT
        })?;
        if found.is_empty() {
            continue;
        }
        let own = own_addresses();
        let astray = |answer: &Direction, original: &Direction| {
            let here = match port.host_ip.is_unspecified() {
                true => own.contains(&original.destination),
                false => original.destination == port.host_ip,
            };
            here && original.protocol == port.protocol.number()
                && original.destination_port == port.host_port
                && answer.source != *target
        };
        delete(socket, *target, &found, astray)?;
    }
    Ok(())
}

fn own_addresses() -> Vec<IpAddr> {
    let all = nix::ifaddrs::getifaddrs().into_iter().flatten();
    all.filter_map(|interface| {
        let address = interface.address?;
        let four = address.as_sockaddr_in().map(|a| IpAddr::from(a.ip()));
        four.or_else(|| address.as_sockaddr_in6().map(|a| IpAddr::from(a.ip())))
    })
    .collect()
}

fn message(verb: u16, flags: u16, family: IpAddr, what: &str) -> Message {
    let number = if Family::of(family) == Family::Four { 2 } else { 10 };
    Message::new(SUBSYSTEM | verb, flags, &[number, 0, 0, 0], format!("connections: {what}"))
}

fn address(ip: &mut Message, address: IpAddr) {
    match address {
        IpAddr::V4(four) => ip.bytes(1, &four.octets()),
        IpAddr::V6(six) => ip.bytes(3, &six.octets()),
    };
}

/// The connections that the kernel finds by a part of one direction; all where it cannot look for it.
fn dump(
    socket: &mut Socket,
    family: IpAddr,
    direction: u16,
    fill: impl FnOnce(&mut Message) -> u32,
) -> Result<Vec<Reply>, NetlinkError> {
    let mut request = message(GET, flag::DUMP, family, "listing");
    let mut bits = 0;
    request.nest(direction, |tuple| bits = fill(tuple));
    request.nest(FILTER, |filter| {
        filter.host32(direction, bits);
    });
    match socket.dump(request) {
        Err(e) if matches!(e.errno(), Errno::EINVAL | Errno::EOPNOTSUPP) => {
            socket.dump(message(GET, flag::DUMP, family, "listing"))
        }
        other => other,
    }
}

fn delete(
    socket: &mut Socket,
    family: IpAddr,
    found: &[Reply],
    which: impl Fn(&Direction, &Direction) -> bool,
) -> Result<(), NetlinkError> {
    for body in found.iter().filter_map(|reply| reply.body.get(4..)) {
        let (Some(original), Some(answer)) = (attribute(body, ORIGINAL), attribute(body, ANSWER)) else {
            continue;
        };
        let (Some(there), Some(back)) = (parse(original), parse(answer)) else { continue };
        if !which(&back, &there) {
            continue;
        }
        let mut request = message(DELETE, ACKED, family, "forgetting one");
        // Nested, like all that holds attributes.
        request.bytes(ORIGINAL | 0x8000, original);
        if let Some(id) = attribute(body, ID) {
            request.bytes(ID, id);
        }
        match socket.request(request) {
            Err(e) if e.errno() != Errno::ENOENT => return Err(e),
            _ => {}
        }
    }
    Ok(())
}

fn parse(tuple: &[u8]) -> Option<Direction> {
    let (ip, proto) = (attribute(tuple, 1)?, attribute(tuple, 2)?);
    let address = |four: u16, six: u16| -> Option<IpAddr> {
        let short = attribute(ip, four).and_then(|b| <[u8; 4]>::try_from(b).ok()).map(IpAddr::from);
        short.or_else(|| attribute(ip, six).and_then(|b| <[u8; 16]>::try_from(b).ok()).map(IpAddr::from))
    };
    let port = |kind| attribute(proto, kind).and_then(|b| b.try_into().ok()).map_or(0, u16::from_be_bytes);
    Some(Direction {
        source: address(1, 3)?,
        destination: address(2, 4)?,
        protocol: *attribute(proto, 1)?.first()?,
        source_port: port(2),
        destination_port: port(3),
    })
}
