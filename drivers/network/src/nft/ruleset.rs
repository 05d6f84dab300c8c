//! The table of one bridge.

use super::expr::{Is, Rule, Verdict};
use super::{acked, commit, message, table_name, verb};
use crate::error::NetlinkError;
use crate::message::{Message, flag};
use crate::socket::{ACKED, Socket};
use contract::network::Segment;
use nix::errno::Errno;
use std::net::Ipv4Addr;

/// Map of ports published on every address: protocol . port → address . port.
pub const ANY: &str = "ports_any";
/// Map of ports published on one address: protocol . address . port → address . port.
pub const ONE: &str = "ports_one";

const PREROUTING: u32 = 0;
const FORWARD: u32 = 2;
const OUTPUT: u32 = 3;
const POSTROUTING: u32 = 4;

/// Replaces all rules in one transaction; the maps keep their elements.
pub fn ensure(socket: &mut Socket, bridge: &Segment) -> Result<(), NetlinkError> {
    let table = table_name(&bridge.name);
    let mut batch = vec![acked(verb::NEWTABLE, &table, "adding table")];
    batch.push(chain(&table, "guard", "filter", PREROUTING, -300));
    batch.push(chain(&table, "prerouting", "nat", PREROUTING, -100));
    batch.push(chain(&table, "output", "nat", OUTPUT, -100));
    batch.push(chain(&table, "postrouting", "nat", POSTROUTING, 100));
    batch.push(chain(&table, "forward", "filter", FORWARD, 0));
    batch.push(message(verb::DELRULE, ACKED, &table, "flushing rules"));
    batch.push(map(&table, ANY, 1, 0x30d, 8));
    batch.push(map(&table, ONE, 2, 0xc1cd, 12));
    batch.extend(rules(&table, bridge));
    commit(socket, batch)
}

/// A table that only leads connections made here to where its map says.
pub fn ensure_redirect(socket: &mut Socket, name: &str) -> Result<(), NetlinkError> {
    let table = table_name(name);
    let batch = vec![
        acked(verb::NEWTABLE, &table, "adding table"),
        chain(&table, "output", "nat", OUTPUT, -100),
        message(verb::DELRULE, ACKED, &table, "flushing rules"),
        map(&table, ANY, 1, 0x30d, 8),
        map(&table, ONE, 2, 0xc1cd, 12),
        rule(&table, "output", |r| {
            r.ipv4().redirect_by_address(ONE);
        }),
    ];
    commit(socket, batch)
}

/// Deletes the table; a missing one is fine.
pub fn remove(socket: &mut Socket, bridge: &str) -> Result<(), NetlinkError> {
    let table = table_name(bridge);
    match commit(socket, vec![message(verb::DELTABLE, ACKED, &table, "deleting table")]) {
        Err(e) if e.errno() != Errno::ENOENT => Err(e),
        _ => Ok(()),
    }
}

fn rules(table: &str, bridge: &Segment) -> Vec<Message> {
    const LOOPBACK: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 0);
    let name = &bridge.name;
    let mut out = vec![
        // route_localnet on the bridge would open the host's loopback services to containers.
        rule(table, "guard", |r| {
            r.from(name).ipv4().destination(LOOPBACK, 8).count().verdict(Verdict::Drop);
        }),
        // A neighbour must not reach what is published on 127.0.0.1 alone.
        rule(table, "prerouting", |r| {
            r.ipv4().destination(LOOPBACK, 8).verdict(Verdict::Return);
        }),
        rule(table, "prerouting", |r| {
            r.ipv4().redirect_by_address(ONE);
        }),
        rule(table, "prerouting", |r| {
            r.ipv4().for_this_host().redirect_by_port(ANY);
        }),
        rule(table, "output", |r| {
            r.ipv4().redirect_by_address(ONE);
        }),
        rule(table, "output", |r| {
            r.ipv4().for_this_host().redirect_by_port(ANY);
        }),
        // The container cannot answer 127.0.0.1.
        rule(table, "postrouting", |r| {
            r.ipv4().to(Is::Same, name).source(LOOPBACK, 8).masquerade();
        }),
    ];
    let policy = bridge.policy;
    if let Some(gateway) = bridge.gateway {
        // A container reaching a neighbour, or itself, through a published port: the answer must come back here.
        out.push(rule(table, "postrouting", |r| {
            r.ipv4().to(Is::Same, name).source(gateway, bridge.prefix).redirected().masquerade();
        }));
        if policy.masquerade && !policy.internal {
            out.push(rule(table, "postrouting", |r| {
                r.ipv4().source(gateway, bridge.prefix).to(Is::Other, name).masquerade();
            }));
        }
    }
    if policy.internal {
        out.push(rule(table, "forward", |r| {
            r.from(name).to(Is::Other, name).count().verdict(Verdict::Drop);
        }));
    } else {
        out.push(rule(table, "forward", |r| {
            r.to(Is::Same, name).known().verdict(Verdict::Accept);
        }));
        out.push(rule(table, "forward", |r| {
            r.to(Is::Same, name).redirected().verdict(Verdict::Accept);
        }));
    }
    if !policy.icc {
        // Also for isolated ports: a container could go by way of the bridge's own address.
        out.push(rule(table, "forward", |r| {
            r.from(name).to(Is::Same, name).count().verdict(Verdict::Drop);
        }));
    }
    out.push(rule(table, "forward", |r| {
        r.from(name).verdict(Verdict::Accept);
    }));
    out.push(rule(table, "forward", |r| {
        r.to(Is::Same, name).count().verdict(Verdict::Drop);
    }));
    out
}

fn rule(table: &str, chain: &str, fill: impl FnOnce(Rule<'_>)) -> Message {
    let mut out = message(
        verb::NEWRULE,
        ACKED | flag::CREATE | flag::APPEND,
        table,
        &format!("adding rule to {chain}"),
    );
    out.text(2, chain).nest(4, |list| fill(Rule(list)));
    out
}

fn chain(table: &str, name: &str, kind: &str, hook: u32, priority: i32) -> Message {
    let mut out = acked(verb::NEWCHAIN, table, &format!("adding chain {name}"));
    out.text(3, name).text(7, kind).nest(4, |h| {
        h.be32(1, hook).be32(2, priority as u32);
    });
    out
}

/// Key types count six bits per field: inet_proto 12, ipv4_addr 7, inet_service 13.
fn map(table: &str, name: &str, id: u32, key_type: u32, key_length: u32) -> Message {
    const MAP: u32 = 8;
    const ADDRESS_AND_PORT: u32 = 7 << 6 | 13;
    let mut out = acked(verb::NEWSET, table, &format!("adding map {name}"));
    out.text(2, name).be32(3, MAP).be32(4, key_type).be32(5, key_length);
    out.be32(6, ADDRESS_AND_PORT).be32(7, 8).be32(10, id);
    out
}
