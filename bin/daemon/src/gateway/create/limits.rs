//! Limits of a request, checked in Docker's words (moby `verifyPlatformContainerResources`). What the kernel cannot do is
//! discarded with a warning, as there.

use super::invalid;
use crate::host::{Limits, Set};
use bollard_stubs::models::{HostConfig, ThrottleDevice};
use contract::record::{DeviceRate, DeviceWeight, Resources};
use contract::{Kind, PortError};
use serde_json::Value;
use std::collections::BTreeMap;

/// The smallest memory limit accepted, bytes (moby `linuxMinMemory`).
const MIN_MEMORY: i64 = 6 * 1024 * 1024;
/// The widest range of CFS periods, microseconds.
const PERIODS: std::ops::RangeInclusive<i64> = 1000..=1_000_000;

/// What limits are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A new container.
    Create,
    /// A change of one that is there: 0 leaves a limit as it is.
    Update,
}

/// The limits and what is to be told of them.
pub type Limited = (Resources, Vec<String>);

/// Reads and checks the limits of a request; `raw` is the same as it came.
pub fn resources(
    host: &HostConfig,
    raw: &Value,
    can: &Limits,
    purpose: Purpose,
) -> Result<Limited, PortError> {
    let mut out = wanted(host)?;
    let mut warnings = Vec::new();
    memory(&mut out, can, purpose, &mut warnings)?;
    if raw.get("KernelMemory").and_then(Value::as_i64).is_some_and(|n| n > 0) {
        warnings.push(discarded("kernel memory limit capabilities", "Limitation discarded"));
    }
    pids(&mut out, can, &mut warnings);
    cpu(&mut out, can, &mut warnings)?;
    if host.cpu_percent.unwrap_or(0) > 0 {
        warnings.push("linux does not support CPU percent. Percent discarded.".into());
    }
    sets(&mut out, can, &mut warnings)?;
    block(&mut out, can, &mut warnings)?;
    if host.io_maximum_bandwidth.unwrap_or(0) != 0 || host.io_maximum_iops.unwrap_or(0) != 0 {
        return Err(invalid(
            "Invalid QoS settings: linux does not support Maximum IO Bandwidth or Maximum IO IOps",
        ));
    }
    if purpose == Purpose::Create {
        if out.memory > 0 && out.memory_swap == 0 {
            out.memory_swap = out.memory.saturating_mul(2);
        }
        // Shown by inspect where it means something.
        if can.oom_kill_disable {
            out.oom_kill_disable.get_or_insert(false);
        }
    }
    Ok((out, warnings))
}

fn wanted(host: &HostConfig) -> Result<Resources, PortError> {
    Ok(Resources {
        memory: host.memory.unwrap_or(0),
        memory_swap: host.memory_swap.unwrap_or(0),
        memory_reservation: host.memory_reservation.unwrap_or(0),
        cpu_shares: host.cpu_shares.unwrap_or(0),
        nano_cpus: host.nano_cpus.unwrap_or(0),
        cpu_period: host.cpu_period.unwrap_or(0),
        cpu_quota: host.cpu_quota.unwrap_or(0),
        cpuset_cpus: host.cpuset_cpus.clone().unwrap_or_default(),
        cpuset_mems: host.cpuset_mems.clone().unwrap_or_default(),
        pids_limit: host.pids_limit,
        // -1 is the CLI's word for the kernel's own.
        swappiness: host.memory_swappiness.filter(|n| *n != -1),
        oom_kill_disable: host.oom_kill_disable,
        rt_period: host.cpu_realtime_period.unwrap_or(0),
        rt_runtime: host.cpu_realtime_runtime.unwrap_or(0),
        blkio_weight: host.blkio_weight.unwrap_or(0),
        blkio_weight_device: host
            .blkio_weight_device
            .iter()
            .flatten()
            .map(|d| {
                let (path, weight) = (d.path.clone().unwrap_or_default(), d.weight.unwrap_or(0));
                Ok(DeviceWeight { weight: number(weight, "weight", &path)?, path })
            })
            .collect::<Result<_, PortError>>()?,
        read_bps: rates(host.blkio_device_read_bps.as_deref())?,
        write_bps: rates(host.blkio_device_write_bps.as_deref())?,
        read_iops: rates(host.blkio_device_read_iops.as_deref())?,
        write_iops: rates(host.blkio_device_write_iops.as_deref())?,
    })
}

fn rates(list: Option<&[ThrottleDevice]>) -> Result<Vec<DeviceRate>, PortError> {
    let one = |d: &ThrottleDevice| {
        let (path, rate) = (d.path.clone().unwrap_or_default(), d.rate.unwrap_or(0));
        Ok(DeviceRate { rate: number(rate, "rate", &path)?, path })
    };
    list.unwrap_or_default().iter().map(one).collect()
}

fn number<T: TryFrom<N>, N: Copy + std::fmt::Display>(n: N, what: &str, path: &str) -> Result<T, PortError> {
    T::try_from(n).map_err(|_| invalid(format!("invalid {what} for device {path}: {n}")))
}

fn discarded(what: &str, end: &str) -> String {
    format!("Your kernel does not support {what} or the cgroup is not mounted. {end}.")
}

fn memory(
    r: &mut Resources,
    can: &Limits,
    purpose: Purpose,
    warnings: &mut Vec<String>,
) -> Result<(), PortError> {
    if r.memory != 0 && r.memory < MIN_MEMORY {
        return Err(invalid("Minimum memory limit allowed is 6MB"));
    }
    if r.memory > 0 && !can.memory {
        warnings.push(discarded("memory limit capabilities", "Limitation discarded"));
        (r.memory, r.memory_swap) = (0, -1);
    }
    if r.memory > 0 && r.memory_swap != -1 && !can.swap {
        warnings.push(discarded("swap limit capabilities", "Memory limited without swap"));
        r.memory_swap = -1;
    }
    if r.memory > 0 && r.memory_swap > 0 && r.memory_swap < r.memory {
        return Err(invalid("Minimum memoryswap limit should be larger than memory limit, see usage"));
    }
    if r.memory == 0 && r.memory_swap > 0 && purpose == Purpose::Create {
        return Err(invalid("You should always set the Memory limit when using Memoryswap limit, see usage"));
    }
    if r.swappiness.is_some() && !can.swappiness {
        warnings.push(discarded("memory swappiness capabilities", "Memory swappiness discarded"));
        r.swappiness = None;
    }
    if let Some(value) = r.swappiness.filter(|n| !(0..=100).contains(n)) {
        return Err(invalid(format!("Invalid value: {value}, valid memory swappiness range is 0-100")));
    }
    if r.memory_reservation > 0 && !can.reservation {
        warnings.push(discarded("memory soft limit capabilities", "Limitation discarded"));
        r.memory_reservation = 0;
    }
    if r.memory_reservation > 0 && r.memory_reservation < MIN_MEMORY {
        return Err(invalid("Minimum memory reservation allowed is 6MB"));
    }
    if r.memory > 0 && r.memory_reservation > 0 && r.memory < r.memory_reservation {
        return Err(invalid("Minimum memory limit can not be less than memory reservation limit, see usage"));
    }
    if r.oom_kill_disable.is_some() && !can.oom_kill_disable {
        if r.oom_kill_disable == Some(true) {
            warnings.push("Your kernel does not support OomKillDisable. OomKillDisable discarded.".into());
        }
        r.oom_kill_disable = None;
    }
    if r.oom_kill_disable == Some(true) && r.memory == 0 {
        warnings.push(
            "OOM killer is disabled for the container, but no memory limit is set, this can result in the system running \
             out of resources."
                .into(),
        );
    }
    Ok(())
}

fn pids(r: &mut Resources, can: &Limits, warnings: &mut Vec<String>) {
    if !can.pids
        && let Some(limit) = r.pids_limit.take()
        && limit > 0
    {
        warnings.push(discarded("PIDs limit capabilities", "PIDs limit discarded"));
    }
}

fn cpu(r: &mut Resources, can: &Limits, warnings: &mut Vec<String>) -> Result<(), PortError> {
    if r.nano_cpus > 0 && r.cpu_period > 0 {
        return Err(invalid("Conflicting options: Nano CPUs and CPU Period cannot both be set"));
    }
    if r.nano_cpus > 0 && r.cpu_quota > 0 {
        return Err(invalid("Conflicting options: Nano CPUs and CPU Quota cannot both be set"));
    }
    if r.nano_cpus > 0 && !can.quota {
        return Err(invalid(
            "NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or the cgroup is not mounted",
        ));
    }
    let most = i64::try_from(can.processors).unwrap_or(i64::MAX).saturating_mul(1_000_000_000);
    if r.nano_cpus < 0 || r.nano_cpus > most {
        let n = can.processors;
        return Err(invalid(format!(
            "range of CPUs is from 0.01 to {n}.00, as there are only {n} CPUs available"
        )));
    }
    if r.cpu_shares < 0 {
        let text = format!("invalid CPU shares ({}): value must be a positive integer", r.cpu_shares);
        return Err(invalid(text));
    }
    if r.cpu_shares > 0 && !can.shares {
        warnings.push(discarded("CPU shares", "Shares discarded"));
        r.cpu_shares = 0;
    }
    if (r.cpu_period != 0 || r.cpu_quota != 0) && !can.quota {
        warnings.push("Your kernel does not support CPU CFS scheduler. CPU period/quota discarded.".into());
        (r.cpu_period, r.cpu_quota) = (0, 0);
    }
    if r.cpu_period != 0 && !PERIODS.contains(&r.cpu_period) {
        return Err(invalid(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
        ));
    }
    if r.cpu_quota > 0 && r.cpu_quota < *PERIODS.start() {
        return Err(invalid("CPU cfs quota can not be less than 1ms (i.e. 1000)"));
    }
    if (r.rt_period != 0 || r.rt_runtime != 0) && !can.realtime {
        return Err(invalid("kernel does not support CPU real-time scheduler"));
    }
    if r.rt_period != 0 && r.rt_runtime != 0 && r.rt_runtime > r.rt_period {
        return Err(invalid("cpu real-time runtime cannot be higher than cpu real-time period"));
    }
    Ok(())
}

fn sets(r: &mut Resources, can: &Limits, warnings: &mut Vec<String>) -> Result<(), PortError> {
    let bound = !r.cpuset_cpus.is_empty() || !r.cpuset_mems.is_empty();
    if bound && !can.cpuset {
        warnings.push(discarded("cpuset", "Cpuset discarded"));
        r.cpuset_cpus.clear();
        r.cpuset_mems.clear();
    }
    available(&r.cpuset_cpus, &can.cpus, "cpus", "CPUs")?;
    available(&r.cpuset_mems, &can.mems, "mems", "memory nodes")
}

fn available(wanted: &str, there: &Set, key: &str, what: &str) -> Result<(), PortError> {
    let set =
        Set::parse(wanted).map_err(|e| invalid(format!("Invalid value {wanted} for cpuset {key}: {e}")))?;
    if set.members.is_subset(&there.members) {
        return Ok(());
    }
    let there = &there.text;
    Err(invalid(format!("Requested {what} are not available - requested {wanted}, available: {there}")))
}

fn block(r: &mut Resources, can: &Limits, warnings: &mut Vec<String>) -> Result<(), PortError> {
    if r.blkio_weight > 0 && !can.blkio_weight {
        warnings.push(discarded("Block I/O weight", "Weight discarded"));
        r.blkio_weight = 0;
    }
    if r.blkio_weight > 0 && !(10..=1000).contains(&r.blkio_weight) {
        return Err(invalid("Range of blkio weight is from 10 to 1000"));
    }
    if !r.blkio_weight_device.is_empty() && !can.blkio_weight_device {
        warnings.push(discarded("Block I/O weight_device", "Weight-device discarded"));
        r.blkio_weight_device.clear();
    }
    let throttles = [
        (&mut r.read_bps, can.read_bps, "BPS Block I/O read limit", "Block I/O BPS read limit discarded"),
        (&mut r.write_bps, can.write_bps, "BPS Block I/O write limit", "Block I/O BPS write limit discarded"),
        (&mut r.read_iops, can.read_iops, "IOPS Block read limit", "Block I/O IOPS read limit discarded"),
        (&mut r.write_iops, can.write_iops, "IOPS Block write limit", "Block I/O IOPS write limit discarded"),
    ];
    for (list, able, what, end) in throttles {
        if !list.is_empty() && !able {
            warnings.push(discarded(what, end));
            list.clear();
        }
    }
    Ok(())
}

/// How much its processes are preferred by the kernel when it kills for memory.
pub fn oom_score_adj(host: &HostConfig) -> Result<i32, PortError> {
    let value = host.oom_score_adj.unwrap_or(0);
    i32::try_from(value)
        .ok()
        .filter(|n| (-1000..=1000).contains(n))
        .ok_or_else(|| invalid(format!("Invalid value {value}, range for oom score adj is [-1000, 1000]")))
}

/// Bytes that its own layer may take, as asked for or as is the daemon's default. Docker answers 500 to bad ones.
pub fn storage_size(host: &HostConfig, default: Option<u64>) -> Result<Option<u64>, PortError> {
    let options: BTreeMap<_, _> = host.storage_opt.clone().unwrap_or_default().into_iter().collect();
    let mut size = default;
    for (key, value) in options {
        if !key.eq_ignore_ascii_case("size") {
            let key = key.to_ascii_lowercase();
            return Err(PortError::new(Kind::Exhausted, format!("Unknown option {key}")));
        }
        let wrong = || PortError::new(Kind::Exhausted, format!("invalid size: '{value}'"));
        let bytes = config::bytes(&value).ok_or_else(wrong)?;
        size = u64::try_from(bytes).ok();
    }
    Ok(size.filter(|n| *n > 0))
}

/// The folder of control groups that a request names: without a way out of it (runc `CleanPath`).
pub fn cgroup_parent(host: &HostConfig) -> String {
    let text = host.cgroup_parent.as_deref().unwrap_or_default();
    let mut parts: Vec<&str> = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    if parts.is_empty() { String::new() } else { format!("/{}", parts.join("/")) }
}

#[cfg(test)]
mod tests;
