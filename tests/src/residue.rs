//! What a daemon without containers and without networks of its users has in the kernel: the same after any work as before.

use crate::daemon::Daemon;
use crate::process::{PATIENCE, eventually};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

/// Links, addresses, routes, rules, bound sockets, mounts, control groups, processes and open files: one line each, with
/// how many there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Residue(BTreeMap<String, usize>);

/// As many more files may be open than before: connections of clients that are being closed.
const IN_PASSING: usize = 3;

impl Residue {
    /// What there is now.
    #[track_caller]
    pub fn of(gantry: &Daemon) -> Self {
        let place = gantry.place();
        let mut found = BTreeMap::new();
        let mut note = |line: String| *found.entry(line).or_insert(0) += 1;
        let shown = place.sh(
            "ip -o -br link | cut -d' ' -f1; echo ==; ip -o addr | tr -s ' ' | cut -d' ' -f2-4; echo ==; \
             ip route show table all; ip -6 route show table all; echo ==; nft list ruleset; echo ==; \
             tail -qn+2 /proc/net/tcp /proc/net/udp /proc/net/tcp6 /proc/net/udp6 /proc/net/raw | \
             tr -s ' ' | sed 's/^ //' | cut -d' ' -f2,4",
        );
        for (kind, part) in
            ["link", "address", "route", "rule", "socket"].into_iter().zip(shown.ok().split("=="))
        {
            for line in part.lines().filter_map(|l| settled(kind, l)) {
                note(format!("{kind} {line}"));
            }
        }
        // SCTP's are told where the kernel has it.
        for line in place.sh("tail -qn+2 /proc/net/sctp/eps 2>/dev/null || true").ok().lines() {
            note(format!("socket {}", line.split_whitespace().skip(7).collect::<Vec<_>>().join(" ")));
        }
        let root = place.root();
        for line in crate::leftovers::found(place).into_iter().filter(|l| !l.contains("gantryd")) {
            if ["process", "mount", "cgroup", "nft"].iter().any(|kind| line.starts_with(kind)) {
                note(line);
            }
        }
        for (kind, count) in open_files(gantry.pid()) {
            found.insert(kind, count);
        }
        // The daemon's own folder is known by another name in each test.
        let found = found.into_iter().map(|(k, n)| (k.replace(&*root.to_string_lossy(), "PLACE"), n));
        Self(found.collect())
    }

    /// The same once nothing ends any more: a shim and an interface go a moment after their container.
    #[track_caller]
    pub fn at_rest(gantry: &Daemon) -> Self {
        eventually("what has ended is gone", || {
            let passing = |line: &String| {
                line.starts_with("link ") || line.starts_with("process ") && !line.contains("gantryd")
            };
            (!crate::leftovers::found(gantry.place()).iter().any(passing)).then_some(())
        });
        Self::of(gantry)
    }

    /// What there is more of than in `before`.
    fn beyond(&self, before: &Self) -> Vec<String> {
        let more = self.0.iter().filter_map(|(line, count)| {
            let before = before.0.get(line).copied().unwrap_or(0);
            let room = if line.starts_with("open other") { IN_PASSING } else { 0 };
            (*count > before + room).then(|| format!("{line}: {count}, was {before}"))
        });
        let less = before.0.iter().filter_map(|(line, count)| {
            let now = self.0.get(line).copied().unwrap_or(0);
            (now < *count && !line.starts_with("open")).then(|| format!("{line}: {now}, was {count}"))
        });
        more.chain(less).collect()
    }

    /// Fails unless the daemon comes back to what there was before. It may take the moment that the kernel needs.
    #[track_caller]
    pub fn assert_restored(&self, gantry: &Daemon) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let differs = Self::of(gantry).beyond(self);
            if differs.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "left behind:\n{}", differs.join("\n"));
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }
}

/// A line without what changes by itself; none for what is the kernel's own affair.
fn settled(kind: &str, line: &str) -> Option<String> {
    let line = line.trim();
    let passing = match kind {
        // An interface's own IPv6 address comes and goes with its carrier.
        "address" | "route" => line.contains("fe80:") || line.contains("ff00:"),
        "rule" => line.is_empty() || line == "}",
        // Connections that this test made end by themselves: only listening ones and datagrams' stay.
        "socket" => {
            let state = line.split(' ').nth(1);
            !matches!(state, Some("0A" | "07"))
        }
        _ => line.is_empty(),
    };
    if passing {
        return None;
    }
    let words: Vec<&str> = line.split_whitespace().filter(|w| *w != "linkdown").collect();
    let line = words.join(" ");
    Some(match line.split_once("counter packets") {
        Some((rule, rest)) => {
            let verdict: Vec<&str> = rest.split(' ').skip(4).collect();
            format!("{rule}counter {}", verdict.join(" "))
        }
        None => line,
    })
}

/// The daemon's open files by kind.
fn open_files(pid: u32) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::from([("open other".to_owned(), 0), ("open net".to_owned(), 0)]);
    let folder = format!("/proc/{pid}/fd");
    for entry in std::fs::read_dir(Path::new(&folder)).into_iter().flatten().flatten() {
        let target = std::fs::read_link(entry.path()).unwrap_or_default();
        let kind = if target.to_string_lossy().starts_with("net:") { "open net" } else { "open other" };
        *kinds.entry(kind.to_owned()).or_default() += 1;
    }
    kinds
}
