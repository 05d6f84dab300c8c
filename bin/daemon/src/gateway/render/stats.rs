//! A sample of what a container uses, in Docker's JSON (moby `api/types/container/stats.go`).

use super::time;
use actors::Snapshot;
use contract::usage::{BlockCount, CpuUsage, Usage};
use serde_json::{Map, Value, json};

/// Go's zero time, for samples that there are not.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// What Docker tells of v1's `memory.stat`: these, and the same with `total_` before them.
const LEGACY: [&str; 17] = [
    "cache",
    "rss",
    "rss_huge",
    "mapped_file",
    "dirty",
    "writeback",
    "pgpgin",
    "pgpgout",
    "pgfault",
    "pgmajfault",
    "inactive_anon",
    "active_anon",
    "inactive_file",
    "active_file",
    "unevictable",
    "hierarchical_memory_limit",
    "hierarchical_memsw_limit",
];
/// The same of v2's.
const UNIFIED: [&str; 31] = [
    "anon",
    "file",
    "kernel_stack",
    "slab",
    "sock",
    "shmem",
    "file_mapped",
    "file_dirty",
    "file_writeback",
    "anon_thp",
    "inactive_anon",
    "active_anon",
    "inactive_file",
    "active_file",
    "unevictable",
    "slab_reclaimable",
    "slab_unreclaimable",
    "pgfault",
    "pgmajfault",
    "workingset_refault",
    "workingset_activate",
    "workingset_nodereclaim",
    "pgrefill",
    "pgscan",
    "pgsteal",
    "pgactivate",
    "pgdeactivate",
    "pglazyfree",
    "pglazyfreed",
    "thp_fault_alloc",
    "thp_collapse_alloc",
];

fn is_told(unified: bool, name: &str) -> bool {
    match unified {
        true => UNIFIED.contains(&name),
        false => LEGACY.contains(&name.strip_prefix("total_").unwrap_or(name)),
    }
}

/// The object for one sample and the one before it; zeros where there is none.
pub fn stats(snapshot: &Snapshot, now: Option<&Usage>, before: Option<&Usage>) -> Value {
    let zero = Usage::default();
    let usage = now.unwrap_or(&zero);
    let at = |u: Option<&Usage>| u.map_or_else(|| NEVER.to_owned(), |u| time(u.at_ns));
    let mut out = json!({
        "id": snapshot.spec.id,
        "name": format!("/{}", snapshot.state.name),
        "os_type": "linux",
        "read": at(now),
        "preread": at(before),
        "cpu_stats": cpu(&usage.cpu),
        "precpu_stats": cpu(before.map_or(&zero.cpu, |b| &b.cpu)),
        "memory_stats": memory(usage),
        "pids_stats": pids(usage, now.is_some()),
        "blkio_stats": blkio(usage, now.is_some()),
        "num_procs": 0,
        "storage_stats": {},
    });
    if let (false, Some(map)) = (usage.networks.is_empty(), out.as_object_mut()) {
        let networks = usage.networks.iter().map(|(name, t)| {
            let counters = json!({
                "rx_bytes": t.rx_bytes, "rx_packets": t.rx_packets, "rx_errors": t.rx_errors, "rx_dropped": t.rx_dropped,
                "tx_bytes": t.tx_bytes, "tx_packets": t.tx_packets, "tx_errors": t.tx_errors, "tx_dropped": t.tx_dropped,
            });
            (name.clone(), counters)
        });
        map.insert("networks".into(), networks.collect::<Map<_, _>>().into());
    }
    out
}

/// Docker leaves out what is 0.
fn non_zero(pairs: &[(&str, u64)]) -> Map<String, Value> {
    pairs.iter().filter(|(_, n)| *n > 0).map(|(k, n)| ((*k).to_owned(), (*n).into())).collect()
}

fn cpu(c: &CpuUsage) -> Value {
    let mut usage = json!({
        "total_usage": c.total_ns, "usage_in_kernelmode": c.kernel_ns, "usage_in_usermode": c.user_ns,
    });
    if let (false, Some(map)) = (c.per_cpu_ns.is_empty(), usage.as_object_mut()) {
        map.insert("percpu_usage".into(), json!(c.per_cpu_ns));
    }
    let mut out = non_zero(&[("system_cpu_usage", c.system_ns), ("online_cpus", c.online.into())]);
    out.insert("cpu_usage".into(), usage);
    let throttling = json!({
        "periods": c.periods, "throttled_periods": c.throttled_periods, "throttled_time": c.throttled_ns,
    });
    out.insert("throttling_data".into(), throttling);
    out.into()
}

fn memory(usage: &Usage) -> Value {
    let m = &usage.memory;
    let mut out =
        non_zero(&[("usage", m.usage), ("max_usage", m.peak), ("failcnt", m.failures), ("limit", m.limit)]);
    if !m.details.is_empty() {
        let told = m.details.iter().filter(|(name, _)| is_told(usage.unified, name));
        out.insert("stats".into(), told.map(|(k, v)| (k.clone(), json!(v))).collect::<Map<_, _>>().into());
    }
    out.into()
}

fn pids(usage: &Usage, there: bool) -> Value {
    // Without a limit Docker tells none on v1 and the largest number on v2.
    let unlimited = if there && usage.unified { u64::MAX } else { 0 };
    non_zero(&[("current", usage.pids.current), ("limit", usage.pids.limit.unwrap_or(unlimited))]).into()
}

fn blkio(usage: &Usage, there: bool) -> Value {
    let list = |counts: &[BlockCount]| -> Value {
        if counts.is_empty() && (usage.unified || !there) {
            return Value::Null;
        }
        let one = |c: &BlockCount| json!({ "major": c.major, "minor": c.minor, "op": c.operation, "value": c.value });
        counts.iter().map(one).collect::<Vec<_>>().into()
    };
    json!({
        "io_service_bytes_recursive": list(&usage.block_bytes),
        "io_serviced_recursive": list(&usage.block_operations),
        "io_queue_recursive": list(&[]),
        "io_service_time_recursive": list(&[]),
        "io_wait_time_recursive": list(&[]),
        "io_merged_recursive": list(&[]),
        "io_time_recursive": list(&[]),
        "sectors_recursive": list(&[]),
    })
}
