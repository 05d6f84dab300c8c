//! The filters of `ps`, as a pure choice over snapshots.

use super::render;
use actors::Snapshot;
use contract::network::Protocol;
use contract::{Kind, PortError};
use regex::Regex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Filters that `GET /containers/json` knows.
pub const KNOWN: [&str; 15] = [
    "ancestor",
    "before",
    "exited",
    "expose",
    "health",
    "id",
    "isolation",
    "is-task",
    "label",
    "name",
    "network",
    "publish",
    "since",
    "status",
    "volume",
];

/// Docker's states.
const STATES: [&str; 7] = ["created", "restarting", "running", "removing", "paused", "exited", "dead"];
const HEALTHS: [&str; 4] = ["none", "starting", "healthy", "unhealthy"];

type Ports = Vec<(u16, Protocol)>;

/// Parsed filters.
#[derive(Debug, Default)]
pub struct Filter {
    by: BTreeMap<String, Vec<String>>,
    ids: Option<Vec<String>>,
    names: Option<Vec<Name>>,
    before_ns: Option<i64>,
    since_ns: Option<i64>,
    publish: Option<Ports>,
    expose: Option<Ports>,
    tasks_only: bool,
}

/// A wanted name: as it is, or as an expression, of which one that cannot be read matches nothing.
#[derive(Debug)]
pub struct Name {
    plain: String,
    expression: Option<Regex>,
}

impl Name {
    /// Reads it.
    pub fn new(wanted: &str) -> Self {
        Self { plain: wanted.to_owned(), expression: Regex::new(wanted).ok() }
    }

    /// A container's name, which is also known with a slash before it.
    fn matches(&self, name: &str) -> bool {
        self.is(name) || self.is(&format!("/{name}"))
    }

    /// Exactly this text, or what the expression is found in.
    pub fn is(&self, text: &str) -> bool {
        text == self.plain || self.expression.as_ref().is_some_and(|e| e.is_match(text))
    }
}

fn invalid(text: String) -> PortError {
    PortError::new(Kind::Invalid, text)
}

impl Filter {
    /// Checks values, and looks up among `all` what they name.
    pub fn new(by: BTreeMap<String, Vec<String>>, all: &[Arc<Snapshot>]) -> Result<Self, PortError> {
        let values = |key: &str| by.get(key).map(Vec::as_slice);
        let one_of = |key: &str, known: &[&str]| {
            let wrong = values(key).unwrap_or_default().iter().find(|v| !known.contains(&v.as_str()));
            wrong.map_or(Ok(()), |v| Err(invalid(format!("invalid filter '{key}={v}'"))))
        };
        one_of("status", &STATES)?;
        one_of("health", &HEALTHS)?;
        one_of("is-task", &["1", "true", "0", "false"])?;
        if let Some(code) = values("exited").unwrap_or_default().iter().find(|c| c.parse::<i32>().is_err()) {
            return Err(invalid(format!("invalid filter 'exited={code}'")));
        }
        let created = |key: &str| {
            let name = values(key).and_then(<[String]>::first);
            name.map(|n| found(all, n)).transpose()
        };
        let ports = |key: &str| {
            let ranges = values(key).map(|v| v.iter().map(|range| port_range(key, range)));
            ranges.map(|r| r.collect::<Result<Vec<Ports>, _>>().map(|l| l.concat())).transpose()
        };
        let ids = values("id").map(|v| v.iter().filter_map(|prefix| only(all, prefix)).collect());
        Ok(Self {
            ids,
            names: values("name").map(|v| v.iter().map(|n| Name::new(n)).collect()),
            before_ns: created("before")?,
            since_ns: created("since")?,
            publish: ports("publish")?,
            expose: ports("expose")?,
            tasks_only: values("is-task").is_some_and(|v| v.iter().any(|t| t == "1" || t == "true")),
            by,
        })
    }

    /// Whether stopped containers are wanted although `all` was not asked for.
    pub fn implies_all(&self) -> bool {
        self.by.contains_key("status")
    }

    /// Whether the container is chosen; `image_ids` are what the `ancestor` values resolve to.
    pub fn matches(&self, snapshot: &Snapshot, image_ids: &[String]) -> bool {
        let (spec, state) = (&snapshot.spec, &snapshot.state);
        let any = |key: &str, test: &dyn Fn(&str) -> bool| match self.by.get(key) {
            None => true,
            Some(values) => values.iter().any(|v| test(v)),
        };
        let health = state.health.as_ref().map_or("none", |h| render::health::word(h.status));
        !self.tasks_only
            && self.ids.as_ref().is_none_or(|ids| ids.contains(&spec.id))
            && self.names.as_ref().is_none_or(|names| names.iter().any(|n| n.matches(&state.name)))
            && any("status", &|v| v == snapshot.status.as_str())
            && any("health", &|v| v == health)
            && any("exited", &|v| !snapshot.is_alive() && state.started && v.parse() == Ok(state.exit_code))
            && any("ancestor", &|_| image_ids.contains(&spec.image))
            && any("network", &|v| on_network(snapshot, v))
            && any("volume", &|v| has_volume(snapshot, v))
            && self.by.get("label").is_none_or(|all| all.iter().all(|l| label(l, &spec.labels)))
            && self.before_ns.is_none_or(|t| spec.created_ns < t)
            && self.since_ns.is_none_or(|t| spec.created_ns > t)
            && self.has_port(snapshot)
    }

    fn has_port(&self, snapshot: &Snapshot) -> bool {
        if self.publish.is_none() && self.expose.is_none() {
            return true;
        }
        let ports = render::ports(snapshot);
        let has = |wanted: &Option<Ports>, number: &dyn Fn(&render::Port) -> Option<u16>| {
            let wanted = wanted.as_deref().unwrap_or_default();
            ports.iter().any(|p| number(p).is_some_and(|n| wanted.contains(&(n, p.protocol))))
        };
        has(&self.publish, &|p| p.public.map(|(_, n)| n)) || has(&self.expose, &|p| Some(p.private))
    }

    /// The `ancestor` values.
    pub fn ancestors(&self) -> &[String] {
        self.by.get("ancestor").map_or(&[], Vec::as_slice)
    }
}

/// When the container of this id or name was made.
fn found(all: &[Arc<Snapshot>], name: &str) -> Result<i64, PortError> {
    let bare = name.trim_start_matches('/');
    let one = all.iter().find(|s| s.spec.id == name || s.state.name == bare);
    let one = one.cloned().or_else(|| {
        let id = only(all, name)?;
        all.iter().find(|s| s.spec.id == id).cloned()
    });
    one.map(|s| s.spec.created_ns)
        .ok_or_else(|| PortError::new(Kind::NotFound, format!("No such container: {name}")))
}

/// The id that alone begins so.
fn only(all: &[Arc<Snapshot>], prefix: &str) -> Option<String> {
    let mut matching = all.iter().filter(|s| !prefix.is_empty() && s.spec.id.starts_with(prefix));
    match (matching.next(), matching.next()) {
        (Some(one), None) => Some(one.spec.id.clone()),
        _ => None,
    }
}

/// `80`, `80/udp`, `80-90/tcp`.
fn port_range(key: &str, text: &str) -> Result<Ports, PortError> {
    if text.contains(':') {
        return Err(invalid(format!("filter for '{key}' should not contain ':': {text}")));
    }
    let wrong = || invalid(format!("error while looking up for {key} {text}: invalid port range"));
    let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = Protocol::named(protocol).ok_or_else(wrong)?;
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let (first, last): (u16, u16) = (first.parse().map_err(|_| wrong())?, last.parse().map_err(|_| wrong())?);
    if last < first {
        return Err(wrong());
    }
    Ok((first..=last).map(|n| (n, protocol)).collect())
}

/// By the name or the id of a network it belongs to.
fn on_network(snapshot: &Snapshot, wanted: &str) -> bool {
    snapshot.state.networks.iter().any(|(name, attachment)| {
        let built_in = attachment.network.is_empty().then(|| render::network_id(name));
        let id = built_in.as_ref().unwrap_or(&attachment.network);
        name == wanted || (!wanted.is_empty() && id.starts_with(wanted))
    })
}

/// By name or source, or by place.
fn has_volume(snapshot: &Snapshot, wanted: &str) -> bool {
    let spec = &snapshot.spec;
    spec.binds.iter().any(|b| b.source == wanted || b.target == wanted)
        || spec.volumes.iter().any(|v| v.name == wanted || v.target == wanted)
}

/// `key` or `key=value`.
pub fn label(wanted: &str, labels: &BTreeMap<String, String>) -> bool {
    match wanted.split_once('=') {
        None => labels.contains_key(wanted),
        Some((key, value)) => labels.get(key).is_some_and(|v| v == value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actors::Status;
    use contract::record::{ContainerSpec, ContainerState, HealthState};

    fn all() -> Vec<Arc<Snapshot>> {
        let one = |id: &str, name: &str, created_ns: i64, status: Status| {
            let spec = ContainerSpec {
                id: id.into(),
                created_ns,
                image: format!("sha256:{name}"),
                network_mode: "bridge".into(),
                ..ContainerSpec::default()
            };
            let state = ContainerState { name: name.into(), started: true, ..ContainerState::default() };
            Arc::new(Snapshot { spec: Arc::new(spec), state, status, pid: 0, execs: vec![], generation: 0 })
        };
        vec![
            one("abc1", "web", 1, Status::Running),
            one("abc2", "web-db", 2, Status::Exited),
            one("def3", "db", 3, Status::Exited),
        ]
    }

    fn chosen(filters: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let mut by: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (key, value) in filters {
            by.entry((*key).into()).or_default().push((*value).into());
        }
        let all = all();
        let filter = Filter::new(by, &all).map_err(|e| e.text)?;
        let ids = ["sha256:db".to_owned()];
        Ok(all.iter().filter(|s| filter.matches(s, &ids)).map(|s| s.state.name.clone()).collect())
    }

    #[test]
    fn names_are_expressions_as_dockers_are() {
        assert_eq!(chosen(&[("name", "web")]).unwrap(), ["web", "web-db"]);
        assert_eq!(chosen(&[("name", "^/web$")]).unwrap(), ["web"]);
        assert_eq!(chosen(&[("name", "^web$"), ("name", "^d.$")]).unwrap(), ["web", "db"]);
        assert_eq!(chosen(&[("name", "[")]).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn an_id_is_a_prefix_that_is_nobody_elses() {
        assert_eq!(chosen(&[("id", "abc1")]).unwrap(), ["web"]);
        assert_eq!(chosen(&[("id", "def")]).unwrap(), ["db"]);
        assert!(chosen(&[("id", "abc")]).unwrap().is_empty());
    }

    #[test]
    fn different_filters_all_hold_and_values_of_one_are_alternatives() {
        assert_eq!(
            chosen(&[("status", "running"), ("status", "exited"), ("name", "db")]).unwrap(),
            ["web-db", "db"]
        );
        assert_eq!(chosen(&[("exited", "0")]).unwrap(), ["web-db", "db"]);
        assert_eq!(chosen(&[("before", "db"), ("since", "abc1")]).unwrap(), ["web-db"]);
        assert_eq!(chosen(&[("ancestor", "x")]).unwrap(), ["db"]);
        assert!(chosen(&[("is-task", "true")]).unwrap().is_empty());
        assert_eq!(chosen(&[("is-task", "false"), ("isolation", "x"), ("health", "none")]).unwrap().len(), 3);
    }

    #[test]
    fn wrong_values_are_refused_in_dockers_words() {
        for (key, value) in [("status", "up"), ("exited", "x"), ("health", "well"), ("is-task", "x")] {
            assert_eq!(chosen(&[(key, value)]).unwrap_err(), format!("invalid filter '{key}={value}'"));
        }
        let text = "filter for 'publish' should not contain ':': 80:80";
        assert_eq!(chosen(&[("publish", "80:80")]).unwrap_err(), text);
        assert_eq!(chosen(&[("since", "zz")]).unwrap_err(), "No such container: zz");
    }

    #[test]
    fn a_container_without_a_check_is_of_no_health() {
        let mut snapshot = (*all()[0]).clone();
        snapshot.state.health = Some(HealthState::default());
        let by = |v: &str| BTreeMap::from([("health".to_owned(), vec![v.to_owned()])]);
        let matches = |v: &str| Filter::new(by(v), &[]).unwrap().matches(&snapshot, &[]);
        assert!(matches("starting") && !matches("none"));
    }

    #[test]
    fn ranges_of_ports_are_read() {
        assert_eq!(port_range("publish", "80-82/udp").unwrap().len(), 3);
        assert_eq!(port_range("expose", "80").unwrap(), [(80, Protocol::Tcp)]);
        assert!(port_range("expose", "9-8").is_err() && port_range("expose", "x").is_err());
    }
}
