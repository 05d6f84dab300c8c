//! nftables over netlink: a small encoder, our rules, and the maps of published ports.

pub mod elements;
mod expr;
pub mod ruleset;

use crate::error::NetlinkError;
use crate::message::{Message, flag};
use crate::socket::{ACKED, Socket};

const SUBSYSTEM: u16 = 10 << 8;
/// `NFPROTO_INET`.
const FAMILY: u8 = 1;

/// Message numbers of `linux/netfilter/nf_tables.h`.
mod verb {
    pub const NEWTABLE: u16 = 0;
    pub const DELTABLE: u16 = 2;
    pub const NEWCHAIN: u16 = 3;
    pub const NEWRULE: u16 = 6;
    pub const DELRULE: u16 = 8;
    pub const NEWSET: u16 = 9;
    pub const NEWSETELEM: u16 = 12;
    pub const GETSETELEM: u16 = 13;
    pub const DELSETELEM: u16 = 14;
}

/// The table of a bridge.
pub fn table_name(bridge: &str) -> String {
    format!("gantry_{bridge}")
}

fn message(verb: u16, flags: u16, table: &str, what: &str) -> Message {
    let mut message = Message::new(SUBSYSTEM | verb, flags, &[FAMILY, 0, 0, 0], format!("nftables: {what}"));
    message.text(1, table);
    message
}

fn acked(verb: u16, table: &str, what: &str) -> Message {
    message(verb, ACKED | flag::CREATE, table, what)
}

/// Applies all messages or none.
fn commit(socket: &mut Socket, messages: Vec<Message>) -> Result<(), NetlinkError> {
    // Both frame messages name the subsystem in network order.
    let frame = |kind: u16| Message::new(kind, 0, &[0, 0, 0, 10], "nftables: batch");
    let mut batch = vec![frame(16)];
    batch.extend(messages);
    batch.push(frame(17));
    socket.transact(batch).map(drop)
}
