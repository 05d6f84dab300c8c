//! From where things are reached: what the rules of a network come to.

use contract::network::{PortBinding, Segment};
use contract::record::NetworkSpec;
use serde::Serialize;

/// From where something is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// From every host that has a way to the address.
    AnyHost,
    /// From this host alone.
    ThisHost,
    /// From this host and from containers of the network.
    Network,
    /// From nowhere.
    Nobody,
}

/// From where a published port is reached.
pub fn of_port(segment: &Segment, binding: &PortBinding) -> Reach {
    let own = [segment.gateway(contract::network::Family::Four), segment.gateway(contract::network::Family::Six)];
    match binding.host_ip {
        address if address.is_loopback() => Reach::ThisHost,
        // Others have no way to the bridge's address.
        address if own.contains(&Some(address)) => Reach::Network,
        // What comes from elsewhere is dropped on its way to the bridge; the host itself is no elsewhere.
        _ if segment.policy.internal => Reach::Network,
        _ => Reach::AnyHost,
    }
}

/// From where a port is reached at a container's own address.
pub fn of_address(segment: &Segment) -> Reach {
    if segment.policy.icc { Reach::Network } else { Reach::ThisHost }
}

/// What is to be said of host and none.
pub fn without_addresses(name: &str) -> Vec<String> {
    let text = match name {
        "host" => "Containers use this host's interfaces: their ports are its own, and reached as such.",
        _ => "Containers have nothing but a loopback interface of their own.",
    };
    vec![text.into()]
}

/// What others reach of a network, and what it reaches.
pub fn sentences(spec: &NetworkSpec) -> Vec<String> {
    let policy = spec.segment.policy;
    let mut out = Vec::new();
    out.push(match policy.internal {
        true => "Other hosts and other networks reach nothing.".to_owned(),
        false => "Other hosts and other networks reach published ports, at this host's addresses, and nothing else.".to_owned(),
    });
    out.push("This host reaches every port of every container.".to_owned());
    out.push(match policy.icc {
        true => "Containers of this network reach each other.".to_owned(),
        false => "Containers of this network do not reach each other.".to_owned(),
    });
    out.push(match (policy.internal, policy.masquerade) {
        (true, _) => "Containers reach nothing outside of this network.".to_owned(),
        (false, true) => "Containers reach other hosts, which see this host's address.".to_owned(),
        (false, false) => "Containers reach other hosts that have a route back, under their own addresses.".to_owned(),
    });
    if let Some(address) = spec.host_binding {
        out.push(format!("Ports that are published without an address are published on {address}."));
    }
    out
}
