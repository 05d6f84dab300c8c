//! The Linux section: namespaces, cgroup, devices, hidden paths.

use super::{Given, HostFacts, devices};
use contract::record::Namespaces;
use contract::runtime::SandboxSpec;
use serde_json::{Map, Value, json};

/// Hidden from containers (moby `oci/defaults.go`).
const MASKED: [&str; 10] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
];
const MASKED_SYS: [&str; 2] = ["/sys/firmware", "/sys/devices/virtual/powercap"];
/// Read-only in containers (moby `oci/defaults.go`).
pub const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];
/// The `linux` object.
pub fn section(spec: &SandboxSpec, host: &HostFacts, given: &Given) -> Value {
    let c = &spec.container;
    let mut resources = super::limits::resources(&c.resources);
    if let Some(block_io) = &given.block_io {
        resources.insert("blockIO".into(), block_io.clone());
    }
    let rules = match c.privileged {
        true => json!([{ "allow": true, "access": "rwm" }]),
        false => devices::rules(&given.devices, &c.device_rules),
    };
    resources.insert("devices".into(), rules);
    let mut sysctl = Map::new();
    if c.network_mode != "host" && Namespaces::other(&c.network_mode).is_none() {
        sysctl.insert("net.ipv4.ip_unprivileged_port_start".into(), "0".into());
        sysctl.insert("net.ipv4.ping_group_range".into(), "0 2147483647".into());
    }
    sysctl.extend(c.sysctls.iter().map(|(k, v)| (k.clone(), Value::from(v.clone()))));
    let mut out = json!({
        "namespaces": namespaces(spec),
        "cgroupsPath": super::limits::group(c, host),
        "resources": resources,
        "sysctl": sysctl,
        "rootfsPropagation": "rprivate",
    });
    if let Some(map) = out.as_object_mut() {
        let hosts = host.devices.iter().filter(|_| c.privileged);
        // In a privileged container's /dev they stand already.
        let added = given.devices.iter().map(|d| &d.node);
        let added = added.filter(|node| !c.privileged || !host.devices.iter().any(|d| d.path == node.path));
        let nodes: Vec<Value> = hosts.chain(added).map(devices::node).collect();
        if !nodes.is_empty() {
            map.insert("devices".into(), nodes.into());
        }
        let masked = c.masked_paths.as_ref().map(|paths| json!(paths));
        let masked = masked.or_else(|| (!c.privileged).then(|| json!(self::masked(&host.throttles))));
        map.extend(masked.map(|paths| ("maskedPaths".to_owned(), paths)));
        let readonly = c.readonly_paths.as_ref().map(|paths| json!(paths));
        let readonly = readonly.or_else(|| (!c.privileged).then(|| json!(READ_ONLY)));
        map.extend(readonly.map(|paths| ("readonlyPaths".to_owned(), paths)));
        if let Some(seccomp) = &given.seccomp {
            map.insert("seccomp".into(), seccomp.clone());
        }
    }
    out
}

/// The namespaces that are not the host's, each made or joined.
fn namespaces(spec: &SandboxSpec) -> Vec<Value> {
    let n = &spec.container.namespaces;
    let own = |kind: &str| json!({ "type": kind });
    let joined =
        |kind: &str, pid: i32, file: &str| json!({ "type": kind, "path": format!("/proc/{pid}/ns/{file}") });
    let mut out = Vec::new();
    match spec.joined.pid {
        Some(pid) => out.push(joined("pid", pid, "pid")),
        None if n.pid == "host" => {}
        None => out.push(own("pid")),
    }
    out.push(own("mount"));
    if n.uts != "host" {
        out.push(own("uts"));
    }
    match spec.joined.ipc {
        Some(pid) => out.push(joined("ipc", pid, "ipc")),
        None if n.ipc == "host" => {}
        None => out.push(own("ipc")),
    }
    // Also for privileged containers: they would have the host's whole tree under /sys/fs/cgroup.
    if n.cgroup != "host" {
        out.push(own("cgroup"));
    }
    out.extend(spec.netns.iter().map(|path| json!({ "type": "network", "path": path })));
    out
}

/// What an unprivileged container does not see unless it asks to.
pub fn masked(throttles: &[String]) -> Vec<&str> {
    let fixed = MASKED.iter().chain(&MASKED_SYS).copied();
    fixed.chain(throttles.iter().map(String::as_str)).collect()
}
