//! Random operations.

use crate::model::{Container, Joined, Mode, Network, Op, Port, World};
use gantry_tests::Random;
use std::collections::BTreeMap;

const CONTAINERS: [&str; 5] = ["c0", "c1", "c2", "c3", "c4"];
const NETWORKS: [&str; 4] = ["n0", "n1", "n2", "n3"];

/// What is done at once.
#[derive(Debug, Clone)]
pub enum Step {
    One(Op),
    /// By two clients at the same time.
    Both(Op, Op),
    /// The daemon dies so many microseconds after it was asked for.
    Killed(Op, u64),
    /// The daemon dies and comes back.
    Crash,
    /// It dies again so many microseconds after its new start.
    CrashTwice(u64),
}

/// Draws operations that make sense often enough.
#[derive(Debug)]
pub struct Writer<'a> {
    pub random: &'a mut Random,
    pub births: u32,
}

impl Writer<'_> {
    pub fn step(&mut self, world: &World) -> Step {
        match self.random.below(20) {
            0 => Step::Crash,
            1 => Step::CrashTwice(self.random.below(200_000)),
            2..5 => Step::Killed(self.op(world, false), self.random.below(60_000)),
            5..9 => Step::Both(self.op(world, false), self.op(world, false)),
            _ => Step::One(self.op(world, true)),
        }
    }

    fn born(&mut self) -> u32 {
        self.births += 1;
        self.births
    }

    /// `alone`: nothing else happens meanwhile, so what is known of the world holds.
    fn op(&mut self, world: &World, alone: bool) -> Op {
        let name = self.random.of(&CONTAINERS).to_string();
        let Some(container) = world.containers.get(&name) else {
            return match self.random.below(8) {
                0 => self.network_op(),
                _ => self.create(world, name, alone),
            };
        };
        if !container.running && !self.random.once_in(3) {
            return Op::Start(name);
        }
        match self.random.below(16) {
            0 => Op::Stop(name),
            1 => Op::Kill(name),
            2 => Op::Restart(name),
            3 => Op::Remove { name, force: true },
            4 => Op::Remove { name, force: false },
            5 if alone => Op::Die(name),
            6 => Op::PruneContainers,
            5 | 7..10 => self.network_op(),
            10..13 => {
                let network = self.network(world);
                let joined = self.joined(world, &network, alone);
                Op::Connect { name, network, joined }
            }
            _ => self.disconnect(world, name, container),
        }
    }

    fn disconnect(&mut self, world: &World, name: String, container: &Container) -> Op {
        if !matches!(container.mode, Mode::On(_)) {
            return Op::Kill(name);
        }
        let has: Vec<&String> = container.joined.keys().collect();
        let network = if has.is_empty() || self.random.once_in(6) {
            self.network(world)
        } else {
            self.random.of(&has).to_string()
        };
        Op::Disconnect { name, network, force: self.random.once_in(3) }
    }

    /// Mostly one that is there.
    fn network(&mut self, world: &World) -> String {
        if self.random.once_in(6) {
            return self.random.of(&NETWORKS).to_string();
        }
        let there: Vec<&String> = world.networks.keys().collect();
        self.random.of(&there).to_string()
    }

    fn network_op(&mut self) -> Op {
        let name = self.random.of(&NETWORKS).to_string();
        match self.random.below(6) {
            0 => Op::RemoveNetwork(name),
            1 => Op::PruneNetworks,
            _ => {
                let (configured, internal) = (self.random.once_in(2), self.random.once_in(5));
                let (born, six) = (self.born(), self.random.once_in(3));
                Op::MakeNetwork { name, network: Network { born, configured, internal, six } }
            }
        }
    }

    fn joined(&mut self, world: &World, network: &str, alone: bool) -> Joined {
        let configured = world.networks.get(network).is_some_and(|n| n.configured);
        let wanted = (configured && self.random.once_in(2)).then(|| {
            // The first ones may be another's by chance.
            *self.random.of(if alone { &[2, 3, 200, 201][..] } else { &[200, 201] })
        });
        let alias = (network != "bridge" && self.random.once_in(3)).then(|| "alias".to_owned());
        Joined { wanted, alias, ..Joined::default() }
    }

    fn create(&mut self, world: &World, name: String, alone: bool) -> Op {
        let mut joined = BTreeMap::new();
        let mode = match self.random.below(12) {
            0 => Mode::None,
            1 => Mode::Host,
            2 => match world.containers.keys().find(|other| **other != name) {
                Some(owner) => Mode::Of(owner.clone()),
                None => Mode::None,
            },
            _ => {
                let first = self.network(world);
                joined.insert(first.clone(), self.joined(world, &first, alone));
                while self.random.once_in(3) {
                    let further = self.network(world);
                    let with = self.joined(world, &further, alone);
                    joined.entry(further).or_insert(with);
                }
                Mode::On(first)
            }
        };
        let mut ports = Vec::new();
        if matches!(mode, Mode::On(_)) {
            for (inside, protocol) in [(80, "tcp"), (81, "tcp"), (80, "udp")] {
                if self.random.once_in(2) {
                    ports.push(Port { host: *self.random.of(&[0, 7001, 7002, 7003]), inside, protocol });
                }
            }
        }
        // One host port for one container port.
        ports.dedup_by(|a, b| a.host != 0 && (a.host, a.protocol) == (b.host, b.protocol));
        let removes_itself = self.random.once_in(6);
        let container =
            Container { born: self.born(), mode, owner: None, running: false, removes_itself, joined, ports };
        Op::Create { name, container }
    }
}
