//! Turns a container's wish into an OCI runtime configuration (OCI runtime-spec 1.2, as far as 1.0 has it too), purely.

mod capabilities;
mod devices;
pub mod limits;
mod linux;
mod mounts;
pub mod seccomp;
mod security;
mod user_mounts;

pub use devices::{GivenDevice, HostDevice, check_rules as check_device_rules};
pub use linux::{READ_ONLY as READ_ONLY_PATHS, masked as masked_paths};
pub use security::{Policy, Security, policy};

pub use capabilities::{
    available as capability_available, canonical as canonical_capability, effective as effective_capabilities,
};

use contract::record::ContainerSpec;
use contract::runtime::SandboxSpec;
use serde_json::{Value, json};
use std::path::PathBuf;

/// What the daemon adds to every sandbox.
#[derive(Debug, Clone)]
pub struct HostFacts {
    /// cgroup folder under which containers get theirs, e.g. `/gantry`.
    pub cgroup_parent: String,
    /// Devices of the host, for privileged containers.
    pub devices: Vec<HostDevice>,
    /// Folders of the processors' thermal events, hidden from containers as in Docker (GHSA-6fw5-f8r9-fgfm).
    pub throttles: Vec<String>,
}

/// What was looked up for one container.
#[derive(Debug, Default)]
pub struct Given {
    /// Devices asked for.
    pub devices: Vec<GivenDevice>,
    /// The init's program, for containers that have one.
    pub init: Option<PathBuf>,
    /// `linux.seccomp`, where the engine's own policy does not serve.
    pub seccomp: Option<Value>,
    /// `linux.resources.blockIO`, its devices by number.
    pub block_io: Option<Value>,
}

/// Whether the container asked for no new privileges.
pub fn no_new_privileges(spec: &ContainerSpec) -> bool {
    Security::of(spec).no_new_privileges
}

/// Whether a system call policy applies.
pub fn filtered(spec: &ContainerSpec) -> bool {
    security::policy(spec) != Policy::Unconfined
}

/// Whether a small init runs in the container: only where it would be the first process.
pub fn has_init(spec: &ContainerSpec) -> bool {
    spec.init && spec.namespaces.own_processes()
}

/// The whole `config.json`.
pub fn configuration(spec: &SandboxSpec, host: &HostFacts, given: &Given) -> Value {
    let c = &spec.container;
    let caps = capabilities::effective(c);
    let mut annotations = serde_json::Map::new();
    annotations.insert(
        "gantry.overlay".into(),
        json!({
            "lower": spec.root.lower, "upper": spec.root.upper,
            "work": spec.root.work, "target": spec.root.target, "volatile": c.auto_remove || !c.build.is_empty(),
        })
        .to_string()
        .into(),
    );
    if !c.user.is_empty() {
        annotations.insert("gantry.user".into(), c.user.clone().into());
    }
    if !c.groups.is_empty() {
        annotations.insert("gantry.groups".into(), c.groups.join(",").into());
    }
    if security::policy(c) == Policy::Default && given.seccomp.is_none() {
        annotations.insert("gantry.seccomp".into(), "default".into());
    }
    if let Some(pid) = spec.joined.ipc {
        annotations.insert("gantry.shm".into(), pid.to_string().into());
    }
    if let Some(own) = c.request.pointer("/HostConfig/Annotations").and_then(Value::as_object) {
        annotations.extend(own.iter().map(|(key, value)| (key.clone(), value.clone())));
    }
    let mut args = c.args.clone();
    if given.init.is_some() {
        args.splice(0..0, [sandbox::init::PATH.to_owned(), "--".to_owned()]);
    }
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": c.tty,
            "user": { "uid": 0, "gid": 0 },
            "args": args,
            "env": environment(spec),
            "cwd": if c.working_dir.is_empty() { "/" } else { c.working_dir.as_str() },
            "capabilities": {
                "bounding": caps, "effective": caps, "permitted": caps,
                "inheritable": [], "ambient": [],
            },
            "rlimits": c.ulimits.iter().map(|(name, soft, hard)| json!({
                "type": format!("RLIMIT_{}", name.to_uppercase()),
                "soft": *soft as u64, "hard": *hard as u64,
            })).collect::<Vec<_>>(),
            "noNewPrivileges": no_new_privileges(c),
            "oomScoreAdj": c.oom_score_adj,
        },
        "root": { "path": spec.root.target, "readonly": c.read_only },
        "hostname": if c.namespaces.uts == "host" { "" } else { c.hostname.as_str() },
        "domainname": if c.namespaces.uts == "host" { "" } else { c.domainname.as_str() },
        "mounts": mounts::list(spec, given.init.as_deref()),
        "annotations": annotations,
        "linux": linux::section(spec, host, given),
    })
}

/// The container's variables with what the engine adds: PATH and HOSTNAME come first so that the image and
/// the user win, as in Docker; TERM only for ttys.
fn environment(spec: &SandboxSpec) -> Vec<String> {
    let c = &spec.container;
    let has = |key: &str| c.env.iter().any(|e| e.split_once('=').is_some_and(|(k, _)| k == key));
    let mut out = Vec::with_capacity(c.env.len() + 3);
    if !has("PATH") {
        out.push("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned());
    }
    if !has("HOSTNAME") {
        out.push(format!("HOSTNAME={}", c.hostname));
    }
    if c.tty && !has("TERM") {
        out.push("TERM=xterm".to_owned());
    }
    let own = |e: &str| e.split_once('=').is_some_and(|(k, _)| has(k));
    out.extend(spec.environment.iter().filter(|e| !own(e)).cloned());
    out.extend(c.env.iter().cloned());
    out
}
