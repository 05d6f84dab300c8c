//! A container's control groups, on v1 (also hybrid) and v2: made and limited before its first process exists.

use crate::config::{Cpu, DeviceRule, Memory, Resources};
use crate::error::{LaunchError, Step};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// One mounted hierarchy of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    /// Where it is mounted.
    pub mount: PathBuf,
    /// v1: its controllers, as mount data (`cpu,cpuacct`, `name=systemd`).
    pub controllers: String,
    /// It is cgroup v2.
    pub unified: bool,
}

impl Hierarchy {
    /// The folder it has under /sys/fs/cgroup.
    pub fn folder(&self) -> &str {
        self.mount.file_name().and_then(|n| n.to_str()).unwrap_or(&self.controllers)
    }
}

/// The host's hierarchies; beside v1 ones an unused v2 mount (hybrid) is left out.
pub fn hierarchies() -> Result<Vec<Hierarchy>, LaunchError> {
    Ok(parse_mounts(&fs::read_to_string("/proc/self/mounts").step("read /proc/self/mounts")?))
}

fn parse_mounts(text: &str) -> Vec<Hierarchy> {
    const GENERIC: [&str; 8] = ["rw", "ro", "nosuid", "nodev", "noexec", "relatime", "noatime", "xattr"];
    let mut out: Vec<Hierarchy> = Vec::new();
    for line in text.lines() {
        let mut fields = line.split(' ').skip(1);
        let (Some(at), Some(kind), Some(options)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let controllers: Vec<&str> = options.split(',').filter(|o| !GENERIC.contains(o)).collect();
        let hierarchy = match kind {
            "cgroup" => Hierarchy { mount: at.into(), controllers: controllers.join(","), unified: false },
            "cgroup2" => Hierarchy { mount: at.into(), controllers: String::new(), unified: true },
            _ => continue,
        };
        let repeated =
            out.iter().any(|h| h.unified == hierarchy.unified && h.controllers == hierarchy.controllers);
        if !repeated {
            out.push(hierarchy);
        }
    }
    if out.iter().any(|h| !h.unified) {
        out.retain(|h| !h.unified);
    }
    out
}

/// The groups of one container.
#[derive(Debug, Clone)]
pub struct Cgroup {
    folders: Vec<(Hierarchy, PathBuf)>,
}

impl Cgroup {
    /// Makes the groups under `path` and writes the limits.
    pub fn create(path: &str, resources: &Resources) -> Result<Self, LaunchError> {
        let mut folders = Vec::new();
        for hierarchy in hierarchies()? {
            // Hierarchies that neither limit nor count anything for containers are left alone.
            let wanted = ["cpu", "cpuacct", "cpuset", "memory", "pids", "devices", "freezer", "blkio"];
            if !hierarchy.unified && !hierarchy.controllers.split(',').any(|c| wanted.contains(&c)) {
                continue;
            }
            let folder = hierarchy.mount.join(path.trim_start_matches('/'));
            make_path(&hierarchy, &folder)?;
            folders.push((hierarchy, folder));
        }
        let group = Self { folders };
        if let Err(error) = group.limit(resources) {
            group.remove();
            return Err(error);
        }
        Ok(group)
    }

    /// The groups that exist under `path`, made by whomever.
    pub fn existing(path: &str) -> Result<Self, LaunchError> {
        let folders = hierarchies()?
            .into_iter()
            .map(|h| (h.mount.join(path.trim_start_matches('/')), h))
            .filter(|(folder, _)| folder.is_dir())
            .map(|(folder, h)| (h, folder))
            .collect();
        Ok(Self { folders })
    }

    fn folder(&self, controller: &str) -> Option<&Path> {
        let has = |h: &Hierarchy| h.unified || h.controllers.split(',').any(|c| c == controller);
        self.folders.iter().find(|(h, _)| has(h)).map(|(_, f)| f.as_path())
    }

    fn unified(&self) -> bool {
        self.folders.iter().any(|(h, _)| h.unified)
    }

    fn write(&self, controller: &str, file: &str, value: impl ToString) -> Result<(), LaunchError> {
        let value = value.to_string();
        let step = format!("set cgroup {file} to {value}");
        let folder = self.folder(controller).ok_or_else(|| {
            LaunchError::new(step.clone(), format!("the {controller} cgroup controller is not mounted"))
        })?;
        fs::write(folder.join(file), value).step(step)
    }

    fn limit(&self, resources: &Resources) -> Result<(), LaunchError> {
        self.limit_memory(&resources.memory)?;
        self.limit_cpu(&resources.cpu)?;
        if let Some(limit) = resources.pids.limit.filter(|n| *n > 0) {
            self.write("pids", "pids.max", limit)?;
        }
        if self.unified() {
            return crate::devices::restrict(
                self.folder("devices").unwrap_or(Path::new("/")),
                &resources.devices,
            );
        }
        for rule in &resources.devices {
            let file = if rule.allow { "devices.allow" } else { "devices.deny" };
            self.write("devices", file, device_rule(rule))?;
        }
        Ok(())
    }

    fn limit_memory(&self, memory: &Memory) -> Result<(), LaunchError> {
        let v2 = self.unified();
        if let Some(limit) = memory.limit {
            self.write("memory", if v2 { "memory.max" } else { "memory.limit_in_bytes" }, limit)?;
        }
        match (memory.swap, memory.limit) {
            (Some(swap), Some(limit)) if v2 => {
                let value = if swap < 0 { "max".to_owned() } else { (swap - limit).max(0).to_string() };
                self.optional("memory.swap.max", &value)?;
            }
            (Some(swap), _) if !v2 => self.optional("memory.memsw.limit_in_bytes", &swap.to_string())?,
            _ => {}
        }
        if let Some(soft) = memory.reservation {
            self.write("memory", if v2 { "memory.low" } else { "memory.soft_limit_in_bytes" }, soft)?;
        }
        Ok(())
    }

    /// Swap accounting is a build option of the kernel; Docker goes on without it.
    fn optional(&self, file: &str, value: &str) -> Result<(), LaunchError> {
        match self.folder("memory") {
            Some(folder) if folder.join(file).exists() => self.write("memory", file, value),
            _ => Ok(()),
        }
    }

    fn limit_cpu(&self, cpu: &Cpu) -> Result<(), LaunchError> {
        let v2 = self.unified();
        if let Some(shares) = cpu.shares {
            if v2 {
                // The kernel's ranges are 2..262144 and 1..10000 (runc's conversion).
                let weight = 1 + ((shares.max(2) - 2) * 9999) / 262_142;
                self.write("cpu", "cpu.weight", weight)?;
            } else {
                self.write("cpu", "cpu.shares", shares)?;
            }
        }
        let period = cpu.period.unwrap_or(100_000);
        if v2 {
            if cpu.quota.is_some() || cpu.period.is_some() {
                let quota = cpu.quota.filter(|q| *q > 0).map_or("max".to_owned(), |q| q.to_string());
                self.write("cpu", "cpu.max", format!("{quota} {period}"))?;
            }
        } else {
            if cpu.period.is_some() {
                self.write("cpu", "cpu.cfs_period_us", period)?;
            }
            if let Some(quota) = cpu.quota {
                self.write("cpu", "cpu.cfs_quota_us", quota)?;
            }
        }
        if !cpu.cpus.is_empty() {
            self.write("cpuset", "cpuset.cpus", &cpu.cpus)?;
        }
        if !cpu.mems.is_empty() {
            self.write("cpuset", "cpuset.mems", &cpu.mems)?;
        }
        Ok(())
    }

    /// Puts a process into every group.
    pub fn join(&self, pid: i32) -> Result<(), LaunchError> {
        for (_, folder) in &self.folders {
            fs::write(folder.join("cgroup.procs"), pid.to_string())
                .step(format!("put process {pid} into {}", folder.display()))?;
        }
        Ok(())
    }

    /// Host pids of all members.
    pub fn pids(&self) -> Vec<i32> {
        let text = self
            .folder("pids")
            .or_else(|| self.folder("memory"))
            .and_then(|f| fs::read_to_string(f.join("cgroup.procs")).ok());
        text.unwrap_or_default().lines().filter_map(|l| l.parse().ok()).collect()
    }

    /// Freezes or thaws all members and waits until the kernel says so.
    pub fn freeze(&self, frozen: bool) -> Result<(), LaunchError> {
        if self.unified() {
            return self.write("freezer", "cgroup.freeze", u8::from(frozen));
        }
        let state = if frozen { "FROZEN" } else { "THAWED" };
        self.write("freezer", "freezer.state", state)?;
        let file = self.folder("freezer").map(|f| f.join("freezer.state"));
        for _ in 0..200 {
            match file.as_ref().map(fs::read_to_string) {
                Some(Ok(text)) if text.trim() == state => return Ok(()),
                _ => std::thread::sleep(Duration::from_millis(5)),
            }
        }
        Err(LaunchError::new("freeze", format!("the kernel did not reach {state}")))
    }

    /// How often the kernel killed a member for memory.
    pub fn oom_kills(&self) -> u64 {
        let file = if self.unified() { "memory.events" } else { "memory.oom_control" };
        let text =
            self.folder("memory").and_then(|f| fs::read_to_string(f.join(file)).ok()).unwrap_or_default();
        text.lines().find_map(|l| l.strip_prefix("oom_kill ")?.trim().parse().ok()).unwrap_or(0)
    }

    /// Removes the groups; members still dying are waited for shortly.
    pub fn remove(&self) {
        for (_, folder) in &self.folders {
            for _ in 0..100 {
                match fs::remove_dir(folder) {
                    Err(e) if e.raw_os_error() == Some(libc::EBUSY) => {
                        std::thread::sleep(Duration::from_millis(2))
                    }
                    _ => break,
                }
            }
        }
    }
}

/// Makes a group's folder; on the way cpuset values are inherited (v1) and controllers are passed down (v2).
fn make_path(hierarchy: &Hierarchy, folder: &Path) -> Result<(), LaunchError> {
    let step = || format!("make cgroup {}", folder.display());
    let Some(parent) = folder.parent() else { return Ok(()) };
    if folder != hierarchy.mount && !parent.exists() {
        make_path(hierarchy, parent)?;
    }
    if hierarchy.unified {
        let all = fs::read_to_string(parent.join("cgroup.controllers")).step(step())?;
        for controller in all.split_whitespace() {
            // A controller that cannot be passed down shows itself when a limit needs it.
            let _unavailable = fs::write(parent.join("cgroup.subtree_control"), format!("+{controller}"));
        }
    }
    match fs::create_dir(folder) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e).step(step()),
        _ => {}
    }
    if hierarchy.controllers.split(',').any(|c| c == "cpuset") {
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let own = fs::read_to_string(folder.join(file)).step(step())?;
            if own.trim().is_empty() {
                let inherited = fs::read_to_string(parent.join(file)).step(step())?;
                fs::write(folder.join(file), inherited.trim()).step(step())?;
            }
        }
    }
    Ok(())
}

fn device_rule(rule: &DeviceRule) -> String {
    let number = |n: Option<i64>| n.filter(|n| *n >= 0).map_or("*".to_owned(), |n| n.to_string());
    if rule.kind.is_empty() || rule.kind == "a" {
        return "a".to_owned();
    }
    format!("{} {}:{} {}", rule.kind, number(rule.major), number(rule.minor), rule.access)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hybrid_host_is_a_v1_host() {
        let text = "cgroup /sys/fs/cgroup/cpu cgroup rw,relatime,cpu 0 0\n\
                    cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0\n";
        let found = parse_mounts(text);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].folder(), found[0].controllers.as_str()), ("cpu", "cpu"));
    }

    #[test]
    fn a_host_with_cgroup2_alone_is_a_v2_host() {
        assert!(parse_mounts("cgroup2 /sys/fs/cgroup cgroup2 rw,nsdelegate 0 0\n")[0].unified);
    }
}
