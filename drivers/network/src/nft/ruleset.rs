//! What all networks share: chains, maps, and the rules that look packets up in them.

use super::expr::{Rule, Verdict};
use super::{SUBSYSTEM, acked, message, set, verb};
use crate::bridge;
use crate::message::{Message, flag};
use crate::socket::ACKED;
use contract::network::{Family, Subnet};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Ports published on every address: protocol . port → address . port.
pub const ANY: [&str; 2] = ["ports_any4", "ports_any6"];
/// Ports published on one address: protocol . address . port → address . port.
pub const ONE: [&str; 2] = ["ports_one4", "ports_one6"];
/// Ports open at containers' own addresses: protocol . address . port.
pub const OPEN: [&str; 2] = ["open4", "open6"];
/// Our bridges.
pub const BRIDGES: &str = "bridges";
/// What becomes of what passes from a bridge to itself.
pub const WITHIN: &str = "within";
/// What becomes of what leaves a bridge.
pub const OUTWARD: &str = "outward";
/// What becomes of what enters a bridge.
pub const INWARD: &str = "inward";
/// Where sources are rewritten.
pub const NAT: &str = "nat";

/// The chain that lets in what is known or was sent on, and nothing else.
pub const INVITED: &str = "invited";
/// The chain that counts and drops.
pub const REFUSED: &str = "refused";

const PREROUTING: u32 = 0;
const FORWARD: u32 = 2;
const OUTPUT: u32 = 3;
const POSTROUTING: u32 = 4;

/// A hook, its type and priority.
struct Hook(&'static str, u32, i32);

/// The 127.0.0.0/8 of IPv4.
pub fn loopback4() -> Subnet {
    Subnet::around(Ipv4Addr::LOCALHOST, 8)
}

/// The ::1 of IPv6.
pub fn loopback6() -> Subnet {
    Subnet::around(Ipv6Addr::LOCALHOST, 128)
}

/// Makes what is missing and replaces the shared rules; maps keep their elements, networks their chains.
pub fn base(table: &str) -> Vec<Message> {
    let mut out = vec![
        acked(verb::NEWTABLE, table, "adding table"),
        set::make(table, ANY[0], 1, set::ANY, Some(set::TO4)),
        set::make(table, ANY[1], 2, set::ANY, Some(set::TO6)),
        set::make(table, ONE[0], 3, set::ONE4, Some(set::TO4)),
        set::make(table, ONE[1], 4, set::ONE6, Some(set::TO6)),
        set::make(table, OPEN[0], 10, set::ONE4, None),
        set::make(table, OPEN[1], 11, set::ONE6, None),
        set::make(table, BRIDGES, 5, set::NAME, None),
        set::make(table, WITHIN, 6, set::BOTH, Some(set::DECISION)),
        set::make(table, OUTWARD, 7, set::NAME, Some(set::DECISION)),
        set::make(table, INWARD, 8, set::NAME, Some(set::DECISION)),
        set::make(table, NAT, 9, set::NAME, Some(set::DECISION)),
    ];
    for (name, hook) in [
        (INVITED, None),
        (REFUSED, None),
        ("guard", Some(Hook("filter", PREROUTING, -300))),
        ("prerouting", Some(Hook("nat", PREROUTING, -100))),
        ("output", Some(Hook("nat", OUTPUT, -100))),
        ("forward", Some(Hook("filter", FORWARD, 0))),
        ("postrouting", Some(Hook("nat", POSTROUTING, 100))),
    ] {
        out.push(chain(table, name, hook));
        out.push(flush(table, name));
    }
    out.extend(filters(table));
    out.extend(rewrites(table));
    out
}

/// Takes a table away with all that it holds, whether it is there or not.
pub fn anew(table: &str) -> Vec<Message> {
    vec![acked(verb::NEWTABLE, table, "adding table"), delete(table)]
}

/// Deletes the table.
pub fn delete(table: &str) -> Message {
    message(verb::DELTABLE, ACKED, table, "deleting table")
}

fn filters(table: &str) -> Vec<Message> {
    vec![
        // route_localnet on bridges would open the host's loopback services to containers.
        rule(table, "guard", |r| {
            r.entered_by_one_of(BRIDGES).destination(loopback4()).count().verdict(Verdict::Drop);
        }),
        rule(table, INVITED, |r| {
            r.known().verdict(Verdict::Accept);
        }),
        rule(table, INVITED, |r| {
            r.redirected().verdict(Verdict::Accept);
        }),
        rule(table, INVITED, |r| {
            r.verdict(Verdict::Goto(REFUSED));
        }),
        // What neighbours on a link need to find each other (RFC 4890, 4.4.1), where bridged frames come by here.
        rule(table, REFUSED, |r| {
            r.icmp6(130..=137).verdict(Verdict::Accept);
        }),
        rule(table, REFUSED, |r| {
            r.icmp6(143..=143).verdict(Verdict::Accept);
        }),
        rule(table, REFUSED, |r| {
            r.count().verdict(Verdict::Drop);
        }),
        rule(table, "forward", |r| {
            r.by_both(WITHIN);
        }),
        rule(table, "forward", |r| {
            r.by_entrance(OUTWARD);
        }),
        rule(table, "forward", |r| {
            r.by_exit(INWARD);
        }),
    ]
}

fn rewrites(table: &str) -> Vec<Message> {
    // A neighbour must not reach what is published on loopback addresses alone.
    let mut out: Vec<Message> = [loopback4(), loopback6()].map(|own| back(table, "prerouting", own)).into();
    if !bridge::returns_to_loopback6() {
        out.push(back(table, "output", loopback6()));
    }
    for chain in ["prerouting", "output"] {
        for (family, any, one) in [(Family::Four, ANY[0], ONE[0]), (Family::Six, ANY[1], ONE[1])] {
            out.push(rule(table, chain, |r| {
                r.redirect_by_address(family, one);
            }));
            out.push(rule(table, chain, |r| {
                r.redirect_by_port(family, any);
            }));
        }
    }
    out.push(rule(table, "postrouting", |r| {
        r.by_exit(NAT);
    }));
    out.push(rule(table, "postrouting", |r| {
        r.by_entrance(NAT);
    }));
    out
}

fn back(table: &str, chain: &str, own: Subnet) -> Message {
    rule(table, chain, |r| {
        r.destination(own).verdict(Verdict::Return);
    })
}

/// Adds a rule at the end of a chain.
pub fn rule(table: &str, chain: &str, fill: impl FnOnce(Rule<'_>)) -> Message {
    let mut out = message(
        verb::NEWRULE,
        ACKED | flag::CREATE | flag::APPEND,
        table,
        &format!("adding rule to {chain}"),
    );
    out.text(2, chain).nest(4, |list| fill(Rule(list)));
    out
}

/// Takes all rules of a chain away.
pub fn flush(table: &str, chain: &str) -> Message {
    let mut out = message(verb::DELRULE, ACKED, table, &format!("flushing chain {chain}"));
    out.text(2, chain);
    out
}

/// The same in a table of another family.
pub fn flush_of(family: u8, table: &str, chain: &str) -> Message {
    let what = format!("nftables: flushing chain {chain}");
    let mut out = Message::new(SUBSYSTEM | verb::DELRULE, ACKED, &[family, 0, 0, 0], what);
    out.text(1, table).text(2, chain);
    out
}

/// Makes a chain; one that is there already stays as it is.
pub fn plain_chain(table: &str, name: &str) -> Message {
    chain(table, name, None)
}

/// Makes a chain where locally made connections' destinations are rewritten.
pub fn output_chain(table: &str) -> Message {
    chain(table, "output", Some(Hook("nat", OUTPUT, -100)))
}

fn chain(table: &str, name: &str, hook: Option<Hook>) -> Message {
    let mut out = acked(verb::NEWCHAIN, table, &format!("adding chain {name}"));
    out.text(3, name);
    if let Some(Hook(kind, number, priority)) = hook {
        out.text(7, kind).nest(4, |h| {
            h.be32(1, number).be32(2, priority as u32);
        });
    }
    out
}
