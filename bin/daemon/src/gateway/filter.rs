//! The filters of `ps`, as a pure choice over snapshots.

use actors::Snapshot;
use contract::{Kind, PortError};
use std::collections::BTreeMap;

/// Filters that `GET /containers/json` knows.
pub const KNOWN: [&str; 10] =
    ["id", "name", "label", "status", "exited", "ancestor", "before", "since", "network", "publish"];

/// Docker's states.
const STATES: [&str; 7] = ["created", "restarting", "running", "removing", "paused", "exited", "dead"];

/// Parsed filters.
#[derive(Debug, Default)]
pub struct Filter {
    by: BTreeMap<String, Vec<String>>,
    before_ns: Option<i64>,
    since_ns: Option<i64>,
}

impl Filter {
    /// Checks values and resolves `before` and `since` through `created`, which answers a container's creation time.
    pub fn new(
        by: BTreeMap<String, Vec<String>>,
        created: impl Fn(&str) -> Result<i64, PortError>,
    ) -> Result<Self, PortError> {
        for state in by.get("status").into_iter().flatten() {
            if !STATES.contains(&state.as_str()) {
                return Err(PortError::new(Kind::Invalid, format!("invalid filter 'status={state}'")));
            }
        }
        for code in by.get("exited").into_iter().flatten() {
            if code.parse::<i32>().is_err() {
                return Err(PortError::new(Kind::Invalid, format!("invalid filter 'exited={code}'")));
            }
        }
        let first = |key: &str| by.get(key).and_then(|v| v.first());
        let before_ns = first("before").map(|n| created(n)).transpose()?;
        let since_ns = first("since").map(|n| created(n)).transpose()?;
        Ok(Self { by, before_ns, since_ns })
    }

    /// Whether stopped containers are wanted although `all` was not asked for.
    pub fn implies_all(&self) -> bool {
        self.by.contains_key("status") || self.by.contains_key("exited")
    }

    /// Whether the container is chosen; `image_ids` are what the `ancestor` values resolve to.
    pub fn matches(&self, snapshot: &Snapshot, image_ids: &[String]) -> bool {
        let spec = &snapshot.spec;
        let any = |key: &str, test: &dyn Fn(&str) -> bool| match self.by.get(key) {
            None => true,
            Some(values) => values.iter().any(|v| test(v)),
        };
        let exited = snapshot.status.as_str() == "exited";
        any("id", &|v| spec.id.starts_with(v))
            && any("name", &|v| {
                snapshot.state.name.contains(v.trim_start_matches('/').trim_matches(['^', '$']))
            })
            && any("status", &|v| v == snapshot.status.as_str())
            && any("exited", &|v| exited && v.parse() == Ok(snapshot.state.exit_code))
            && any("ancestor", &|v| spec.image_name == v || image_ids.contains(&spec.image))
            && any("network", &|v| on_network(&snapshot.state, v))
            && any("publish", &|v| {
                spec.ports.iter().any(|p| p.host_port.to_string() == v || super::render::port_key(p) == v)
            })
            && self.by.get("label").is_none_or(|all| all.iter().all(|l| label(l, &spec.labels)))
            && self.before_ns.is_none_or(|t| spec.created_ns < t)
            && self.since_ns.is_none_or(|t| spec.created_ns > t)
    }

    /// The `ancestor` values.
    pub fn ancestors(&self) -> &[String] {
        self.by.get("ancestor").map_or(&[], Vec::as_slice)
    }
}

/// By the name or the id of a network it belongs to.
fn on_network(state: &contract::record::ContainerState, wanted: &str) -> bool {
    state.networks.iter().any(|(name, a)| name == wanted || (!wanted.is_empty() && a.network == wanted))
}

/// `key` or `key=value`.
pub fn label(wanted: &str, labels: &BTreeMap<String, String>) -> bool {
    match wanted.split_once('=') {
        None => labels.contains_key(wanted),
        Some((key, value)) => labels.get(key).is_some_and(|v| v == value),
    }
}
