//! The daemon's own process, under the names that Prometheus' clients have for it; from proc(5).

use super::families::Families;
use nix::sys::resource::{Resource, getrlimit};
use nix::unistd::{SysconfVar, sysconf};
use std::fmt::Error;

/// What the kernel says of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Process {
    cpu_seconds: f64,
    resident: u64,
    virtual_size: u64,
    started_seconds: f64,
    open_files: usize,
    most_files: u64,
}

/// A machine's units: clock ticks a second, bytes of a page, its start in seconds since the epoch.
struct Units {
    ticks: f64,
    page: u64,
    booted: f64,
}

impl Process {
    /// Now.
    pub fn read() -> Self {
        let number = |var| sysconf(var).ok().flatten().and_then(|n| u32::try_from(n).ok());
        let machine = std::fs::read_to_string("/proc/stat").unwrap_or_default();
        let booted = machine.lines().find_map(|l| l.strip_prefix("btime ")?.trim().parse().ok());
        let units = Units {
            ticks: f64::from(number(SysconfVar::CLK_TCK).unwrap_or(100)),
            page: u64::from(number(SysconfVar::PAGE_SIZE).unwrap_or(4096)),
            booted: booted.unwrap_or_default(),
        };
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        Self {
            open_files: crate::host::open_files(),
            most_files: getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, _)| soft),
            ..parse(&stat, &units).unwrap_or_default()
        }
    }
}

/// Reads `/proc/PID/stat`; the program's name in it may hold anything.
fn parse(stat: &str, units: &Units) -> Option<Process> {
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    // Numbered from 3 in the manual.
    let field = |nth: usize| fields.get(nth - 3)?.parse::<u64>().ok();
    Some(Process {
        cpu_seconds: (field(14)? + field(15)?) as f64 / units.ticks,
        started_seconds: units.booted + field(22)? as f64 / units.ticks,
        virtual_size: field(23)?,
        resident: field(24)? * units.page,
        ..Process::default()
    })
}

/// Writes them.
pub fn write(own: &Process, to: &mut Families<'_>) -> Result<(), Error> {
    to.counter("process_cpu_seconds", "Processor time of the daemon", own.cpu_seconds)?;
    to.gauge("process_resident_memory_bytes", "Memory of the daemon that is in use", own.resident as f64)?;
    to.gauge("process_virtual_memory_bytes", "Addresses that the daemon uses", own.virtual_size as f64)?;
    to.gauge(
        "process_start_time_seconds",
        "When the daemon was started, since the epoch",
        own.started_seconds,
    )?;
    to.gauge("process_open_fds", "Files that the daemon has open", own.open_files as f64)?;
    to.gauge("process_max_fds", "Files that it may have open", own.most_files as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_whatever_its_name_is() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 9 0 1000 4096000 25 0";
        let read = parse(stat, &Units { ticks: 100.0, page: 4096, booted: 1e9 }).unwrap();
        assert_eq!((read.cpu_seconds, read.started_seconds), (3.0, 1e9 + 10.0));
        assert_eq!((read.virtual_size, read.resident), (4_096_000, 25 * 4096));
        assert!(Process::read().resident > 0);
    }
}
