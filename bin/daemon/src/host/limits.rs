//! Which limits this machine's kernel can set, read once at start.

use std::collections::BTreeSet;
use std::fs;

/// Which limits the mounted cgroup controllers offer.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    /// cgroup version 2 alone is mounted.
    pub unified: bool,
    /// Memory.
    pub memory: bool,
    /// Memory and swap together.
    pub swap: bool,
    /// A soft limit of memory.
    pub reservation: bool,
    /// How readily memory is swapped.
    pub swappiness: bool,
    /// Waiting instead of being killed for memory.
    pub oom_kill_disable: bool,
    /// CPU shares.
    pub shares: bool,
    /// CPU quota and period.
    pub quota: bool,
    /// Real-time CPU budget.
    pub realtime: bool,
    /// CPU sets.
    pub cpuset: bool,
    /// Number of processes.
    pub pids: bool,
    /// Share of block devices.
    pub blkio_weight: bool,
    /// The same by device.
    pub blkio_weight_device: bool,
    /// Bytes read a second.
    pub read_bps: bool,
    /// Bytes written a second.
    pub write_bps: bool,
    /// Read operations a second.
    pub read_iops: bool,
    /// Write operations a second.
    pub write_iops: bool,
    /// Processors that containers may be bound to.
    pub cpus: Set,
    /// Memory nodes that containers may be bound to.
    pub mems: Set,
    /// Processors there are.
    pub processors: usize,
}

/// Numbers in the kernel's list form, `0-3,7`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Set {
    /// As the kernel writes it.
    pub text: String,
    /// The numbers.
    pub members: BTreeSet<u32>,
}

/// Largest number accepted in a list (moby `sysinfo.defaultMaxCPUs`): a range of billions would be spelled out otherwise.
const MAX: u32 = 8192;

impl Set {
    /// Reads a list; Docker's text for one that is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bad = || format!("invalid format: {text}");
        let mut members = BTreeSet::new();
        for part in text.split(',').filter(|_| !text.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let [first, last] = [first, last].map(|n| n.parse::<u32>().map_err(|_| bad()));
            let (first, last) = (first?, last?);
            if last < first {
                return Err(bad());
            }
            if last > MAX {
                return Err(format!("value of out range, maximum is {MAX}"));
            }
            members.extend(first..=last);
        }
        Ok(Self { text: text.to_owned(), members })
    }

    fn read(path: &str) -> Self {
        let text = fs::read_to_string(path).unwrap_or_default();
        Self::parse(text.trim()).unwrap_or_default()
    }
}

const ROOT: &str = "/sys/fs/cgroup";

impl Limits {
    /// Looks at what is mounted.
    pub fn read() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        match fs::read_to_string(format!("{ROOT}/cgroup.controllers")) {
            Ok(controllers) => Self { processors, ..Self::unified(&controllers) },
            Err(_) => Self { processors, ..Self::legacy() },
        }
    }

    fn unified(controllers: &str) -> Self {
        let has = |name: &str| controllers.split_whitespace().any(|c| c == name);
        let (memory, cpu, io) = (has("memory"), has("cpu"), has("io"));
        let there = |path: &str| fs::exists(path).unwrap_or(false);
        // Weights come with the scheduler BFQ, or with the cost model, whose knob is the one in the root group.
        let bfq = io && there("/sys/module/bfq");
        Self {
            unified: true,
            memory,
            // The root group, which alone is sure to exist, has no memory.swap.max to look for; every other has it if the
            // kernel knows of swap at all.
            swap: memory && there("/proc/swaps"),
            reservation: memory,
            shares: cpu,
            quota: cpu,
            cpuset: has("cpuset"),
            pids: has("pids"),
            blkio_weight: bfq || (io && there(&format!("{ROOT}/io.cost.qos"))),
            blkio_weight_device: bfq,
            read_bps: io,
            write_bps: io,
            read_iops: io,
            write_iops: io,
            cpus: Set::read(&format!("{ROOT}/cpuset.cpus.effective")),
            mems: Set::read(&format!("{ROOT}/cpuset.mems.effective")),
            // Neither swappiness nor waiting for memory nor real-time budgets exist there.
            ..Self::default()
        }
    }

    fn legacy() -> Self {
        let has = |file: &str| fs::exists(format!("{ROOT}/{file}")).unwrap_or(false);
        Self {
            unified: false,
            memory: has("memory/memory.limit_in_bytes"),
            swap: has("memory/memory.memsw.limit_in_bytes"),
            reservation: has("memory/memory.soft_limit_in_bytes"),
            swappiness: has("memory/memory.swappiness"),
            oom_kill_disable: has("memory/memory.oom_control"),
            shares: has("cpu/cpu.shares"),
            quota: has("cpu/cpu.cfs_quota_us"),
            realtime: has("cpu/cpu.rt_period_us"),
            cpuset: has("cpuset/cpuset.cpus"),
            pids: has("pids/cgroup.procs"),
            blkio_weight: has("blkio/blkio.weight"),
            blkio_weight_device: has("blkio/blkio.weight_device"),
            read_bps: has("blkio/blkio.throttle.read_bps_device"),
            write_bps: has("blkio/blkio.throttle.write_bps_device"),
            read_iops: has("blkio/blkio.throttle.read_iops_device"),
            write_iops: has("blkio/blkio.throttle.write_iops_device"),
            cpus: Set::read(&format!("{ROOT}/cpuset/cpuset.cpus")),
            mems: Set::read(&format!("{ROOT}/cpuset/cpuset.mems")),
            processors: 1,
        }
    }

    /// What `info` warns of (moby `info_unix.go`); what no setting of the machine could bring back is not told.
    pub fn lacking(&self) -> Vec<&'static str> {
        let v1 = !self.unified;
        let throttle = |v1_text, v2_text| if v1 { v1_text } else { v2_text };
        [
            (self.memory, "WARNING: No memory limit support"),
            (self.swap, "WARNING: No swap limit support"),
            (self.oom_kill_disable || !v1, "WARNING: No oom kill disable support"),
            (self.quota, "WARNING: No cpu cfs quota support"),
            (self.quota, "WARNING: No cpu cfs period support"),
            (self.shares, "WARNING: No cpu shares support"),
            (self.cpuset, "WARNING: No cpuset support"),
            (self.blkio_weight || v1, "WARNING: No io.weight support"),
            (self.blkio_weight_device || v1, "WARNING: No io.weight (per device) support"),
            (
                self.read_bps,
                throttle(
                    "WARNING: No blkio throttle.read_bps_device support",
                    "WARNING: No io.max (rbps) support",
                ),
            ),
            (
                self.write_bps,
                throttle(
                    "WARNING: No blkio throttle.write_bps_device support",
                    "WARNING: No io.max (wbps) support",
                ),
            ),
            (
                self.read_iops,
                throttle(
                    "WARNING: No blkio throttle.read_iops_device support",
                    "WARNING: No io.max (riops) support",
                ),
            ),
            (
                self.write_iops,
                throttle(
                    "WARNING: No blkio throttle.write_iops_device support",
                    "WARNING: No io.max (wiops) support",
                ),
            ),
        ]
        .into_iter()
        .filter_map(|(there, text)| (!there).then_some(text))
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_in_all_their_forms_and_billions_are_refused() {
        let members = |text: &str| Set::parse(text).map(|s| s.members.into_iter().collect::<Vec<_>>());
        assert_eq!(members("0,3-4,03"), Ok(vec![0, 3, 4]));
        assert_eq!(members(""), Ok(vec![]));
        assert_eq!(members("2-1"), Err("invalid format: 2-1".into()));
        assert_eq!(members("0,x"), Err("invalid format: 0,x".into()));
        assert_eq!(members("1-4000000000"), Err("value of out range, maximum is 8192".into()));
    }
}
