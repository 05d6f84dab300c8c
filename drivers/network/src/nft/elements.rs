//! Published ports as map elements, one for each.

use super::expr::octets;
use super::ruleset::{ANY, ONE, OPEN};
use super::set::{self, Data, Element};
use super::{commit, taken};
use crate::error::NetlinkError;
use crate::message::{Message, attribute};
use crate::ports::Entries;
use crate::socket::Socket;
use contract::network::{Family, PortBinding, Protocol};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

// An attribute holds 64 KiB and an element takes at most 84 bytes.
const PER_MESSAGE: usize = 700;

/// A port and the container address it leads to, of the same family.
pub type Published = (PortBinding, IpAddr);

/// A port that is open at a container's own address.
pub type Opening = (Protocol, IpAddr, u16);

/// Adds entries in one transaction, taking over keys that lead elsewhere.
pub fn ensure(socket: &mut Socket, table: &str, entries: &Entries) -> Result<(), NetlinkError> {
    match commit(socket, additions(table, entries)) {
        Err(e) if taken(&e) => {
            let mut stale = Entries::default();
            for (port, _) in &entries.ports {
                stale.ports.extend(find(socket, table, port)?.filter(|found| !entries.ports.contains(found)));
            }
            let mut batch = deletions(table, &stale);
            batch.extend(additions(table, entries));
            commit(socket, batch)
        }
        other => other,
    }
}

/// Removes those entries that are still what they say.
pub fn remove(socket: &mut Socket, table: &str, entries: &Entries) -> Result<(), NetlinkError> {
    let mut present = Entries::default();
    for published in &entries.ports {
        present.ports.extend(find(socket, table, &published.0)?.filter(|found| found == published));
    }
    for opening in &entries.open {
        if set::find(socket, table, open_map(opening), &open_key(opening))?.is_some() {
            present.open.insert(*opening);
        }
    }
    commit(socket, deletions(table, &present))
}

/// The messages that add entries.
pub fn additions(table: &str, entries: &Entries) -> Vec<Message> {
    changes(table, set::add, entries)
}

/// The messages that take entries away; all must be there.
pub fn deletions(table: &str, entries: &Entries) -> Vec<Message> {
    changes(table, set::delete, entries)
}

/// Everything in the maps of a table.
pub fn all(socket: &mut Socket, table: &str) -> Result<Entries, NetlinkError> {
    let mut out = Entries { ports: list(socket, table)?.into_iter().collect(), ..Entries::default() };
    for map in OPEN {
        let replies = set::list(socket, table, map)?;
        out.open.extend(replies.iter().flat_map(set::elements).filter_map(opening));
    }
    Ok(out)
}

/// Every published port of a table.
pub fn list(socket: &mut Socket, table: &str) -> Result<Vec<Published>, NetlinkError> {
    let mut out = Vec::new();
    for map in [ANY[0], ONE[0], ANY[1], ONE[1]] {
        let replies = set::list(socket, table, map)?;
        out.extend(replies.iter().flat_map(set::elements).filter_map(parse));
    }
    Ok(out)
}

/// Who has a port now.
fn find(socket: &mut Socket, table: &str, port: &PortBinding) -> Result<Option<Published>, NetlinkError> {
    let found = set::find(socket, table, map_of(port), &key(port))?;
    Ok(found.and_then(|reply| set::elements(&reply).first().and_then(|e| parse(e))))
}

/// Adds or deletes, `change` says which.
fn changes(
    table: &str,
    change: fn(&str, &str, &[Element<'_>]) -> Message,
    entries: &Entries,
) -> Vec<Message> {
    let mut out = Vec::new();
    for map in [ANY[0], ONE[0], ANY[1], ONE[1]] {
        let of_map = entries.ports.iter().filter(|p| map_of(&p.0) == map);
        let encoded: Vec<_> = of_map.map(|(port, target)| (key(port), data(port, *target))).collect();
        for chunk in encoded.chunks(PER_MESSAGE) {
            let elements = chunk.iter().map(|(key, data)| Element { key, data: Data::Bytes(data) });
            out.push(change(table, map, &elements.collect::<Vec<_>>()));
        }
    }
    for map in OPEN {
        let keys: Vec<_> = entries.open.iter().filter(|o| open_map(o) == map).map(open_key).collect();
        for chunk in keys.chunks(PER_MESSAGE) {
            let elements = chunk.iter().map(|key| Element { key, data: Data::None });
            out.push(change(table, map, &elements.collect::<Vec<_>>()));
        }
    }
    out
}

fn open_map(opening: &Opening) -> &'static str {
    match Family::of(opening.1) {
        Family::Four => OPEN[0],
        Family::Six => OPEN[1],
    }
}

fn open_key((protocol, address, port): &Opening) -> Vec<u8> {
    let mut out = vec![protocol.number(), 0, 0, 0];
    out.extend(octets(*address));
    out.extend(padded(*port));
    out
}

fn opening(element: &[u8]) -> Option<Opening> {
    let (protocol, key) = set::key(element)?.split_at_checked(4)?;
    let (own, port) = ending(key)?;
    Some((numbered(*protocol.first()?)?, address(own)?, port))
}

fn numbered(number: u8) -> Option<Protocol> {
    [Protocol::Tcp, Protocol::Udp, Protocol::Sctp].into_iter().find(|p| p.number() == number)
}

fn map_of(port: &PortBinding) -> &'static str {
    let maps = if port.host_ip.is_unspecified() { ANY } else { ONE };
    match Family::of(port.host_ip) {
        Family::Four => maps[0],
        Family::Six => maps[1],
    }
}

fn key(port: &PortBinding) -> Vec<u8> {
    let mut out = vec![port.protocol.number(), 0, 0, 0];
    if !port.host_ip.is_unspecified() {
        out.extend(octets(port.host_ip));
    }
    out.extend(padded(port.host_port));
    out
}

fn data(port: &PortBinding, target: IpAddr) -> Vec<u8> {
    let mut out = octets(target);
    out.extend(padded(port.container_port));
    out
}

fn padded(port: u16) -> [u8; 4] {
    let [high, low] = port.to_be_bytes();
    [high, low, 0, 0]
}

fn parse(element: &[u8]) -> Option<Published> {
    let (protocol, key) = set::key(element)?.split_at_checked(4)?;
    let (target, container_port) = ending(attribute(attribute(element, 2)?, 1)?)?;
    let target = address(target)?;
    let (host_ip, host_port) = ending(key)?;
    let host_ip = match (host_ip, Family::of(target)) {
        ([], Family::Four) => Ipv4Addr::UNSPECIFIED.into(),
        ([], Family::Six) => Ipv6Addr::UNSPECIFIED.into(),
        (own, _) => address(own)?,
    };
    let protocol = numbered(*protocol.first()?)?;
    Some((PortBinding { protocol, host_ip, host_port, container_port }, target))
}

/// What stands before a padded port, and the port.
fn ending(bytes: &[u8]) -> Option<(&[u8], u16)> {
    let (before, &[high, low, ..]) = bytes.split_at_checked(bytes.len().checked_sub(4)?)? else {
        return None;
    };
    Some((before, u16::from_be_bytes([high, low])))
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::split;

    #[test]
    fn elements_read_back_as_they_were_written() {
        let port = |host_ip: &str, protocol, target: &str| {
            let host_ip = host_ip.parse().unwrap();
            (PortBinding { protocol, host_ip, host_port: 8080, container_port: 80 }, target.parse().unwrap())
        };
        for published in [
            port("0.0.0.0", Protocol::Tcp, "172.17.0.2"),
            port("127.0.0.1", Protocol::Udp, "172.17.0.2"),
            port("::", Protocol::Sctp, "fd00::2"),
            port("fd01::7", Protocol::Tcp, "fd00::2"),
        ] {
            let entries = Entries { ports: [published.clone()].into(), ..Entries::default() };
            let change = additions("t", &entries).remove(0);
            let reply = split(&change.finish(1)).remove(0);
            assert_eq!(set::elements(&reply).first().and_then(|e| parse(e)), Some(published));
        }
    }
}
