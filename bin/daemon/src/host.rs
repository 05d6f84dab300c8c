//! What the machine is, read once at start.

mod limits;

pub use limits::{Limits, Set};

use std::fs;
use std::path::Path;

/// Facts about the host for `info` and `version`.
#[derive(Debug, Clone)]
pub struct Host {
    /// `uname -r`.
    pub kernel: String,
    /// `x86_64`, …
    pub machine: String,
    /// Host name.
    pub name: String,
    /// Pretty name of the distribution.
    pub system: String,
    /// Its version number.
    pub system_version: String,
    /// Bytes of memory.
    pub memory: u64,
    /// Processors.
    pub cpus: usize,
    /// 1 (also hybrid) or 2.
    pub cgroup_version: u8,
    /// Limits that this kernel can set.
    pub limits: std::sync::Arc<Limits>,
}

/// Docker's name of the file system that holds a folder (moby `daemon/graphdriver`), else its magic number (statfs(2)).
pub fn file_system(folder: &Path) -> String {
    use nix::sys::statfs::{self, statfs};
    let Ok(found) = statfs(folder) else { return "unknown".to_owned() };
    match found.filesystem_type() {
        statfs::EXT4_SUPER_MAGIC => "extfs".to_owned(),
        statfs::XFS_SUPER_MAGIC => "xfs".to_owned(),
        statfs::BTRFS_SUPER_MAGIC => "btrfs".to_owned(),
        statfs::TMPFS_MAGIC => "tmpfs".to_owned(),
        statfs::OVERLAYFS_SUPER_MAGIC => "overlayfs".to_owned(),
        other => format!("{:#x}", other.0),
    }
}

/// Whether the kernel passes packets on between interfaces.
pub fn forwards() -> bool {
    fs::read_to_string("/proc/sys/net/ipv4/ip_forward").is_ok_and(|text| text.trim() == "1")
}

/// Whether a folder's file system tells what kind of thing each entry is (`d_type`), which overlayfs needs. A folder
/// without entries tells nothing.
pub fn tells_types(folder: &Path) -> bool {
    use nix::{dir::Dir, fcntl::OFlag, sys::stat::Mode};
    let Ok(mut entries) = Dir::open(folder, OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty()) else {
        return false;
    };
    entries.iter().flatten().any(|entry| entry.file_type().is_some())
}

/// Whether the kernel copies up only metadata by default.
pub fn metacopy() -> bool {
    fs::read_to_string("/sys/module/overlay/parameters/metacopy").is_ok_and(|text| text.trim() == "Y")
}

/// Lets this process open as many files as it may: each running container takes it some. Answers how many it might have
/// opened before, if that were fewer.
pub fn raise_open_files() -> Option<u64> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    if soft >= hard {
        return None;
    }
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).ok()?;
    Some(soft)
}

/// Files this process has open.
pub fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

impl Host {
    /// Reads the facts.
    pub fn read() -> Self {
        let uname = nix::sys::utsname::uname().ok();
        let part = |pick: fn(&nix::sys::utsname::UtsName) -> &std::ffi::OsStr| {
            uname.as_ref().map(|u| pick(u).to_string_lossy().into_owned()).unwrap_or_default()
        };
        let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
        let field = |key: &str| {
            let value = release.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix('='));
            value.unwrap_or_default().trim_matches('"').to_owned()
        };
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let kib = memory
            .lines()
            .find_map(|l| l.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse::<u64>().ok());
        Self {
            kernel: part(|u| u.release()),
            machine: part(|u| u.machine()),
            name: part(|u| u.nodename()),
            system: field("PRETTY_NAME"),
            system_version: field("VERSION_ID"),
            memory: kib.unwrap_or(0) * 1024,
            cpus: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            limits: std::sync::Arc::new(Limits::read()),
            cgroup_version: if fs::exists("/sys/fs/cgroup/cgroup.controllers").unwrap_or(false) {
                2
            } else {
                1
            },
        }
    }

    /// Go's name for the architecture.
    pub fn arch(&self) -> &str {
        match self.machine.as_str() {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        }
    }
}
