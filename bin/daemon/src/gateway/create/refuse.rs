//! The options this engine does not honour yet, each refused by its own name.

use bollard_stubs::models::HostConfig;
use contract::{Kind, PortError};

/// The refusal of one option.
pub fn option(name: &str) -> PortError {
    PortError::new(Kind::Unsupported, format!("gantry does not support {name} yet"))
}

/// Refuses the first unsupported option in use.
pub fn unsupported(host: &HostConfig) -> Result<(), PortError> {
    fn some<T>(list: &Option<Vec<T>>) -> bool {
        list.as_ref().is_some_and(|l| !l.is_empty())
    }
    let mode = |mode: &Option<String>, fine: &[&str]| {
        mode.as_deref().is_some_and(|m| !m.is_empty() && !fine.contains(&m))
    };
    let positive = |n: Option<i64>| n.unwrap_or(0) > 0;
    let table = [
        ("BlkioWeight", host.blkio_weight.unwrap_or(0) > 0),
        ("BlkioWeightDevice", some(&host.blkio_weight_device)),
        ("BlkioDeviceReadBps", some(&host.blkio_device_read_bps)),
        ("BlkioDeviceWriteBps", some(&host.blkio_device_write_bps)),
        ("BlkioDeviceReadIOps", some(&host.blkio_device_read_iops)),
        ("BlkioDeviceWriteIOps", some(&host.blkio_device_write_iops)),
        ("CpuRealtimePeriod", positive(host.cpu_realtime_period)),
        ("CpuRealtimeRuntime", positive(host.cpu_realtime_runtime)),
        ("MemorySwappiness", host.memory_swappiness.is_some_and(|n| n >= 0)),
        ("OomKillDisable", host.oom_kill_disable == Some(true)),
        ("Cgroup", mode(&host.cgroup, &[])),
        ("CgroupParent", mode(&host.cgroup_parent, &[])),
        ("StorageOpt", host.storage_opt.as_ref().is_some_and(|m| !m.is_empty())),
        ("CpuCount", positive(host.cpu_count)),
        ("CpuPercent", positive(host.cpu_percent)),
        ("IOMaximumIOps", positive(host.io_maximum_iops)),
        ("IOMaximumBandwidth", positive(host.io_maximum_bandwidth)),
    ];
    if let Some((name, _)) = table.iter().find(|(_, used)| *used) {
        return Err(option(name));
    }
    Ok(())
}
