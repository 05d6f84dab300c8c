//! A network's record.

use crate::network::{Segment, Subnet};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// A request as it came.
pub type Configuration = serde_json::Value;

/// A network that a user made, or the default one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkSpec {
    /// 64 hex digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Creation, ns since the Unix epoch.
    pub created_ns: i64,
    /// What is made of it.
    #[serde(alias = "bridge")]
    pub segment: Segment,
    /// The part of the subnet from which addresses are handed out, when not the whole.
    pub range: Option<Subnet>,
    /// The same of the IPv6 subnet.
    #[serde(default)]
    pub range6: Option<Subnet>,
    /// Addresses that are never handed out, by what they are for.
    pub auxiliary: BTreeMap<String, IpAddr>,
    /// The subnet, and the gateway, were asked for rather than chosen.
    pub asked: [bool; 2],
    /// The same of the IPv6 ones.
    #[serde(default)]
    pub asked6: [bool; 2],
    /// Where ports are published that name no address.
    pub host_binding: Option<IpAddr>,
    /// Kept for inspection.
    pub attachable: bool,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Driver options as given.
    pub options: BTreeMap<String, String>,
    /// Options of the address management as given.
    pub ipam_options: Option<BTreeMap<String, String>>,
    /// Where it is nothing but a configuration for other networks: the request that made it.
    #[serde(default)]
    pub configuration: Option<Configuration>,
    /// The network whose configuration it has; empty = its own.
    #[serde(default)]
    pub config_from: String,
}
