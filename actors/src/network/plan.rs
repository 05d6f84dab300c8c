//! What a new network becomes: its name is free, its subnet is nobody else's.

pub use super::addresses::Asked;

use super::addresses::{Given, Place};
use super::{interface, template};
use contract::network::{Family, Gateway6, Segment, SegmentKind, SegmentPolicy, Subnet, Taken};
use contract::record::{Configuration, NetworkSpec};
use contract::{Kind, PortError};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A pool from which subnets are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    /// All its addresses.
    pub base: Subnet,
    /// Prefix length of a network made from it.
    pub size: u8,
}

/// Docker's default pools in their order (moby `libnetwork/ipamutils`).
pub fn default_pools() -> Vec<Pool> {
    let pool = |a: u8, b: u8, prefix: u8, size: u8| Pool {
        base: Subnet::around(Ipv4Addr::new(a, b, 0, 0), prefix),
        size,
    };
    vec![
        pool(172, 17, 16, 16),
        pool(172, 18, 16, 16),
        pool(172, 19, 16, 16),
        pool(172, 20, 14, 16),
        pool(172, 24, 14, 16),
        pool(172, 28, 14, 16),
        pool(192, 168, 16, 20),
    ]
}

/// A network as asked for.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Its id, drawn before.
    pub id: String,
    /// Its name.
    pub name: String,
    /// ns since the epoch.
    pub created_ns: i64,
    /// Name of the bridge, or of the parent of its containers' interfaces; derived from the id where none is asked for.
    pub bridge: Option<String>,
    /// MTU in bytes.
    pub mtu: u32,
    /// What it lets through.
    pub policy: SegmentPolicy,
    /// Its IPv4 addresses; `None` = it has none.
    pub four: Option<Asked>,
    /// Its IPv6 addresses; `None` = it has none.
    pub six: Option<Asked>,
    /// Interfaces of the host by which others may reach the containers' own addresses.
    pub trusted: Vec<String>,
    /// What the names of interfaces inside begin with; empty = `eth`.
    pub interface_prefix: String,
    /// Addresses set apart.
    pub auxiliary: BTreeMap<String, IpAddr>,
    /// Where ports are published that name no address.
    pub host_binding: Option<IpAddr>,
    /// Kept for inspection.
    pub attachable: bool,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Driver options.
    pub options: BTreeMap<String, String>,
    /// Options of the address management.
    pub ipam_options: Option<BTreeMap<String, String>>,
    /// Its driver.
    pub kind: SegmentKind,
    /// Where it is to be nothing but a configuration for other networks: the request.
    pub configuration: Option<Configuration>,
    /// The network whose configuration it has; empty = its own.
    pub config_from: String,
}

/// Fits a new network in among those known and what the host has. Errors are in Docker's words.
pub fn plan(
    wanted: Wanted,
    known: &[&NetworkSpec],
    taken: &Taken,
    pools: &[Pool],
) -> Result<NetworkSpec, PortError> {
    let name = &wanted.name;
    let conflict = |text: String| PortError::new(Kind::Conflict, text);
    if super::is_built_in(name) || known.iter().any(|n| n.name == *name) {
        return Err(conflict(format!("network with name {name} already exists")));
    }
    template::check(&wanted.config_from, known)?;
    if wanted.configuration.is_some() {
        return Ok(template::kept(wanted));
    }
    let bridge = interface::named(&wanted, known, taken)?;
    let others = known.iter().filter(|n| n.configuration.is_none());
    let used: Vec<Subnet> =
        others.flat_map(|n| n.segment.subnet().into_iter().chain(n.segment.subnet6())).collect();
    let fit = |family, asked: Option<Asked>| {
        let place = Place { family, used: &used, taken, pools, auxiliary: &wanted.auxiliary, name };
        asked.map(|asked| place.fit(asked)).transpose()
    };
    let (four, six) = (fit(Family::Four, wanted.four)?, fit(Family::Six, wanted.six)?);
    if four.is_none() && six.is_none() {
        return Err(PortError::new(Kind::Invalid, "IPv4 or IPv6 must be enabled"));
    }
    let range = |asked: Option<Asked>| asked.and_then(|a| a.range);
    let asked = |given: Option<Given>| given.map_or([false; 2], |g| g.asked);
    let (ranges, flags) = ([range(wanted.four), range(wanted.six)], [asked(four), asked(six)]);
    let [asked, asked6] = flags;
    let [range, range6] = ranges;
    Ok(NetworkSpec {
        asked,
        asked6,
        range,
        range6,
        segment: Segment {
            kind: wanted.kind,
            name: bridge,
            gateway: four.and_then(|g| v4(g.gateway)),
            prefix: four.map_or(0, |g| g.subnet.prefix),
            six: six.and_then(|g| Some(Gateway6 { address: v6(g.gateway)?, prefix: g.subnet.prefix })),
            mtu: wanted.mtu,
            trusted: wanted.trusted,
            via: VIA.map(|name| wanted.auxiliary.get(name).copied()),
            interface_prefix: wanted.interface_prefix,
            policy: wanted.policy,
        },
        id: wanted.id,
        name: wanted.name,
        created_ns: wanted.created_ns,
        auxiliary: wanted.auxiliary,
        host_binding: wanted.host_binding,
        attachable: wanted.attachable,
        labels: wanted.labels,
        options: wanted.options,
        ipam_options: wanted.ipam_options,
        configuration: None,
        config_from: wanted.config_from,
    })
}

/// Auxiliary addresses of these names are the gateways of containers in place of the bridge (moby `libnetwork`).
pub const VIA: [&str; 2] = ["DefaultGatewayIPv4", "DefaultGatewayIPv6"];

fn v4(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(four) => Some(four),
        IpAddr::V6(_) => None,
    }
}

fn v6(address: IpAddr) -> Option<Ipv6Addr> {
    match address {
        IpAddr::V6(six) => Some(six),
        IpAddr::V4(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(name: &str) -> Wanted {
        let four = Some(Asked::default());
        Wanted { id: "0123456789abcdef".into(), name: name.into(), mtu: 1500, four, ..Wanted::default() }
    }

    fn subnet(text: &str) -> Subnet {
        Subnet::parse(text).unwrap().1
    }

    #[test]
    fn subnets_are_docker_s_in_order_and_keep_off_routes_and_networks() {
        let taken = Taken {
            subnets: ["172.17.0.0/16", "172.18.5.0/24", "172.20.0.0/15"].map(subnet).into(),
            ..Taken::default()
        };
        let mut made: Vec<NetworkSpec> = Vec::new();
        for n in 0..12 {
            let known: Vec<&NetworkSpec> = made.iter().collect();
            made.push(
                plan(
                    Wanted { bridge: Some(format!("b{n}")), ..wanted(&format!("n{n}")) },
                    &known,
                    &taken,
                    &default_pools(),
                )
                .unwrap(),
            );
        }
        let chosen: Vec<String> = made.iter().map(|n| n.segment.subnet().unwrap().to_string()).collect();
        let wanted = [
            "172.19.0.0/16",
            "172.22.0.0/16",
            "172.23.0.0/16",
            "172.24.0.0/16",
            "172.25.0.0/16",
            "172.26.0.0/16",
            "172.27.0.0/16",
            "172.28.0.0/16",
            "172.29.0.0/16",
            "172.30.0.0/16",
            "172.31.0.0/16",
            "192.168.0.0/20",
        ];
        assert_eq!(chosen, wanted);
        assert_eq!(made[0].segment.gateway, Some(Ipv4Addr::new(172, 19, 0, 1)));
    }

    #[test]
    fn pools_that_are_used_up_say_so() {
        let pools = [Pool { base: subnet("10.0.0.0/24"), size: 25 }];
        let subnets = vec![subnet("10.0.0.0/26"), subnet("10.0.0.128/32")];
        let taken = Taken { subnets, ..Taken::default() };
        let error = plan(wanted("n"), &[], &taken, &pools).unwrap_err();
        assert_eq!(error.text, "all predefined address pools have been fully subnetted");
    }

    #[test]
    fn names_bridges_and_subnets_are_nobody_elses() {
        let taken = Taken { interfaces: vec!["eth0".into()], ..Taken::default() };
        let plan = |wanted: Wanted, known: &[&NetworkSpec]| plan(wanted, known, &taken, &default_pools());
        let one = plan(wanted("one"), &[]).unwrap();
        assert_eq!(one.segment.name, "br-0123456789ab");
        let told = |wanted: Wanted| plan(wanted, &[&one]).unwrap_err();
        assert_eq!(told(wanted("one")).text, "network with name one already exists");
        assert_eq!(told(wanted("host")).kind, Kind::Conflict);
        assert!(told(wanted("two")).text.ends_with("networks have same bridge name"));
        let other = |name: &str| Wanted { bridge: Some(name.into()), ..wanted("two") };
        assert_eq!(told(other("eth0")).kind, Kind::Conflict);
        let overlapping = Wanted {
            four: Some(Asked { subnet: Some(subnet("172.17.9.0/24")), ..Asked::default() }),
            ..other("br1")
        };
        assert!(told(overlapping).text.contains("Pool overlaps with other one on this address space"));
        let neither = Wanted { four: None, ..other("br1") };
        assert_eq!(told(neither).text, "IPv4 or IPv6 must be enabled");
    }

    #[test]
    fn a_network_has_addresses_of_either_family_or_of_both() {
        let mut pools = default_pools();
        pools.push(Pool { base: subnet("fd00:5::/48"), size: 64 });
        let six = Some(Asked { subnet: Some(subnet("fd00:9::/64")), ..Asked::default() });
        let dual = plan(Wanted { six, ..wanted("dual") }, &[], &Taken::default(), &pools).unwrap();
        assert_eq!(dual.segment.subnet6().unwrap().to_string(), "fd00:9::/64");
        assert_eq!((dual.asked, dual.asked6), ([false; 2], [true, false]));
        let chosen =
            Wanted { six: Some(Asked::default()), four: None, bridge: Some("b".into()), ..wanted("six") };
        let only = plan(chosen, &[&dual], &Taken::default(), &pools).unwrap();
        assert_eq!((only.segment.gateway, only.segment.subnet()), (None, None));
        assert_eq!(only.segment.six.unwrap().address.to_string(), "fd00:5::1");
        let other = Some(Asked { subnet: Some(subnet("10.0.0.0/8")), ..Asked::default() });
        let auxiliary = [(VIA[0].to_owned(), "10.0.0.9".parse().unwrap())].into();
        let via = Wanted { four: other, auxiliary, bridge: Some("c".into()), ..wanted("via") };
        let via = plan(via, &[], &Taken::default(), &pools).unwrap();
        assert_eq!(via.segment.next_hop(Family::Four).unwrap().to_string(), "10.0.0.9");
    }
}
