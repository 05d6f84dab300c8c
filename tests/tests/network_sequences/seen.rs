//! What the daemon says there is, and whether that is what should be.

use crate::model::{Mode, World};
use gantry_tests::{Caller, Daemon};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

/// A container as `inspect` shows it.
#[derive(Debug, Clone)]
pub struct Shown {
    pub running: bool,
    pub pid: i64,
    /// By network.
    pub addresses: BTreeMap<String, Option<Ipv4Addr>>,
    /// Those of IPv6.
    pub addresses6: BTreeMap<String, Ipv6Addr>,
    /// `80/tcp` and the host's ports.
    pub ports: BTreeMap<String, Vec<u16>>,
}

/// Everything that is shown.
#[derive(Debug, Clone)]
pub struct Seen {
    pub containers: BTreeMap<String, Shown>,
    /// Subnets and members with their addresses, by name.
    pub networks: BTreeMap<String, (String, BTreeSet<(String, String)>)>,
}

impl Seen {
    /// Now; nothing when something changed while it was looked at.
    pub fn now(daemon: &Caller) -> Option<Self> {
        let ask = |path: &str| {
            let answer = daemon.ask("GET", path, None).unwrap_or_else(|e| panic!("GET {path}: {e}"));
            (answer.status == 200).then(|| answer.json())
        };
        let mut containers = BTreeMap::new();
        for listed in ask("/containers/json?all=1")?.as_array()? {
            let shown = ask(&format!("/containers/{}/json", listed["Id"].as_str()?))?;
            containers.insert(shown["Name"].as_str()?.trim_start_matches('/').to_owned(), container(&shown));
        }
        let mut networks = BTreeMap::new();
        for listed in ask("/networks")?.as_array()?.iter().filter(|n| n["Driver"] == "bridge") {
            let shown = ask(&format!("/networks/{}", listed["Id"].as_str()?))?;
            let subnets = shown["IPAM"]["Config"].as_array().into_iter().flatten();
            let mut subnets = subnets.filter_map(|c| c["Subnet"].as_str());
            let subnet = subnets.find(|s| !s.contains(':')).unwrap_or_default();
            let members = shown["Containers"].as_object().into_iter().flat_map(Map::values);
            let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
            let members = members.map(|m| (text(&m["Name"]), text(&m["IPv4Address"])));
            networks.insert(text(&shown["Name"]), (subnet.to_owned(), members.collect()));
        }
        Some(Self { containers, networks })
    }

    /// What differs from what should be.
    pub fn differs(&self, world: &World) -> Option<String> {
        let names = |keys: Vec<&String>| keys.into_iter().cloned().collect::<Vec<_>>();
        let (is, should) =
            (names(self.containers.keys().collect()), names(world.containers.keys().collect()));
        if is != should {
            return Some(format!("containers {is:?} instead of {should:?}"));
        }
        let (is, should) = (names(self.networks.keys().collect()), names(world.networks.keys().collect()));
        if is != should {
            return Some(format!("networks {is:?} instead of {should:?}"));
        }
        let members = world.networks.keys().find_map(|name| self.members_differ(world, name));
        members.or_else(|| world.containers.keys().find_map(|name| self.container_differs(world, name)))
    }

    fn members_differ(&self, world: &World, network: &str) -> Option<String> {
        let (subnet, members) = &self.networks[network];
        let born = world.networks.get(network).map(|n| n.born);
        let on_it = world.containers.iter().filter(|(_, c)| {
            c.running
                && matches!(c.mode, Mode::On(_))
                && c.joined.get(network).is_some_and(|j| j.born == born)
        });
        let prefix = subnet.split_once('/').map(|(_, p)| p).unwrap_or_default();
        let should: BTreeSet<(String, String)> = on_it
            .map(|(name, _)| {
                let address = self.containers[name].addresses.get(network).copied().flatten();
                (name.clone(), address.map(|a| format!("{a}/{prefix}")).unwrap_or_default())
            })
            .collect();
        if *members != should {
            return Some(format!("members of {network} are {members:?} instead of {should:?}"));
        }
        let distinct: BTreeSet<&String> = members.iter().map(|(_, address)| address).collect();
        let inside = |address: &String| {
            let number = |text: &str| {
                let text = text.split('/').next().unwrap_or_default();
                text.parse::<Ipv4Addr>().map(u32::from).unwrap_or_default()
            };
            let bits = 32 - prefix.parse::<u32>().unwrap_or(32);
            number(address) >> bits == number(subnet) >> bits
        };
        let sound = distinct.len() == members.len() && distinct.iter().all(|a| inside(a));
        (!sound).then(|| format!("addresses on {network} ({subnet}): {members:?}"))
    }

    fn container_differs(&self, world: &World, name: &str) -> Option<String> {
        let (is, should) = (&self.containers[name], &world.containers[name]);
        if is.running != should.running {
            return Some(format!("{name} runs: {}", is.running));
        }
        if matches!(should.mode, Mode::On(_)) {
            let (has, wants): (Vec<_>, Vec<_>) =
                (is.addresses.keys().collect(), should.joined.keys().collect());
            if has != wants {
                return Some(format!("{name} is on {has:?} instead of {wants:?}"));
            }
        }
        for (network, joined) in &should.joined {
            let last = is.addresses[network].map(|a| a.octets()[3]);
            let right = match (should.running, joined.wanted) {
                (false, _) => last.is_none(),
                (true, Some(wanted)) => last == Some(wanted),
                (true, None) => last.is_some(),
            };
            if !right {
                return Some(format!("{name} has {last:?} on {network}, which should be {joined:?}"));
            }
            let six = should.running && world.networks.get(network).is_some_and(|n| n.six);
            if is.addresses6.contains_key(network) != six {
                return Some(format!("{name} has {:?} of IPv6, on {network}: {six}", is.addresses6));
            }
        }
        let published = world.publishes(name);
        for port in &should.ports {
            let key = format!("{}/{}", port.inside, port.protocol);
            let on = is.ports.get(&key).map(Vec::as_slice).unwrap_or_default();
            let right = match (published, on) {
                (false, []) => true,
                (true, [first, rest @ ..]) => {
                    rest.iter().all(|p| p == first)
                        && (*first == port.host || port.host == 0 && *first > 1024)
                }
                _ => false,
            };
            if !right {
                return Some(format!("{name} has {key} on {on:?}, published: {published}, wanted: {port:?}"));
            }
        }
        None
    }

    /// Notes in the world what is known only now: which addresses were handed out.
    pub fn tell(&self, world: &mut World) {
        for (name, container) in &mut world.containers {
            for (network, joined) in &mut container.joined {
                joined.address = self.containers[name].addresses.get(network).copied().flatten();
            }
        }
    }
}

fn container(shown: &Value) -> Shown {
    let address = |on: &Value| on["IPAddress"].as_str().and_then(|a| a.parse().ok());
    let networks = || shown["NetworkSettings"]["Networks"].as_object().into_iter().flatten();
    let address6 = |on: &Value| on["GlobalIPv6Address"].as_str().and_then(|a| a.parse().ok());
    let ports = shown["NetworkSettings"]["Ports"].as_object().into_iter().flatten();
    let hosts = |bound: &Value| {
        let bound = bound.as_array().into_iter().flatten();
        bound.filter_map(|b| b["HostPort"].as_str()?.parse().ok()).collect()
    };
    Shown {
        running: shown["State"]["Running"] == true,
        pid: shown["State"]["Pid"].as_i64().unwrap_or_default(),
        addresses: networks().map(|(name, on)| (name.clone(), address(on))).collect(),
        addresses6: networks().filter_map(|(name, on)| Some((name.clone(), address6(on)?))).collect(),
        ports: ports.map(|(port, bound)| (port.clone(), hosts(bound))).collect(),
    }
}

/// Takes away everything that a sequence made.
pub fn remove_all(gantry: &Daemon) {
    let list = |path: &str| gantry.api("GET", path, None).json();
    for container in list("/containers/json?all=1").as_array().into_iter().flatten() {
        let id = container["Id"].as_str().unwrap_or_default();
        let answer = gantry.api("DELETE", &format!("/containers/{id}?force=true&v=true"), None);
        // One that removes itself may be doing so.
        assert!(matches!(answer.status, 204 | 404 | 409), "remove {id}: {}", answer.text());
    }
    for network in list("/networks").as_array().into_iter().flatten() {
        let name = network["Name"].as_str().unwrap_or_default();
        if !matches!(name, "bridge" | "host" | "none") {
            let answer = gantry.api("DELETE", &format!("/networks/{name}"), None);
            assert_eq!(answer.status, 204, "remove {name}: {}", answer.text());
        }
    }
}
