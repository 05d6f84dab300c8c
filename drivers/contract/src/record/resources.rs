//! A container's limits.

use serde::{Deserialize, Serialize};

/// Limits; `None`/0 = unlimited.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// Bytes.
    pub memory: i64,
    /// Bytes of memory+swap; -1 unlimited.
    pub memory_swap: i64,
    /// Soft limit, bytes.
    pub memory_reservation: i64,
    /// Relative weight.
    pub cpu_shares: i64,
    /// 1e-9 CPUs.
    pub nano_cpus: i64,
    /// Microseconds.
    pub cpu_period: i64,
    /// Microseconds.
    pub cpu_quota: i64,
    /// CPU list.
    pub cpuset_cpus: String,
    /// Memory node list.
    pub cpuset_mems: String,
    /// Most processes; 0 and less = no limit; `None` = not asked for.
    pub pids_limit: Option<i64>,
    /// 0 to 100; `None` = the kernel's.
    pub swappiness: Option<i64>,
    /// Processes wait instead of being killed for memory; `None` where the kernel cannot do that (cgroup v2).
    pub oom_kill_disable: Option<bool>,
    /// Microseconds.
    pub rt_period: i64,
    /// Microseconds.
    pub rt_runtime: i64,
    /// 10 to 1000.
    pub blkio_weight: u16,
    /// By device.
    pub blkio_weight_device: Vec<DeviceWeight>,
    /// Bytes a second.
    pub read_bps: Vec<DeviceRate>,
    /// Bytes a second.
    pub write_bps: Vec<DeviceRate>,
    /// Operations a second.
    pub read_iops: Vec<DeviceRate>,
    /// Operations a second.
    pub write_iops: Vec<DeviceRate>,
}

/// A block device's share.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceWeight {
    /// Path of the device on the host.
    pub path: String,
    /// 10 to 1000.
    pub weight: u16,
}

/// A block device's throttle.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRate {
    /// Path of the device on the host.
    pub path: String,
    /// Bytes or operations a second.
    pub rate: u64,
}
