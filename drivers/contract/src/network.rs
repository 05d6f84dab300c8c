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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BridgePolicy {
    /// Its containers reach each other.
    pub icc: bool,
    /// What leaves it gets the address of the interface it leaves by.
    pub masquerade: bool,
    /// The kernel's forwarding is switched on for it.
    pub forward: bool,
}

impl Default for BridgePolicy {
    fn default() -> Self {
        Self { icc: true, masquerade: true, forward: true }
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
    /// Lets go of the namespace; it ends with its last process.
    async fn remove_sandbox(&self, container: &str) -> Result<(), PortError>;
    /// veth, address, route, published ports. `netns` is looked at only where `ensure_sandbox` made none.
    async fn ensure_endpoint(&self, endpoint: &Endpoint, netns: PathBuf) -> Result<(), PortError>;
    /// Takes published ports and their reservation away: others can have them at once.
    async fn remove_ports(&self, endpoint: &Endpoint) -> Result<(), PortError>;
    /// Takes ports and veth away; goes on past errors. The kernel takes its time over an interface: while this waits, the
    /// address must not be given to another.
    async fn remove_endpoint(&self, endpoint: &Endpoint) -> Result<(), PortError>;
    /// What exists.
    async fn survey(&self, bridge: &BridgeSpec) -> Result<Survey, PortError>;
    /// Removes the bridge and the table.
    async fn remove_bridge(&self, bridge: &BridgeSpec) -> Result<(), PortError>;
}
