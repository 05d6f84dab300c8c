//! Published ports as map elements.

use super::ruleset::{ANY, ONE};
use super::{acked, commit, message, table_name, verb};
use crate::error::NetlinkError;
use crate::message::{Message, attribute, attributes, flag};
use crate::socket::{ACKED, Socket};
use contract::network::{PortBinding, Protocol};
use nix::errno::Errno;
use std::net::{IpAddr, Ipv4Addr};

// An attribute holds 64 KiB and an element takes about 60 bytes.
const PER_MESSAGE: usize = 1000;

/// A port and the container address it leads to.
pub type Published = (PortBinding, Ipv4Addr);

/// Adds ports in one transaction, taking over keys that lead elsewhere.
pub fn ensure(socket: &mut Socket, bridge: &str, ports: &[Published]) -> Result<(), NetlinkError> {
    if ports.is_empty() {
        return Ok(());
    }
    let table = table_name(bridge);
    match commit(socket, changes(&table, verb::NEWSETELEM, ports)) {
        Err(e) if matches!(e.errno(), Errno::EEXIST | Errno::EBUSY) => {
            let stale: Vec<Published> = list(socket, bridge)?
                .into_iter()
                .filter(|old| ports.iter().any(|new| key(&new.0) == key(&old.0)))
                .collect();
            let mut batch = changes(&table, verb::DELSETELEM, &stale);
            batch.extend(changes(&table, verb::NEWSETELEM, ports));
            commit(socket, batch)
        }
        other => other,
    }
}

/// Removes those of `ports` that still lead where they say.
pub fn remove(socket: &mut Socket, bridge: &str, ports: &[Published]) -> Result<(), NetlinkError> {
    if ports.is_empty() {
        return Ok(());
    }
    let present: Vec<Published> = list(socket, bridge)?.into_iter().filter(|p| ports.contains(p)).collect();
    if present.is_empty() {
        return Ok(());
    }
    commit(socket, changes(&table_name(bridge), verb::DELSETELEM, &present))
}

/// Every published port of a bridge.
pub fn list(socket: &mut Socket, bridge: &str) -> Result<Vec<Published>, NetlinkError> {
    let table = table_name(bridge);
    let mut out = Vec::new();
    for map in [ANY, ONE] {
        let mut request = message(verb::GETSETELEM, flag::DUMP, &table, "listing ports");
        request.text(2, map);
        let replies = match socket.dump(request) {
            Err(e) if e.errno() == Errno::ENOENT => continue,
            other => other?,
        };
        for reply in &replies {
            let Some(elements) = reply.body.get(4..).and_then(|b| attribute(b, 3)) else { continue };
            out.extend(attributes(elements).filter_map(|(_, element)| parse(element)));
        }
    }
    Ok(out)
}

fn changes(table: &str, verb: u16, ports: &[Published]) -> Vec<Message> {
    let mut out = Vec::new();
    for map in [ANY, ONE] {
        let of_map: Vec<&Published> = ports.iter().filter(|p| map_of(&p.0) == Some(map)).collect();
        for chunk in of_map.chunks(PER_MESSAGE) {
            let mut change = match verb {
                verb::DELSETELEM => message(verb, ACKED, table, "removing ports"),
                _ => acked(verb, table, "adding ports"),
            };
            change.text(2, map).nest(3, |list| {
                for published in chunk {
                    list.nest(1, |element| fill(element, published));
                }
            });
            out.push(change);
        }
    }
    out
}

fn fill(element: &mut Message, (port, target): &Published) {
    element.nest(1, |k| {
        k.bytes(1, &key(port));
    });
    element.nest(2, |d| {
        let mut data = target.octets().to_vec();
        data.extend(padded(port.container_port));
        d.bytes(1, &data);
    });
}

fn map_of(port: &PortBinding) -> Option<&'static str> {
    match port.host_ip {
        IpAddr::V4(ip) if ip.is_unspecified() => Some(ANY),
        IpAddr::V4(_) => Some(ONE),
        IpAddr::V6(_) => None,
    }
}

fn key(port: &PortBinding) -> Vec<u8> {
    let mut out = vec![port.protocol.number(), 0, 0, 0];
    if let IpAddr::V4(ip) = port.host_ip
        && !ip.is_unspecified()
    {
        out.extend(ip.octets());
    }
    out.extend(padded(port.host_port));
    out
}

fn padded(port: u16) -> [u8; 4] {
    let [high, low] = port.to_be_bytes();
    [high, low, 0, 0]
}

fn parse(element: &[u8]) -> Option<Published> {
    let key = attribute(attribute(element, 1)?, 1)?;
    let data = attribute(attribute(element, 2)?, 1)?;
    let (host_ip, host_port) = match *key {
        [_, _, _, _, high, low, _, _] => (Ipv4Addr::UNSPECIFIED, u16::from_be_bytes([high, low])),
        [_, _, _, _, a, b, c, d, high, low, _, _] => {
            (Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low]))
        }
        _ => return None,
    };
    let &[a, b, c, d, high, low, ..] = data else { return None };
    let protocol = match key.first()? {
        6 => Protocol::Tcp,
        17 => Protocol::Udp,
        132 => Protocol::Sctp,
        _ => return None,
    };
    let container_port = u16::from_be_bytes([high, low]);
    Some((
        PortBinding { protocol, host_ip: host_ip.into(), host_port, container_port },
        Ipv4Addr::new(a, b, c, d),
    ))
}
