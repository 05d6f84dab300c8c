//! The default bridge, and how packets are let through.

use crate::error::ValueError;
use crate::key::{Key, Kind, Section};
use crate::source::Source;
use std::net::Ipv4Addr;

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
        Key::new("ip-forward", Kind::Switch, "", "Switch the kernel's IPv4 forwarding on [default: true]"),
        Key::new("ip-masq", Kind::Switch, "", "Hide containers behind the host's address [default: true]"),
        Key::new(
            "iptables",
            Kind::Switch,
            "",
            "Firewall rules (gantry's are nftables'); only true [default: true]",
        ),
        Key::new("ip6tables", Kind::Switch, "", "The same for IPv6; gantry's networks have no IPv6"),
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
    /// Address and prefix length.
    pub bip: (Ipv4Addr, u8),
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
        if source.switch("iptables")? == Some(false) {
            let text = "without firewall rules no port can be published and no container reaches out";
            return Err(source.unsupported("iptables", text));
        }
        source.switch("ip6tables")?;
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
            bip: bip(source)?,
            mtu,
            icc: source.switch("icc")?.unwrap_or(true),
            ip: source.parsed("ip", "an IPv4 address")?.unwrap_or(Ipv4Addr::UNSPECIFIED),
            pools: crate::pools::read(source)?,
            forward: source.switch("ip-forward")?.unwrap_or(true),
            masquerade: source.switch("ip-masq")?.unwrap_or(true),
        })
    }
}

fn bip(source: &Source) -> Result<(Ipv4Addr, u8), ValueError> {
    let text = source.some_text("bip")?.unwrap_or_else(|| "172.17.0.1/16".into());
    let wrong = || source.wrong("bip", format!("invalid CIDR address: {text}"));
    let (address, prefix) = text.split_once('/').ok_or_else(wrong)?;
    let address: Ipv4Addr = address.parse().map_err(|_| wrong())?;
    let prefix: u8 = prefix.parse().ok().filter(|p| (1..=30).contains(p)).ok_or_else(wrong)?;
    let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
    if u32::from(address) & !mask == 0 {
        return Err(source.wrong("bip", format!("{text} is a network's address, not one of its hosts'")));
    }
    Ok((address, prefix))
}
