//! What is left of the pools.

use super::Facts;
use crate::network::plan::Pool;
use contract::network::{Subnet, number};
use serde::Serialize;

/// A pool of subnets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PoolUse {
    /// All its addresses.
    pub base: String,
    /// Prefix length of a network made from it.
    pub size: u8,
    /// How many networks it has room for when nothing is in the way.
    pub networks: u64,
    /// How many still.
    pub left: u64,
    /// What lies in it.
    pub held: Vec<Held>,
}

/// A subnet that is in use.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Held {
    /// The subnet.
    pub subnet: String,
    /// By what.
    pub by: String,
}

/// All pools with what lies in them.
pub fn all(facts: &Facts) -> Vec<PoolUse> {
    let mut used: Vec<(Subnet, String)> = Vec::new();
    for network in &facts.networks {
        let segment = &network.spec.segment;
        let subnets = [segment.subnet(), segment.subnet6()].into_iter().flatten();
        used.extend(subnets.map(|subnet| (subnet, format!("network {}", network.spec.name))));
    }
    // A network's bridge brings a route; that is not told twice.
    let ours = |route: &Subnet| used.iter().any(|(subnet, _)| subnet == route);
    let mut routes: Vec<Subnet> = facts.taken.subnets.iter().filter(|r| !ours(r)).copied().collect();
    routes.sort_unstable();
    routes.dedup();
    used.extend(routes.into_iter().map(|route| (route, "a route of this host".to_owned())));
    facts.pools.iter().map(|pool| one(pool, &used)).collect()
}

fn one(pool: &Pool, used: &[(Subnet, String)]) -> PoolUse {
    let inside: Vec<&(Subnet, String)> = used.iter().filter(|(s, _)| s.overlaps(pool.base)).collect();
    let networks = room(pool);
    let taken = taken(pool, inside.iter().map(|(subnet, _)| *subnet));
    PoolUse {
        base: pool.base.to_string(),
        size: pool.size,
        networks: u64::try_from(networks).unwrap_or(u64::MAX),
        left: u64::try_from(networks.saturating_sub(taken)).unwrap_or(u64::MAX),
        held: inside.iter().map(|(s, by)| Held { subnet: s.to_string(), by: by.clone() }).collect(),
    }
}

fn room(pool: &Pool) -> u128 {
    1_u128.checked_shl(pool.size.saturating_sub(pool.base.prefix).into()).unwrap_or(u128::MAX)
}

/// How many places for a network are touched by what is in use.
fn taken(pool: &Pool, used: impl Iterator<Item = Subnet>) -> u128 {
    let free_bits = u32::from(pool.base.family().bits().saturating_sub(pool.size));
    let first = number(pool.base.address);
    let place = |at: u128| at.saturating_sub(first).checked_shr(free_bits).unwrap_or(0);
    let (lowest, highest) = pool.base.bounds();
    let mut places: Vec<(u128, u128)> = used
        .map(|subnet| {
            let (from, to) = subnet.bounds();
            (place(from.max(lowest)), place(to.min(highest)))
        })
        .collect();
    places.sort_unstable();
    let (mut count, mut next) = (0_u128, 0_u128);
    for (from, to) in places {
        let from = from.max(next);
        if to >= from {
            count = count.saturating_add(to - from).saturating_add(1);
            next = to.saturating_add(1);
        }
    }
    count
}
