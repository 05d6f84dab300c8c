//! Containers as Docker's API words them.

pub mod health;
mod inspect;
mod isolation;
mod mounts;
mod network;
mod resources;
mod stats;
mod summary;

pub use inspect::{config, inspect};
pub use network::{alias_as_of_old, network_id};
pub use stats::stats;
pub use summary::{Port, ports, summary};

use contract::network::PortBinding;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// RFC 3339 with nanoseconds; the Go zero time for "never".
pub fn time(ns: i64) -> String {
    if ns == 0 {
        return "0001-01-01T00:00:00Z".to_owned();
    }
    Timestamp::from_nanosecond(i128::from(ns)).map_or_else(|_| String::new(), |t| t.to_string())
}

/// `80/tcp`.
pub fn port_key(binding: &PortBinding) -> String {
    format!("{}/{}", binding.container_port, binding.protocol.name())
}

/// `{"80/tcp": [{"HostIp": …, "HostPort": …}], "443/tcp": null}`.
pub fn port_map(bindings: &[PortBinding], exposed: &[String]) -> Value {
    let mut out = Map::new();
    for port in exposed {
        out.insert(port.clone(), Value::Null);
    }
    for binding in bindings {
        if binding.host_port == 0 {
            out.entry(port_key(binding)).or_insert(Value::Null);
            continue;
        }
        let entry =
            json!({ "HostIp": binding.host_ip.to_string(), "HostPort": binding.host_port.to_string() });
        match out.entry(port_key(binding)).or_insert(Value::Null) {
            Value::Array(list) => list.push(entry),
            empty => *empty = json!([entry]),
        }
    }
    Value::Object(out)
}
