//! The default bridge, and how packets are let through.

use crate::addresses::{Addresses, FOUR, SIX};
use crate::error::ValueError;
use crate::key::{Key, Kind, Section};
use crate::network_options::NetworkOptions;
use crate::source::Source;
use std::net::Ipv4Addr;

/// Docker's address of the default bridge; its prefix length is 16.
const BIP: Ipv4Addr = Ipv4Addr::new(172, 17, 0, 1);

pub(crate) const SECTION: Section = Section {
    heading: "Network",
    keys: &[
        Key::new(
            "bridge",
            Kind::Text,
            "NAME",
            "Name of the default bridge, made if it is missing [default: gantry0]",
        )
        .short('b'),
        Key::new("bip", Kind::Text, "ADDRESS/PREFIX", "Its address [default: 172.17.0.1/16]"),
        Key::new(
            "fixed-cidr",
            Kind::Text,
            "SUBNET",
            "Part of its subnet from which containers get addresses [default: all of it]",
        ),
        Key::new(
            "default-gateway",
            Kind::Text,
            "ADDRESS",
            "Where its containers' default route leads [default: the bridge]",
        ),
        Key::new("ipv6", Kind::Switch, "", "The default bridge has IPv6 too [default: false]"),
        Key::new(
            "bip6",
            Kind::Text,
            "ADDRESS/PREFIX",
            "Its IPv6 address [default: the first of fixed-cidr-v6, or of the first IPv6 pool]",
        ),
        Key::new("fixed-cidr-v6", Kind::Text, "SUBNET", "As fixed-cidr, for IPv6"),
        Key::new("default-gateway-v6", Kind::Text, "ADDRESS", "As default-gateway, for IPv6"),
        Key::new("mtu", Kind::Number, "BYTES", "Its MTU [default: 1500]"),
        Key::new(
            "icc",
            Kind::Switch,
            "",
            "Containers of the default bridge reach each other [default: true]",
        ),
        Key::new(
            "ip",
            Kind::Text,
            "ADDRESS",
            "Address ports are published on when none is named [default: 0.0.0.0]",
        ),
        Key::new(
            crate::pools::KEY,
            Kind::List,
            "base=SUBNET,size=PREFIX",
            "Where new networks get their subnets from [default: Docker's]",
        )
        .flag("default-address-pool"),
        Key::new(
            crate::network_options::KEY,
            Kind::List,
            "DRIVER=KEY=VALUE",
            "Options of every new network that does not name them",
        )
        .flag("default-network-opt"),
        Key::new("ip-forward", Kind::Switch, "", "Switch the kernel's forwarding on [default: true]"),
        Key::new("ip-masq", Kind::Switch, "", "Hide containers behind the host's address [default: true]"),
        Key::new(
            "iptables",
            Kind::Switch,
            "",
            "Firewall rules (gantry's are nftables'); only true [default: true]",
        ),
        Key::new("ip6tables", Kind::Switch, "", "The same for IPv6; only true [default: true]"),
        Key::new(
            "userland-proxy",
            Kind::Switch,
            "",
            "Only false: ports are published by nftables alone [default: false]",
        ),
    ],
};

/// The default bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bridge {
    /// Its name.
    pub name: String,
    /// Its IPv4 addresses.
    pub four: Addresses,
    /// Its IPv6 addresses; `None` = it has none.
    pub six: Option<Addresses>,
    /// Options of new networks, by driver.
    pub options: NetworkOptions,
    /// Bytes.
    pub mtu: u32,
    /// Its containers reach each other.
    pub icc: bool,
    /// Where ports are published when nothing is said.
    pub ip: Ipv4Addr,
    /// Where new networks get their subnets from; none = Docker's pools.
    pub pools: Vec<crate::Pool>,
    /// The kernel is told to forward.
    pub forward: bool,
    /// Containers hide behind the host.
    pub masquerade: bool,
}

impl Bridge {
    pub(crate) fn read(source: &Source) -> Result<Self, ValueError> {
        let name = source.some_text("bridge")?.unwrap_or_else(|| "gantry0".into());
        if name == "none" {
            return Err(source.unsupported("bridge", "the default bridge cannot be left out"));
        }
        for key in ["iptables", "ip6tables"] {
            if source.switch(key)? == Some(false) {
                let text = "without firewall rules no port can be published and no container reaches out";
                return Err(source.unsupported(key, text));
            }
        }
        if source.switch("userland-proxy")? == Some(true) {
            let text = "published ports, those on 127.0.0.1 too, are rules of nftables; set it to false";
            return Err(source.unsupported("userland-proxy", text));
        }
        let mtu = source.number("mtu", 0)?.filter(|n| *n != 0).unwrap_or(1500);
        let mtu = u32::try_from(mtu)
            .ok()
            .filter(|n| (68..=65535).contains(n))
            .ok_or_else(|| source.wrong("mtu", format!("{mtu} is not between 68 and 65535")))?;
        Ok(Self {
            name,
            four: FOUR.read(source, Some((BIP.into(), 16)))?,
            six: six(source)?,
            options: crate::network_options::read(source)?,
            mtu,
            icc: source.switch("icc")?.unwrap_or(true),
            ip: source.parsed("ip", "an IPv4 address")?.unwrap_or(Ipv4Addr::UNSPECIFIED),
            pools: crate::pools::read(source)?,
            forward: source.switch("ip-forward")?.unwrap_or(true),
            masquerade: source.switch("ip-masq")?.unwrap_or(true),
        })
    }
}

fn six(source: &Source) -> Result<Option<Addresses>, ValueError> {
    if source.switch("ipv6")? == Some(true) {
        return SIX.read(source, None).map(Some);
    }
    match SIX.given(source)? {
        None => Ok(None),
        Some(key) => Err(source.wrong(key, "the default bridge has no IPv6: set ipv6 to true")),
    }
}
