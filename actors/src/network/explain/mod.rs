//! What there is to say of networks: who holds which address, what is left, what is reached from where. Pure, out of what
//! is published and what the kernel has.

mod addresses;
mod kernel;
mod members;
mod pools;
mod reach;
#[cfg(test)]
mod tests;

pub use addresses::{Holder, HolderKind, SubnetUse};
pub use kernel::Kernel;
pub use members::{ExplainedPort, Member};
pub use pools::{Held, PoolUse};
pub use reach::Reach;

use super::actor::Lease;
use super::plan::Pool;
use crate::Snapshot;
use contract::network::{Endpoint, Survey, Taken};
use contract::record::NetworkSpec;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is looked at.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Where subnets of new networks come from.
    pub pools: Arc<Vec<Pool>>,
    /// What the host has.
    pub taken: Taken,
    /// The networks that have addresses.
    pub networks: Vec<NetworkFacts>,
    /// All containers.
    pub containers: Vec<Arc<Snapshot>>,
}

/// One network as it is published and found.
#[derive(Debug, Clone)]
pub struct NetworkFacts {
    /// What it is.
    pub spec: Arc<NetworkSpec>,
    /// Who has which addresses.
    pub leases: BTreeMap<String, Lease>,
    /// What the kernel has of it, or why that is not known.
    pub survey: Result<Survey, String>,
}

/// All that is said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Pools of subnets, in the order in which they are used.
    pub pools: Vec<PoolUse>,
    /// The networks.
    pub networks: Vec<Explained>,
}

/// What is said of one network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explained {
    /// 64 hex digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its driver.
    pub driver: String,
    /// Its interface on the host; empty where it has none.
    pub interface: String,
    /// Nothing passes between its containers and the world.
    pub internal: bool,
    /// Its subnets, IPv4 first.
    pub subnets: Vec<SubnetUse>,
    /// Containers on it that run.
    pub members: Vec<Member>,
    /// Their ports, and from where they are reached.
    pub ports: Vec<ExplainedPort>,
    /// What others reach of it, and what it reaches, as sentences.
    pub reach: Vec<String>,
    /// Whether the kernel has what is wanted; not of networks that have nothing of their own there.
    pub kernel: Option<Kernel>,
}

/// Says it, of all networks, or of that with this id.
pub fn explain(facts: &Facts, only: Option<&str>) -> Explanation {
    let chosen = |id: &str| only.is_none_or(|only| only == id);
    let mut networks: Vec<Explained> =
        facts.networks.iter().filter(|n| chosen(&n.spec.id)).map(|n| network(n, &facts.containers)).collect();
    for (name, driver) in super::BUILT_IN.into_iter().filter(|(name, _)| *name != super::DEFAULT) {
        let id = super::id(name);
        if chosen(&id) {
            networks.push(Explained {
                members: members::without_addresses(&facts.containers, name),
                reach: reach::without_addresses(name),
                id,
                name: name.into(),
                driver: driver.into(),
                interface: String::new(),
                internal: name == "none",
                subnets: Vec::new(),
                ports: Vec::new(),
                kernel: None,
            });
        }
    }
    Explanation { pools: pools::all(facts), networks }
}

/// The containers that run on a network, with their endpoints.
type On<'a> = Vec<(&'a Snapshot, &'a Endpoint)>;

fn network(facts: &NetworkFacts, containers: &[Arc<Snapshot>]) -> Explained {
    let spec = &*facts.spec;
    let mut on: On<'_> = Vec::new();
    for snapshot in containers.iter().filter(|s| s.pid != 0) {
        let endpoints = snapshot.state.endpoints.iter().filter(|e| e.network == spec.id);
        on.extend(endpoints.map(|e| (&**snapshot, e)));
    }
    on.sort_by(|(a, _), (b, _)| a.state.name.cmp(&b.state.name));
    Explained {
        id: spec.id.clone(),
        name: spec.name.clone(),
        driver: super::driver(spec).to_owned(),
        interface: spec.segment.name.clone(),
        internal: spec.segment.is_internal(),
        subnets: addresses::subnets(facts, containers),
        members: on.iter().map(|(s, e)| members::member(s, e)).collect(),
        ports: members::ports(&spec.segment, &on, facts.survey.as_ref().ok()),
        reach: reach::sentences(spec),
        kernel: spec.configuration.is_none().then(|| kernel::compare(facts, &on)),
    }
}
