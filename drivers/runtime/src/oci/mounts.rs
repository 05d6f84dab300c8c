//! The mounts of a container: the kernel's file systems, and what the user mounts.

use super::Security;
use super::user_mounts;
use contract::runtime::SandboxSpec;
use serde_json::{Value, json};
use std::path::Path;

fn mount(target: &str, kind: &str, source: &str, options: &[&str]) -> Value {
    json!({ "destination": target, "type": kind, "source": source, "options": options })
}

/// All mounts, parents before children; those of the control groups last of the kernel's, as they need the groups made.
pub fn list(spec: &SandboxSpec, init: Option<&Path>) -> Vec<Value> {
    let c = &spec.container;
    let access = if c.privileged { "rw" } else { "ro" };
    let writable = Security::of(c).writable_cgroups.unwrap_or(c.privileged);
    let groups = if writable { "rw" } else { "ro" };
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
        mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", access]),
        mount("/sys/fs/cgroup", "cgroup", "cgroup", &[groups, "nosuid", "noexec", "nodev"]),
    ];
    match (spec.joined.ipc, c.namespaces.ipc.as_str()) {
        // The sandbox finds the mount itself: paths do not lead into another container's mounts.
        (Some(pid), _) => {
            let source = format!("/proc/{pid}/root/dev/shm");
            out.push(mount("/dev/shm", "bind", &source, &["rbind", "nosuid", "noexec", "nodev", "rprivate"]));
        }
        (None, "none") => {}
        (None, "host") => out.push(mount("/dev/shm", "bind", "/dev/shm", &["rbind", "rprivate"])),
        (None, _) => {
            out.push(mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", &shm]));
        }
    }
    if let Some(program) = init {
        out.push(mount(sandbox::init::PATH, "bind", &program.to_string_lossy(), &["bind", "ro", "rprivate"]));
    }
    // What the user mounts takes the place of ours, but for /proc, which the sandbox lets nothing stand in front of; his
    // own /dev has nothing of ours in it.
    let taken = |at: &str| at != "/proc" && user_mounts::taken(spec).any(|t| t == at);
    let own_dev = taken("/dev");
    out.retain(|m| {
        let at = m.get("destination").and_then(Value::as_str).unwrap_or_default();
        let covered = own_dev && at.starts_with("/dev/");
        !(covered || taken(at))
    });
    out.extend(user_mounts::list(spec));
    out
}
