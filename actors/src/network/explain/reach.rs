//! From where things are reached: what the rules of a network come to.

use contract::network::{Family, GatewayMode, Parent, PortBinding, Segment, SegmentKind};
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
    /// From containers of the network alone.
    Containers,
    /// From containers of the network and from other hosts on its parent's link, but not from this host.
    Link,
    /// From nowhere.
    Nobody,
}

/// From where a published port is reached.
pub fn of_port(segment: &Segment, binding: &PortBinding) -> Reach {
    let family = Family::of(binding.host_ip);
    if segment.kind != SegmentKind::Bridge {
        return of_address(segment, family);
    }
    match (segment.mode(family), binding.host_ip) {
        (GatewayMode::Isolated, _) => Reach::Containers,
        // What comes from elsewhere is dropped on its way to the bridge; the host itself is no elsewhere.
        _ if segment.policy.internal => of_address(segment, family),
        // Whatever address it is published on: it is reached at the container's own.
        (GatewayMode::Routed, _) => Reach::AnyHost,
        (_, address) if address.is_loopback() => Reach::ThisHost,
        // Others have no way to the bridge's address.
        (_, address) if segment.gateway(family) == Some(address) => Reach::Network,
        _ => Reach::AnyHost,
    }
}

/// From where a port that is not published is reached, at the container's own address.
pub fn of_address(segment: &Segment, family: Family) -> Reach {
    match (segment.mode(family), segment.policy.icc) {
        _ if segment.kind.parent() == Some(Parent::Own) => Reach::Containers,
        _ if segment.kind != SegmentKind::Bridge => Reach::Link,
        (GatewayMode::NatUnprotected, _) if !segment.policy.internal => Reach::AnyHost,
        (GatewayMode::Isolated, true) => Reach::Containers,
        (GatewayMode::Isolated, false) => Reach::Nobody,
        (_, true) => Reach::Network,
        (_, false) => Reach::ThisHost,
    }
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
    if spec.configuration.is_some() {
        return vec!["A configuration for other networks: no container is ever on it.".to_owned()];
    }
    let segment = &spec.segment;
    let has = |family: &Family| segment.gateway(*family).is_some();
    let families: Vec<Family> = [Family::Four, Family::Six].into_iter().filter(has).collect();
    let told: Vec<Vec<&str>> = families.iter().map(|family| of_family(segment, *family)).collect();
    let mut out: Vec<String> = match told.as_slice() {
        [four, six] if four != six => {
            let named = |name, list: &[&str]| list.iter().map(|s| format!("{name}: {s}")).collect::<Vec<_>>();
            [named("IPv4", four), named("IPv6", six)].concat()
        }
        [one, ..] => one.iter().map(|s| (*s).to_owned()).collect(),
        [] => Vec::new(),
    };
    if segment.kind == SegmentKind::Bridge {
        out.push(match segment.policy.icc {
            true => "Containers of this network reach each other.".to_owned(),
            false => "Containers of this network do not reach each other.".to_owned(),
        });
    }
    if let Some(address) = spec.host_binding {
        out.push(format!("Ports that are published without an address are published on {address}."));
    }
    for interface in &segment.trusted {
        out.push(format!(
            "What comes by {interface} reaches published ports at the containers' own addresses."
        ));
    }
    out
}

fn of_family(segment: &Segment, family: Family) -> Vec<&'static str> {
    let policy = segment.policy;
    match segment.kind.parent() {
        None => {}
        Some(Parent::Own) => {
            return vec![
                "Nobody but containers of this network reaches anything, and they reach nothing else.",
            ];
        }
        Some(Parent::Host) if policy.internal => {
            return vec![
                "Other hosts on the link reach every port of every container; this host reaches none.",
                "Containers have no route to what is beyond the link.",
            ];
        }
        Some(Parent::Host) => {
            return vec![
                "Other hosts on the link reach every port of every container; this host reaches none.",
                "Containers reach what the link's gateway leads to, under their own addresses.",
            ];
        }
    }
    let mode = segment.mode(family);
    let others = match mode {
        _ if policy.internal => "Other hosts and other networks reach nothing.",
        GatewayMode::Nat => {
            "Other hosts and other networks reach published ports, at this host's addresses, and nothing else."
        }
        GatewayMode::NatUnprotected => {
            "Other hosts reach published ports at this host's addresses, and with a route every port of every container."
        }
        GatewayMode::Routed => {
            "Other hosts that have a route reach published ports, at the containers' own addresses."
        }
        GatewayMode::Isolated => "Other hosts and other networks reach nothing.",
    };
    let host = match mode {
        GatewayMode::Isolated => "This host reaches nothing, for it has no address on the network.",
        _ => "This host reaches every port of every container.",
    };
    let outward = match (policy.internal, mode) {
        (true, _) | (_, GatewayMode::Isolated) => "Containers reach nothing outside of this network.",
        (_, GatewayMode::Nat | GatewayMode::NatUnprotected) if policy.masquerade => {
            "Containers reach other hosts, which see this host's address."
        }
        _ => "Containers reach other hosts that have a route back, under their own addresses.",
    };
    vec![others, host, outward]
}
