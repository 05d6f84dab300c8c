//! What the table has of one network: an entry in each map, and a chain that rewrites sources.

use super::expr::{Is, Verdict};
use super::ruleset::{BRIDGES, INVITED, INWARD, NAT, OPEN, OUTWARD, REFUSED, WITHIN};
use super::ruleset::{flush, loopback4, loopback6, plain_chain, rule};
use super::set::{self, Data, Element};
use super::{message, verb};
use crate::error::NetlinkError;
use crate::message::{Message, string};
use crate::socket::{ACKED, Socket};
use contract::network::{Family, GatewayMode, Segment, Subnet};

/// Adds entries and chain. Entries that say something else make the transaction fail.
pub fn ensure(table: &str, segment: &Segment) -> Vec<Message> {
    let [nat, into] = chain_names(&segment.name);
    let mut out = Vec::new();
    for chain in [&nat, &into] {
        out.extend([plain_chain(table, chain), flush(table, chain)]);
    }
    out.extend(rewrites(table, &nat, segment));
    out.extend(welcomes(table, &into, segment));
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
        false => (Verdict::Continue, Verdict::Goto(&into)),
    };
    for (set, key, data) in [
        (BRIDGES, &own, Data::None),
        (WITHIN, &both, Data::Verdict(within)),
        (OUTWARD, &own, Data::Verdict(outward)),
        (INWARD, &own, Data::Verdict(inward)),
        (NAT, &own, Data::Verdict(Verdict::Jump(&nat))),
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
    for chain in chain_names(bridge).iter().filter(|_| chained) {
        out.push(flush(table, chain));
        let mut gone = message(verb::DELCHAIN, ACKED, table, &format!("deleting chain {chain}"));
        gone.text(3, chain);
        out.push(gone);
    }
    Ok(out)
}

/// The networks that the table knows.
pub fn list(socket: &mut Socket, table: &str) -> Result<Vec<String>, NetlinkError> {
    let replies = set::list(socket, table, BRIDGES)?;
    Ok(replies.iter().flat_map(set::elements).filter_map(set::key).map(string).collect())
}

/// Chains where sources are rewritten, and where it is decided what comes in.
fn chain_names(bridge: &str) -> [String; 2] {
    [format!("nat_{bridge}"), format!("into_{bridge}")]
}

/// Who else than the invited may come in.
fn welcomes(table: &str, chain: &str, segment: &Segment) -> Vec<Message> {
    let mut out = Vec::new();
    if segment.policy.internal {
        return out;
    }
    for (family, open) in [(Family::Four, OPEN[0]), (Family::Six, OPEN[1])] {
        match segment.mode(family) {
            GatewayMode::NatUnprotected => out.push(rule(table, chain, |r| {
                r.family(family).verdict(Verdict::Accept);
            })),
            GatewayMode::Routed => {
                out.push(rule(table, chain, |r| {
                    r.reaching_one_of(family, open).verdict(Verdict::Accept);
                }));
                out.push(rule(table, chain, |r| {
                    r.echo(family).verdict(Verdict::Accept);
                }));
            }
            GatewayMode::Nat | GatewayMode::Isolated => {}
        }
        for interface in &segment.trusted {
            out.push(rule(table, chain, |r| {
                r.from(interface).reaching_one_of(family, open).verdict(Verdict::Accept);
            }));
        }
    }
    out.push(rule(table, chain, |r| {
        r.verdict(Verdict::Goto(INVITED));
    }));
    out
}

fn rewrites(table: &str, chain: &str, segment: &Segment) -> Vec<Message> {
    let name = &segment.name;
    let own: Vec<Subnet> = segment.subnet().into_iter().chain(segment.subnet6()).collect();
    let mut out = Vec::new();
    if segment.policy.masquerade && !segment.policy.internal {
        for subnet in own.iter().filter(|s| segment.mode(s.family()) != GatewayMode::Routed) {
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
