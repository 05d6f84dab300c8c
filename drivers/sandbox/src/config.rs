//! The parts of an OCI runtime configuration (runtime-spec 1.2, `config.json`) that the sandbox acts on.

mod seccomp;

pub use seccomp::{Seccomp, SeccompArg, SeccompCall};

use serde::Deserialize;
use std::collections::BTreeMap;

/// `config.json`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Config {
    /// The main process.
    pub process: Process,
    /// Root file system.
    pub root: Root,
    /// Host name.
    pub hostname: String,
    /// NIS domain name.
    pub domainname: String,
    /// Mounts, in order.
    pub mounts: Vec<Mount>,
    /// `gantry.overlay`, `gantry.user`, `gantry.groups`, `gantry.seccomp` (the default policy), `gantry.shm` (a process
    /// whose container's /dev/shm is shared).
    pub annotations: BTreeMap<String, String>,
    /// Linux section.
    pub linux: Linux,
}

/// `process`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Process {
    /// Wants a tty.
    pub terminal: bool,
    /// Ids.
    pub user: User,
    /// Arguments.
    pub args: Vec<String>,
    /// Environment.
    pub env: Vec<String>,
    /// Working folder.
    pub cwd: String,
    /// Capability sets.
    pub capabilities: Capabilities,
    /// Resource limits.
    pub rlimits: Vec<Rlimit>,
    /// No new privileges.
    pub no_new_privileges: bool,
    /// OOM score adjustment.
    pub oom_score_adj: Option<i32>,
}

/// `process.user`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups.
    pub additional_gids: Vec<u32>,
}

/// `process.capabilities`; effective, permitted and bounding are one set here, inheritable and ambient stay empty.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Capabilities {
    /// Bounding set.
    pub bounding: Vec<String>,
}

/// `process.rlimits[]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Rlimit {
    /// `RLIMIT_NOFILE`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// Soft.
    pub soft: u64,
    /// Hard.
    pub hard: u64,
}

/// `root`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Root {
    /// Absolute path.
    pub path: String,
    /// Read-only.
    pub readonly: bool,
}

/// `mounts[]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Mount {
    /// Path inside.
    pub destination: String,
    /// File system type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Source.
    pub source: String,
    /// Options.
    pub options: Vec<String>,
    /// Ours: a folder that a bind's source must not lead out of, whatever links are on its way; empty = any.
    pub beneath: String,
}

/// `linux`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Linux {
    /// Namespaces to make or join.
    pub namespaces: Vec<Namespace>,
    /// cgroup path under each hierarchy.
    pub cgroups_path: String,
    /// Limits.
    pub resources: Resources,
    /// Kernel parameters.
    pub sysctl: BTreeMap<String, String>,
    /// Extra device nodes.
    pub devices: Vec<Device>,
    /// Hidden paths.
    pub masked_paths: Vec<String>,
    /// Read-only paths.
    pub readonly_paths: Vec<String>,
    /// A system call policy of the user's.
    pub seccomp: Option<Seccomp>,
}

/// `linux.namespaces[]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Namespace {
    /// `pid`, `network`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// Joined instead of made.
    pub path: String,
}

/// `linux.devices[]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Device {
    /// Path inside.
    pub path: String,
    /// `c` or `b`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Major.
    pub major: u64,
    /// Minor.
    pub minor: u64,
    /// Mode.
    pub file_mode: u32,
    /// Owner.
    pub uid: u32,
    /// Owning group.
    pub gid: u32,
}

/// `linux.resources`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// Device rules.
    pub devices: Vec<DeviceRule>,
    /// Memory.
    pub memory: Memory,
    /// CPU.
    pub cpu: Cpu,
    /// Processes.
    pub pids: Pids,
    /// Block devices.
    #[serde(rename = "blockIO")]
    pub block_io: BlockIo,
}

/// `linux.resources.devices[]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct DeviceRule {
    /// Allow or deny.
    pub allow: bool,
    /// `a`, `c`, `b`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Major, any when absent.
    pub major: Option<i64>,
    /// Minor, any when absent.
    pub minor: Option<i64>,
    /// `rwm`.
    pub access: String,
}

/// `linux.resources.memory`, bytes.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// Hard limit.
    pub limit: Option<i64>,
    /// Memory and swap.
    pub swap: Option<i64>,
    /// Soft limit.
    pub reservation: Option<i64>,
    /// 0 to 100.
    pub swappiness: Option<u64>,
    /// Members wait instead of being killed.
    #[serde(rename = "disableOOMKiller")]
    pub disable_oom_killer: bool,
}

/// `linux.resources.cpu`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Cpu {
    /// Weight.
    pub shares: Option<u64>,
    /// Microseconds.
    pub quota: Option<i64>,
    /// Microseconds.
    pub period: Option<u64>,
    /// Microseconds.
    pub realtime_runtime: Option<i64>,
    /// Microseconds.
    pub realtime_period: Option<u64>,
    /// CPU list.
    pub cpus: String,
    /// Node list.
    pub mems: String,
}

/// `linux.resources.pids`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Pids {
    /// Most processes.
    pub limit: Option<i64>,
}

/// `linux.resources.blockIO`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct BlockIo {
    /// 10 to 1000.
    pub weight: Option<u16>,
    /// The same by device.
    pub weight_device: Vec<WeightDevice>,
    /// Bytes a second.
    pub throttle_read_bps_device: Vec<ThrottleDevice>,
    /// Bytes a second.
    pub throttle_write_bps_device: Vec<ThrottleDevice>,
    /// Operations a second.
    #[serde(rename = "throttleReadIOPSDevice")]
    pub throttle_read_iops_device: Vec<ThrottleDevice>,
    /// Operations a second.
    #[serde(rename = "throttleWriteIOPSDevice")]
    pub throttle_write_iops_device: Vec<ThrottleDevice>,
}

/// A block device's share.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct WeightDevice {
    /// Major.
    pub major: u64,
    /// Minor.
    pub minor: u64,
    /// 10 to 1000.
    pub weight: u16,
}

/// A block device's throttle.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ThrottleDevice {
    /// Major.
    pub major: u64,
    /// Minor.
    pub minor: u64,
    /// A second.
    pub rate: u64,
}

/// The `gantry.overlay` annotation: the root is an overlay mounted inside the container's own mount namespace, so that
/// no mount is ever visible, or left behind, on the host.
#[derive(Debug, Clone, Deserialize)]
pub struct Overlay {
    /// Layers, topmost first.
    pub lower: Vec<String>,
    /// Writable layer.
    pub upper: String,
    /// Scratch folder.
    pub work: String,
    /// Mount point.
    pub target: String,
    /// The writable layer is thrown away with the container: unmounting need not bring it to the disk.
    #[serde(default)]
    pub volatile: bool,
}
