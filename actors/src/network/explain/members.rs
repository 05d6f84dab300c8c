//! Containers on a network, their names and their ports.

use super::On;
use super::reach::{self, Reach};
use crate::Snapshot;
use contract::network::{Endpoint, Family, PortBinding, Protocol, Segment, Survey};
use serde::Serialize;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// A container that runs on a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Member {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// The hardware address of its interface.
    pub mac: String,
    /// Names by which others on this network find it.
    pub names: Vec<String>,
    /// Names that only it has for others, `alias -> target`.
    pub links: Vec<String>,
    /// Its default route leads over this network.
    pub default_route: bool,
}

/// A port of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExplainedPort {
    /// The container's name.
    pub container: String,
    /// Protocol.
    pub protocol: Protocol,
    /// Where it is published; none = nowhere.
    pub host: Option<SocketAddr>,
    /// The port inside.
    pub port: u16,
    /// From where it is reached as published, or at its own address where it is not.
    pub reached_from: Reach,
    /// The kernel leads there; none = not known, or not published.
    pub installed: Option<bool>,
}

/// One container's place on a network.
pub fn member(snapshot: &Snapshot, endpoint: &Endpoint) -> Member {
    let attachment = snapshot.state.networks.get(&endpoint.network_name);
    let links = attachment.map(|a| a.links.as_slice()).unwrap_or_default();
    let aliases = attachment.map(|a| a.aliases.as_slice()).unwrap_or_default();
    // The default network has no names but those in /etc/hosts.
    let names = match endpoint.network_name == crate::network::DEFAULT {
        true => Vec::new(),
        false => snapshot.dns_names(aliases),
    };
    Member {
        id: snapshot.spec.id.clone(),
        name: snapshot.state.name.clone(),
        addresses: endpoint.addresses().collect(),
        mac: endpoint.mac.clone(),
        names,
        links: links.iter().map(|l| format!("{} -> {}", l.alias, l.target)).collect(),
        default_route: endpoint.default_route || endpoint.default_route6,
    }
}

/// Containers of a network that has no addresses.
pub fn without_addresses(containers: &[Arc<Snapshot>], mode: &str) -> Vec<Member> {
    let on = containers.iter().filter(|s| s.pid != 0 && s.spec.network_mode == mode);
    let mut members: Vec<Member> = on
        .map(|snapshot| Member {
            id: snapshot.spec.id.clone(),
            name: snapshot.state.name.clone(),
            addresses: Vec::new(),
            mac: String::new(),
            names: Vec::new(),
            links: Vec::new(),
            default_route: mode == "host",
        })
        .collect();
    members.sort_by(|a, b| a.name.cmp(&b.name));
    members
}

/// Ports that are published, then those that are only exposed.
pub fn ports(segment: &Segment, on: &On<'_>, survey: Option<&Survey>) -> Vec<ExplainedPort> {
    let (mut published, mut exposed) = (Vec::new(), Vec::new());
    for (snapshot, endpoint) in on {
        for binding in &endpoint.ports {
            let of_family = |address: &IpAddr| Family::of(*address) == Family::of(binding.host_ip);
            // Without a port of the host's it is reached at the container's own address; what leads there is no entry.
            let direct = binding.host_port == 0;
            let installed = survey.filter(|_| !direct).map(|survey| is_installed(survey, binding, endpoint));
            let host = match endpoint.addresses().find(of_family) {
                Some(own) if direct => SocketAddr::new(own, binding.container_port),
                _ => SocketAddr::new(binding.host_ip, binding.host_port),
            };
            let reached_from = match installed {
                Some(false) => Reach::Nobody,
                _ => reach::of_port(segment, binding),
            };
            published.push(ExplainedPort {
                container: snapshot.state.name.clone(),
                protocol: binding.protocol,
                host: Some(host),
                port: binding.container_port,
                reached_from,
                installed,
            });
        }
        let family = endpoint.addresses().next().map_or(Family::Four, Family::of);
        for text in &snapshot.spec.exposed {
            let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
            let (Ok(port), Some(protocol)) = (number.parse(), Protocol::named(protocol)) else { continue };
            if endpoint.ports.iter().any(|p| p.container_port == port && p.protocol == protocol) {
                continue;
            }
            exposed.push(ExplainedPort {
                container: snapshot.state.name.clone(),
                protocol,
                host: None,
                port,
                reached_from: reach::of_address(segment, family),
                installed: None,
            });
        }
    }
    published.sort_by_key(|p| p.host);
    exposed.sort_by(|a, b| (&a.container, a.port).cmp(&(&b.container, b.port)));
    published.extend(exposed);
    published
}

/// Whether the kernel leads a port to one of the endpoint's addresses.
pub fn is_installed(survey: &Survey, binding: &PortBinding, endpoint: &Endpoint) -> bool {
    survey
        .ports
        .iter()
        .any(|(port, target)| port == binding && endpoint.addresses().any(|own| own == *target))
}
