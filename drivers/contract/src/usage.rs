//! What a container uses, as the kernel counts it.

use std::collections::BTreeMap;

/// One look at a running container's counters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// When they were read, ns since the epoch.
    pub at_ns: i64,
    /// They come from cgroup version 2, whose names of memory's counters are others.
    pub unified: bool,
    /// Processor time.
    pub cpu: CpuUsage,
    /// Memory.
    pub memory: MemoryUsage,
    /// Processes and threads.
    pub pids: PidsUsage,
    /// Bytes moved from and to block devices.
    pub block_bytes: Vec<BlockCount>,
    /// Operations on block devices.
    pub block_operations: Vec<BlockCount>,
    /// Traffic by interface inside.
    pub networks: BTreeMap<String, Traffic>,
}

/// Processor time, nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CpuUsage {
    /// All of it.
    pub total_ns: u64,
    /// In user mode.
    pub user_ns: u64,
    /// In kernel mode.
    pub kernel_ns: u64,
    /// By processor (v1 only).
    pub per_cpu_ns: Vec<u64>,
    /// Enforcement periods of the quota.
    pub periods: u64,
    /// Those in which it was used up.
    pub throttled_periods: u64,
    /// Time spent waiting for the next one.
    pub throttled_ns: u64,
    /// What the whole machine has spent, idle time too.
    pub system_ns: u64,
    /// Processors there are.
    pub online: u32,
}

/// Memory, bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryUsage {
    /// Now.
    pub usage: u64,
    /// At most so far (v1 only).
    pub peak: u64,
    /// What is allowed; the machine's memory without a limit.
    pub limit: u64,
    /// How often the limit stood in the way.
    pub failures: u64,
    /// The kernel's own list, in its names.
    pub details: BTreeMap<String, u64>,
}

/// Processes and threads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PidsUsage {
    /// Now.
    pub current: u64,
    /// At most; `None` = no limit.
    pub limit: Option<u64>,
}

/// A counter of a block device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockCount {
    /// Major number.
    pub major: u64,
    /// Minor number.
    pub minor: u64,
    /// `Read`, `Write`, …
    pub operation: String,
    /// Bytes or operations.
    pub value: u64,
}

/// An interface's counters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes received.
    pub rx_bytes: u64,
    /// Packets received.
    pub rx_packets: u64,
    /// Receive errors.
    pub rx_errors: u64,
    /// Received and dropped.
    pub rx_dropped: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Send errors.
    pub tx_errors: u64,
    /// Dropped instead of sent.
    pub tx_dropped: u64,
}

/// What want of memory has led to in a container since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shortage {
    /// Members that the kernel killed.
    pub kills: u64,
    /// Members stand still until there is memory: its OOM killer is disabled.
    pub waiting: bool,
}
