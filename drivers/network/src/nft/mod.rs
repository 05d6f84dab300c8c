//! nftables over netlink: a small encoder, our table, and the maps of published ports.
//!
//! A daemon has one table, whatever the number of its networks and ports. What differs between networks stands in maps
//! that are looked up by interface, so that a packet's way through the rules does not grow with them. Each change is one
//! transaction.

pub mod elements;
mod expr;
pub mod redirect;
mod ruleset;
mod segment;
mod set;

use crate::error::NetlinkError;
use crate::message::{Message, flag};
use crate::socket::{ACKED, Socket};
use contract::network::Segment;
use elements::Published;
use nix::errno::Errno;

const SUBSYSTEM: u16 = 10 << 8;
/// `NFPROTO_INET`.
const FAMILY: u8 = 1;
/// The default bridge of a daemon that is alone on its host.
const USUAL_BRIDGE: &str = "gantry0";

/// Message numbers of `linux/netfilter/nf_tables.h`.
mod verb {
    pub const NEWTABLE: u16 = 0;
    pub const DELTABLE: u16 = 2;
    pub const NEWCHAIN: u16 = 3;
    pub const DELCHAIN: u16 = 5;
    pub const NEWRULE: u16 = 6;
    pub const DELRULE: u16 = 8;
    pub const NEWSET: u16 = 9;
    pub const NEWSETELEM: u16 = 12;
    pub const GETSETELEM: u16 = 13;
    pub const DELSETELEM: u16 = 14;
}

/// One daemon's table.
#[derive(Debug)]
pub struct Firewall {
    socket: Socket,
    table: String,
    /// Chains and maps are as this program wants them.
    based: bool,
}

impl Firewall {
    /// The table of the daemon with this default bridge, in the network namespace of the calling thread. Several daemons
    /// on a host have a table each.
    pub fn open(default_bridge: &str) -> Result<Self, NetlinkError> {
        let table = match default_bridge {
            USUAL_BRIDGE => "gantry".to_owned(),
            other => format!("gantry_{other}"),
        };
        Ok(Self { socket: Socket::netfilter()?, table, based: false })
    }

    /// Brings chains, maps and a network's rules to what they should be; published ports stay.
    pub fn ensure_segment(&mut self, segment: &Segment) -> Result<(), NetlinkError> {
        let base = if self.based { Vec::new() } else { ruleset::base(&self.table) };
        match self.commit(base.into_iter().chain(segment::ensure(&self.table, segment)).collect()) {
            Ok(()) => {}
            Err(e) if lost(&e) && self.based => {
                let rules = segment::ensure(&self.table, segment);
                self.commit(ruleset::base(&self.table).into_iter().chain(rules).collect())?;
            }
            Err(e) if taken(&e) => self.replace(segment)?,
            Err(e) => return Err(e),
        }
        self.based = true;
        Ok(())
    }

    /// The same where something of the same name is otherwise: the network had other options, or the table was another
    /// version's, which goes with all that it held.
    fn replace(&mut self, segment: &Segment) -> Result<(), NetlinkError> {
        let mut batch = ruleset::base(&self.table);
        batch.extend(segment::remove(&mut self.socket, &self.table, &segment.name)?);
        batch.extend(segment::ensure(&self.table, segment));
        match self.commit(batch) {
            Err(e) if taken(&e) => {}
            other => return other,
        }
        tracing::warn!(table = self.table, "the table of another version is replaced");
        let mut batch = ruleset::anew(&self.table);
        batch.extend(ruleset::base(&self.table));
        batch.extend(segment::ensure(&self.table, segment));
        self.commit(batch)
    }

    /// Takes a network's rules away, with the last one the table.
    pub fn remove_segment(&mut self, bridge: &str) -> Result<(), NetlinkError> {
        let mut batch = segment::remove(&mut self.socket, &self.table, bridge)?;
        let others = segment::list(&mut self.socket, &self.table)?;
        if others.iter().all(|other| other == bridge) {
            batch = vec![ruleset::delete(&self.table)];
            self.based = false;
        }
        match self.commit(batch) {
            Err(e) if lost(&e) => Ok(()),
            other => other,
        }
    }

    /// Adds ports in one transaction, taking over keys that lead elsewhere.
    pub fn ensure_ports(&mut self, segment: &Segment, ports: &[Published]) -> Result<(), NetlinkError> {
        match elements::ensure(&mut self.socket, &self.table, ports) {
            Err(e) if lost(&e) => {
                self.based = false;
                self.ensure_segment(segment)?;
                elements::ensure(&mut self.socket, &self.table, ports)
            }
            other => other,
        }
    }

    /// Removes those of `ports` that still lead where they say.
    pub fn remove_ports(&mut self, ports: &[Published]) -> Result<(), NetlinkError> {
        elements::remove(&mut self.socket, &self.table, ports)
    }

    /// Every port published on a network.
    pub fn ports(&mut self, segment: &Segment) -> Result<Vec<Published>, NetlinkError> {
        let mut all = elements::list(&mut self.socket, &self.table)?;
        let subnets = [segment.subnet(), segment.subnet6()];
        all.retain(|(_, to)| subnets.iter().flatten().any(|subnet| subnet.contains(*to)));
        Ok(all)
    }

    fn commit(&mut self, messages: Vec<Message>) -> Result<(), NetlinkError> {
        commit(&mut self.socket, messages)
    }
}

/// Something that was there is no longer.
fn lost(error: &NetlinkError) -> bool {
    error.errno() == Errno::ENOENT
}

/// Something of the same name is there, and is otherwise.
fn taken(error: &NetlinkError) -> bool {
    matches!(error.errno(), Errno::EEXIST | Errno::EBUSY | Errno::EINVAL | Errno::EOPNOTSUPP)
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
    if messages.is_empty() {
        return Ok(());
    }
    // Both frame messages name the subsystem in network order.
    let frame = |kind: u16| Message::new(kind, 0, &[0, 0, 0, 10], "nftables: batch");
    let mut batch = vec![frame(16)];
    batch.extend(messages);
    batch.push(frame(17));
    socket.transact(batch).map(drop)
}
