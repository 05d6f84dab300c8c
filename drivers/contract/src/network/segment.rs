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
    /// Gateway address; a bridge holds it. None where the network has no IPv4.
    pub gateway: Option<Ipv4Addr>,
    /// Prefix length of the subnet; 0 without one.
    pub prefix: u8,
    /// The same for IPv6, where the network has it.
    #[serde(default)]
    pub six: Option<Gateway6>,
    /// MTU in bytes.
    pub mtu: u32,
    /// Interfaces of the host by which others may reach the containers' own addresses.
    #[serde(default)]
    pub trusted: Vec<String>,
    /// Gateways of the containers that are not the bridge itself, by family.
    #[serde(default)]
    pub via: [Option<IpAddr>; 2],
    /// What the names of interfaces inside begin with; `eth` where it is empty.
    #[serde(default)]
    pub interface_prefix: String,
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
    /// How its containers are reached over IPv4.
    pub mode4: GatewayMode,
    /// How its containers are reached over IPv6.
    pub mode6: GatewayMode,
    /// The bridge gets no IPv4 address.
    pub inhibit4: bool,
}

/// How a bridge stands between its containers and the world (Docker's `gateway_mode_ipv4` and `gateway_mode_ipv6`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GatewayMode {
    /// Containers hide behind the host, whose ports lead to theirs; nobody reaches their own addresses.
    #[default]
    Nat,
    /// Published ports as with `Nat`, but every port of the containers' own addresses is reached as well.
    NatUnprotected,
    /// No address is rewritten: published ports are reached at the containers' own addresses.
    Routed,
    /// The bridge has no address at all; for internal networks.
    Isolated,
}

impl GatewayMode {
    /// By Docker's name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "nat" => Some(Self::Nat),
            "nat-unprotected" => Some(Self::NatUnprotected),
            "routed" => Some(Self::Routed),
            "isolated" => Some(Self::Isolated),
            _ => None,
        }
    }
}

impl Default for SegmentPolicy {
    fn default() -> Self {
        Self {
            internal: false,
            icc: true,
            masquerade: true,
            forward: true,
            mode4: GatewayMode::Nat,
            mode6: GatewayMode::Nat,
            inhibit4: false,
        }
    }
}

impl Default for Segment {
    fn default() -> Self {
        Self {
            kind: SegmentKind::default(),
            name: String::new(),
            gateway: None,
            prefix: 0,
            six: None,
            mtu: 1500,
            trusted: Vec::new(),
            via: [None; 2],
            interface_prefix: String::new(),
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

    /// The mode of one family.
    pub fn mode(&self, family: Family) -> GatewayMode {
        match family {
            Family::Four => self.policy.mode4,
            Family::Six => self.policy.mode6,
        }
    }

    /// The IPv4 addresses it stands for.
    pub fn subnet(&self) -> Option<Subnet> {
        self.gateway.map(|gateway| Subnet::around(gateway, self.prefix))
    }

    /// The IPv6 addresses it stands for.
    pub fn subnet6(&self) -> Option<Subnet> {
        self.six.map(|six| Subnet::around(six.address, six.prefix))
    }

    /// Where its containers' default routes of one family lead.
    pub fn next_hop(&self, family: Family) -> Option<IpAddr> {
        let [four, six] = self.via;
        let other = if family == Family::Four { four } else { six };
        other.or(self.gateway(family)).filter(|_| self.has_gateway() && self.leads_out(family))
    }

    /// Whether its containers reach the world over it in one family.
    pub fn leads_out(&self, family: Family) -> bool {
        self.gateway(family).is_some() && !self.is_internal() && self.mode(family) != GatewayMode::Isolated
    }

    /// Its gateway of one family.
    pub fn gateway(&self, family: Family) -> Option<IpAddr> {
        match family {
            Family::Four => self.gateway.map(IpAddr::V4),
            Family::Six => self.six.map(|six| six.address.into()),
        }
    }
}
