//! What is told of a container's networks.

use super::port_map;
use actors::Snapshot;
use contract::network::{Endpoint, Family, SegmentKind};
use contract::record::{Attachment, ContainerState};
use serde_json::{Map, Value, json};

/// `NetworkSettings` of an inspected container.
pub fn settings(snapshot: &Snapshot) -> Value {
    let spec = &*snapshot.spec;
    let running = snapshot.pid != 0;
    let endpoints = snapshot.state.endpoints.iter().filter(|_| running);
    // Docker tells the addresses of the default network at the top.
    let default = endpoints.clone().find(|e| e.network_name == "bridge");
    let ports = match published(&snapshot.state).filter(|_| running) {
        Some(endpoint) => port_map(&endpoint.ports, &spec.exposed),
        None if endpoints.clone().any(|e| e.segment.kind == SegmentKind::Bridge) => {
            port_map(&[], &spec.exposed)
        }
        None => json!({}),
    };
    let of = |text: fn(&Endpoint) -> String| default.map(text).unwrap_or_default();
    json!({
        "Bridge": "", "SandboxID": if running { spec.id.as_str() } else { "" },
        "SandboxKey": if running { format!("/proc/{}/ns/net", snapshot.pid) } else { String::new() },
        "Ports": ports, "HairpinMode": false, "LinkLocalIPv6Address": "", "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": null, "SecondaryIPv6Addresses": null, "EndpointID": of(Endpoint::id),
        "Gateway": of(|e| hop(e, Family::Four)), "GlobalIPv6Address": of(address6),
        "GlobalIPv6PrefixLen": default.map_or(0, prefix6),
        "IPAddress": of(|e| e.address.map(|a| a.to_string()).unwrap_or_default()), "IPPrefixLen": default.map_or(0, |e| e.segment.prefix),
        "IPv6Gateway": of(|e| hop(e, Family::Six)), "MacAddress": of(|e| e.mac.clone()), "Networks": all(snapshot),
    })
}

/// The endpoint that has the published ports.
pub fn published(state: &ContainerState) -> Option<&Endpoint> {
    let with = |chosen: fn(&&Endpoint) -> bool| state.endpoints.iter().find(chosen);
    let gate = with(|e| e.default_route).or_else(|| with(|e| e.default_route6));
    gate.filter(|e| e.segment.kind == SegmentKind::Bridge)
}

/// Where its default route of one family leads, if it has one.
fn hop(endpoint: &Endpoint, family: Family) -> String {
    endpoint.segment.next_hop(family).map(|g| g.to_string()).unwrap_or_default()
}

fn address6(endpoint: &Endpoint) -> String {
    endpoint.address6.map(|a| a.to_string()).unwrap_or_default()
}

fn prefix6(endpoint: &Endpoint) -> u8 {
    endpoint.segment.six.filter(|_| endpoint.address6.is_some()).map_or(0, |six| six.prefix)
}

/// A container's networks by name.
pub fn all(snapshot: &Snapshot) -> Map<String, Value> {
    let networks = snapshot.state.networks.iter();
    networks.map(|(name, attachment)| (name.clone(), one(snapshot, name, attachment))).collect()
}

fn one(snapshot: &Snapshot, name: &str, asked: &Attachment) -> Value {
    let built_in = matches!(name, "bridge" | "host" | "none");
    let running = snapshot.pid != 0;
    let endpoint = snapshot.state.endpoints.iter().filter(|_| running).find(|e| e.network_name == name);
    let or_null = |list: Vec<String>| if list.is_empty() { Value::Null } else { json!(list) };
    let links = asked.links.iter().map(|l| format!("{}:{}", l.target, l.alias)).collect();
    let mut ipam = Map::new();
    if let Some(address) = asked.address {
        ipam.insert("IPv4Address".into(), json!(address));
    }
    if let Some(address) = asked.address6 {
        ipam.insert("IPv6Address".into(), json!(address));
    }
    if !asked.link_local.is_empty() {
        ipam.insert("LinkLocalIPs".into(), json!(asked.link_local));
    }
    let ipam = if built_in && ipam.is_empty() { Value::Null } else { Value::Object(ipam) };
    let id = if built_in { network_id(name) } else { asked.network.clone() };
    let names = if built_in { Vec::new() } else { snapshot.dns_names(&asked.aliases) };
    json!({
        "IPAMConfig": ipam, "Links": or_null(links), "Aliases": or_null(asked.aliases.clone()),
        "MacAddress": endpoint.map_or_else(|| asked.mac.clone(), |e| e.mac.clone()),
        "DriverOpts": if asked.driver_options.is_empty() { Value::Null } else { json!(asked.driver_options) },
        "GwPriority": asked.gateway_priority, "NetworkID": id,
        "EndpointID": match endpoint {
            Some(endpoint) => endpoint.id(),
            // Networks without addresses have endpoints, too.
            None if running && built_in => snapshot.spec.id.clone(),
            None => String::new(),
        },
        "Gateway": endpoint.map(|e| hop(e, Family::Four)).unwrap_or_default(),
        "IPAddress": endpoint.and_then(|e| e.address).map(|a| a.to_string()).unwrap_or_default(),
        "IPPrefixLen": endpoint.map_or(0, |e| e.segment.prefix),
        "IPv6Gateway": endpoint.map(|e| hop(e, Family::Six)).unwrap_or_default(),
        "GlobalIPv6Address": endpoint.map(address6).unwrap_or_default(),
        "GlobalIPv6PrefixLen": endpoint.map_or(0, prefix6), "DNSNames": or_null(names),
    })
}

/// Adds to the aliases on networks that users made what API versions before 1.45 tell among them: short id and host name.
pub fn alias_as_of_old(inspected: &mut Value, spec: &contract::record::ContainerSpec) {
    let networks = inspected.pointer_mut("/NetworkSettings/Networks").and_then(Value::as_object_mut);
    for (name, network) in networks.into_iter().flatten() {
        if matches!(name.as_str(), "bridge" | "host" | "none") {
            continue;
        }
        let Some(aliases) = network.get_mut("Aliases") else { continue };
        let mut all = aliases.as_array().cloned().unwrap_or_default();
        for known in [spec.id.get(..12).unwrap_or_default(), &spec.hostname] {
            if !known.is_empty() && !all.iter().any(|alias| alias == known) {
                all.push(known.into());
            }
        }
        *aliases = Value::Array(all);
    }
}

/// A stable 64-digit id for each of the built-in networks.
pub fn network_id(name: &str) -> String {
    name.bytes().cycle().take(32).map(|byte| hex::encode([byte])).collect()
}
