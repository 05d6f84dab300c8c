//! What is mounted into a container, as `inspect` and `ps` show it.

use contract::record::ContainerSpec;
use contract::volume::LOCAL;
use serde_json::{Map, Value, json};

/// `Mounts`. File systems in memory are listed when they were asked for by `--mount`, as in Docker.
pub fn mounts(spec: &ContainerSpec) -> Vec<Value> {
    let binds = spec.binds.iter().map(|b| {
        json!({
            "Type": "bind", "Source": b.source, "Destination": b.target, "Mode": b.mode, "RW": !b.read_only,
            "Propagation": b.effective_propagation(),
        })
    });
    let volumes = spec.volumes.iter().map(|v| {
        json!({
            "Type": "volume", "Name": v.name, "Source": v.source, "Destination": v.target, "Driver": LOCAL,
            "Mode": v.mode, "RW": !v.read_only, "Propagation": v.propagation,
        })
    });
    let asked = spec.request.pointer("/HostConfig/Mounts").and_then(Value::as_array);
    let text = |mount: &Value, key: &str| mount.get(key).and_then(Value::as_str).map(str::to_owned);
    let memory = asked.into_iter().flatten().filter(|m| text(m, "Type").as_deref() == Some("tmpfs"));
    let memory = memory.map(|m| {
        let read_only = m.get("ReadOnly").and_then(Value::as_bool).unwrap_or_default();
        json!({
            "Type": "tmpfs", "Source": "", "Destination": text(m, "Target"), "Mode": "", "RW": !read_only,
            "Propagation": "",
        })
    });
    binds.chain(volumes).chain(memory).collect()
}

/// `Config.Volumes`.
pub fn declared(spec: &ContainerSpec) -> Value {
    let paths: Map<String, Value> =
        spec.declared_volumes.iter().map(|path| (path.clone(), json!({}))).collect();
    if paths.is_empty() { Value::Null } else { paths.into() }
}
