//! `GET /containers/{id}/json`.

use super::{isolation, time};
use actors::Snapshot;
use contract::record::ContainerSpec;
use contract::runtime::RootSpec;
use serde_json::{Map, Value, json};
use std::path::Path;

/// The whole object.
pub fn inspect(
    snapshot: &Snapshot,
    directory: &Path,
    log_path: Option<&Path>,
    root: Option<&RootSpec>,
) -> Value {
    let spec = &*snapshot.spec;
    let state = &snapshot.state;
    let status = snapshot.status.as_str();
    let file = |name: &str| directory.join(name).to_string_lossy().into_owned();
    let mut args = spec.args.iter();
    let mut out = json!({
        "Id": spec.id,
        "Created": time(spec.created_ns),
        "Path": args.next(),
        "Args": args.collect::<Vec<_>>(),
        "State": {
            "Status": status,
            "Running": matches!(status, "running" | "paused" | "restarting"),
            "Paused": status == "paused",
            "Restarting": status == "restarting",
            "OOMKilled": state.oom_killed,
            "Dead": status == "dead",
            "Pid": snapshot.pid,
            "ExitCode": state.exit_code,
            "Error": state.error,
            "StartedAt": time(state.started_ns),
            "FinishedAt": time(state.finished_ns),
        },
        "Image": spec.image,
        "ResolvConfPath": file("resolv.conf"),
        "HostnamePath": file("hostname"),
        "HostsPath": file("hosts"),
        "LogPath": log_path.map(|p| p.to_string_lossy()).unwrap_or_default(),
        "Name": format!("/{}", state.name),
        "RestartCount": state.restart_count,
        "Driver": "overlay2",
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": if snapshot.execs.is_empty() { Value::Null } else { json!(snapshot.execs) },
        "HostConfig": host_config(spec),
        "GraphDriver": { "Name": "overlay2", "Data": root.map_or_else(|| json!({}), |root| graph(&spec.id, root)) },
        "Mounts": super::mounts::mounts(spec),
        "Config": config(spec),
        "NetworkSettings": super::network::settings(snapshot),
    });
    if let (Some(health), Some(state)) = (&state.health, out.get_mut("State").and_then(Value::as_object_mut))
    {
        state.insert("Health".into(), super::health::state(health));
    }
    out
}

/// Where the root's parts are.
fn graph(id: &str, root: &RootSpec) -> Value {
    let lower: Vec<_> = root.lower.iter().map(|folder| folder.to_string_lossy()).collect();
    json!({
        "ID": id, "LowerDir": lower.join(":"), "MergedDir": root.target, "UpperDir": root.upper, "WorkDir": root.work,
    })
}

/// What the request said, with the resolved values in place of what it left open.
fn host_config(spec: &ContainerSpec) -> Value {
    let mut out = spec.request.get("HostConfig").and_then(Value::as_object).cloned().unwrap_or_default();
    let mut set = |key: &str, value: Value| {
        out.insert(key.to_owned(), value);
    };
    for (key, value) in super::resources::resources(spec) {
        set(key, value);
    }
    set("LogConfig", json!({ "Type": spec.log_driver, "Config": spec.log_opts }));
    set("NetworkMode", spec.network_mode.clone().into());
    set("RestartPolicy", json!({ "Name": spec.restart.0, "MaximumRetryCount": spec.restart.1 }));
    set("ShmSize", spec.shm_size.into());
    set("AutoRemove", spec.auto_remove.into());
    out.extend(isolation::host_config(spec));
    Value::Object(out)
}

/// The environment, and the names that were asked to be absent from it, as Docker shows them.
fn env(spec: &ContainerSpec) -> Vec<&str> {
    let asked = spec.request.get("Env").and_then(Value::as_array).into_iter().flatten();
    let absent = asked.filter_map(Value::as_str).filter(|e| !e.contains('='));
    spec.env.iter().map(String::as_str).chain(absent).collect()
}

/// A container's configuration, as `docker inspect` has it under `Config`.
pub fn config(spec: &ContainerSpec) -> Value {
    let (entrypoint, command) = spec.args.split_at_checked(spec.entrypoint_len).unwrap_or((&[], &spec.args));
    let or_null = |list: &[String]| if list.is_empty() { Value::Null } else { json!(list) };
    let mut out = json!({
        "Hostname": spec.hostname,
        "Domainname": spec.domainname,
        "User": spec.user,
        "AttachStdin": spec.attach[0],
        "AttachStdout": spec.attach[1],
        "AttachStderr": spec.attach[2],
        "Tty": spec.tty,
        "OpenStdin": spec.open_stdin,
        "StdinOnce": spec.stdin_once,
        "Env": env(spec),
        "Cmd": or_null(command),
        "Image": spec.image_name,
        "Volumes": super::mounts::declared(spec),
        "WorkingDir": spec.working_dir,
        "Entrypoint": or_null(entrypoint),
        "OnBuild": null,
        "Labels": spec.labels,
    });
    if let Some(map) = out.as_object_mut() {
        if !spec.exposed.is_empty() {
            let ports: Map<String, Value> = spec.exposed.iter().map(|p| (p.clone(), json!({}))).collect();
            map.insert("ExposedPorts".into(), ports.into());
        }
        if !spec.stop_signal.is_empty() {
            map.insert("StopSignal".into(), spec.stop_signal.clone().into());
        }
        if let Some(health) = &spec.health {
            map.insert("Healthcheck".into(), super::health::config(health));
        }
        if let Some(seconds) = spec.stop_timeout {
            map.insert("StopTimeout".into(), seconds.into());
        }
    }
    out
}
