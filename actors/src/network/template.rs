//! Networks that are nothing but a configuration for others.

use super::plan::Wanted;
use contract::network::Segment;
use contract::record::NetworkSpec;
use contract::{Kind, PortError};

/// The record of a configuration: what was asked for, and nothing chosen. It holds no interface and no subnet.
pub(super) fn kept(wanted: Wanted) -> NetworkSpec {
    let subnet = wanted.subnet.map(|s| (s.address, s.prefix));
    let (first, prefix) = match subnet {
        Some((std::net::IpAddr::V4(first), prefix)) => (first, prefix),
        _ => (Segment::default().gateway, 0),
    };
    NetworkSpec {
        asked: [wanted.subnet.is_some(), wanted.gateway.is_some()],
        segment: Segment { gateway: wanted.gateway.unwrap_or(first), prefix, ..Segment::default() },
        id: wanted.id,
        name: wanted.name,
        created_ns: wanted.created_ns,
        range: wanted.range,
        range6: None,
        asked6: [false; 2],
        auxiliary: wanted.auxiliary,
        host_binding: None,
        attachable: false,
        labels: wanted.labels,
        options: wanted.options,
        ipam_options: wanted.ipam_options,
        config_only: true,
        config_from: String::new(),
    }
}

/// The configuration that a new network is to have is there.
pub(super) fn check(config_from: &str, known: &[&NetworkSpec]) -> Result<(), PortError> {
    if config_from.is_empty() || known.iter().any(|n| n.config_only && n.name == config_from) {
        return Ok(());
    }
    Err(PortError::new(Kind::NotFound, format!("configuration network {config_from:?} does not exist")))
}
