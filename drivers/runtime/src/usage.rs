//! Reads a container's counters. The library's own statistics open some twenty files each time and panic on text they do
//! not know; here each number wanted costs one read.

use crate::groups::Groups;
use contract::usage::{BlockCount, CpuUsage, MemoryUsage, PidsUsage, Traffic, Usage};
use std::collections::BTreeMap;
use std::fs;

/// Nanoseconds of one tick of `cpuacct.stat` and `/proc/stat` (USER_HZ is 100 on every architecture).
const TICK_NS: u64 = 10_000_000;
/// Interfaces that every network namespace has, or gets from a module of the kernel.
const NOBODYS: [&str; 10] =
    ["lo", "tunl0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "sit0", "ip6tnl0", "ip6gre0"];

/// All counters now.
pub fn read(groups: &Groups, network: Option<i32>) -> Usage {
    let mut usage = if groups.unified { unified(groups) } else { legacy(groups) };
    let whole = machine();
    // Without a limit the kernel tells a number beyond all memory, or none.
    if usage.memory.limit == 0 || usage.memory.limit > whole {
        usage.memory.limit = whole;
    }
    usage.networks = network.map(interfaces).unwrap_or_default();
    (usage.cpu.system_ns, usage.cpu.online) = system(&fs::read_to_string("/proc/stat").unwrap_or_default());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    usage.at_ns = i64::try_from(now.as_nanos()).unwrap_or(i64::MAX);
    usage
}

fn legacy(groups: &Groups) -> Usage {
    let throttling = groups.table("cpu", "cpu.stat");
    let ticks = groups.table("cpuacct", "cpuacct.stat");
    let counter = |name: &str| throttling.get(name).copied().unwrap_or(0);
    let time = |name: &str| ticks.get(name).copied().unwrap_or(0) * TICK_NS;
    let per_cpu = groups.text("cpuacct", "cpuacct.usage_percpu");
    let memory = |file: &str| groups.number("memory", file).unwrap_or(0);
    let block = |file: &str| devices(&groups.text("blkio", file));
    Usage {
        cpu: CpuUsage {
            total_ns: groups.number("cpuacct", "cpuacct.usage").unwrap_or(0),
            user_ns: time("user"),
            kernel_ns: time("system"),
            per_cpu_ns: per_cpu.split_whitespace().filter_map(|n| n.parse().ok()).collect(),
            periods: counter("nr_periods"),
            throttled_periods: counter("nr_throttled"),
            throttled_ns: counter("throttled_time"),
            ..CpuUsage::default()
        },
        memory: MemoryUsage {
            usage: memory("memory.usage_in_bytes"),
            peak: memory("memory.max_usage_in_bytes"),
            limit: memory("memory.limit_in_bytes"),
            failures: memory("memory.failcnt"),
            details: groups.table("memory", "memory.stat"),
        },
        pids: pids(groups),
        block_bytes: block("blkio.throttle.io_service_bytes_recursive"),
        block_operations: block("blkio.throttle.io_serviced_recursive"),
        ..Usage::default()
    }
}

fn unified(groups: &Groups) -> Usage {
    let stat = groups.table("cpu", "cpu.stat");
    let time = |name: &str| stat.get(name).copied().unwrap_or(0) * 1000;
    let counter = |name: &str| stat.get(name).copied().unwrap_or(0);
    let (block_bytes, block_operations) = io(&groups.text("blkio", "io.stat"));
    Usage {
        unified: true,
        cpu: CpuUsage {
            total_ns: time("usage_usec"),
            user_ns: time("user_usec"),
            kernel_ns: time("system_usec"),
            periods: counter("nr_periods"),
            throttled_periods: counter("nr_throttled"),
            throttled_ns: time("throttled_usec"),
            ..CpuUsage::default()
        },
        memory: MemoryUsage {
            usage: groups.number("memory", "memory.current").unwrap_or(0),
            peak: 0,
            limit: groups.number("memory", "memory.max").unwrap_or(0),
            failures: groups.table("memory", "memory.events").get("oom").copied().unwrap_or(0),
            details: groups.table("memory", "memory.stat"),
        },
        pids: pids(groups),
        block_bytes,
        block_operations,
        ..Usage::default()
    }
}

fn pids(groups: &Groups) -> PidsUsage {
    let current = groups.number("pids", "pids.current").unwrap_or(0);
    PidsUsage { current, limit: groups.number("pids", "pids.max") }
}

/// `major:minor Operation value` lines of v1.
fn devices(text: &str) -> Vec<BlockCount> {
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let (major, minor) = words.next()?.split_once(':')?;
        let (major, minor) = (major.parse().ok()?, minor.parse().ok()?);
        Some(BlockCount {
            major,
            minor,
            operation: words.next()?.to_owned(),
            value: words.next()?.parse().ok()?,
        })
    };
    text.lines().filter_map(line).collect()
}

/// `major:minor rbytes=… wbytes=… rios=… wios=…` lines of v2: bytes and operations.
fn io(text: &str) -> (Vec<BlockCount>, Vec<BlockCount>) {
    let (mut bytes, mut operations) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let Some((major, minor)) = words.next().and_then(|w| w.split_once(':')) else { continue };
        let (Ok(major), Ok(minor)) = (major.parse(), minor.parse()) else { continue };
        for (key, value) in words.filter_map(|w| w.split_once('=')) {
            let (list, operation) = match key {
                "rbytes" => (&mut bytes, "read"),
                "wbytes" => (&mut bytes, "write"),
                "rios" => (&mut operations, "read"),
                "wios" => (&mut operations, "write"),
                _ => continue,
            };
            let value = value.parse().unwrap_or(0);
            list.push(BlockCount { major, minor, operation: operation.to_owned(), value });
        }
    }
    (bytes, operations)
}

fn interfaces(pid: i32) -> BTreeMap<String, Traffic> {
    traffic(&fs::read_to_string(format!("/proc/{pid}/net/dev")).unwrap_or_default())
}

/// `/proc/net/dev`: two lines of headings, then eight counters in and eight out.
fn traffic(text: &str) -> BTreeMap<String, Traffic> {
    let line = |line: &str| {
        let (name, numbers) = line.trim().split_once(':')?;
        let numbers: Vec<u64> = numbers.split_whitespace().filter_map(|n| n.parse().ok()).collect();
        let [
            rx_bytes,
            rx_packets,
            rx_errors,
            rx_dropped,
            _,
            _,
            _,
            _,
            tx_bytes,
            tx_packets,
            tx_errors,
            tx_dropped,
            ..,
        ] = numbers.as_slice()
        else {
            return None;
        };
        let traffic = Traffic {
            rx_bytes: *rx_bytes,
            rx_packets: *rx_packets,
            rx_errors: *rx_errors,
            rx_dropped: *rx_dropped,
            tx_bytes: *tx_bytes,
            tx_packets: *tx_packets,
            tx_errors: *tx_errors,
            tx_dropped: *tx_dropped,
        };
        (!NOBODYS.contains(&name)).then(|| (name.to_owned(), traffic))
    };
    text.lines().filter_map(line).collect()
}

/// What all processors have spent, and how many there are (moby `readSystemCPUUsage`: the first seven columns).
fn system(stat: &str) -> (u64, u32) {
    let mut online = 0;
    let mut ticks: u64 = 0;
    for line in stat.lines().take_while(|l| l.starts_with("cpu")) {
        match line.strip_prefix("cpu ") {
            Some(all) => ticks = all.split_whitespace().take(7).filter_map(|n| n.parse::<u64>().ok()).sum(),
            None => online += 1,
        }
    }
    (ticks.saturating_mul(TICK_NS), online)
}

/// Bytes of memory that the machine has.
fn machine() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix("MemTotal:"));
    line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_told_but_those_that_are_nobodys() {
        let text = "Inter-|   Receive  |  Transmit\n face |bytes packets errs drop fifo frame compressed multicast|bytes\n\
                    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n  eth0: 10 2 3 4 0 0 0 0 50 6 7 8 0 0 0 0\n";
        let wanted = Traffic {
            rx_bytes: 10,
            rx_packets: 2,
            rx_errors: 3,
            rx_dropped: 4,
            tx_bytes: 50,
            tx_packets: 6,
            tx_errors: 7,
            tx_dropped: 8,
        };
        assert_eq!(traffic(text), BTreeMap::from([("eth0".to_owned(), wanted)]));
    }

    #[test]
    fn the_machines_time_is_the_first_seven_columns() {
        let stat = "cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1 1\ncpu1 1 1\nintr 5\n";
        assert_eq!(system(stat), (28 * TICK_NS, 2));
    }

    #[test]
    fn block_devices_of_both_versions_are_read() {
        let one =
            |operation: &str, value| BlockCount { major: 8, minor: 16, operation: operation.into(), value };
        assert_eq!(devices("8:16 Read 5\n8:16 Write 6\nTotal 11\n"), [one("Read", 5), one("Write", 6)]);
        let (bytes, operations) = io("8:16 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n");
        assert_eq!(bytes, [one("read", 1), one("write", 2)]);
        assert_eq!(operations, [one("read", 3), one("write", 4)]);
    }
}
