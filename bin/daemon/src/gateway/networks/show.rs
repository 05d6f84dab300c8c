//! Networks as Docker's API words them.

use super::Shared;
use crate::gateway::render;
use contract::record::NetworkSpec;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

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
            (s.pid != 0 && s.spec.network_mode == name).then(|| (String::new(), String::new(), String::new()))
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
        let address =
            endpoint.address.map(|a| format!("{a}/{}", endpoint.segment.prefix)).unwrap_or_default();
        Some((endpoint.id(), endpoint.mac.clone(), address))
    });
    let mut pool = Map::new();
    pool.insert("Subnet".into(), bridge.subnet().map(|s| s.to_string()).into());
    if let Some(range) = network.range {
        pool.insert("IPRange".into(), range.to_string().into());
    }
    // Docker tells a gateway that was asked for, and with a subnet of its own choice.
    if network.asked[1] || (!network.asked[0] && bridge.has_gateway()) {
        pool.insert("Gateway".into(), bridge.gateway.map(|g| g.to_string()).into());
    }
    if !network.auxiliary.is_empty() {
        pool.insert("AuxiliaryAddresses".into(), json!(network.auxiliary));
    }
    let mut options = json!(network.options);
    if built_in {
        options = json!({
            "com.docker.network.bridge.default_bridge": "true",
            "com.docker.network.bridge.enable_icc": "true",
            "com.docker.network.bridge.enable_ip_masquerade": "true",
            "com.docker.network.bridge.host_binding_ipv4": "0.0.0.0",
            "com.docker.network.bridge.name": bridge.name,
            "com.docker.network.driver.mtu": bridge.mtu.to_string(),
        });
    }
    let value = json!({
        "Name": network.name, "Id": network.id, "Created": render::time(network.created_ns), "Scope": "local",
        "Driver": driver, "EnableIPv4": true, "EnableIPv6": false,
        "IPAM": { "Driver": "default", "Options": network.ipam_options, "Config": [pool] },
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

/// The containers for which `of` answers endpoint id, MAC and address.
fn members(
    gateway: &Shared,
    of: impl Fn(&actors::Snapshot) -> Option<(String, String, String)>,
) -> Map<String, Value> {
    let mut out = Map::new();
    for snapshot in gateway.engine.list() {
        if let Some((endpoint, mac, address)) = of(&snapshot) {
            let one = json!({
                "Name": snapshot.state.name, "EndpointID": endpoint, "MacAddress": mac, "IPv4Address": address,
                "IPv6Address": "",
            });
            out.insert(snapshot.spec.id.clone(), one);
        }
    }
    out
}
