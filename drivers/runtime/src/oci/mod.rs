//! Turns a container's wish into an OCI runtime configuration (OCI runtime-spec 1.2), purely.

mod capabilities;
pub mod limits;
mod linux;
mod mounts;

pub use capabilities::{canonical as canonical_capability, effective as effective_capabilities};

use contract::record::ContainerSpec;
use contract::runtime::SandboxSpec;
use serde_json::{Value, json};

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

/// A device node of the host.
#[derive(Debug, Clone)]
pub struct HostDevice {
    /// Absolute path.
    pub path: String,
    /// `c` or `b`.
    pub kind: char,
    /// Major number.
    pub major: u64,
    /// Minor number.
    pub minor: u64,
    /// Permission bits.
    pub mode: u32,
}

/// Whether the container asked for no new privileges.
pub fn no_new_privileges(spec: &ContainerSpec) -> bool {
    let yes = ["no-new-privileges", "no-new-privileges:true", "no-new-privileges=true"];
    spec.security_opt.iter().any(|o| yes.contains(&o.as_str()))
}

/// Whether the default system call policy applies.
pub fn filtered(spec: &ContainerSpec) -> bool {
    !spec.privileged && !spec.security_opt.iter().any(|o| o == "seccomp=unconfined")
}

/// The whole `config.json`.
pub fn configuration(spec: &SandboxSpec, host: &HostFacts) -> Value {
    let c = &spec.container;
    let caps = capabilities::effective(c);
    let mut annotations = serde_json::Map::new();
    annotations.insert(
        "gantry.overlay".into(),
        json!({
            "lower": spec.root.lower, "upper": spec.root.upper,
            "work": spec.root.work, "target": spec.root.target, "volatile": c.auto_remove,
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
    if filtered(c) {
        annotations.insert("gantry.seccomp".into(), "default".into());
    }
    json!({
        "ociVersion": "1.2.0",
        "process": {
            "terminal": c.tty,
            "user": { "uid": 0, "gid": 0 },
            "args": c.args,
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
        "hostname": c.hostname,
        "domainname": c.domainname,
        "mounts": mounts::list(spec),
        "annotations": annotations,
        "linux": linux::section(spec, host),
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
