//! Control groups on this host's real hierarchies. Needs root.

#![allow(clippy::unwrap_used, missing_docs)]

use gantry_sandbox::cgroup::{Cgroup, hierarchies};
use gantry_sandbox::config::Resources;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

/// A group of this test's own.
fn name(test: &str) -> String {
    format!("/gantry-test-{}-{test}/group", std::process::id())
}

fn folder(controller: &str, group: &str) -> PathBuf {
    let base = match hierarchies() {
        None => PathBuf::from("/sys/fs/cgroup"),
        Some(all) => {
            let found = all.iter().find(|h| h.controllers.split(',').any(|c| c == controller));
            Path::new("/sys/fs/cgroup").join(&found.unwrap().folder)
        }
    };
    base.join(group.trim_start_matches('/'))
}

fn read(controller: &str, group: &str, v1: &str, v2: &str) -> String {
    let file = if hierarchies().is_some() { v1 } else { v2 };
    std::fs::read_to_string(folder(controller, group).join(file)).unwrap().trim().to_owned()
}

fn remove_parent(group: &str) {
    let parent = group.rsplit_once('/').unwrap().0;
    for controller in ["cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids"] {
        // Several controllers may share one folder, and another test may still be in it.
        let _shared = std::fs::remove_dir(folder(controller, parent));
    }
}

fn sleeper() -> Child {
    Command::new("sleep").arg("1000").spawn().unwrap()
}

fn limits(json: &str) -> Resources {
    serde_json::from_str(json).unwrap()
}

#[test]
fn limits_reach_the_kernel_and_the_group_goes_without_a_trace() {
    let group = name("limits");
    let wish = r#"{"memory":{"limit":67108864,"swap":134217728,"reservation":33554432},"pids":{"limit":77},
        "cpu":{"shares":512,"period":50000,"quota":25000,"cpus":"0","mems":"0"}}"#;
    let made = Cgroup::create(&group, &limits(wish)).unwrap();
    assert_eq!(read("memory", &group, "memory.limit_in_bytes", "memory.max"), "67108864");
    assert_eq!(read("memory", &group, "memory.soft_limit_in_bytes", "memory.low"), "33554432");
    assert_eq!(read("pids", &group, "pids.max", "pids.max"), "77");
    assert_eq!(read("cpuset", &group, "cpuset.cpus", "cpuset.cpus"), "0");
    if hierarchies().is_some() {
        assert_eq!(read("cpu", &group, "cpu.shares", ""), "512");
        assert_eq!(read("cpu", &group, "cpu.cfs_quota_us", ""), "25000");
    } else {
        assert_eq!(read("cpu", &group, "", "cpu.max"), "25000 50000");
    }
    made.remove();
    for controller in ["cpu", "cpuset", "memory", "devices", "freezer", "blkio", "pids"] {
        assert!(!folder(controller, &group).exists(), "{controller} has left its group");
    }
    remove_parent(&group);
}

#[test]
fn members_join_are_listed_freeze_thaw_and_may_have_groups_of_their_own() {
    let group = name("members");
    let made = Cgroup::create(&group, &Resources::default()).unwrap();
    let mut child = sleeper();
    made.join(child.id()).unwrap();
    let pid = i32::try_from(child.id()).unwrap();
    assert_eq!(made.pids(), [pid]);
    let state = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    made.freeze(true).unwrap();
    made.freeze(true).unwrap();
    if hierarchies().is_some() {
        assert_eq!(read("freezer", &group, "freezer.state", ""), "FROZEN");
    }
    made.freeze(false).unwrap();
    assert!(!state().is_empty());
    // A privileged container moves its processes into a group inside its own.
    let inner = folder("freezer", &group).join("inner");
    std::fs::create_dir(&inner).unwrap();
    std::fs::write(inner.join("cgroup.procs"), pid.to_string()).unwrap();
    assert_eq!(Cgroup::existing(&group).pids(), [pid]);
    child.kill().unwrap();
    child.wait().unwrap();
    made.remove();
    assert!(!inner.exists() && !folder("memory", &group).exists());
    remove_parent(&group);
}

#[test]
fn a_limit_the_kernel_refuses_leaves_no_group_behind() {
    let group = name("refused");
    let error = Cgroup::create(&group, &limits(r#"{"cpu":{"cpus":"9999"}}"#)).unwrap_err();
    // ERANGE on v1, EINVAL on v2: the words are the kernel's.
    assert!(error.to_string().starts_with("bind to CPUs 9999: "), "{error}");
    assert!(!folder("cpuset", &group).exists());
    remove_parent(&group);
}

#[test]
fn two_starts_may_make_the_same_parent_at_once() {
    let parent = name("parents");
    let threads: Vec<_> = (0..8)
        .map(|n| {
            let group = format!("{parent}/deep/{n}");
            std::thread::spawn(move || Cgroup::create(&group, &Resources::default()).unwrap().remove())
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    for group in [format!("{parent}/deep/x"), format!("{parent}/x"), parent] {
        remove_parent(&group);
    }
}
