//! What of a batch of messages is not in the kernel.

use super::{SUBSYSTEM, message, set, verb};
use crate::error::NetlinkError;
use crate::message::{Message, attribute, attributes, flag, string};
use crate::socket::Socket;
use nix::errno::Errno;
use std::collections::{BTreeMap, HashSet};

/// Bytes before the attributes of a message.
const FIXED: usize = 4;

/// Compares how many rules each chain has, and which keys each set. Contents of rules are not compared: whoever changes
/// one takes it away and adds another, of which the kernel tells.
pub fn missing(socket: &mut Socket, table: &str, wanted: &[Message]) -> Result<Vec<String>, NetlinkError> {
    let mut rules: BTreeMap<String, usize> = BTreeMap::new();
    let mut elements: BTreeMap<String, Vec<&[u8]>> = BTreeMap::new();
    for message in wanted {
        let name = |attribute| message.attribute(FIXED, attribute).map(string).unwrap_or_default();
        if message.kind() == SUBSYSTEM | verb::NEWRULE {
            *rules.entry(name(2)).or_default() += 1;
        } else if message.kind() == SUBSYSTEM | verb::NEWSETELEM {
            let list = message.attribute(FIXED, 3).unwrap_or_default();
            let keys = attributes(list).filter_map(|(_, element)| set::key(element));
            elements.entry(name(2)).or_default().extend(keys);
        }
    }
    let present = present_rules(socket, table)?;
    if present.is_empty() {
        return Ok(vec![format!("table inet {table}")]);
    }
    let mut out = Vec::new();
    for (chain, count) in rules {
        let there = present.get(&chain).copied().unwrap_or(0);
        if there < count {
            out.push(format!("{} of {count} rules of chain {chain}", count - there));
        }
    }
    for (name, keys) in elements {
        let replies = set::list(socket, table, &name)?;
        let there: HashSet<&[u8]> = replies.iter().flat_map(set::elements).filter_map(set::key).collect();
        let gone = keys.iter().filter(|key| !there.contains(*key)).count();
        if gone > 0 {
            out.push(format!("{gone} of {} entries of {name}", keys.len()));
        }
    }
    Ok(out)
}

/// How many rules each chain has.
fn present_rules(socket: &mut Socket, table: &str) -> Result<BTreeMap<String, usize>, NetlinkError> {
    let replies = match socket.dump(message(verb::GETRULE, flag::DUMP, table, "listing rules")) {
        Err(e) if e.errno() == Errno::ENOENT => return Ok(BTreeMap::new()),
        other => other?,
    };
    let mut out = BTreeMap::new();
    for body in replies.iter().filter_map(|r| r.body.get(FIXED..)) {
        // Kernels before 5.3 tell of every table.
        if attribute(body, 1).map(string).as_deref() == Some(table) {
            *out.entry(attribute(body, 2).map(string).unwrap_or_default()).or_default() += 1;
        }
    }
    Ok(out)
}
