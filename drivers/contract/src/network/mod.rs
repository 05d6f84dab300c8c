//! The network port: bridges, endpoints, published ports.

mod kind;
pub mod resolvconf;
mod segment;
mod subnet;

pub use kind::{IpvlanFlag, IpvlanMode, MacvlanMode, Parent, SegmentKind, vlan};
pub use segment::{Gateway6, GatewayMode, Segment, SegmentPolicy};
pub use subnet::{Family, Subnet, number};

use crate::error::PortError;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

/// Transport protocol of a published port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// Docker's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }

    /// Its IANA number.
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }

    /// By Docker's name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Tcp, Self::Udp, Self::Sctp].into_iter().find(|p| p.name() == name)
    }
}

/// One published port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PortBinding {
    /// Protocol.
    pub protocol: Protocol,
    /// Host address; unspecified = any.
    pub host_ip: IpAddr,
    /// Host port; 0 where the container is reached at its own address alone.
    pub host_port: u16,
    /// Port inside.
    pub container_port: u16,
}

/// A port to publish, as asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortSpec {
    /// Protocol.
    pub protocol: Protocol,
    /// Host address; none = every address of the families that the container has.
    #[serde(default)]
    pub host_ip: Option<IpAddr>,
    /// Host port; 0 = any free one.
    pub host_port: u16,
    /// Where it is greater than `host_port`: the first free port up to this one.
    #[serde(default)]
    pub last_host_port: u16,
    /// Port inside.
    pub container_port: u16,
}

impl PortSpec {
    /// Several host ports would do.
    pub fn has_choice(&self) -> bool {
        self.host_port == 0 || self.last_host_port > self.host_port
    }

    /// This host port would do.
    pub fn allows(&self, port: u16) -> bool {
        self.host_port == 0 || (self.host_port..=self.last_host_port.max(self.host_port)).contains(&port)
    }

    /// Whether the two ask for the same host port at different addresses.
    pub fn differs_in_address(&self, other: &Self) -> bool {
        *self == Self { host_ip: self.host_ip, ..other.clone() }
    }
}

impl From<&PortBinding> for PortSpec {
    fn from(binding: &PortBinding) -> Self {
        Self {
            protocol: binding.protocol,
            host_ip: Some(binding.host_ip),
            host_port: binding.host_port,
            last_host_port: binding.host_port,
            container_port: binding.container_port,
        }
    }
}

/// One container's attachment to one network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Full container id; names of host interfaces derive from it.
    pub container: String,
    /// What it is attached to.
    #[serde(alias = "bridge")]
    pub segment: Segment,
    /// IPv4 address inside; none where the network has none.
    pub address: Option<Ipv4Addr>,
    /// IPv6 address inside.
    #[serde(default)]
    pub address6: Option<Ipv6Addr>,
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
    /// So does its IPv6 default route.
    #[serde(default)]
    pub default_route6: bool,
    /// What was asked of the interface besides.
    #[serde(default)]
    pub interface: Interface,
}

/// What may be asked of a container's interface.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Interface {
    /// Its name; empty = the first free `ethN`.
    pub name: String,
    /// Further addresses that are good on the link alone.
    pub link_local: Vec<IpAddr>,
    /// Settings of it, `net.X.Y.IFNAME.Z=V`.
    pub sysctls: Vec<String>,
}

impl Endpoint {
    /// Its addresses, IPv4 first.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + use<> {
        self.address.map(IpAddr::V4).into_iter().chain(self.address6.map(IpAddr::V6))
    }

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
    /// Subnets on its links, and the servers it asks for names.
    pub subnets: Vec<Subnet>,
    /// Subnets behind gateways, which are kept off where there is a choice.
    pub beyond: Vec<Subnet>,
    /// Names of its interfaces.
    pub interfaces: Vec<String>,
}

/// Answers what a container asks for by name.
pub trait Names: Send + Sync {
    /// The addresses of both families a name stands for in a container's networks; `None` where it stands for nothing there.
    fn addresses(&self, container: &str, name: &str) -> Option<Vec<IpAddr>>;
    /// The full name of an address in a container's networks.
    fn name(&self, container: &str, address: IpAddr) -> Option<String>;
}

/// How names are answered inside a container.
#[derive(Clone)]
pub struct Resolver {
    /// The container.
    pub container: String,
    /// Servers that know the other names, asked from inside the container's namespace; none = the host's, asked from the
    /// host's.
    pub servers: Vec<IpAddr>,
    /// Whether the host's servers may be asked: a container without a way out has none by way of names either.
    pub outward: bool,
    /// Options of its resolv.conf; none = the host's.
    pub options: Vec<String>,
    /// The names.
    pub names: std::sync::Arc<dyn Names>,
}

/// What exists in the kernel under our names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// Host-side interface names attached to the bridge.
    pub interfaces: Vec<String>,
    /// Published ports and their targets.
    pub ports: Vec<(PortBinding, IpAddr)>,
    /// What should be there and is not, in words.
    pub missing: Vec<String>,
}

/// Another program changed what is ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disturbance {
    /// The program's name and process, where the kernel tells them.
    pub by: Option<(String, u32)>,
    /// What it did, in words.
    pub what: String,
}

/// Makes and removes network objects; every verb may be repeated.
#[async_trait]
pub trait Networks: Send + Sync {
    /// The segment's interface, forwarding, its rules. Refused where the kernel lacks its kind.
    async fn ensure_segment(&self, segment: &Segment) -> Result<(), PortError>;
    /// Holds host ports for a container's endpoint before anything else is made; ephemeral ports are filled in.
    /// Errors carry Docker's text for ports in use.
    async fn reserve_ports(
        &self,
        endpoint: &Endpoint,
        ports: Vec<PortSpec>,
    ) -> Result<Vec<PortBinding>, PortError>;
    /// A network namespace for a container, the same one when asked again, as a path that is good for this daemon's life.
    async fn ensure_sandbox(&self, container: &str) -> Result<PathBuf, PortError>;
    /// Answers name queries at 127.0.0.11 in a container's namespace until that is let go of. `netns` is looked at only
    /// where `ensure_sandbox` made none.
    async fn ensure_resolver(&self, resolver: Resolver, netns: PathBuf) -> Result<(), PortError>;
    /// Has those answers follow, where there are any: a container that has left its last such network still asks.
    fn change_resolver(&self, resolver: Resolver);
    /// Ends the answers, lets go of the namespace; it ends with its last process.
    async fn remove_sandbox(&self, container: &str) -> Result<(), PortError>;
    /// veth, address, route, published ports. `netns` is looked at only where `ensure_sandbox` made none.
    async fn ensure_endpoint(&self, endpoint: &Endpoint, netns: PathBuf) -> Result<(), PortError>;
    /// Finds in a running container's namespace what an earlier daemon began of an endpoint that nobody recorded, so that
    /// [`remove_endpoint`](Self::remove_endpoint) takes it away.
    async fn recall_endpoint(&self, endpoint: &Endpoint, netns: PathBuf) -> Result<(), PortError>;
    /// Takes published ports and their reservation away: others can have them at once.
    async fn remove_ports(&self, endpoint: &Endpoint) -> Result<(), PortError>;
    /// Takes ports and veth away; goes on past errors. The kernel takes its time over an interface: while this waits, the
    /// address must not be given to another.
    async fn remove_endpoint(&self, endpoint: &Endpoint) -> Result<(), PortError>;
    /// What a new network must keep off.
    async fn taken(&self) -> Result<Taken, PortError>;
    /// What exists.
    async fn survey(&self, segment: &Segment) -> Result<Survey, PortError>;
    /// Waits until another program has changed something that is ours: rules, elements, a bridge.
    async fn disturbed(&self) -> Disturbance;
    /// What of these segments and of the held ports is not in the kernel, in words. Entries of ports that neither these
    /// endpoints have nor anybody holds are taken away.
    async fn missing(
        &self,
        segments: Vec<Segment>,
        endpoints: Vec<Endpoint>,
    ) -> Result<Vec<String>, PortError>;
    /// Puts back those of these segments that were not removed, and all held ports; the rules in one transaction. Answers
    /// whose interfaces had to be made anew.
    async fn restore(&self, segments: Vec<Segment>) -> Result<Vec<String>, PortError>;
    /// Removes the segment's interface, where it is ours, and its rules.
    async fn remove_segment(&self, segment: &Segment) -> Result<(), PortError>;
}
