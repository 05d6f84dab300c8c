//! A container for another OCI runtime: its root is mounted where only the shim and the runtime see it, and what gantry's
//! own sandbox finds out inside (users, another container's memory) is written into the configuration beforehand.

use crate::config::Config;
use crate::error::{LaunchError, Step};
use crate::identity::{self, Identity};
use crate::rootfs;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use serde_json::{Value, json};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Most bytes of a passwd or group file that are read.
const MOST_ACCOUNTS: u64 = 8 << 20;

/// A container's root, mounted in a namespace of this process's own.
#[derive(Debug)]
pub struct Root {
    path: String,
}

impl Root {
    /// Takes this process into a mount namespace of its own, which hears of the host's mounts and tells of none, and mounts
    /// the root there.
    pub fn mount(config: &Config) -> Result<Self, LaunchError> {
        unshare(CloneFlags::CLONE_NEWNS).step("make a mount namespace")?;
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_SLAVE, None::<&str>)
            .step("keep mounts from the host")?;
        Ok(Self { path: rootfs::mount_root(config)? })
    }

    /// Lets go of it.
    pub fn unmount(&self) {
        // What holds it ends with this process at the latest.
        let _busy = umount2(self.path.as_str(), MntFlags::MNT_DETACH);
    }
}

/// Puts the memory of another container's (`gantry.shm`) at `folder`, from where it can be bound.
fn share_memory(pid: &str, folder: &Path) -> Result<(), LaunchError> {
    let copy = rootfs::shared_memory(pid)?;
    std::fs::create_dir_all(folder).step(format!("make {}", folder.display()))?;
    let target = rustix::fs::open(folder, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    rootfs::attach(&copy, &target.step(format!("open {}", folder.display()))?)
}

/// Sets a member of the object at `pointer`.
fn set(whole: &mut Value, pointer: &str, key: &str, value: Value) {
    if let Some(object) = whole.pointer_mut(pointer).and_then(Value::as_object_mut) {
        object.insert(key.to_owned(), value);
    }
}

/// Finishes a configuration for a runtime that knows nothing of gantry; `folder` is for what has to lie somewhere.
pub fn finish(whole: &mut Value, config: &Config, folder: &Path) -> Result<(), LaunchError> {
    let annotation = |key: &str| config.annotations.get(key).map(String::as_str).unwrap_or_default();
    let identity = who(&config.root.path, annotation("gantry.user"), annotation("gantry.groups"))?;
    let memory = config.annotations.get("gantry.shm");
    let memory = memory.filter(|pid| config.mounts.iter().any(|m| rootfs::is_theirs(pid, m)));
    if let Some(pid) = memory {
        let shared = folder.join("shm");
        share_memory(pid, &shared)?;
        let mounts = whole.pointer_mut("/mounts").and_then(Value::as_array_mut);
        let mounts = mounts.into_iter().flatten().filter_map(Value::as_object_mut);
        for mount in mounts.filter(|m| m.get("destination").is_some_and(|d| d == "/dev/shm")) {
            mount.insert("source".to_owned(), json!(shared));
        }
    }
    if let Some(annotations) = whole.pointer_mut("/annotations").and_then(Value::as_object_mut) {
        annotations.retain(|key, _| !key.starts_with("gantry."));
    }
    if let Some(domain) = whole.as_object_mut().and_then(|map| map.remove("domainname"))
        && domain != ""
    {
        // Runtimes of the specification's version 1.0 do not know the field.
        set(whole, "/linux/sysctl", "kernel.domainname", domain);
    }
    let mut env = config.process.env.clone();
    home(&mut env, &identity);
    set(whole, "/process", "env", json!(env));
    set(whole, "/process", "user", user(&identity));
    Ok(())
}

/// `process.user`.
pub fn user(identity: &Identity) -> Value {
    json!({ "uid": identity.uid, "gid": identity.gid, "additionalGids": identity.groups })
}

/// Adds the user's home to variables without one.
pub fn home(env: &mut Vec<String>, identity: &Identity) {
    if !env.iter().any(|e| e.strip_prefix("HOME=").is_some_and(|home| !home.is_empty())) {
        env.push(format!("HOME={}", identity.home));
    }
}

/// A user of the container with this root.
pub fn who(root: &str, user: &str, groups: &str) -> Result<Identity, LaunchError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(root, flags, Mode::empty()).step(format!("open root {root}"))?;
    let read = |path: &str| {
        // A file of the container's, which may be anything.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let Ok(opened) = rustix::fs::openat2(&root, path, flags, Mode::empty(), how) else {
            return String::new();
        };
        let file = File::from(opened);
        let mut bytes = Vec::new();
        if file.metadata().is_ok_and(|m| m.is_file()) {
            // What was read before a failure still counts, as an account that is not found is an error of its own.
            let _partial = file.take(MOST_ACCOUNTS).read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    };
    identity::look_up(user, groups, &read("/etc/passwd"), &read("/etc/group"))
}
