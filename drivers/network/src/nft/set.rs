//! Sets and maps: what they are keyed by, and what is put in.

use super::expr::{Verdict, interface};
use super::{acked, message, verb};
use crate::error::NetlinkError;
use crate::message::{Message, Reply, attribute, flag};
use crate::socket::{ACKED, Socket};
use nix::errno::Errno;

/// Data types as nft numbers them, six bits each in a concatenation.
const IPV4: u32 = 7;
const IPV6: u32 = 8;
const PROTOCOL: u32 = 12;
const PORT: u32 = 13;
const INTERFACE: u32 = 41;
/// `NFT_DATA_VERDICT`.
const VERDICT: u32 = 0xffff_ff00;
/// `NFT_SET_MAP`.
const MAP: u32 = 8;

/// A type and its length in bytes.
pub type Shape = (u32, u32);

/// The name of an interface.
pub const NAME: Shape = (INTERFACE, 16);
/// Where a packet enters and where it leaves.
pub const BOTH: Shape = (INTERFACE << 6 | INTERFACE, 32);
/// What is to become of a packet.
pub const DECISION: Shape = (VERDICT, 0);
/// protocol . port
pub const ANY: Shape = (PROTOCOL << 6 | PORT, 8);
/// protocol . IPv4 address . port
pub const ONE4: Shape = (PROTOCOL << 12 | IPV4 << 6 | PORT, 12);
/// protocol . IPv6 address . port
pub const ONE6: Shape = (PROTOCOL << 12 | IPV6 << 6 | PORT, 24);
/// IPv4 address . port
pub const TO4: Shape = (IPV4 << 6 | PORT, 8);
/// IPv6 address . port
pub const TO6: Shape = (IPV6 << 6 | PORT, 20);

/// One entry of a set or map.
#[derive(Debug, Clone, Copy)]
pub struct Element<'a> {
    /// What is looked up.
    pub key: &'a [u8],
    /// What a map holds for it.
    pub data: Data<'a>,
}

/// What stands beside a key.
#[derive(Debug, Clone, Copy)]
pub enum Data<'a> {
    /// Nothing: it is a set.
    None,
    /// A value.
    Bytes(&'a [u8]),
    /// A verdict.
    Verdict(Verdict<'a>),
}

/// Makes a set, or with `data` a map; one that is there already stays as it is.
pub fn make(table: &str, name: &str, id: u32, key: Shape, data: Option<Shape>) -> Message {
    let mut out = acked(verb::NEWSET, table, &format!("adding set {name}"));
    out.text(2, name).be32(3, if data.is_some() { MAP } else { 0 }).be32(4, key.0).be32(5, key.1);
    if let Some((kind, length)) = data {
        out.be32(6, kind);
        if length > 0 {
            out.be32(7, length);
        }
    }
    out.be32(10, id);
    if key == NAME {
        // The byte order, by which `nft list` shows names the right way round: tag 0, length 4, 1 = the host's.
        let mut order = vec![0, 4];
        order.extend(1_u32.to_ne_bytes());
        out.bytes(13, &order);
    }
    out
}

/// Adds elements, at most as many as an attribute of 64 KiB holds.
pub fn add(table: &str, set: &str, elements: &[Element<'_>]) -> Message {
    fill(acked(verb::NEWSETELEM, table, &format!("adding to {set}")), set, elements)
}

/// Takes elements away.
pub fn delete(table: &str, set: &str, elements: &[Element<'_>]) -> Message {
    fill(message(verb::DELSETELEM, ACKED, table, &format!("removing from {set}")), set, elements)
}

fn fill(mut message: Message, set: &str, elements: &[Element<'_>]) -> Message {
    message.text(2, set).nest(3, |list| {
        for &Element { key, data } in elements {
            list.nest(1, |element| {
                element.nest(1, |k| {
                    k.bytes(1, key);
                });
                match data {
                    Data::None => {}
                    Data::Bytes(bytes) => {
                        element.nest(2, |d| {
                            d.bytes(1, bytes);
                        });
                    }
                    Data::Verdict(verdict) => {
                        element.nest(2, |d| verdict.write(d));
                    }
                }
            });
        }
    });
    message
}

/// The key of an interface.
pub fn entrance(name: &str) -> Vec<u8> {
    interface(name).to_vec()
}

/// The key of a way from an interface back to it.
pub fn within(name: &str) -> Vec<u8> {
    [interface(name), interface(name)].concat()
}

/// One element as the kernel has it, for `parse` of its list; `None` when set or element are missing.
pub fn find(socket: &mut Socket, table: &str, set: &str, key: &[u8]) -> Result<Option<Reply>, NetlinkError> {
    let request = message(verb::GETSETELEM, ACKED, table, &format!("looking up in {set}"));
    let request = fill(request, set, &[Element { key, data: Data::None }]);
    match socket.request(request) {
        Ok(replies) => Ok(replies.into_iter().find(|r| !elements(r).is_empty())),
        Err(e) if e.errno() == Errno::ENOENT => Ok(None),
        Err(e) => Err(e),
    }
}

/// Everything in a set; nothing when it is missing.
pub fn list(socket: &mut Socket, table: &str, set: &str) -> Result<Vec<Reply>, NetlinkError> {
    let mut request = message(verb::GETSETELEM, flag::DUMP, table, &format!("listing {set}"));
    request.text(2, set);
    match socket.dump(request) {
        Err(e) if e.errno() == Errno::ENOENT => Ok(Vec::new()),
        other => other,
    }
}

/// The elements that an answer holds.
pub fn elements(reply: &Reply) -> Vec<&[u8]> {
    let list = reply.body.get(4..).and_then(|b| attribute(b, 3)).unwrap_or_default();
    crate::message::attributes(list).map(|(_, element)| element).collect()
}

/// An element's key.
pub fn key(element: &[u8]) -> Option<&[u8]> {
    attribute(attribute(element, 1)?, 1)
}
