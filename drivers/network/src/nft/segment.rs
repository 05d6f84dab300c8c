//! What the table has of one network: an entry in each map, and a chain that rewrites sources.

use super::expr::{Is, Verdict};
use super::ruleset::{BRIDGES, INVITED, INWARD, NAT, OUTWARD, REFUSED, WITHIN, flush, plain_chain, rule};
use super::ruleset::{loopback4, loopback6};
use super::set::{self, Data, Element};
use super::{message, verb};
use crate::error::NetlinkError;
use crate::message::{Message, string};
use crate::socket::{ACKED, Socket};
use contract::network::{Segment, Subnet};

/// Adds entries and chain. Entries that say something else make the transaction fail.
pub fn ensure(table: &str, segment: &Segment) -> Vec<Message> {
    let chain = chain_name(&segment.name);
    let mut out = vec![plain_chain(table, &chain), flush(table, &chain)];
    out.extend(rewrites(table, &chain, segment));
    let (own, both) = (set::entrance(&segment.name), set::within(&segment.name));
    let policy = segment.policy;
    let within = match (policy.icc, policy.internal) {
        (true, _) => Verdict::Accept,
        // Also for isolated ports: a container could go by way of the bridge's own address.
        (false, true) => Verdict::Goto(REFUSED),
        (false, false) => Verdict::Goto(INVITED),
    };
    let (outward, inward) = match policy.internal {
        true => (Verdict::Goto(REFUSED), Verdict::Goto(REFUSED)),
        false => (Verdict::Continue, Verdict::Goto(INVITED)),
    };
    for (set, key, data) in [
        (BRIDGES, &own, Data::None),
        (WITHIN, &both, Data::Verdict(within)),
        (OUTWARD, &own, Data::Verdict(outward)),
        (INWARD, &own, Data::Verdict(inward)),
        (NAT, &own, Data::Verdict(Verdict::Jump(&chain))),
    ] {
        out.push(set::add(table, set, &[Element { key, data }]));
    }
    out
}

/// Takes away what is there of a network.
pub fn remove(socket: &mut Socket, table: &str, bridge: &str) -> Result<Vec<Message>, NetlinkError> {
    let (own, both) = (set::entrance(bridge), set::within(bridge));
    let mut out = Vec::new();
    let mut chained = false;
    for (set, key) in [(BRIDGES, &own), (WITHIN, &both), (OUTWARD, &own), (INWARD, &own), (NAT, &own)] {
        if set::find(socket, table, set, key)?.is_some() {
            out.push(set::delete(table, set, &[Element { key, data: Data::None }]));
            chained |= set == NAT;
        }
    }
    if chained {
        let chain = chain_name(bridge);
        out.push(flush(table, &chain));
        let mut gone = message(verb::DELCHAIN, ACKED, table, &format!("deleting chain {chain}"));
        gone.text(3, &chain);
        out.push(gone);
    }
    Ok(out)
}

/// The networks that the table knows.
pub fn list(socket: &mut Socket, table: &str) -> Result<Vec<String>, NetlinkError> {
    let replies = set::list(socket, table, BRIDGES)?;
    Ok(replies.iter().flat_map(set::elements).filter_map(set::key).map(string).collect())
}

fn chain_name(bridge: &str) -> String {
    format!("nat_{bridge}")
}

fn rewrites(table: &str, chain: &str, segment: &Segment) -> Vec<Message> {
    let name = &segment.name;
    let own: Vec<Subnet> = segment.subnet().into_iter().chain(segment.subnet6()).collect();
    let mut out = Vec::new();
    if segment.policy.masquerade && !segment.policy.internal {
        for subnet in &own {
            out.push(rule(table, chain, |r| {
                r.to(Is::Other, name).source(*subnet).masquerade();
            }));
        }
    }
    // The container cannot answer a loopback address.
    for loopback in [loopback4(), loopback6()] {
        out.push(rule(table, chain, |r| {
            r.to(Is::Same, name).source(loopback).masquerade();
        }));
    }
    // A container reaching a neighbour, or itself, through a published port: the answer must come back here.
    for subnet in own {
        out.push(rule(table, chain, |r| {
            r.to(Is::Same, name).source(subnet).redirected().masquerade();
        }));
    }
    out
}
