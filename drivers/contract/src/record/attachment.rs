//! What a container asks of its networks.

use crate::network::Interface;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The option that names the container's interface (moby `libnetwork/netlabel`).
pub const IFNAME: &str = "com.docker.network.endpoint.ifname";
/// The option that lists settings of the container's interface, separated by commas (ditto).
pub const SYSCTLS: &str = "com.docker.network.endpoint.sysctls";

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
    /// Options as given: those of Docker's own that [`interface`](Self::interface) reads, and the user's.
    pub driver_options: BTreeMap<String, String>,
    /// Wanted further addresses that are good on the link alone.
    pub link_local: Vec<IpAddr>,
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

impl Attachment {
    /// What is asked of the container's interface.
    pub fn interface(&self) -> Interface {
        let option = |name: &str| self.driver_options.get(name).map(String::as_str).unwrap_or_default();
        let sysctls = option(SYSCTLS).split(',').filter(|s| !s.is_empty()).map(str::to_owned);
        Interface {
            name: option(IFNAME).to_owned(),
            link_local: self.link_local.clone(),
            sysctls: sysctls.collect(),
        }
    }
}
