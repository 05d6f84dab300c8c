//! The directory of networks: gives out names and subnets, spawns the networks' actors. It holds nothing that is not
//! published or claimed.

use super::actor::{Leases, Network};
use super::board::Known;
use super::plan::{Pool, Wanted, plan};
use crate::shared::{Shared, lock};
use crate::supervise::{Answer, ChildSpec, Ctx, Intensity, Member, Message, OverLimit, spawn};
use contract::PortError;
use contract::network::Taken;
use contract::record::NetworkSpec;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Networks on their way to being published; outlives the directory's actor.
#[derive(Debug, Clone, Default)]
pub struct Planned(Arc<Mutex<Vec<Arc<NetworkSpec>>>>);

impl Planned {
    /// Whether one of them is like this.
    pub fn any(&self, like: impl Fn(&NetworkSpec) -> bool) -> bool {
        lock(&self.0).iter().any(|n| like(n))
    }
}

/// A name and a subnet that nobody else gets while this lives.
#[derive(Debug)]
#[must_use]
pub struct Claim {
    planned: Planned,
    /// The network.
    pub network: Arc<NetworkSpec>,
}

impl Drop for Claim {
    fn drop(&mut self) {
        lock(&self.planned.0).retain(|n| n.id != self.network.id);
    }
}

/// Gives out names and subnets.
pub struct Networks {
    shared: Arc<Shared>,
}

impl Networks {
    /// A directory over what is published.
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

impl Member for Networks {}

/// Claims name and subnet of a new network.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What is asked for.
    pub wanted: Wanted,
    /// What the host has.
    pub taken: Taken,
    /// Where subnets come from.
    pub pools: Arc<Vec<Pool>>,
}

impl Message for Plan {
    type Result = Result<Claim, PortError>;
}

impl Answer<Plan> for Networks {
    fn answer(&mut self, message: Plan, _: &mut Ctx<Self>) -> Result<Claim, PortError> {
        let planned = self.shared.planned.clone();
        let mut waiting = lock(&planned.0);
        let published = self.shared.networks.list();
        let known: Vec<&NetworkSpec> =
            published.iter().map(|n| &*n.spec).chain(waiting.iter().map(|n| &**n)).collect();
        let network = Arc::new(plan(message.wanted, &known, &message.taken, &message.pools)?);
        waiting.push(Arc::clone(&network));
        drop(waiting);
        Ok(Claim { planned, network })
    }
}

/// Gives a network its actor and publishes it; may be repeated.
pub fn open(shared: &Arc<Shared>, spec: Arc<NetworkSpec>) {
    if shared.networks.get(&spec.id).is_some() {
        return;
    }
    let leases = Leases::default();
    let (own, held) = (Arc::clone(&spec), leases.clone());
    // The default network is known by its bridge, of which each daemon has its own.
    let name = if spec.name == super::DEFAULT { &spec.segment.name } else { &spec.name };
    let mut child = ChildSpec::new(format!("network:{name}"), "network", move |_| {
        Network::new(Arc::clone(&own), held.clone())
    })
    .under("networks");
    // The directory's fault is not the network's.
    child.outlives_parent = true;
    child.intensity = Intensity { max_respawns: 20, window: Duration::from_secs(60) };
    child.over_limit = OverLimit::Park;
    let link = spawn(child, &shared.registry);
    shared.networks.publish(Known { spec, link, leases });
}
