//! nftables over netlink: a small encoder, our table, and the maps of published ports.
//!
//! A daemon has one table, whatever the number of its networks and ports. What differs between networks stands in maps
//! that are looked up by interface, so that a packet's way through the rules does not grow with them. Each change is one
//! transaction.

mod check;
pub mod elements;
mod expr;
mod passage;
pub mod redirect;
mod ruleset;
mod segment;
mod set;
mod watch;

pub use passage::Ways;
pub use watch::Watch;

use crate::error::NetlinkError;
use crate::message::{Message, flag};
use crate::ports::Entries;
use crate::socket::{ACKED, Socket};
use contract::network::Segment;
use elements::{Opening, Published};
use nix::errno::Errno;
use std::collections::HashSet;

const SUBSYSTEM: u16 = 10 << 8;
/// `NFPROTO_INET`.
const FAMILY: u8 = 1;
/// The default bridge of a daemon that is alone on its host.
const USUAL_BRIDGE: &str = "gantry0";

/// Message numbers of `linux/netfilter/nf_tables.h`.
mod verb {
    pub const NEWTABLE: u16 = 0;
    pub const GETTABLE: u16 = 1;
    pub const DELTABLE: u16 = 2;
    pub const NEWCHAIN: u16 = 3;
    pub const GETCHAIN: u16 = 4;
    pub const DELCHAIN: u16 = 5;
    pub const NEWRULE: u16 = 6;
    pub const GETRULE: u16 = 7;
    pub const DELRULE: u16 = 8;
    pub const NEWSET: u16 = 9;
    pub const DELSET: u16 = 11;
    pub const NEWSETELEM: u16 = 12;
    pub const GETSETELEM: u16 = 13;
    pub const DELSETELEM: u16 = 14;
    pub const NEWGEN: u16 = 15;
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
            Err(e) if taken(&e) || lost(&e) => self.replace(segment)?,
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
            Err(e) if taken(&e) || lost(&e) => {}
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
    pub fn ensure_ports(&mut self, segment: &Segment, entries: &Entries) -> Result<(), NetlinkError> {
        match elements::ensure(&mut self.socket, &self.table, entries) {
            Err(e) if lost(&e) => {
                self.based = false;
                self.ensure_segment(segment)?;
                elements::ensure(&mut self.socket, &self.table, entries)
            }
            other => other,
        }
    }

    /// Removes those entries that still lead where they say.
    pub fn remove_ports(&mut self, entries: &Entries) -> Result<(), NetlinkError> {
        elements::remove(&mut self.socket, &self.table, entries)
    }

    /// Puts back what another program took, in one transaction if it can be.
    pub fn restore(&mut self, segments: &[Segment], entries: &Entries) -> Result<(), NetlinkError> {
        let mut batch = ruleset::base(&self.table);
        batch.extend(segments.iter().flat_map(|segment| segment::ensure(&self.table, segment)));
        batch.extend(elements::additions(&self.table, entries));
        match self.commit(batch) {
            Err(e) if taken(&e) || lost(&e) => {}
            other => return other,
        }
        // Something there is otherwise than it should be.
        self.based = false;
        for segment in segments {
            self.ensure_segment(segment)?;
        }
        elements::ensure(&mut self.socket, &self.table, entries)
    }

    /// What of these segments and entries is not there, in words.
    pub fn missing(&mut self, segments: &[Segment], entries: &Entries) -> Result<Vec<String>, NetlinkError> {
        let mut wanted = ruleset::base(&self.table);
        wanted.extend(segments.iter().flat_map(|segment| segment::ensure(&self.table, segment)));
        wanted.extend(elements::additions(&self.table, entries));
        check::missing(&mut self.socket, &self.table, &wanted)
    }

    /// Takes entries away that are not among these.
    pub fn purge(&mut self, known: &Entries) -> Result<usize, NetlinkError> {
        let mut stale = elements::all(&mut self.socket, &self.table)?;
        stale.ports.retain(|port| !known.ports.contains(port));
        stale.open.retain(|port| !known.open.contains(port));
        self.commit(elements::deletions(&self.table, &stale))?;
        Ok(stale.ports.len() + stale.open.len())
    }

    /// Has another firewall that drops what it has no rule for let through what goes `ways`, which are asked for only
    /// then. False where there is none.
    pub fn ensure_passage(
        &mut self,
        ways: impl FnOnce() -> Result<Ways, NetlinkError>,
    ) -> Result<bool, NetlinkError> {
        let needed = passage::needed(&mut self.socket, &self.table)?;
        if needed.is_empty() {
            return Ok(false);
        }
        passage::ensure(&mut self.socket, &self.table, &needed, &ways()?)?;
        Ok(true)
    }

    /// Whether firewalld is in charge.
    pub fn is_firewalld(&mut self) -> Result<bool, NetlinkError> {
        passage::is_firewalld(&mut self.socket)
    }

    /// Hears of changes that others make to this table.
    pub fn watch(&self) -> Result<Watch, NetlinkError> {
        Ok(Watch::new(&self.table, self.socket.port()?))
    }

    /// Every published port.
    pub fn ports(&mut self) -> Result<Vec<Published>, NetlinkError> {
        elements::list(&mut self.socket, &self.table)
    }

    /// Every port that is open at a container's own address.
    pub fn openings(&mut self) -> Result<HashSet<Opening>, NetlinkError> {
        Ok(elements::all(&mut self.socket, &self.table)?.open)
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

#[cfg(test)]
mod tests {
    use super::*;
    use contract::network::{PortBinding, Protocol};
    use std::net::Ipv4Addr;
    use std::time::Instant;

    #[test]
    fn a_port_is_added_and_removed_alone_among_a_thousand() {
        let work = || {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
            let mut firewall = Firewall::open("gt0").unwrap();
            let gateway = Some(Ipv4Addr::new(10, 99, 0, 1));
            let segment = Segment { name: "gt0".into(), gateway, prefix: 16, ..Segment::default() };
            firewall.ensure_segment(&segment).unwrap();
            let entry = |n: u16| {
                let host_ip = Ipv4Addr::UNSPECIFIED.into();
                let binding =
                    PortBinding { protocol: Protocol::Tcp, host_ip, host_port: n, container_port: 80 };
                let target = Ipv4Addr::from(0x0a63_0000 + u32::from(n)).into();
                Entries { ports: [(binding, target)].into(), ..Entries::default() }
            };
            let mut times = Vec::new();
            for n in 1..=1000 {
                let began = Instant::now();
                firewall.ensure_ports(&segment, &entry(n)).unwrap();
                times.push(began.elapsed());
            }
            times[..100].sort();
            times[900..].sort();
            println!("a port among the first takes {:?}, among the last {:?}", times[50], times[950]);
            firewall.remove_ports(&entry(1000)).unwrap();
            assert_eq!(firewall.ports().unwrap().len(), 999);
        };
        std::thread::spawn(work).join().unwrap();
    }
}
