//! What should be: containers, networks, and what is done with them.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// How a container was made as to networks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// On this network first.
    On(String),
    /// Without any.
    None,
    /// On the host's.
    Host,
    /// On that of this container.
    Of(String),
}

/// A published port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// On the host; 0 for any.
    pub host: u16,
    /// In the container.
    pub inside: u16,
    /// `tcp` or `udp`.
    pub protocol: &'static str,
}

/// A network that a container was given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Joined {
    /// Which of the networks that had this name; none when there was none.
    pub born: Option<u32>,
    /// The last byte of the address that was asked for.
    pub wanted: Option<u8>,
    /// A further name.
    pub alias: Option<String>,
    /// The address it was seen to have.
    pub address: Option<Ipv4Addr>,
}

/// A container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    pub born: u32,
    pub mode: Mode,
    /// Which of the containers that had its owner's name.
    pub owner: Option<u32>,
    pub running: bool,
    pub removes_itself: bool,
    pub joined: BTreeMap<String, Joined>,
    pub ports: Vec<Port>,
}

/// A network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    pub born: u32,
    /// Its subnet was asked for, so that addresses may be.
    pub configured: bool,
    pub internal: bool,
    /// It has IPv6, too.
    pub six: bool,
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct World {
    pub networks: BTreeMap<String, Network>,
    pub containers: BTreeMap<String, Container>,
}

/// What a client asks for, or what happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    Create {
        name: String,
        container: Container,
    },
    Start(String),
    Stop(String),
    Kill(String),
    Restart(String),
    Remove {
        name: String,
        force: bool,
    },
    /// Its process is killed from outside.
    Die(String),
    Connect {
        name: String,
        network: String,
        joined: Joined,
    },
    Disconnect {
        name: String,
        network: String,
        force: bool,
    },
    MakeNetwork {
        name: String,
        network: Network,
    },
    RemoveNetwork(String),
    PruneNetworks,
    PruneContainers,
}

/// An answer that is expected: done, or refused with one of these texts in it.
pub type Expected = Result<(), &'static [&'static str]>;

/// One way in which an operation may end.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub expected: Expected,
    pub world: World,
}

impl Container {
    /// What it has only while it runs is gone.
    pub fn stopped(&mut self) {
        self.running = false;
        for joined in self.joined.values_mut() {
            joined.address = None;
        }
    }
}

impl Op {
    /// The container it is about.
    pub fn container(&self) -> Option<&str> {
        match self {
            Self::Create { name, .. }
            | Self::Start(name)
            | Self::Stop(name)
            | Self::Kill(name)
            | Self::Restart(name)
            | Self::Remove { name, .. }
            | Self::Die(name)
            | Self::Connect { name, .. }
            | Self::Disconnect { name, .. } => Some(name),
            _ => None,
        }
    }
}
