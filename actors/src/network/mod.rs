//! Networks: the directory of their names and subnets, and an actor for each bridge's addresses. The kernel's side is the
//! effects' business.

pub mod actor;
mod addresses;
pub mod allocator;
pub mod board;
pub mod directory;
pub mod explain;
mod interface;
pub mod plan;
pub mod reconciler;
mod template;
pub mod zone;

pub use board::{Known, NetworkBoard};

use contract::network::Segment;
use contract::record::NetworkSpec;
use std::collections::BTreeMap;

/// The name under which Docker knows the default bridge's network.
pub const DEFAULT: &str = "bridge";

/// Networks that always exist, with Docker's names of their drivers.
pub const BUILT_IN: [(&str, &str); 3] = [(DEFAULT, "bridge"), ("host", "host"), ("none", "null")];

/// The id of a built-in network (`bridge`, `host`, `none`): fixed by its name, 64 hex digits.
pub fn id(name: &str) -> String {
    let bytes: Vec<u8> = name.bytes().cycle().take(32).collect();
    hex::encode(bytes)
}

/// Docker's name of a network's driver; a configuration has none that does anything.
pub fn driver(network: &NetworkSpec) -> &'static str {
    if network.configuration.is_some() { "null" } else { network.segment.kind.driver() }
}

/// Whether a network always exists.
pub fn is_built_in(name: &str) -> bool {
    BUILT_IN.iter().any(|(known, _)| *known == name)
}

/// The default network over the daemon's bridge.
pub fn default_spec(segment: &Segment) -> NetworkSpec {
    NetworkSpec {
        id: id(DEFAULT),
        name: DEFAULT.into(),
        created_ns: 0,
        segment: segment.clone(),
        range: None,
        range6: None,
        asked6: [true; 2],
        auxiliary: BTreeMap::new(),
        asked: [true; 2],
        host_binding: None,
        attachable: false,
        labels: BTreeMap::new(),
        options: BTreeMap::new(),
        ipam_options: None,
        configuration: None,
        config_from: String::new(),
    }
}
