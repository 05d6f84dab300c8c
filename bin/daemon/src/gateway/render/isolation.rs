//! What sets a container apart from its host, as `HostConfig` shows it: with everything filled in that the request left open.

use contract::record::{ContainerSpec, Device};
use serde_json::{Map, Value, json};

/// The fields.
pub fn host_config(spec: &ContainerSpec) -> Map<String, Value> {
    let n = &spec.namespaces;
    let or_null = |list: &[String]| if list.is_empty() { Value::Null } else { json!(list) };
    let unset =
        |mode: &str, default: &str| if mode.is_empty() { default.to_owned() } else { mode.to_owned() };
    // A privileged container hides nothing of its own accord.
    let paths = |own: &Option<Vec<String>>, default: &[&str]| match own {
        Some(paths) => json!(paths),
        None if spec.privileged => Value::Null,
        None => json!(default),
    };
    let masked = runtime::oci::masked_paths(runtime::throttles());
    let requested = |key: &str| spec.request.pointer(&format!("/HostConfig/{key}")).cloned();
    let fields = [
        ("CapAdd", or_null(&spec.cap_add)),
        ("CapDrop", or_null(&spec.cap_drop)),
        ("CgroupnsMode", unset(&n.cgroup, "private").into()),
        ("DeviceCgroupRules", or_null(&spec.device_rules)),
        ("DeviceRequests", Value::Null),
        ("Devices", spec.devices.iter().map(device).collect()),
        ("GroupAdd", or_null(&spec.groups)),
        ("Init", requested("Init").unwrap_or(if spec.init { Value::Bool(true) } else { Value::Null })),
        ("IpcMode", unset(&n.ipc, "private").into()),
        ("Isolation", requested("Isolation").filter(Value::is_string).unwrap_or("".into())),
        ("MaskedPaths", paths(&spec.masked_paths, &masked)),
        ("OomScoreAdj", spec.oom_score_adj.into()),
        ("PidMode", n.pid.clone().into()),
        ("Privileged", spec.privileged.into()),
        ("ReadonlyPaths", paths(&spec.readonly_paths, &runtime::oci::READ_ONLY_PATHS)),
        ("ReadonlyRootfs", spec.read_only.into()),
        ("Runtime", runtime_name(spec)),
        ("SecurityOpt", or_null(&spec.security_opt)),
        ("ShmSize", spec.shm_size.into()),
        ("UTSMode", n.uts.clone().into()),
        ("Ulimits", spec.ulimits.iter().map(ulimit).collect()),
        ("UsernsMode", n.user.clone().into()),
    ];
    let mut out: Map<String, Value> =
        fields.map(|(key, value)| (key.to_owned(), value)).into_iter().collect();
    if !spec.sysctls.is_empty() {
        out.insert("Sysctls".into(), json!(spec.sysctls));
    }
    out
}

/// As asked for: the engine's own runtime answers to several names.
fn runtime_name(spec: &ContainerSpec) -> Value {
    let asked = spec.request.pointer("/HostConfig/Runtime").and_then(Value::as_str).unwrap_or_default();
    let name = [spec.runtime.as_str(), asked].into_iter().find(|n| !n.is_empty());
    name.unwrap_or("gantry").into()
}

fn device(device: &Device) -> Value {
    json!({
        "PathOnHost": device.host, "PathInContainer": device.inside, "CgroupPermissions": device.access,
    })
}

fn ulimit((name, soft, hard): &(String, i64, i64)) -> Value {
    json!({ "Name": name, "Hard": hard, "Soft": soft })
}
