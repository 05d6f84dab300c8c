//! The Linux section: namespaces, cgroup, devices, hidden paths.

use super::HostFacts;
use contract::record::Resources;
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
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];
/// Character devices every container may use: null, zero, full, random, urandom, tty, console, ptmx, pts.
const ALLOWED: [(i64, Option<i64>); 9] = [
    (1, Some(3)),
    (1, Some(5)),
    (1, Some(7)),
    (1, Some(8)),
    (1, Some(9)),
    (5, Some(0)),
    (5, Some(1)),
    (5, Some(2)),
    (136, None),
];

/// The `linux` object.
pub fn section(spec: &SandboxSpec, host: &HostFacts) -> Value {
    let c = &spec.container;
    // The cgroup namespace also for privileged containers: they would have the host's whole tree under /sys/fs/cgroup.
    let namespaces = ["pid", "mount", "uts", "ipc", "cgroup"];
    let mut resources = limits(&c.resources);
    resources.insert("devices".into(), devices(c.privileged));
    let mut sysctl = Map::new();
    // Another's namespace has them already.
    if c.network_mode != "host" && spec.files_of.is_none() {
        sysctl.insert("net.ipv4.ip_unprivileged_port_start".into(), "0".into());
        sysctl.insert("net.ipv4.ping_group_range".into(), "0 2147483647".into());
    }
    sysctl.extend(c.sysctls.iter().map(|(k, v)| (k.clone(), Value::from(v.clone()))));
    let mut out = json!({
        "namespaces": namespaces
            .iter()
            .map(|n| json!({ "type": n }))
            .chain(spec.netns.iter().map(|path| json!({ "type": "network", "path": path })))
            .collect::<Vec<_>>(),
        "cgroupsPath": format!("{}/{}", host.cgroup_parent.trim_end_matches('/'), c.id),
        "resources": resources,
        "sysctl": sysctl,
        "rootfsPropagation": "rprivate",
    });
    if let Some(map) = out.as_object_mut() {
        if c.privileged {
            let nodes: Vec<_> = host.devices.iter().map(|d| json!({
                "path": d.path, "type": d.kind.to_string(), "major": d.major, "minor": d.minor, "fileMode": d.mode,
            })).collect();
            map.insert("devices".into(), nodes.into());
        } else {
            let fixed = MASKED.iter().chain(&MASKED_SYS).copied();
            let masked: Vec<&str> = fixed.chain(host.throttles.iter().map(String::as_str)).collect();
            map.insert("maskedPaths".into(), json!(masked));
            map.insert("readonlyPaths".into(), json!(READ_ONLY));
        }
    }
    out
}

fn devices(privileged: bool) -> Value {
    if privileged {
        return json!([{ "allow": true, "access": "rwm" }]);
    }
    let mut rules = vec![
        json!({ "allow": false, "access": "rwm" }),
        json!({ "allow": true, "type": "c", "access": "m" }),
        json!({ "allow": true, "type": "b", "access": "m" }),
    ];
    rules.extend(ALLOWED.iter().map(|(major, minor)| {
        let mut rule = json!({ "allow": true, "type": "c", "major": major, "access": "rwm" });
        if let (Some(minor), Some(map)) = (minor, rule.as_object_mut()) {
            map.insert("minor".into(), (*minor).into());
        }
        rule
    }));
    rules.into()
}

fn limits(r: &Resources) -> Map<String, Value> {
    let mut out = Map::new();
    let mut memory = Map::new();
    if r.memory > 0 {
        memory.insert("limit".into(), r.memory.into());
        // Docker's default: as much swap as memory.
        let swap = if r.memory_swap == 0 { r.memory.saturating_mul(2) } else { r.memory_swap };
        memory.insert("swap".into(), swap.into());
    }
    if r.memory_reservation > 0 {
        memory.insert("reservation".into(), r.memory_reservation.into());
    }
    if !memory.is_empty() {
        out.insert("memory".into(), memory.into());
    }
    let mut cpu = Map::new();
    if r.cpu_shares > 0 {
        cpu.insert("shares".into(), r.cpu_shares.into());
    }
    let (mut period, mut quota) = (r.cpu_period, r.cpu_quota);
    if r.nano_cpus > 0 {
        period = 100_000;
        quota = r.nano_cpus / 10_000;
    }
    if period > 0 {
        cpu.insert("period".into(), period.into());
    }
    if quota > 0 {
        cpu.insert("quota".into(), quota.into());
    }
    for (key, value) in [("cpus", &r.cpuset_cpus), ("mems", &r.cpuset_mems)] {
        if !value.is_empty() {
            cpu.insert(key.into(), value.clone().into());
        }
    }
    if !cpu.is_empty() {
        out.insert("cpu".into(), cpu.into());
    }
    if r.pids_limit > 0 {
        out.insert("pids".into(), json!({ "limit": r.pids_limit }));
    }
    out
}
