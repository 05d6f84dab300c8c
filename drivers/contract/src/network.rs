//! The network port: bridges, endpoints, published ports.

use crate::error::PortError;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

/// A bridge network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BridgeSpec {
    /// Interface name on the host.
    pub name: String,
    /// Gateway address, held by the bridge.
    pub gateway: Ipv4Addr,
    /// Prefix length of the subnet.
    pub prefix: u8,
    /// MTU in bytes.
    pub mtu: u32,
    /// What is let through.
    #[serde(default)]
    pub policy: BridgePolicy,
}

/// What a bridge lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BridgePolicy {
    /// Nothing passes between its containers and the world.
    pub internal: bool,
    /// Its containers reach each other.
    pub icc: bool,
    /// What leaves it gets the address of the interface it leaves by.
    pub masquerade: bool,
    /// The kernel's forwarding is switched on for it.
    pub forward: bool,
}

impl Default for BridgePolicy {
    fn default() -> Self {
        Self { internal: false, icc: true, masquerade: true, forward: true }
    }
}

/// An IPv4 subnet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Subnet {
    /// Its first address.
    pub address: Ipv4Addr,
    /// Prefix length, at most 32.
    pub prefix: u8,
}

impl Subnet {
    /// The subnet of this size in which an address lies.
    pub fn around(address: Ipv4Addr, prefix: u8) -> Self {
        let prefix = prefix.min(32);
        Self { address: (u32::from(address) & mask(prefix)).into(), prefix }
    }

    /// Reads `10.0.0.0/8`; the address need not be the first.
    pub fn parse(text: &str) -> Option<(Ipv4Addr, Self)> {
        let (address, prefix) = text.split_once('/')?;
        let (address, prefix): (Ipv4Addr, u8) = (address.parse().ok()?, prefix.parse().ok()?);
        (prefix <= 32).then(|| (address, Self::around(address, prefix)))
    }

    /// Whether an address lies inside.
    pub fn contains(self, address: Ipv4Addr) -> bool {
        Self::around(address, self.prefix) == self
    }

    /// Whether they have an address in common.
    pub fn overlaps(self, other: Self) -> bool {
        self.contains(other.address) || other.contains(self.address)
    }

    /// First and last address.
    pub fn bounds(self) -> (u32, u32) {
        let first = u32::from(self.address);
        (first, first | !mask(self.prefix))
    }
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

impl std::fmt::Display for Subnet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl BridgeSpec {
    /// The addresses it stands for.
    pub fn subnet(&self) -> Subnet {
        Subnet::around(self.gateway, self.prefix)
    }
}

/// Transport protocol of a published port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// One published port; `host_port` 0 asks for an ephemeral one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PortBinding {
    /// Protocol.
    pub protocol: Protocol,
    /// Host address; unspecified = any.
    pub host_ip: IpAddr,
    /// Host port.
    pub host_port: u16,
    /// Port inside.
    pub container_port: u16,
}

/// One container's attachment to one bridge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Full container id; names of host interfaces derive from it.
    pub container: String,
    /// The bridge.
    pub bridge: BridgeSpec,
    /// Address inside.
    pub address: Ipv4Addr,
    /// MAC inside, `02:42:..` text.
    pub mac: String,
    /// Published ports, with their final host ports.
    pub ports: Vec<PortBinding>,
    /// The network's id.
    #[serde(default)]
    pub network: String,
    /// The network's name.
    #[serde(default)]
    pub network_name: String,
    /// The container's default route leads over it.
    #[serde(default)]
    pub default_route: bool,
}

impl Endpoint {
    /// Its id, 64 hex digits: what container and network have in their ids, mixed.
    pub fn id(&self) -> String {
        let digits = |text: &str| -> Vec<u32> { text.chars().filter_map(|c| c.to_digit(16)).collect() };
        let (container, network) = (digits(&self.container), digits(&self.network));
        let mixed = container.iter().zip(network.iter().rev().chain(std::iter::repeat(&0)));
        mixed.filter_map(|(a, b)| char::from_digit(a ^ b, 16)).collect()
    }
}

/// What the host has already.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    /// Subnets it has routes to.
    pub subnets: Vec<Subnet>,
    /// Names of its interfaces.
    pub interfaces: Vec<String>,
}

/// Answers what a container asks for by name.
pub trait Names: Send + Sync {
    /// The addresses a name stands for in a container's networks; `None` where it stands for nothing there.
    fn addresses(&self, container: &str, name: &str) -> Option<Vec<Ipv4Addr>>;
    /// The full name of an address in a container's networks.
    fn name(&self, container: &str, address: Ipv4Addr) -> Option<String>;
}

/// How names are answered inside a container.
#[derive(Clone)]
pub struct Resolver {
    /// The container.
    pub container: String,
    /// Servers that know the other names; none = the host's.
    pub servers: Vec<IpAddr>,
    /// Whether other names are asked for at all.
    pub forwards: bool,
    /// The names.
    pub names: std::sync::Arc<dyn Names>,
}

/// What exists in the kernel under our names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// Host-side interface names attached to the bridge.
    pub interfaces: Vec<String>,
    /// Published ports and their targets.
    pub ports: Vec<(PortBinding, Ipv4Addr)>,
}

/// Makes and removes network objects; every verb may be repeated.
#[async_trait]
pub trait Networks: Send + Sync {
    /// Bridge, forwarding, the base nftables rules.
    async fn ensure_bridge(&self, bridge: &BridgeSpec) -> Result<(), PortError>;
    /// Holds host ports for a container before anything else is made; ephemeral ports are filled in.
    /// Errors carry Docker's text for ports in use. `target` is the container's address.
    async fn reserve_ports(
        &self,
        container: &str,
        target: Ipv4Addr,
        ports: Vec<PortBinding>,
    ) -> Result<Vec<PortBinding>, PortError>;
    /// A network namespace for a container, the same one when asked again, as a path that is good for this daemon's life.
    async fn ensure_sandbox(&self, container: &str) -> Result<PathBuf, PortError>;
    /// Answers name queries at 127.0.0.11 in a container's namespace until that is let go of. `netns` is looked at only
    /// where `ensure_sandbox` made none.
    async fn ensure_resolver(&self, resolver: Resolver, netns: PathBuf) -> Result<(), PortError>;
    /// Ends the answers, lets go of the namespace; it ends with its last process.
    async fn remove_sandbox(&self, container: &str) -> Result<(), PortError>;
    /// veth, address, route, published ports. `netns` is looked at only where `ensure_sandbox` made none.
    async fn ensure_endpoint(&self, endpoint: &Endpoint, netns: PathBuf) -> Result<(), PortError>;
    /// Takes published ports and their reservation away: others can have them at once.
    async fn remove_ports(&self, endpoint: &Endpoint) -> Result<(), PortError>;
    /// Takes ports and veth away; goes on past errors. The kernel takes its time over an interface: while this waits, the
    /// address must not be given to another.
    async fn remove_endpoint(&self, endpoint: &Endpoint) -> Result<(), PortError>;
    /// What a new network must keep off.
    async fn taken(&self) -> Result<Taken, PortError>;
    /// What exists.
    async fn survey(&self, bridge: &BridgeSpec) -> Result<Survey, PortError>;
    /// Removes the bridge and the table.
    async fn remove_bridge(&self, bridge: &BridgeSpec) -> Result<(), PortError>;
}
