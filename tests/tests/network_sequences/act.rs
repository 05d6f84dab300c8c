//! Operations as calls of the API.

use crate::model::{Container, Expected, Mode, Op};
use gantry_tests::{Answer, Caller};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Map, Value, json};

/// What was answered; nothing when the daemon died before.
pub type Answered = Option<Answer>;

/// Asks for an operation.
pub fn ask(daemon: &Caller, op: &Op) -> Answered {
    if let Op::Die(name) = op {
        return die(daemon, name);
    }
    let (method, path, body) = request(op);
    daemon.ask(method, &path, body.as_ref()).ok()
}

/// Whether this is an answer that was expected; nothing answered is.
pub fn fits(answered: &Answered, expected: Expected) -> bool {
    let Some(answer) = answered else { return true };
    match expected {
        Ok(()) => answer.status < 400,
        Err(texts) => answer.status >= 400 && texts.iter().any(|t| answer.text().contains(t)),
    }
}

fn die(daemon: &Caller, name: &str) -> Answered {
    let shown = daemon.ask("GET", &format!("/containers/{name}/json"), None).ok()?;
    // It may not be there or not run.
    if let Some(pid) = shown.json()["State"]["Pid"].as_i64().filter(|pid| *pid > 1) {
        let killed = kill(Pid::from_raw(pid as i32), Signal::SIGKILL);
        // A kill that the last daemon was asked for may have ended it just now.
        assert!(matches!(killed, Ok(()) | Err(Errno::ESRCH)), "kill a container's process: {killed:?}");
    }
    None
}

fn request(op: &Op) -> (&'static str, String, Option<Value>) {
    let post = |name: &str, verb: &str| ("POST", format!("/containers/{name}/{verb}"), None);
    match op {
        Op::Create { name, container } => {
            ("POST", format!("/containers/create?name={name}"), Some(create(name, container)))
        }
        Op::Start(name) => post(name, "start"),
        Op::Stop(name) => post(name, "stop?t=0"),
        Op::Kill(name) => post(name, "kill"),
        Op::Restart(name) => post(name, "restart?t=0"),
        Op::Remove { name, force } => ("DELETE", format!("/containers/{name}?force={force}"), None),
        Op::Die(_) => unreachable!("nothing is asked of the daemon"),
        Op::Connect { name, network, joined } => {
            let endpoint =
                endpoint(joined.wanted.map(|last| (network.as_str(), last)), joined.alias.as_deref());
            let body = json!({ "Container": name, "EndpointConfig": endpoint });
            ("POST", format!("/networks/{network}/connect"), Some(body))
        }
        Op::Disconnect { name, network, force } => {
            let body = json!({ "Container": name, "Force": force });
            ("POST", format!("/networks/{network}/disconnect"), Some(body))
        }
        Op::MakeNetwork { name, network } => {
            let mut body = json!({ "Name": name, "Internal": network.internal, "EnableIPv6": network.six });
            if network.configured {
                body["IPAM"] = json!({ "Config": [{ "Subnet": format!("{}.0/24", subnet(name)) }] });
            }
            ("POST", "/networks/create".into(), Some(body))
        }
        Op::RemoveNetwork(name) => ("DELETE", format!("/networks/{name}"), None),
        Op::PruneNetworks => ("POST", "/networks/prune".into(), None),
        Op::PruneContainers => ("POST", "/containers/prune".into(), None),
    }
}

/// The first three bytes of the subnet that a network asks for.
pub fn subnet(network: &str) -> String {
    format!("10.201.{}", network.trim_start_matches('n'))
}

fn endpoint(address: Option<(&str, u8)>, alias: Option<&str>) -> Value {
    let mut out = json!({});
    if let Some((network, last)) = address {
        out["IPAMConfig"] = json!({ "IPv4Address": format!("{}.{last}", subnet(network)) });
    }
    if let Some(alias) = alias {
        out["Aliases"] = json!([alias]);
    }
    out
}

fn create(name: &str, container: &Container) -> Value {
    let mode = match &container.mode {
        Mode::On(network) => network.clone(),
        Mode::None => "none".into(),
        Mode::Host => "host".into(),
        Mode::Of(owner) => format!("container:{owner}"),
    };
    let own = matches!(container.mode, Mode::On(_));
    let command = if own { json!(["guest", "greet", "80", "81"]) } else { json!(["sleep", "100000"]) };
    let mut bindings = Map::new();
    for port in &container.ports {
        let host = if port.host == 0 { String::new() } else { port.host.to_string() };
        bindings.insert(format!("{}/{}", port.inside, port.protocol), json!([{ "HostPort": host }]));
    }
    let endpoints: Map<String, Value> = container
        .joined
        .iter()
        .map(|(on, j)| (on.clone(), endpoint(j.wanted.map(|last| (on.as_str(), last)), j.alias.as_deref())))
        .collect();
    let mut body = json!({
        "Image": "busybox",
        "Cmd": command,
        "HostConfig": {
            "NetworkMode": mode, "PortBindings": bindings, "AutoRemove": container.removes_itself,
            "LogConfig": { "Type": "none" },
        },
        "NetworkingConfig": { "EndpointsConfig": endpoints },
    });
    if own {
        body["Hostname"] = json!(format!("{name}-{}", container.born));
    }
    body
}
