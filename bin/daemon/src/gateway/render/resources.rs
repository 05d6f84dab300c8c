//! A container's limits as `HostConfig` tells them: those in force, whatever the request said.

use contract::record::{ContainerSpec, DeviceRate};
use serde_json::{Value, json};

/// Names and values.
pub fn resources(spec: &ContainerSpec) -> Vec<(&'static str, Value)> {
    let r = &spec.resources;
    let rates = |list: &[DeviceRate]| -> Value {
        list.iter().map(|d| json!({ "Path": d.path, "Rate": d.rate })).collect::<Vec<_>>().into()
    };
    let weights = r.blkio_weight_device.iter().map(|d| json!({ "Path": d.path, "Weight": d.weight }));
    vec![
        ("CgroupParent", spec.cgroup_parent.clone().into()),
        ("Memory", r.memory.into()),
        ("MemorySwap", r.memory_swap.into()),
        ("MemoryReservation", r.memory_reservation.into()),
        ("MemorySwappiness", r.swappiness.into()),
        ("OomKillDisable", r.oom_kill_disable.into()),
        ("OomScoreAdj", spec.oom_score_adj.into()),
        ("CpuShares", r.cpu_shares.into()),
        ("NanoCpus", r.nano_cpus.into()),
        ("CpuPeriod", r.cpu_period.into()),
        ("CpuQuota", r.cpu_quota.into()),
        ("CpuRealtimePeriod", r.rt_period.into()),
        ("CpuRealtimeRuntime", r.rt_runtime.into()),
        ("CpusetCpus", r.cpuset_cpus.clone().into()),
        ("CpusetMems", r.cpuset_mems.clone().into()),
        ("PidsLimit", r.pids_limit.into()),
        ("BlkioWeight", r.blkio_weight.into()),
        ("BlkioWeightDevice", weights.collect::<Vec<_>>().into()),
        ("BlkioDeviceReadBps", rates(&r.read_bps)),
        ("BlkioDeviceWriteBps", rates(&r.write_bps)),
        ("BlkioDeviceReadIOps", rates(&r.read_iops)),
        ("BlkioDeviceWriteIOps", rates(&r.write_iops)),
    ]
}
