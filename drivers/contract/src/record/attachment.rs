//! What a container asks of its networks.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

/// What was asked of one network's attachment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attachment {
    /// The network's id, once it is known.
    pub network: String,
    /// The wanted address.
    pub address: Option<Ipv4Addr>,
    /// The wanted IPv6 address.
    pub address6: Option<Ipv6Addr>,
    /// The wanted MAC, text; empty = derived from the address.
    pub mac: String,
    /// Names by which others on this network find it.
    pub aliases: Vec<String>,
    /// Names by which it finds others on this network.
    pub links: Vec<Link>,
    /// Options that mean nothing to a bridge, kept for inspection.
    pub driver_options: BTreeMap<String, String>,
    /// Which network's gateway it uses: the highest.
    pub gateway_priority: i64,
}

/// Another container under a name of this one's own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The other's id or name as given.
    pub target: String,
    /// The name.
    pub alias: String,
}
