//! Who holds which address.

use super::NetworkFacts;
use crate::Snapshot;
use crate::network::allocator::Allocator;
use contract::network::{Family, number};
use serde::Serialize;
use std::net::IpAddr;
use std::sync::Arc;

/// One of a network's subnets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SubnetUse {
    /// The subnet.
    pub subnet: String,
    /// The part of it from which addresses are handed out, when not the whole.
    pub range: Option<String>,
    /// The gateway.
    pub gateway: Option<String>,
    /// How many addresses can be handed out; the largest number stands for more.
    pub addresses: u64,
    /// How many of them nobody has.
    pub free: u64,
    /// Who has one, in order.
    pub holders: Vec<Holder>,
}

/// An address that is not to be had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Holder {
    /// The address.
    pub address: IpAddr,
    /// What has it.
    pub kind: HolderKind,
    /// The container's name, or what it is set apart for.
    pub name: String,
    /// The container's id.
    pub container: Option<String>,
}

/// What may have an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HolderKind {
    /// The way out.
    Gateway,
    /// Set apart when the network was made.
    Reserved,
    /// A container.
    Container,
}

/// A network's subnets with their holders.
pub fn subnets(facts: &NetworkFacts, containers: &[Arc<Snapshot>]) -> Vec<SubnetUse> {
    [Family::Four, Family::Six].into_iter().filter_map(|family| one(facts, containers, family)).collect()
}

fn one(facts: &NetworkFacts, containers: &[Arc<Snapshot>], family: Family) -> Option<SubnetUse> {
    let spec = &*facts.spec;
    let segment = &spec.segment;
    let gateway = segment.gateway(family).filter(|_| segment.has_gateway());
    let (subnet, range) = match family {
        Family::Four => (segment.subnet()?, spec.range),
        Family::Six => (segment.subnet6()?, spec.range6),
    };
    let mut allocator = Allocator::new(spec, family)?;
    let mut holders = Vec::new();
    holders.extend(gateway.map(|address| Holder {
        address,
        kind: HolderKind::Gateway,
        name: segment.name.clone(),
        container: None,
    }));
    for (name, address) in spec.auxiliary.iter().filter(|(_, a)| Family::of(**a) == family) {
        let (kind, name) = (HolderKind::Reserved, name.clone());
        holders.push(Holder { address: *address, kind, name, container: None });
    }
    for (id, lease) in &facts.leases {
        let address = match family {
            Family::Four => lease.four.map(IpAddr::V4),
            Family::Six => lease.six.map(IpAddr::V6),
        };
        let Some(address) = address else { continue };
        allocator.hold(address, id);
        let known = containers.iter().find(|s| s.spec.id == *id);
        let short = || id.get(..12).unwrap_or(id).to_owned();
        holders.push(Holder {
            address,
            kind: HolderKind::Container,
            name: known.map_or_else(short, |s| s.state.name.clone()),
            container: Some(id.clone()),
        });
    }
    holders.sort_by_key(|h| number(h.address));
    let room = allocator.room();
    let told = |count: u128| u64::try_from(count).unwrap_or(u64::MAX);
    Some(SubnetUse {
        subnet: subnet.to_string(),
        range: range.map(|r| r.to_string()),
        gateway: gateway.map(|g| g.to_string()),
        addresses: told(room.all),
        free: told(room.free),
        holders,
    })
}
