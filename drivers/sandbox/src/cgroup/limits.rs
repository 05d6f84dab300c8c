//! Limits, through the library's controllers one by one: its `apply` hides failures of the memory controller and
//! takes a value that the kernel rounded for a failure.

use super::Cgroup;
use crate::config::{Cpu, DeviceRule, Memory, Resources};
use crate::error::{LaunchError, Step};
use cgroups_rs::cpu::CpuController;
use cgroups_rs::cpuset::CpuSetController;
use cgroups_rs::devices::{DevicePermissions, DeviceType, DevicesController};
use cgroups_rs::freezer::FreezerController;
use cgroups_rs::memory::MemController;
use cgroups_rs::pid::PidController;
use cgroups_rs::{Controller, MaxValue};

impl Cgroup {
    /// Writes all limits of a new group.
    pub(super) fn limit(&self, resources: &Resources) -> Result<(), LaunchError> {
        self.limit_memory(&resources.memory)?;
        self.limit_cpu(&resources.cpu)?;
        if let Some(limit) = resources.pids.limit.filter(|n| *n > 0) {
            let pids: &PidController = self.controller("pids")?;
            pids.set_pid_max(MaxValue::Value(limit)).step(format!("set the process limit to {limit}"))?;
        }
        self.limit_devices(&resources.devices)
    }

    fn limit_memory(&self, wish: &Memory) -> Result<(), LaunchError> {
        if wish.limit.or(wish.swap).or(wish.reservation).is_none() {
            return Ok(());
        }
        let memory: &MemController = self.controller("memory")?;
        if let Some(limit) = wish.limit {
            memory.set_limit(limit).step(format!("set the memory limit to {limit}"))?;
        }
        if let Some((file, swap)) = swap_limit(wish, self.group.v2()) {
            // Swap accounting is a build option of the kernel; Docker goes on without it.
            if memory.path().join(file).exists() {
                memory.set_memswap_limit(swap).step(format!("set the swap limit to {swap}"))?;
            }
        }
        if let Some(soft) = wish.reservation {
            memory.set_soft_limit(soft).step(format!("set the soft memory limit to {soft}"))?;
        }
        Ok(())
    }

    fn limit_cpu(&self, wish: &Cpu) -> Result<(), LaunchError> {
        if wish.shares.is_some() || wish.period.is_some() || wish.quota.is_some() {
            let cpu: &CpuController = self.controller("cpu")?;
            if let Some(shares) = wish.shares {
                let value = if self.group.v2() { weight(shares) } else { shares };
                cpu.set_shares(value).step(format!("set the CPU shares to {shares}"))?;
            }
            if let Some(period) = wish.period {
                cpu.set_cfs_period(period).step(format!("set the CPU period to {period}"))?;
            }
            if let Some(quota) = wish.quota {
                cpu.set_cfs_quota(quota).step(format!("set the CPU quota to {quota}"))?;
            }
        }
        if !wish.cpus.is_empty() || !wish.mems.is_empty() {
            let set: &CpuSetController = self.controller("cpuset")?;
            if !wish.cpus.is_empty() {
                set.set_cpus(&wish.cpus).step(format!("bind to CPUs {}", wish.cpus))?;
            }
            if !wish.mems.is_empty() {
                set.set_mems(&wish.mems).step(format!("bind to memory nodes {}", wish.mems))?;
            }
        }
        Ok(())
    }

    fn limit_devices(&self, rules: &[DeviceRule]) -> Result<(), LaunchError> {
        if rules.is_empty() {
            return Ok(());
        }
        if self.group.v2() {
            // The library has no device control on v2.
            let freezer: &FreezerController = self.controller("freezer")?;
            return crate::devices::restrict(freezer.path(), rules);
        }
        let devices: &DevicesController = self.controller("devices")?;
        for rule in rules {
            let kind = match rule.kind.as_str() {
                "b" => DeviceType::Block,
                "c" => DeviceType::Char,
                _ => DeviceType::All,
            };
            let access: Vec<DevicePermissions> =
                rule.access.chars().filter_map(DevicePermissions::from_char).collect();
            let number = |n: Option<i64>| n.filter(|n| *n >= 0).unwrap_or(-1);
            let (major, minor) = (number(rule.major), number(rule.minor));
            let set =
                if rule.allow { DevicesController::allow_device } else { DevicesController::deny_device };
            set(devices, kind, major, minor, &access)
                .step(format!("set the rule for devices {} {major}:{minor}", rule.kind))?;
        }
        Ok(())
    }
}

/// The swap file to write and its value, bytes or -1. v1 limits memory and swap together, v2 swap alone.
fn swap_limit(wish: &Memory, v2: bool) -> Option<(&'static str, i64)> {
    match (wish.swap?, wish.limit) {
        (swap, _) if !v2 => Some(("memory.memsw.limit_in_bytes", swap)),
        (swap, _) if swap < 0 => Some(("memory.swap.max", -1)),
        (swap, Some(limit)) => Some(("memory.swap.max", (swap - limit).max(0))),
        (_, None) => None,
    }
}

/// v1 shares (2 to 262144) as a v2 weight (1 to 10000), the conversion that runc has always used.
fn weight(shares: u64) -> u64 {
    1 + ((shares.clamp(2, 262_144) - 2) * 9999) / 262_142
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_span_the_whole_range_of_weights() {
        assert_eq!([0, 2, 1024, 262_144, u64::MAX].map(weight), [1, 1, 39, 10_000, 10_000]);
    }

    #[test]
    fn swap_is_counted_with_memory_on_v1_and_without_on_v2() {
        let wish = Memory { limit: Some(100), swap: Some(300), reservation: None };
        assert_eq!(swap_limit(&wish, false), Some(("memory.memsw.limit_in_bytes", 300)));
        assert_eq!(swap_limit(&wish, true), Some(("memory.swap.max", 200)));
        let unlimited = Memory { swap: Some(-1), ..wish };
        assert_eq!(swap_limit(&unlimited, true), Some(("memory.swap.max", -1)));
    }
}
