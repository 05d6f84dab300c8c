//! Changed limits of a living container: all of them, or none.

use super::Cgroup;
use crate::config::Resources;
use crate::error::LaunchError;
use std::fs;
use std::path::PathBuf;

/// The files that a change may write, on v1 and on v2. Device rules and throttles are not changed.
const FILES: [&str; 18] = [
    "memory.limit_in_bytes",
    "memory.memsw.limit_in_bytes",
    "memory.soft_limit_in_bytes",
    "memory.max",
    "memory.swap.max",
    "memory.low",
    "cpu.shares",
    "cpu.cfs_period_us",
    "cpu.cfs_quota_us",
    "cpu.rt_period_us",
    "cpu.rt_runtime_us",
    "cpu.weight",
    "cpu.max",
    "cpuset.cpus",
    "cpuset.mems",
    "pids.max",
    "io.weight",
    "io.bfq.weight",
];

impl Cgroup {
    /// Writes changed limits; when one cannot be written those before it are taken back.
    pub fn change(&self, resources: &Resources) -> Result<(), LaunchError> {
        let before = self.values();
        let outcome = self.limit(resources);
        if outcome.is_err() {
            // Twice, because memory and swap, period and quota only go in one order, and which depends on their values.
            for _ in 0..2 {
                for (file, value) in &before {
                    if fs::read_to_string(file).ok().as_ref() != Some(value) {
                        // What cannot be taken back cannot be helped; the caller hears of the first failure.
                        let _kept = fs::write(file, value.trim_end());
                    }
                }
            }
        }
        outcome
    }

    fn values(&self) -> Vec<(PathBuf, String)> {
        let paths = self.folders.iter().flat_map(|folder| FILES.iter().map(|name| folder.join(name)));
        paths.filter_map(|path| fs::read_to_string(&path).ok().map(|value| (path, value))).collect()
    }
}
