//! A container's control groups, on v1 (also hybrid) and v2: made and limited before its first process exists.
//!
//! Finding hierarchies, making groups, controllers, freezer and membership are `cgroups-rs`. Ours is what it lacks (device
//! rules on v2, descendants), or does in a way a container's start and end cannot use; each place says why.

mod block;
mod change;
mod host;
mod limits;
mod realtime;

use crate::config::Resources;
use crate::error::{LaunchError, Step};
use cgroups_rs::freezer::FreezerController;
use cgroups_rs::hierarchies::{is_cgroup2_unified_mode, mountinfo_self};
use cgroups_rs::memory::MemController;
use cgroups_rs::{CgroupPid, ControllIdentifier, Controller, Subsystem};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Options in a v1 mount's list that name no controller.
const GENERIC: [&str; 7] =
    ["rw", "ro", "xattr", "clone_children", "noprefix", "cpuset_v2_mode", "favordynmods"];

/// One mounted v1 hierarchy of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    /// Its folder's name under /sys/fs/cgroup.
    pub folder: String,
    /// Its controllers, as mount data (`cpu,cpuacct`, `name=systemd`).
    pub controllers: String,
    /// Where it is mounted.
    pub mount_point: String,
}

/// The host's v1 hierarchies (on a hybrid host without the v2 mount, which controls nothing there); `None` on a host
/// with v2 alone.
pub fn hierarchies() -> Option<Vec<Hierarchy>> {
    if is_cgroup2_unified_mode() {
        return None;
    }
    let mut out: Vec<Hierarchy> = Vec::new();
    for mount in mountinfo_self() {
        let options = mount.super_opts.iter().map(String::as_str);
        let named = |o: &str| !GENERIC.contains(&o) && (!o.contains('=') || o.starts_with("name="));
        let controllers: Vec<&str> = options.filter(|o| named(o)).collect();
        let controllers = controllers.join(",");
        let folder = mount.mount_point.file_name().and_then(|n| n.to_str()).unwrap_or(&controllers);
        let mount_point = mount.mount_point.to_string_lossy().into_owned();
        let hierarchy =
            Hierarchy { folder: folder.to_owned(), controllers: controllers.clone(), mount_point };
        if !out.iter().any(|h| h.controllers == controllers) {
            out.push(hierarchy);
        }
    }
    Some(out)
}

/// The groups of one container.
#[derive(Debug)]
pub struct Cgroup {
    group: cgroups_rs::Cgroup,
    /// Its folder in each hierarchy, each once though several controllers may share it.
    folders: Vec<PathBuf>,
}

impl Cgroup {
    /// The groups under `path`, there or not.
    fn load(path: &str) -> Self {
        let group = cgroups_rs::Cgroup::load(Box::new(host::Host::find()), path.trim_start_matches('/'));
        let mut folders: Vec<PathBuf> =
            group.subsystems().iter().map(|s| s.to_controller().path().to_owned()).collect();
        folders.sort_unstable();
        folders.dedup();
        Self { group, folders }
    }

    /// Makes the groups under `path` and writes the limits.
    pub fn create(path: &str, resources: &Resources) -> Result<Self, LaunchError> {
        let this = Self::load(path);
        let step = || format!("make cgroup {path}");
        // On v2 the library fails when another start makes the same parent at that moment; then it is there.
        if let Err(first) = this.group.create()
            && this.group.create().is_err()
        {
            return Err(first).step(step());
        }
        // On v1 it only logs a failure.
        for folder in &this.folders {
            fs::metadata(folder).step(format!("make cgroup {}", folder.display()))?;
        }
        if let Err(error) = this.limit(resources) {
            this.remove();
            return Err(error);
        }
        Ok(this)
    }

    /// The groups that exist under `path`, made by whomever.
    pub fn existing(path: &str) -> Self {
        let mut this = Self::load(path);
        this.folders.retain(|folder| folder.is_dir());
        this
    }

    /// The controller of a kind, or that the kernel has none.
    fn controller<'a, T>(&'a self, name: &str) -> Result<&'a T, LaunchError>
    where
        &'a T: From<&'a Subsystem>,
        T: Controller + ControllIdentifier,
    {
        self.group.controller_of::<T>().ok_or_else(|| {
            LaunchError::new("limit the container", format!("the {name} cgroup controller is not mounted"))
        })
    }

    /// Puts a process into every group; 0 is the caller.
    pub fn join(&self, pid: u32) -> Result<(), LaunchError> {
        let pid = CgroupPid::from(u64::from(pid));
        let mut joined: Vec<&Path> = Vec::new();
        for subsystem in self.group.subsystems() {
            let controller = subsystem.to_controller();
            if !joined.contains(&controller.path()) {
                controller
                    .add_task_by_tgid(&pid)
                    .step(format!("join cgroup {}", controller.path().display()))?;
                joined.push(controller.path());
            }
        }
        Ok(())
    }

    /// Host pids of all members, also of groups that the container made inside its own.
    pub fn pids(&self) -> Vec<i32> {
        let Ok(freezer) = self.controller::<FreezerController>("freezer") else { return Vec::new() };
        let own = freezer.procs().into_iter().map(|p| p.pid);
        let mut out: Vec<i32> = own.filter_map(|p| i32::try_from(p).ok()).collect();
        // The library knows of no descendants.
        let mut folders = children(freezer.path());
        while let Some(folder) = folders.pop() {
            let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
            out.extend(text.lines().filter_map(|l| l.parse::<i32>().ok()));
            folders.extend(children(&folder));
        }
        out
    }

    /// Freezes or thaws all members and waits until the kernel says so.
    pub fn freeze(&self, frozen: bool) -> Result<(), LaunchError> {
        let freezer = self.controller::<FreezerController>("freezer")?;
        for _ in 0..1000 {
            // v1: a process forked meanwhile leaves the group half frozen until it is told again.
            if frozen { freezer.freeze() } else { freezer.thaw() }.step("freeze")?;
            if self.is_frozen(freezer)? == frozen {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Err(LaunchError::new("freeze", "the kernel did not finish within a second"))
    }

    fn is_frozen(&self, freezer: &FreezerController) -> Result<bool, LaunchError> {
        if self.group.v2() {
            // The library's state is what was asked for; whether it is so stands in cgroup.events.
            let text = fs::read_to_string(freezer.path().join("cgroup.events")).step("read cgroup.events")?;
            return Ok(text.lines().any(|l| l == "frozen 1"));
        }
        Ok(matches!(freezer.state().step("read freezer.state")?, cgroups_rs::freezer::FreezerState::Frozen))
    }

    /// The folder of each controller, by the name it has on v1.
    pub fn controllers(&self) -> std::collections::BTreeMap<String, PathBuf> {
        let one = |s: &Subsystem| (s.controller_name(), s.to_controller().path().to_owned());
        self.group.subsystems().iter().map(one).collect()
    }

    /// Whether v2 alone is mounted.
    pub fn unified(&self) -> bool {
        self.group.v2()
    }

    /// Kills all members. Those that make others meanwhile are met again until nobody is left.
    pub fn kill(&self) {
        for _ in 0..100 {
            let pids = self.pids();
            if pids.is_empty() {
                return;
            }
            for pid in pids {
                // SAFETY: plain numbers; a process that has gone meanwhile is as good.
                unsafe { libc::kill(pid, libc::SIGKILL) };
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// How often the kernel killed a member for memory.
    pub fn oom_kills(&self) -> u64 {
        // Of the library's statistics, which read some twenty files and panic on unknown text, one number is needed.
        let file = if self.group.v2() { "memory.events" } else { "memory.oom_control" };
        let folder = self.group.controller_of::<MemController>().map(Controller::path);
        let text = folder.and_then(|f| fs::read_to_string(f.join(file)).ok()).unwrap_or_default();
        text.lines().find_map(|l| l.strip_prefix("oom_kill ")?.trim().parse().ok()).unwrap_or(0)
    }

    /// Removes the groups; members still dying are waited for shortly.
    pub fn remove(&self) {
        // The library sleeps 10 ms before its second try and removes one hierarchy after the other: all are tried at
        // once here, and what remains (groups inside ours, slow deaths) is left to it.
        let mut left: Vec<&PathBuf> = self.folders.iter().collect();
        for round in 0..20 {
            if round > 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
            left.retain(|folder| {
                fs::remove_dir(folder).is_err_and(|e| e.kind() != std::io::ErrorKind::NotFound)
            });
            if left.is_empty() {
                return;
            }
        }
        for subsystem in self.group.subsystems() {
            // What still is in use is found again by whoever uses the same path next.
            let _busy = subsystem.to_controller().delete();
        }
    }
}

fn children(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()).collect()
}
