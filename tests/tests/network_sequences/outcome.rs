//! What each operation makes of the world.

use crate::model::{Container, Joined, Mode, Network, Op, Outcome, World};
use std::collections::BTreeMap;

/// Also of a container that is on its way out.
const NOT_FOUND: &[&str] = &["not found", "No such container", "marked for removal", "removal of container"];

impl World {
    /// A world that knows the default network.
    pub fn new() -> Self {
        let bridge = Network { born: 0, configured: false, internal: false, six: false };
        Self { networks: BTreeMap::from([("bridge".to_owned(), bridge)]), ..Self::default() }
    }

    /// All ways in which an operation may end.
    pub fn after(&self, op: &Op) -> Vec<Outcome> {
        let refused = |texts| vec![Outcome { expected: Err(texts), world: self.clone() }];
        let done = |change: &dyn Fn(&mut World)| {
            let mut world = self.clone();
            change(&mut world);
            vec![Outcome { expected: Ok(()), world }]
        };
        if let Some(name) = op.container()
            && !matches!(op, Op::Create { .. })
            && !self.containers.contains_key(name)
        {
            return if matches!(op, Op::Die(_)) { done(&|_| ()) } else { refused(NOT_FOUND) };
        }
        match op {
            Op::Create { name, container } => match self.containers.get(name) {
                Some(_) => refused(&["is already in use by container"]),
                None => done(&|w| {
                    let mut container = container.clone();
                    // Whoever was meant may have changed meanwhile.
                    for (name, joined) in &mut container.joined {
                        joined.born = w.networks.get(name).map(|n| n.born);
                    }
                    if let Mode::Of(owner) = &container.mode {
                        container.owner = w.containers.get(owner).map(|o| o.born);
                    }
                    w.containers.insert(name.clone(), container);
                }),
            },
            Op::Start(name) => self.started(name),
            Op::Stop(name) | Op::Die(name) => done(&|w| w.ended(name)),
            Op::Kill(name) if !self.containers[name].running => refused(&["is not running"]),
            Op::Kill(name) => done(&|w| w.ended(name)),
            Op::Restart(name) => {
                let mut world = self.clone();
                world.containers.get_mut(name).expect("looked for above").stopped();
                world.started(name)
            }
            Op::Remove { name, force } if self.containers[name].running && !force => {
                refused(&["container is running"])
            }
            Op::Remove { name, .. } => done(&|w| _ = w.containers.remove(name)),
            Op::Connect { name, network, joined } => {
                self.or_ended(name, self.connected(name, network, joined))
            }
            Op::Disconnect { name, network, force } => {
                if !self.networks.contains_key(network) && !force {
                    return refused(NOT_FOUND);
                }
                if !self.containers[name].joined.contains_key(network) {
                    return refused(&["is not connected to"]);
                }
                let left = done(&|w| _ = w.containers.get_mut(name).and_then(|c| c.joined.remove(network)));
                self.or_ended(name, left)
            }
            Op::MakeNetwork { name, .. } if self.networks.contains_key(name) => refused(&["already exists"]),
            Op::MakeNetwork { name, network } => {
                done(&|w| _ = w.networks.insert(name.clone(), network.clone()))
            }
            Op::RemoveNetwork(name) if !self.networks.contains_key(name) => refused(NOT_FOUND),
            Op::RemoveNetwork(name) if self.is_used(name) => refused(&["has active endpoints"]),
            Op::RemoveNetwork(name) => done(&|w| _ = w.networks.remove(name)),
            Op::PruneNetworks | Op::PruneContainers => {
                let mut all = done(&|w| match op {
                    Op::PruneContainers => w.containers.retain(|_, c| c.running),
                    _ => w.networks.retain(|name, _| name == "bridge" || self.is_used(name)),
                });
                // Beside another one.
                all.extend(refused(&["a prune operation is already running"]));
                all
            }
        }
    }

    /// One that ends meanwhile is not changed any more, and that is said.
    fn or_ended(&self, name: &str, mut all: Vec<Outcome>) -> Vec<Outcome> {
        if !self.containers[name].running {
            all.push(Outcome { expected: Err(&["is not running"]), world: self.clone() });
        }
        all
    }

    /// What a daemon that dies in the middle of it may leave, with what it leaves before and after.
    pub fn broken_off(&self, op: &Op) -> Vec<World> {
        let mut all = vec![self.clone()];
        if let (Op::Remove { .. } | Op::Restart(_), Some(name)) = (op, op.container())
            && let Some(container) = self.containers.get(name)
        {
            let mut ended = self.clone();
            ended.containers.get_mut(name).expect("it is there").stopped();
            all.push(ended);
            if container.removes_itself {
                let mut gone = self.clone();
                gone.containers.remove(name);
                all.push(gone);
            }
        }
        // A start that fails takes those that remove themselves along.
        if let (Op::Start(name) | Op::Restart(name), true) = (op, self.is_passing(op)) {
            let mut gone = self.clone();
            gone.containers.remove(name);
            all.push(gone);
        }
        let after = self.after(op).into_iter().map(|o| o.world);
        for after in after {
            all.extend(self.halfway(&after, op));
            all.push(after);
        }
        all
    }

    /// What stands while several are being removed, in whatever order.
    fn halfway(&self, after: &Self, op: &Op) -> Vec<Self> {
        let mut all = vec![self.clone()];
        if !matches!(op, Op::PruneContainers | Op::PruneNetworks) {
            return Vec::new();
        }
        let containers = self.containers.keys().filter(|n| !after.containers.contains_key(*n));
        let networks = self.networks.keys().filter(|n| !after.networks.contains_key(*n));
        for name in containers.chain(networks) {
            for mut without in all.clone() {
                // Names of the two kinds differ.
                without.containers.remove(name);
                without.networks.remove(name);
                all.push(without);
            }
        }
        all
    }

    /// A daemon that starts removes those that remove themselves and do not run.
    pub fn restarted(mut self) -> Self {
        self.containers.retain(|_, c| c.running || !c.removes_itself);
        self
    }

    fn is_passing(&self, op: &Op) -> bool {
        op.container().and_then(|n| self.containers.get(n)).is_some_and(|c| c.removes_itself)
    }

    fn ended(&mut self, name: &str) {
        let Some(container) = self.containers.get_mut(name) else { return };
        if container.running && container.removes_itself {
            self.containers.remove(name);
        } else {
            container.stopped();
        }
    }

    /// Whether a running container is on it.
    fn is_used(&self, name: &str) -> bool {
        let born = self.networks.get(name).map(|n| n.born);
        let on_it = |c: &Container| c.running && c.joined.get(name).is_some_and(|j| j.born == born);
        self.containers.values().any(on_it)
    }

    fn started(&self, name: &str) -> Vec<Outcome> {
        let container = &self.containers[name];
        if container.running {
            return vec![Outcome { expected: Ok(()), world: self.clone() }];
        }
        let mut world = self.clone();
        let mut refusals: Vec<&'static [&'static str]> = Vec::new();
        let mut unsure = false;
        if let Mode::Of(owner) = &container.mode {
            let owner = self.containers.get(owner).filter(|o| Some(o.born) == container.owner);
            if owner.is_none_or(|o| !o.running) {
                refusals.push(&["cannot join network namespace", "No such container"]);
            }
        }
        let mut joined = container.joined.clone();
        for (on, joined) in &mut joined {
            let network = self.networks.get(on).filter(|n| joined.born.is_none_or(|born| n.born == born));
            match network {
                _ if matches!(container.mode, Mode::None | Mode::Host) => {}
                None => refusals.push(NOT_FOUND),
                Some(network) => {
                    unsure |= joined.wanted.is_some() && !network.configured;
                    joined.born = Some(network.born);
                    if self.holds(name, on, joined.wanted) {
                        refusals.push(&["Address already in use"]);
                    }
                }
            }
        }
        let started = world.containers.get_mut(name).expect("it is there");
        started.joined = joined;
        started.running = true;
        let clash = world.publishes(name) && world.clashes(name);
        if clash {
            refusals.push(&["port is already allocated"]);
        }
        let mut all = Vec::new();
        if refusals.is_empty() {
            all.push(Outcome { expected: Ok(()), world });
        }
        if unsure {
            refusals.push(&[""]);
        }
        for expected in refusals {
            let mut world = self.clone();
            if container.removes_itself {
                world.containers.remove(name);
            }
            all.push(Outcome { expected: Err(expected), world });
        }
        all
    }

    fn connected(&self, name: &str, network: &str, joined: &Joined) -> Vec<Outcome> {
        let refused = |texts| vec![Outcome { expected: Err(texts), world: self.clone() }];
        let Some(known) = self.networks.get(network) else { return refused(NOT_FOUND) };
        if joined.wanted.is_some() && !known.configured {
            return refused(&["user specified IP address is supported"]);
        }
        let container = &self.containers[name];
        if !matches!(container.mode, Mode::On(_)) {
            return refused(&["cannot be connected to"]);
        }
        if container.running && container.joined.contains_key(network) {
            return refused(&["already exists in network"]);
        }
        if container.running && self.holds(name, network, joined.wanted) {
            return refused(&["Address already in use"]);
        }
        let mut world = self.clone();
        let joined = Joined { born: Some(known.born), ..joined.clone() };
        world.containers.get_mut(name).expect("it is there").joined.insert(network.to_owned(), joined);
        // Its ports are published by way of the new network.
        let clash =
            container.running && !self.publishes(name) && world.publishes(name) && world.clashes(name);
        if clash {
            return refused(&["port is already allocated"]);
        }
        vec![Outcome { expected: Ok(()), world }]
    }

    /// Whether another running container has this address.
    fn holds(&self, name: &str, network: &str, wanted: Option<u8>) -> bool {
        let Some(wanted) = wanted else { return false };
        let born = self.networks.get(network).map(|n| n.born);
        let mut others = self.containers.iter().filter(|(n, c)| *n != name && c.running);
        others.any(|(_, c)| {
            c.joined.get(network).is_some_and(|j| {
                j.born == born
                    && (j.wanted == Some(wanted) || j.address.is_some_and(|a| a.octets()[3] == wanted))
            })
        })
    }

    /// Whether a running container's ports are published: it is on a network that leads outside.
    pub fn publishes(&self, name: &str) -> bool {
        let container = &self.containers[name];
        let outside = |on: &String| self.networks.get(on).is_some_and(|n| !n.internal);
        container.running && matches!(container.mode, Mode::On(_)) && container.joined.keys().any(outside)
    }

    fn clashes(&self, name: &str) -> bool {
        let own = &self.containers[name].ports;
        let others = self.containers.keys().filter(|other| *other != name && self.publishes(other));
        others.flat_map(|other| &self.containers[other].ports).any(|theirs| {
            own.iter().any(|p| p.host != 0 && (p.host, p.protocol) == (theirs.host, theirs.protocol))
        })
    }
}
