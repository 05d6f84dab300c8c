//! Passage through the forward chain of `iptables` where that drops what it has no rule for, as dockerd and ufw set it.
//!
//! A verdict of ours does not override another table's, so what this table lets through must be let through there too:
//! a chain of ours at the end of theirs, after all that they have rules for. It accepts what goes to our bridges, about
//! which our own table has decided, and what goes from them to the host's uplinks; not what goes to others' bridges.
//! Only expressions that `iptables` itself writes are used, for it refuses to list a table that holds others.

use super::expr::{Is, Rule, Verdict};
use super::ruleset::flush_of;
use super::{SUBSYSTEM, commit, verb};
use crate::error::NetlinkError;
use crate::message::{Message, attribute, flag, string, u32_at};
use crate::socket::{ACKED, Socket};
use nix::errno::Errno;

/// Where `iptables` filters what is forwarded.
const TABLE: &str = "filter";
const FORWARD: &str = "FORWARD";
/// `NFPROTO_IPV4` and `NFPROTO_IPV6`.
const FAMILIES: [u8; 2] = [2, 10];

/// What is let through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ways {
    /// Our bridges.
    pub bridges: Vec<String>,
    /// Interfaces by which the host reaches the world.
    pub uplinks: Vec<String>,
}

/// The families whose forward chain drops by default, or leads to ours already, with how many rules do.
pub fn needed(socket: &mut Socket, name: &str) -> Result<Vec<(u8, usize)>, NetlinkError> {
    let mut out = Vec::new();
    for family in FAMILIES {
        let jumps = jumps(socket, family, name)?;
        if jumps > 0 || drops(socket, family)? {
            out.push((family, jumps));
        }
    }
    Ok(out)
}

/// Makes the chain in these families, or brings it up to date.
pub fn ensure(
    socket: &mut Socket,
    name: &str,
    needed: &[(u8, usize)],
    ways: &Ways,
) -> Result<(), NetlinkError> {
    for &(family, jumps) in needed {
        let mut batch = vec![chain(family, name), flush_of(family, TABLE, name)];
        for bridge in &ways.bridges {
            batch.push(rule(family, name, |r| r.to(Is::Same, bridge).verdict(Verdict::Accept)));
            for uplink in &ways.uplinks {
                batch.push(rule(family, name, |r| {
                    r.from(bridge).to(Is::Same, uplink).verdict(Verdict::Accept)
                }));
            }
        }
        if jumps == 0 {
            batch.push(rule(family, FORWARD, |r| r.count().verdict(Verdict::Jump(name))));
        }
        match commit(socket, batch) {
            // The other firewall is being changed at this moment.
            Err(e) if e.errno() == Errno::ENOENT => {}
            other => other?,
        }
    }
    Ok(())
}

/// Whether firewalld is in charge, which knows interfaces by zones.
pub fn is_firewalld(socket: &mut Socket) -> Result<bool, NetlinkError> {
    match socket.request(super::message(verb::GETTABLE, ACKED, "firewalld", "looking for firewalld")) {
        Err(e) if e.errno() == Errno::ENOENT => Ok(false),
        other => other.map(|replies| !replies.is_empty()),
    }
}

fn request(verb: u16, flags: u16, family: u8, what: &str) -> Message {
    let mut out = Message::new(SUBSYSTEM | verb, flags, &[family, 0, 0, 0], format!("nftables: {what}"));
    out.text(1, TABLE);
    out
}

fn chain(family: u8, name: &str) -> Message {
    let mut out = request(verb::NEWCHAIN, ACKED | flag::CREATE, family, "adding a chain for passage");
    out.text(3, name);
    out
}

fn rule(family: u8, chain: &str, fill: impl FnOnce(Rule<'_>) -> Rule<'_>) -> Message {
    let flags = ACKED | flag::CREATE | flag::APPEND;
    let mut out = request(verb::NEWRULE, flags, family, "adding a rule for passage");
    out.text(2, chain).nest(4, |list| {
        fill(Rule(list));
    });
    out
}

/// Whether a family's forward chain drops what it has no rule for.
fn drops(socket: &mut Socket, family: u8) -> Result<bool, NetlinkError> {
    let mut get = request(verb::GETCHAIN, ACKED, family, "looking at FORWARD");
    get.text(3, FORWARD);
    let replies = match socket.request(get) {
        Err(e) if e.errno() == Errno::ENOENT => return Ok(false),
        other => other?,
    };
    let policy = |body: &[u8]| attribute(body.get(4..)?, 5).map(|p| u32_at(p, 0));
    Ok(replies.iter().any(|reply| policy(&reply.body) == Some(0)))
}

/// How many rules of a family's forward chain lead to ours.
fn jumps(socket: &mut Socket, family: u8, name: &str) -> Result<usize, NetlinkError> {
    let mut get = request(verb::GETRULE, flag::DUMP, family, "looking at FORWARD's rules");
    get.text(2, FORWARD);
    let replies = match socket.dump(get) {
        Err(e) if e.errno() == Errno::ENOENT => return Ok(0),
        other => other?,
    };
    let leads = |body: &[u8]| {
        let attributes = body.get(4..)?;
        (attribute(attributes, 2).map(string).as_deref() == Some(FORWARD)).then_some(())?;
        let last = crate::message::attributes(attribute(attributes, 4)?).last()?.1;
        let verdict = attribute(attribute(attribute(last, 2)?, 2)?, 2)?;
        (string(attribute(verdict, 2)?) == name).then_some(())
    };
    Ok(replies.iter().filter(|reply| leads(&reply.body).is_some()).count())
}
