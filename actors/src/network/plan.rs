//! What a new network becomes: its name is free, its subnet is nobody else's.

use super::{interface, template};
use contract::network::{Segment, SegmentKind, SegmentPolicy, Subnet, Taken, number};
use contract::record::{Configuration, NetworkSpec};
use contract::{Kind, PortError};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

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
    /// Its subnet; chosen where none is asked for.
    pub subnet: Option<Subnet>,
    /// Its gateway; the first address where none is asked for.
    pub gateway: Option<Ipv4Addr>,
    /// Part of the subnet from which addresses are handed out.
    pub range: Option<Subnet>,
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
    let used = || known.iter().filter(|n| n.configuration.is_none()).filter_map(|n| n.segment.subnet());
    let subnet = match wanted.subnet {
        Some(subnet) if used().any(|u| u.overlaps(subnet)) => {
            let text = "invalid pool request: Pool overlaps with other one on this address space";
            return Err(PortError::new(Kind::Denied, text));
        }
        Some(subnet) => subnet,
        None => {
            let used: Vec<Subnet> = used().chain(taken.subnets.iter().copied()).collect();
            choose(pools, &used).ok_or_else(|| {
                let text = "all predefined address pools have been fully subnetted";
                PortError::new(Kind::Invalid, text)
            })?
        }
    };
    let gateway = match wanted.gateway {
        Some(gateway) => gateway,
        None => match first_free(subnet, wanted.range, &wanted.auxiliary) {
            Some(IpAddr::V4(gateway)) => gateway,
            _ => {
                let text = format!("no available IPv4 addresses on this network's address pools: {name}");
                return Err(PortError::new(Kind::Exhausted, text));
            }
        },
    };
    Ok(NetworkSpec {
        asked: [wanted.subnet.is_some(), wanted.gateway.is_some()],
        segment: Segment {
            kind: wanted.kind,
            name: bridge,
            gateway: Some(gateway),
            prefix: subnet.prefix,
            mtu: wanted.mtu,
            policy: wanted.policy,
            ..Segment::default()
        },
        id: wanted.id,
        name: wanted.name,
        created_ns: wanted.created_ns,
        range: wanted.range,
        range6: None,
        asked6: [false; 2],
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

/// The first subnet of the pools that overlaps with nothing.
fn choose(pools: &[Pool], used: &[Subnet]) -> Option<Subnet> {
    pools.iter().find_map(|pool| {
        let family = pool.base.family();
        let (mut next, last) = pool.base.bounds();
        loop {
            let candidate = Subnet::around(family.address(next), pool.size);
            match used.iter().find(|u| u.overlaps(candidate)) {
                None => return Some(candidate),
                // What lies in the way may be larger than the candidate.
                Some(in_the_way) => {
                    next = in_the_way.bounds().1.max(candidate.bounds().1).checked_add(1)?;
                    // Back to a multiple of the size, upwards.
                    let aligned = Subnet::around(family.address(next), pool.size);
                    if aligned.bounds().0 < next {
                        next = aligned.bounds().1.checked_add(1)?;
                    }
                }
            }
            if next > last {
                return None;
            }
        }
    })
}

fn first_free(subnet: Subnet, range: Option<Subnet>, auxiliary: &BTreeMap<String, IpAddr>) -> Option<IpAddr> {
    let (network, broadcast) = subnet.bounds();
    let (first, last) = range.map_or((network, broadcast), Subnet::bounds);
    (first..=last)
        .find(|a| *a != network && *a != broadcast && auxiliary.values().all(|x| number(*x) != *a))
        .map(|a| subnet.family().address(a))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(name: &str) -> Wanted {
        Wanted { id: "0123456789abcdef".into(), name: name.into(), mtu: 1500, ..Wanted::default() }
    }

    fn subnet(text: &str) -> Subnet {
        Subnet::parse(text).unwrap().1
    }

    #[test]
    fn subnets_are_docker_s_in_order_and_keep_off_routes_and_networks() {
        let taken = Taken {
            subnets: ["172.17.0.0/16", "172.18.5.0/24", "172.20.0.0/15"].map(subnet).into(),
            interfaces: vec![],
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
        let taken =
            Taken { subnets: vec![subnet("10.0.0.0/26"), subnet("10.0.0.128/32")], interfaces: vec![] };
        let error = plan(wanted("n"), &[], &taken, &pools).unwrap_err();
        assert_eq!(error.text, "all predefined address pools have been fully subnetted");
    }

    #[test]
    fn names_bridges_and_subnets_are_nobody_elses() {
        let taken = Taken { subnets: vec![], interfaces: vec!["eth0".into()] };
        let plan = |wanted: Wanted, known: &[&NetworkSpec]| plan(wanted, known, &taken, &default_pools());
        let one = plan(wanted("one"), &[]).unwrap();
        assert_eq!(one.segment.name, "br-0123456789ab");
        let told = |wanted: Wanted| plan(wanted, &[&one]).unwrap_err();
        assert_eq!(told(wanted("one")).text, "network with name one already exists");
        assert_eq!(told(wanted("host")).kind, Kind::Conflict);
        assert!(told(wanted("two")).text.ends_with("networks have same bridge name"));
        let other = |name: &str| Wanted { bridge: Some(name.into()), ..wanted("two") };
        assert_eq!(told(other("eth0")).kind, Kind::Conflict);
        let overlapping = Wanted { subnet: Some(subnet("172.17.9.0/24")), ..other("br1") };
        assert!(told(overlapping).text.contains("Pool overlaps with other one on this address space"));
    }
}
