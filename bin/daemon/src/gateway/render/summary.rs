//! One line of `GET /containers/json`.

use super::time;
use actors::Snapshot;
use contract::network::Protocol;
use contract::record::Wellbeing;
use serde_json::{Value, json};
use std::net::IpAddr;

/// The object; `now_ns` is the present, for the status text.
pub fn summary(snapshot: &Snapshot, now_ns: i64) -> Value {
    let spec = &*snapshot.spec;
    let state = &snapshot.state;
    let status = snapshot.status.as_str();
    let ports: Vec<Value> = ports(snapshot).iter().map(Port::shown).collect();
    json!({
        "Id": spec.id,
        "Names": [format!("/{}", state.name)],
        "Image": spec.image_name,
        "ImageID": spec.image,
        "Command": command(&spec.args),
        "Created": spec.created_ns / 1_000_000_000,
        "Ports": ports,
        "Labels": spec.labels,
        "State": status,
        "Status": status_text(snapshot, now_ns),
        "HostConfig": { "NetworkMode": spec.network_mode },
        "NetworkSettings": { "Networks": super::network::all(snapshot) },
        "Mounts": super::mounts::mounts(spec),
    })
}

/// A port of a running container.
#[derive(Debug, Clone)]
pub struct Port {
    /// Inside.
    pub private: u16,
    /// Where it is published.
    pub public: Option<(IpAddr, u16)>,
    /// Protocol.
    pub protocol: Protocol,
}

impl Port {
    fn shown(&self) -> Value {
        let mut out = json!({ "PrivatePort": self.private, "Type": self.protocol.name() });
        if let (Some((address, number)), Some(map)) = (self.public, out.as_object_mut()) {
            map.insert("IP".into(), address.to_string().into());
            map.insert("PublicPort".into(), number.into());
        }
        out
    }
}

/// The published ports, and those that are only exposed.
pub fn ports(snapshot: &Snapshot) -> Vec<Port> {
    let Some(endpoint) = super::network::published(&snapshot.state).filter(|_| snapshot.pid != 0) else {
        return Vec::new();
    };
    let published = endpoint.ports.iter().map(|p| Port {
        private: p.container_port,
        public: (p.host_port != 0).then_some((p.host_ip, p.host_port)),
        protocol: p.protocol,
    });
    let exposed = snapshot.spec.exposed.iter().filter_map(|exposed| {
        let (number, kind) = exposed.split_once('/').unwrap_or((exposed, "tcp"));
        let known = endpoint.ports.iter().any(|p| super::port_key(p) == *exposed);
        let protocol = Protocol::named(kind).unwrap_or(Protocol::Tcp);
        let private = number.parse().ok().filter(|_| !known)?;
        Some(Port { private, public: None, protocol })
    });
    published.chain(exposed).collect()
}

/// Arguments joined by blanks, those with blanks in them quoted, as Docker shows them.
fn command(args: &[String]) -> String {
    let shown: Vec<String> =
        args.iter().map(|a| if a.contains(' ') { format!("'{a}'") } else { a.clone() }).collect();
    shown.join(" ")
}

/// `Up 3 minutes`, `Exited (0) 2 hours ago`, `Created`.
pub fn status_text(snapshot: &Snapshot, now_ns: i64) -> String {
    let state = &snapshot.state;
    let since = |ns: i64| duration((now_ns - ns) / 1_000_000_000);
    match snapshot.status.as_str() {
        "running" => match &state.health {
            None => format!("Up {}", since(state.started_ns)),
            Some(health) => {
                let starting = if health.status == Wellbeing::Starting { "health: " } else { "" };
                format!("Up {} ({starting}{})", since(state.started_ns), super::health::word(health.status))
            }
        },
        "paused" => format!("Up {} (Paused)", since(state.started_ns)),
        "restarting" => format!("Restarting ({}) {} ago", state.exit_code, since(state.finished_ns)),
        "removing" => "Removal In Progress".to_owned(),
        "dead" => "Dead".to_owned(),
        "exited" if state.started_ns == 0 && time(state.finished_ns).starts_with("0001") => {
            "Created".to_owned()
        }
        "exited" => format!("Exited ({}) {} ago", state.exit_code, since(state.finished_ns)),
        _ => "Created".to_owned(),
    }
}

/// go-units `HumanDuration`.
pub fn duration(seconds: i64) -> String {
    let minutes = seconds / 60;
    let hours = (seconds as f64 / 3600.0).round() as i64;
    match seconds {
        i64::MIN..1 => "Less than a second".into(),
        1 => "1 second".into(),
        2..60 => format!("{seconds} seconds"),
        _ if minutes == 1 => "About a minute".into(),
        _ if minutes < 60 => format!("{minutes} minutes"),
        _ if hours == 1 => "About an hour".into(),
        _ if hours < 48 => format!("{hours} hours"),
        _ if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        _ if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        _ if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", hours / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_worded_as_docker_words_them() {
        let texts: Vec<_> = [0, 1, 59, 61, 200, 3600, 7200, 86400 * 3].map(duration).into();
        let expected = [
            "Less than a second",
            "1 second",
            "59 seconds",
            "About a minute",
            "3 minutes",
            "About an hour",
            "2 hours",
            "3 days",
        ];
        assert_eq!(texts, expected);
    }
}
