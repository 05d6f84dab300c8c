//! How much of the machine a container may use.

use bollard::models::{
    ContainerUpdateBody, HostConfig, ResourcesBlkioWeightDevice, ResourcesUlimits, ThrottleDevice,
};
use clap::Args;

use super::value::{self, blkio, ulimit};
use super::{OptionError, some};

/// Limits that `update` can change too.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Limits (sizes take b, k, m, g; 1k is 1024)")]
pub struct Limits {
    /// Memory limit
    #[arg(short, long, value_name = "BYTES", value_parser = value::bytes)]
    pub memory: Option<i64>,
    /// Swap limit equal to memory plus swap: '-1' to enable unlimited swap [default: twice the memory]
    #[arg(long, value_name = "BYTES", value_parser = value::swap)]
    pub memory_swap: Option<i64>,
    /// Memory soft limit
    #[arg(long, value_name = "BYTES", value_parser = value::bytes)]
    pub memory_reservation: Option<i64>,
    /// Kernel memory limit (deprecated, no kernel has it any more)
    #[arg(long, value_name = "BYTES", value_parser = value::bytes, hide = true)]
    pub kernel_memory: Option<i64>,
    /// Number of CPUs, such as 1.5
    #[arg(long, value_name = "DECIMAL", value_parser = value::cpus)]
    pub cpus: Option<i64>,
    /// CPU shares (relative weight) [default: 1024]
    #[arg(short, long, value_name = "SHARES", value_parser = value::int)]
    pub cpu_shares: Option<i64>,
    /// CPUs in which to allow execution (0-3, 0,1)
    #[arg(long, value_name = "CPUS")]
    pub cpuset_cpus: Option<String>,
    /// MEMs in which to allow execution (0-3, 0,1)
    #[arg(long, value_name = "NODES")]
    pub cpuset_mems: Option<String>,
    /// Limit CPU CFS (Completely Fair Scheduler) period [default: 100000]
    #[arg(long, value_name = "MICROSECONDS", value_parser = value::int)]
    pub cpu_period: Option<i64>,
    /// Limit CPU CFS (Completely Fair Scheduler) quota
    #[arg(long, value_name = "MICROSECONDS", value_parser = value::int)]
    pub cpu_quota: Option<i64>,
    /// Limit the CPU real-time period
    #[arg(long, value_name = "MICROSECONDS", value_parser = value::int)]
    pub cpu_rt_period: Option<i64>,
    /// Limit the CPU real-time runtime
    #[arg(long, value_name = "MICROSECONDS", value_parser = value::int)]
    pub cpu_rt_runtime: Option<i64>,
    /// Tune container pids limit (set -1 for unlimited)
    #[arg(long, value_name = "COUNT", value_parser = value::int)]
    pub pids_limit: Option<i64>,
    /// Block IO (relative weight), between 10 and 1000, or 0 to disable [default: 0]
    #[arg(long, value_name = "WEIGHT", value_parser = value::uint16)]
    pub blkio_weight: Option<u16>,
}

/// Limits that stand from creation on.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Limits (sizes take b, k, m, g; 1k is 1024)")]
pub struct FixedLimits {
    /// Tune container memory swappiness (0 to 100) [default: the kernel's]
    #[arg(long, value_name = "PERCENT", value_parser = value::int)]
    pub memory_swappiness: Option<i64>,
    /// Disable OOM Killer
    #[arg(long)]
    pub oom_kill_disable: bool,
    /// Tune host's OOM preferences (-1000 to 1000) [default: 0]
    #[arg(long, value_name = "SCORE", value_parser = value::int)]
    pub oom_score_adj: Option<i64>,
    /// Size of /dev/shm [default: 64m]
    #[arg(long, value_name = "BYTES", value_parser = value::bytes)]
    pub shm_size: Option<i64>,
    /// Ulimit options, such as nofile=1024:2048
    #[arg(long, value_name = "NAME=SOFT[:HARD]", value_parser = ulimit::ulimit)]
    pub ulimit: Vec<ResourcesUlimits>,
    /// Block IO weight of one device (10 to 1000)
    #[arg(long, value_name = "DEVICE:WEIGHT", value_parser = blkio::weight)]
    pub blkio_weight_device: Vec<ResourcesBlkioWeightDevice>,
    /// Limit read rate (bytes per second) from a device
    #[arg(long, value_name = "DEVICE:BYTES", value_parser = blkio::bytes)]
    pub device_read_bps: Vec<ThrottleDevice>,
    /// Limit read rate (IO per second) from a device
    #[arg(long, value_name = "DEVICE:COUNT", value_parser = blkio::operations)]
    pub device_read_iops: Vec<ThrottleDevice>,
    /// Limit write rate (bytes per second) to a device
    #[arg(long, value_name = "DEVICE:BYTES", value_parser = blkio::bytes)]
    pub device_write_bps: Vec<ThrottleDevice>,
    /// Limit write rate (IO per second) to a device
    #[arg(long, value_name = "DEVICE:COUNT", value_parser = blkio::operations)]
    pub device_write_iops: Vec<ThrottleDevice>,
    /// Optional parent cgroup for the container
    #[arg(long, value_name = "CGROUP")]
    pub cgroup_parent: Option<String>,
    /// CPU count (Windows only)
    #[arg(long, hide = true, value_parser = value::int)]
    pub cpu_count: Option<i64>,
    /// CPU percent (Windows only)
    #[arg(long, hide = true, value_parser = value::int)]
    pub cpu_percent: Option<i64>,
    /// Maximum IO bandwidth limit for the system drive (Windows only)
    #[arg(long, hide = true, value_parser = value::bytes)]
    pub io_maxbandwidth: Option<i64>,
    /// Maximum IOps limit for the system drive (Windows only)
    #[arg(long, hide = true, value_parser = value::int)]
    pub io_maxiops: Option<i64>,
}

impl Limits {
    /// Writes these flags into `host`.
    pub fn fill(&self, host: &mut HostConfig) {
        host.memory = self.memory;
        host.memory_swap = self.memory_swap;
        host.memory_reservation = self.memory_reservation;
        host.nano_cpus = self.cpus;
        host.cpu_shares = self.cpu_shares;
        host.cpuset_cpus = self.cpuset_cpus.clone();
        host.cpuset_mems = self.cpuset_mems.clone();
        host.cpu_period = self.cpu_period;
        host.cpu_quota = self.cpu_quota;
        host.cpu_realtime_period = self.cpu_rt_period;
        host.cpu_realtime_runtime = self.cpu_rt_runtime;
        host.pids_limit = self.pids_limit;
        host.blkio_weight = self.blkio_weight;
    }

    /// The body of an update with these flags.
    pub fn update(&self) -> ContainerUpdateBody {
        ContainerUpdateBody {
            memory: self.memory,
            memory_swap: self.memory_swap,
            memory_reservation: self.memory_reservation,
            nano_cpus: self.cpus,
            cpu_shares: self.cpu_shares,
            cpuset_cpus: self.cpuset_cpus.clone(),
            cpuset_mems: self.cpuset_mems.clone(),
            cpu_period: self.cpu_period,
            cpu_quota: self.cpu_quota,
            cpu_realtime_period: self.cpu_rt_period,
            cpu_realtime_runtime: self.cpu_rt_runtime,
            pids_limit: self.pids_limit,
            blkio_weight: self.blkio_weight,
            ..Default::default()
        }
    }
}

impl FixedLimits {
    /// Writes these flags into `host`.
    pub fn fill(&self, host: &mut HostConfig) -> Result<(), OptionError> {
        if let Some(swappiness) = self.memory_swappiness.filter(|value| !(-1..=100).contains(value)) {
            return Err(OptionError::Value(format!(
                "invalid value: {swappiness}. Valid memory swappiness range is 0-100"
            )));
        }
        host.memory_swappiness = self.memory_swappiness;
        host.oom_kill_disable = self.oom_kill_disable.then_some(true);
        host.oom_score_adj = self.oom_score_adj;
        host.shm_size = self.shm_size;
        host.ulimits = some(ulimit::last_of_each(&self.ulimit));
        host.blkio_weight_device = some(self.blkio_weight_device.clone());
        host.blkio_device_read_bps = some(self.device_read_bps.clone());
        host.blkio_device_read_iops = some(self.device_read_iops.clone());
        host.blkio_device_write_bps = some(self.device_write_bps.clone());
        host.blkio_device_write_iops = some(self.device_write_iops.clone());
        host.cgroup_parent = self.cgroup_parent.clone();
        host.cpu_count = self.cpu_count;
        host.cpu_percent = self.cpu_percent;
        host.io_maximum_bandwidth = self.io_maxbandwidth;
        host.io_maximum_iops = self.io_maxiops;
        Ok(())
    }
}
