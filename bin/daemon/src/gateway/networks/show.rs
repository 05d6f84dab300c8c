//! Networks as Docker's API words them.

use super::Shared;
use crate::gateway::render;
use contract::network::Family;
use contract::record::NetworkSpec;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// A network with what filters look at.
pub struct Shown {
    /// 64 hex digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its driver.
    pub driver: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// It always exists.
    pub built_in: bool,
    /// The whole object.
    pub value: Value,
}

impl Shown {
    /// No container is on it.
    pub fn is_empty(&self) -> bool {
        self.value.get("Containers").and_then(Value::as_object).is_none_or(Map::is_empty)
    }

    /// As lists show it.
    pub fn without_containers(mut self) -> Value {
        if let Some(map) = self.value.as_object_mut() {
            map.insert("Containers".into(), json!({}));
        }
        self.value
    }
}

/// All networks, those that always exist last.
pub fn all(gateway: &Shared) -> Vec<Shown> {
    let mut out: Vec<Shown> = gateway.engine.networks().iter().map(|n| bridge(gateway, n)).collect();
    for (name, driver) in [("host", "host"), ("none", "null")] {
        let id = render::network_id(name);
        let members = members(gateway, |s| {
            // They have no addresses.
            (s.pid != 0 && s.spec.network_mode == name).then(Member::default)
        });
        let value = json!({
            "Name": name, "Id": id, "Created": "0001-01-01T00:00:00Z", "Scope": "local", "Driver": driver,
            "EnableIPv4": true, "EnableIPv6": false,
            "IPAM": { "Driver": "default", "Options": null, "Config": null }, "Internal": false,
            "Attachable": false, "Ingress": false, "ConfigFrom": { "Network": "" }, "ConfigOnly": false,
            "Containers": members, "Options": {}, "Labels": {},
        });
        let (name, driver) = (name.to_owned(), driver.to_owned());
        out.push(Shown { id, name, driver, labels: BTreeMap::new(), built_in: true, value });
    }
    out
}

fn bridge(gateway: &Shared, network: &NetworkSpec) -> Shown {
    if let Some(kept) = &network.configuration {
        let (id, name, driver) = (network.id.clone(), network.name.clone(), "null".to_owned());
        let value = super::template::shown(network, kept);
        return Shown { id, name, driver, labels: network.labels.clone(), built_in: false, value };
    }
    let bridge = &network.segment;
    let driver = bridge.kind.driver();
    let built_in = network.name == "bridge";
    let members = members(gateway, |snapshot| {
        let endpoints = snapshot.state.endpoints.iter().filter(|_| snapshot.pid != 0);
        let endpoint = endpoints.into_iter().find(|e| e.network == network.id)?;
        let segment = &endpoint.segment;
        let four = endpoint.address.map(|a| format!("{a}/{}", segment.prefix));
        let six = endpoint.address6.zip(segment.six).map(|(a, six)| format!("{a}/{}", six.prefix));
        Some(Member {
            endpoint: endpoint.id(),
            mac: endpoint.mac.clone(),
            four: four.unwrap_or_default(),
            six: six.unwrap_or_default(),
        })
    });
    let mut options = json!(network.options);
    if built_in {
        options = json!({
            "com.docker.network.bridge.default_bridge": "true",
            "com.docker.network.bridge.enable_icc": bridge.policy.icc.to_string(),
            "com.docker.network.bridge.enable_ip_masquerade": bridge.policy.masquerade.to_string(),
            "com.docker.network.bridge.host_binding_ipv4": "0.0.0.0",
            "com.docker.network.bridge.name": bridge.name,
            "com.docker.network.driver.mtu": bridge.mtu.to_string(),
        });
    }
    let value = json!({
        "Name": network.name, "Id": network.id, "Created": render::time(network.created_ns), "Scope": "local",
        "Driver": driver, "EnableIPv4": bridge.gateway.is_some(), "EnableIPv6": bridge.six.is_some(),
        "IPAM": { "Driver": "default", "Options": network.ipam_options, "Config": pools(network) },
        "Internal": bridge.policy.internal, "Attachable": network.attachable, "Ingress": false,
        "ConfigFrom": { "Network": network.config_from }, "ConfigOnly": false, "Containers": members, "Options": options,
        "Labels": network.labels,
    });
    Shown {
        id: network.id.clone(),
        name: network.name.clone(),
        driver: driver.into(),
        labels: network.labels.clone(),
        built_in,
        value,
    }
}

/// Its subnets: first those that were asked for, as Docker tells them.
fn pools(network: &NetworkSpec) -> Vec<Value> {
    let segment = &network.segment;
    let families = [
        (Family::Four, segment.subnet(), network.range, network.asked),
        (Family::Six, segment.subnet6(), network.range6, network.asked6),
    ];
    let mut out = [Vec::new(), Vec::new()];
    let [asked_for, chosen] = &mut out;
    for (family, subnet, range, [asked, asked_gateway]) in families {
        let Some(subnet) = subnet else { continue };
        let mut pool = Map::new();
        pool.insert("Subnet".into(), subnet.to_string().into());
        if let Some(range) = range {
            pool.insert("IPRange".into(), range.to_string().into());
        }
        // Docker tells a gateway that was asked for, and with a subnet of its own choice.
        if asked_gateway || (!asked && segment.has_gateway()) {
            pool.insert("Gateway".into(), segment.gateway(family).map(|g| g.to_string()).into());
        }
        let auxiliary = network.auxiliary.iter().filter(|(_, a)| Family::of(**a) == family);
        let auxiliary: BTreeMap<&String, &IpAddr> = auxiliary.collect();
        if !auxiliary.is_empty() {
            pool.insert("AuxiliaryAddresses".into(), json!(auxiliary));
        }
        let list = if asked { &mut *asked_for } else { &mut *chosen };
        list.push(Value::Object(pool));
    }
    out.concat()
}

/// What is told of a container on a network.
#[derive(Default)]
struct Member {
    endpoint: String,
    mac: String,
    four: String,
    six: String,
}

/// The containers for which `of` answers.
fn members(gateway: &Shared, of: impl Fn(&actors::Snapshot) -> Option<Member>) -> Map<String, Value> {
    let mut out = Map::new();
    for snapshot in gateway.engine.list() {
        if let Some(member) = of(&snapshot) {
            let one = json!({
                "Name": snapshot.state.name, "EndpointID": member.endpoint, "MacAddress": member.mac,
                "IPv4Address": member.four, "IPv6Address": member.six,
            });
            out.insert(snapshot.spec.id.clone(), one);
        }
    }
    out
}
