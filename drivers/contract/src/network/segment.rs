//! What a network is made of on the host.

use super::{Family, Parent, SegmentKind, Subnet};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network's piece of the link layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// What it is.
    #[serde(default)]
    pub kind: SegmentKind,
    /// Name of its interface on the host: the bridge, or the interface that the containers' interfaces are made over.
    pub name: String,
    /// Gateway address; a bridge holds it.
    pub gateway: Ipv4Addr,
    /// Prefix length of the subnet.
    pub prefix: u8,
    /// The same for IPv6, where the network has it.
    #[serde(default)]
    pub six: Option<Gateway6>,
    /// MTU in bytes.
    pub mtu: u32,
    /// What is let through.
    #[serde(default)]
    pub policy: SegmentPolicy,
}

/// A network's IPv6 gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gateway6 {
    /// Its address.
    pub address: Ipv6Addr,
    /// Prefix length of the subnet.
    pub prefix: u8,
}

/// What a bridge lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SegmentPolicy {
    /// Nothing passes between its containers and the world.
    pub internal: bool,
    /// Its containers reach each other.
    pub icc: bool,
    /// What leaves it gets the address of the interface it leaves by.
    pub masquerade: bool,
    /// The kernel's forwarding is switched on for it.
    pub forward: bool,
}

impl Default for SegmentPolicy {
    fn default() -> Self {
        Self { internal: false, icc: true, masquerade: true, forward: true }
    }
}

impl Default for Segment {
    fn default() -> Self {
        Self {
            kind: SegmentKind::default(),
            name: String::new(),
            gateway: Ipv4Addr::UNSPECIFIED,
            prefix: 0,
            six: None,
            mtu: 1500,
            policy: SegmentPolicy::default(),
        }
    }
}

impl Segment {
    /// Nothing passes between its containers and the world, by wish or for want of a way.
    pub fn is_internal(&self) -> bool {
        self.policy.internal || self.kind.parent() == Some(Parent::Own)
    }

    /// Whether its containers use a gateway's address, which is therefore nobody else's.
    pub fn has_gateway(&self) -> bool {
        self.kind == SegmentKind::Bridge || self.kind.has_gateway() && !self.is_internal()
    }

    /// The IPv4 addresses it stands for.
    pub fn subnet(&self) -> Subnet {
        Subnet::around(self.gateway, self.prefix)
    }

    /// The IPv6 addresses it stands for.
    pub fn subnet6(&self) -> Option<Subnet> {
        self.six.map(|six| Subnet::around(six.address, six.prefix))
    }

    /// Its gateway of one family.
    pub fn gateway(&self, family: Family) -> Option<IpAddr> {
        match family {
            Family::Four => Some(self.gateway.into()),
            Family::Six => self.six.map(|six| six.address.into()),
        }
    }
}
