//! Networks that are nothing but a configuration for others.

use super::plan::Wanted;
use contract::network::Segment;
use contract::record::NetworkSpec;
use contract::{Kind, PortError};
use std::collections::BTreeMap;

/// The record of a configuration: what was asked for, and nothing chosen. It holds no interface and no subnet.
pub(super) fn kept(wanted: Wanted) -> NetworkSpec {
    NetworkSpec {
        id: wanted.id,
        name: wanted.name,
        created_ns: wanted.created_ns,
        segment: Segment::default(),
        range: None,
        range6: None,
        auxiliary: BTreeMap::new(),
        asked: [false; 2],
        asked6: [false; 2],
        host_binding: None,
        attachable: false,
        labels: wanted.labels,
        options: wanted.options,
        ipam_options: wanted.ipam_options,
        configuration: wanted.configuration,
        config_from: String::new(),
    }
}

/// The configuration that a new network is to have is there.
pub(super) fn check(config_from: &str, known: &[&NetworkSpec]) -> Result<(), PortError> {
    if config_from.is_empty() || known.iter().any(|n| n.configuration.is_some() && n.name == config_from) {
        return Ok(());
    }
    Err(PortError::new(Kind::NotFound, format!("configuration network {config_from:?} does not exist")))
}
