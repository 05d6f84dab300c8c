//! One container's figures, from the daemon's raw counters.

use serde_json::{Value, json};

use crate::listing::{Headings, Row, text};
use crate::{output, units};

/// The columns.
pub const HEADINGS: &Headings = &[
    ("Container", "CONTAINER"),
    ("Name", "NAME"),
    ("ID", "CONTAINER ID"),
    ("CPUPerc", "CPU %"),
    ("MemUsage", "MEM USAGE / LIMIT"),
    ("MemPerc", "MEM %"),
    ("NetIO", "NET I/O"),
    ("BlockIO", "BLOCK I/O"),
    ("PIDs", "PIDS"),
];

/// What is known of a container.
#[derive(Debug, Clone, Default)]
pub struct Entry {
    /// The name it was asked for by.
    pub asked: String,
    name: String,
    id: String,
    figures: Figures,
    lost: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Figures {
    cpu: f64,
    memory: f64,
    limit: f64,
    received: f64,
    sent: f64,
    read: f64,
    written: f64,
    processes: u64,
}

fn at(sample: &Value, path: &str) -> f64 {
    sample.pointer(path).and_then(Value::as_f64).unwrap_or_default()
}

/// The share of one processor between two samples, in percent; two busy processors are 200.
fn processor(sample: &Value) -> f64 {
    let since =
        |path: &str| at(sample, &format!("/cpu_stats{path}")) - at(sample, &format!("/precpu_stats{path}"));
    let used = since("/cpu_usage/total_usage");
    let passed = since("/system_cpu_usage");
    let online = match at(sample, "/cpu_stats/online_cpus") {
        0.0 => {
            sample.pointer("/cpu_stats/cpu_usage/percpu_usage").and_then(Value::as_array).map_or(0, Vec::len)
                as f64
        }
        online => online,
    };
    if used > 0.0 && passed > 0.0 { used / passed * online * 100.0 } else { 0.0 }
}

/// Memory without what the kernel would give back at once: its name differs between cgroup v1 and v2.
fn memory(sample: &Value) -> f64 {
    let usage = at(sample, "/memory_stats/usage");
    let old = sample.pointer("/memory_stats/stats/total_inactive_file").and_then(Value::as_f64);
    match old {
        Some(inactive) if inactive < usage => usage - inactive,
        _ => match at(sample, "/memory_stats/stats/inactive_file") {
            inactive if inactive < usage => usage - inactive,
            _ => usage,
        },
    }
}

fn figures(sample: &Value) -> Figures {
    let networks = sample.get("networks").and_then(Value::as_object);
    let network = |key: &str| networks.into_iter().flatten().map(|(_, one)| at(one, key)).sum();
    let device = |initial: char| {
        let entries = sample.pointer("/blkio_stats/io_service_bytes_recursive").and_then(Value::as_array);
        entries
            .into_iter()
            .flatten()
            .filter(|entry| text(entry, "op").to_lowercase().starts_with(initial))
            .map(|entry| at(entry, "/value"))
            .sum()
    };
    Figures {
        cpu: processor(sample),
        memory: memory(sample),
        limit: at(sample, "/memory_stats/limit"),
        received: network("/rx_bytes"),
        sent: network("/tx_bytes"),
        read: device('r'),
        written: device('w'),
        processes: sample.pointer("/pids_stats/current").and_then(Value::as_u64).unwrap_or_default(),
    }
}

impl Entry {
    /// Of a container nothing is known of yet.
    pub fn new(asked: &str) -> Self {
        Self { asked: asked.to_owned(), lost: true, ..Default::default() }
    }

    /// Takes a sample in.
    pub fn take(&mut self, sample: &Value) {
        self.name = text(sample, "name").trim_start_matches('/').to_owned();
        self.id = text(sample, "id");
        self.figures = figures(sample);
        self.lost = false;
    }

    /// No sample came.
    pub fn lose(&mut self) {
        self.figures = Figures::default();
        self.lost = true;
    }

    /// Whether there is nothing to show.
    pub fn is_lost(&self) -> bool {
        self.lost
    }

    /// Its line.
    pub fn row(&self, no_trunc: bool) -> Row {
        let Figures { cpu, memory, limit, received, sent, read, written, processes } = self.figures;
        let shown = |text: String| if self.lost { "--".to_owned() } else { text };
        let pair = |left: f64, right: f64| {
            format!("{} / {}", units::human_size(left as i64), units::human_size(right as i64))
        };
        let share = if limit == 0.0 { 0.0 } else { memory / limit * 100.0 };
        let usage = match self.lost {
            true => "-- / --".to_owned(),
            false => {
                format!("{} / {}", units::binary_size(memory as i64), units::binary_size(limit as i64))
            }
        };
        let fields = json!({
            "Container": self.asked,
            "Name": if self.name.is_empty() { "--" } else { self.name.as_str() },
            "ID": if no_trunc { self.id.as_str() } else { output::short_id(&self.id) },
            "CPUPerc": shown(format!("{cpu:.2}%")),
            "MemUsage": usage,
            "MemPerc": shown(format!("{share:.2}%")),
            "NetIO": shown(pair(received, sent)),
            "BlockIO": shown(pair(read, written)),
            "PIDs": shown(processes.to_string()),
        });
        Row::new(fields, &Value::Null)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_derived_as_docker_derives_them() {
        let sample = json!({
            "name": "/web", "id": "0123456789abcdef",
            "cpu_stats": {"cpu_usage": {"total_usage": 300}, "system_cpu_usage": 2000, "online_cpus": 2},
            "precpu_stats": {"cpu_usage": {"total_usage": 100}, "system_cpu_usage": 1000},
            "memory_stats": {"usage": 3 << 20, "limit": 8 << 20, "stats": {"inactive_file": 1 << 20}},
            "networks": {"eth0": {"rx_bytes": 1500, "tx_bytes": 0}, "eth1": {"rx_bytes": 500, "tx_bytes": 7}},
            "blkio_stats": {"io_service_bytes_recursive": [{"op": "Read", "value": 4096}, {"op": "write", "value": 1}]},
            "pids_stats": {"current": 3},
        });
        let mut entry = Entry::new("web");
        assert_eq!(entry.row(false).fields["MemUsage"], "-- / --");
        entry.take(&sample);
        let row = entry.row(false).fields;
        assert_eq!(row["ID"], "0123456789ab");
        assert_eq!(row["CPUPerc"], "40.00%");
        assert_eq!(row["MemUsage"], "2MiB / 8MiB");
        assert_eq!(row["MemPerc"], "25.00%");
        assert_eq!(row["NetIO"], "2kB / 7B");
        assert_eq!(row["BlockIO"], "4.1kB / 1B");
        assert_eq!(row["PIDs"], "3");
        entry.lose();
        assert_eq!(entry.row(false).fields["CPUPerc"], "--");
    }
}
