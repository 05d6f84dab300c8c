//! Real-time budgets of v1. A group may give its members no more than it has itself, and a new one has nothing: Docker asks
//! for a budget of the daemon's, here the groups above get what the container needs.

use std::fs;
use std::io;
use std::path::Path;

const RUNTIME: &str = "cpu.rt_runtime_us";
const PERIOD: &str = "cpu.rt_period_us";

/// Lets the groups above `group` have what `runtime` microseconds of each `period` take.
pub(super) fn make_room(group: &Path, runtime: i64, period: u64) -> io::Result<()> {
    if runtime <= 0 || period == 0 {
        return Ok(());
    }
    raise(group, runtime as f64 / period as f64)
}

fn raise(group: &Path, share: f64) -> io::Result<()> {
    // The root group has what the kernel's settings give it.
    let above = group.parent().filter(|p| p.parent().is_some_and(|top| top.join(RUNTIME).exists()));
    let Some(above) = above else { return Ok(()) };
    let mut needed = share;
    for entry in fs::read_dir(above)? {
        let sibling = entry?.path();
        if sibling.is_dir() && sibling != group {
            needed += share_of(&sibling);
        }
    }
    if share_of(above) + 1e-9 >= needed {
        return Ok(());
    }
    raise(above, needed)?;
    // Rounded up, but not for what fractions lose in adding.
    let runtime = (needed * number(above, PERIOD) - 1e-3).ceil();
    fs::write(above.join(RUNTIME), runtime.to_string())
}

/// The part of a processor that a group may have; without a limit all of it.
fn share_of(group: &Path) -> f64 {
    let (runtime, period) = (number(group, RUNTIME), number(group, PERIOD));
    if runtime < 0.0 { 1.0 } else { runtime / period.max(1.0) }
}

fn number(group: &Path, file: &str) -> f64 {
    fs::read_to_string(group.join(file)).ok().and_then(|t| t.trim().parse().ok()).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_groups_above_get_what_all_below_need() {
        let root = tempfile::tempdir().unwrap();
        let group = |name: &str, runtime: &str| {
            let path = root.path().join(name);
            fs::create_dir_all(&path).unwrap();
            fs::write(path.join(RUNTIME), runtime).unwrap();
            fs::write(path.join(PERIOD), "1000000\n").unwrap();
            path
        };
        group("", "950000");
        let (top, middle) = (group("a", "0"), group("a/b", "0"));
        group("a/b/other", "50000");
        let own = group("a/b/own", "0");
        make_room(&own, 10_000, 100_000).unwrap();
        let has = |path: &Path| fs::read_to_string(path.join(RUNTIME)).unwrap();
        assert_eq!((has(&middle).as_str(), has(&top).as_str()), ("150000", "150000"));
        assert_eq!(has(root.path()), "950000", "the root's is the kernel's");
        make_room(&own, 10_000, 1_000_000).unwrap();
        assert_eq!(has(&top), "150000", "what is enough stays");
    }
}
