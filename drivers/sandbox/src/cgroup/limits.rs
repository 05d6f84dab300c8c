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
        if let Some(limit) = resources.pids.limit {
            let pids: &PidController = self.controller("pids")?;
            let most = if limit > 0 { MaxValue::Value(limit) } else { MaxValue::Max };
            pids.set_pid_max(most).step(format!("set the process limit to {limit}"))?;
        }
        self.limit_block_io(&resources.block_io)?;
        self.limit_devices(&resources.devices)
    }

    fn limit_memory(&self, wish: &Memory) -> Result<(), LaunchError> {
        let numbers = wish.limit.or(wish.swap).or(wish.reservation);
        if numbers.is_none() && wish.swappiness.is_none() && !wish.disable_oom_killer {
            return Ok(());
        }
        let memory: &MemController = self.controller("memory")?;
        // Swap accounting is a build option of the kernel; Docker goes on without it.
        let swap = swap_limit(wish, self.group.v2()).filter(|(file, _)| memory.path().join(file).exists());
        let set_swap = || {
            swap.map_or(Ok(()), |(_, swap)| {
                memory.set_memswap_limit(swap).step(format!("set the swap limit to {swap}"))
            })
        };
        let set_memory = || {
            let Some(limit) = wish.limit else { return Ok(()) };
            memory.set_limit(limit).step(format!("set the memory limit to {limit}")).map_err(|error| {
                let used = |file: &str| number(&memory.path().join(file)).unwrap_or(0);
                let (now, peak) = (used("memory.usage_in_bytes"), used("memory.max_usage_in_bytes"));
                if now <= limit {
                    return error;
                }
                // v1 gives back what it can and then refuses; runc's words for that.
                let text = format!(
                    "unable to set memory limit to {limit} (current usage: {now}, peak usage: {peak})"
                );
                LaunchError::new("", text)
            })
        };
        // On v1 memory alone may at no moment be allowed more than memory and swap together.
        let now = number(&memory.path().join("memory.limit_in_bytes"));
        if swap.is_some_and(|(_, swap)| swap < 0 || now.is_some_and(|now| now < swap)) {
            set_swap()?;
            set_memory()?;
        } else {
            set_memory()?;
            set_swap()?;
        }
        if let Some(soft) = wish.reservation {
            memory.set_soft_limit(soft).step(format!("set the soft memory limit to {soft}"))?;
        }
        // On v2 there is neither; the library would write the swappiness into the swap limit.
        if let Some(swappiness) = wish.swappiness.filter(|_| !self.group.v2()) {
            memory.set_swappiness(swappiness).step(format!("set the swappiness to {swappiness}"))?;
        }
        if wish.disable_oom_killer && !self.group.v2() {
            memory.disable_oom_killer().step("disable the OOM killer")?;
        }
        Ok(())
    }

    fn limit_cpu(&self, wish: &Cpu) -> Result<(), LaunchError> {
        let bandwidth = wish.period.is_some() || wish.quota.is_some();
        let realtime = wish.realtime_period.is_some() || wish.realtime_runtime.is_some();
        if wish.shares.is_some() || bandwidth || realtime {
            let cpu: &CpuController = self.controller("cpu")?;
            if let Some(shares) = wish.shares {
                let value = if self.group.v2() { weight(shares) } else { shares };
                cpu.set_shares(value).step(format!("set the CPU shares to {shares}"))?;
                if !self.group.v2() {
                    within(shares, cpu.shares().step("read the CPU shares")?)?;
                }
            }
            if let Some(period) = wish.realtime_period {
                cpu.set_rt_period_us(period).step(format!("set the CPU real-time period to {period}"))?;
            }
            if let Some(runtime) = wish.realtime_runtime {
                let period = number(&cpu.path().join("cpu.rt_period_us"));
                let period = period.and_then(|p| u64::try_from(p).ok()).unwrap_or(0);
                super::realtime::make_room(cpu.path(), runtime, period)
                    .step(format!("make room for the CPU real-time runtime {runtime}"))?;
                cpu.set_rt_runtime(runtime).step(format!("set the CPU real-time runtime to {runtime}"))?;
            }
            self.limit_bandwidth(cpu, wish)?;
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

    fn limit_bandwidth(&self, cpu: &CpuController, wish: &Cpu) -> Result<(), LaunchError> {
        let what = || {
            let part = |name: &str, n: Option<i64>| n.map(|n| format!("the CPU {name} to {n}"));
            let period = wish.period.and_then(|p| i64::try_from(p).ok());
            let parts = [part("period", period), part("quota", wish.quota)];
            format!("set {}", parts.into_iter().flatten().collect::<Vec<_>>().join(" and "))
        };
        if self.group.v2() {
            // One file, written at once.
            if wish.quota.is_some() || wish.period.is_some() {
                cpu.set_cfs_quota_and_period(wish.quota, wish.period).step(what())?;
            }
            return Ok(());
        }
        let period = || wish.period.map_or(Ok(()), |p| cpu.set_cfs_period(p));
        let quota = || wish.quota.map_or(Ok(()), |q| cpu.set_cfs_quota(q));
        // Quota by period is held against what the groups above allow, at every single write.
        if period().is_ok() {
            return quota().step(what());
        }
        quota().step(what())?;
        period().step(what())
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

/// The number that a file holds; `None` for none, or one too large.
fn number(file: &std::path::Path) -> Option<i64> {
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// v1 takes any shares and sets what it can; runc's words for what was not meant.
fn within(shares: u64, set: u64) -> Result<(), LaunchError> {
    match shares.cmp(&set) {
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => {
            Err(LaunchError::new("", format!("the maximum allowed cpu-shares is {set}")))
        }
        std::cmp::Ordering::Less => {
            Err(LaunchError::new("", format!("the minimum allowed cpu-shares is {set}")))
        }
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
        let wish = Memory { limit: Some(100), swap: Some(300), ..Memory::default() };
        assert_eq!(swap_limit(&wish, false), Some(("memory.memsw.limit_in_bytes", 300)));
        assert_eq!(swap_limit(&wish, true), Some(("memory.swap.max", 200)));
        let unlimited = Memory { swap: Some(-1), ..wish };
        assert_eq!(swap_limit(&unlimited, true), Some(("memory.swap.max", -1)));
    }
}
