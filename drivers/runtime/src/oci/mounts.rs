//! The mounts of a container: the kernel's file systems, and what the user mounts.

use super::user_mounts;
use contract::runtime::SandboxSpec;
use serde_json::{Value, json};

fn mount(target: &str, kind: &str, source: &str, options: &[&str]) -> Value {
    json!({ "destination": target, "type": kind, "source": source, "options": options })
}

/// All mounts, parents before children; those of the control groups last of the kernel's, as they need the groups made.
pub fn list(spec: &SandboxSpec) -> Vec<Value> {
    let c = &spec.container;
    let access = if c.privileged { "rw" } else { "ro" };
    let shm = format!("size={}", if c.shm_size > 0 { c.shm_size } else { 64 << 20 });
    let mut out = vec![
        mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount(
            "/dev/pts",
            "devpts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", &shm]),
        mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", access]),
        mount("/sys/fs/cgroup", "cgroup", "cgroup", &[access, "nosuid", "noexec", "nodev"]),
    ];
    // What the user mounts takes the place of ours, but for /proc, which the sandbox lets nothing stand in front of; his
    // own /dev has nothing of ours in it.
    let taken = |at: &str| at != "/proc" && user_mounts::taken(spec).any(|t| t == at);
    let own_dev = taken("/dev");
    out.retain(|m| {
        let at = m.get("destination").and_then(Value::as_str).unwrap_or_default();
        !taken(at) && !(own_dev && at.starts_with("/dev/"))
    });
    out.extend(user_mounts::list(spec));
    out
}
