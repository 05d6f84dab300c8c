//! Limits and restart policy changed afterwards.

use gantry_tests::cgroup::{file, unified};
use gantry_tests::{Daemon, eventually};
use serde_json::json;

const M: i64 = 1 << 20;

fn memory(gantry: &Daemon, name: &str) -> String {
    file(gantry, name, "memory/memory.limit_in_bytes", "memory.max")
}

fn shares(gantry: &Daemon, name: &str) -> String {
    file(gantry, name, "cpu/cpu.shares", "cpu.weight")
}

fn run(gantry: &Daemon, name: &str, options: &[&str]) {
    let head = ["run", "-d", "--name", name];
    gantry.docker(head.iter().chain(options).chain(&["busybox", "sleep", "1000"])).ok();
}

#[test]
fn limits_of_a_running_container_change_at_once_and_stay() {
    let mut gantry = Daemon::start();
    run(&gantry, "live", &["-m", "64m", "--pids-limit", "20"]);
    let args = [
        "update",
        "-m",
        "96m",
        "--memory-swap",
        "192m",
        "--cpus",
        "0.5",
        "--pids-limit",
        "-1",
        "--cpuset-cpus",
        "0",
        "live",
    ];
    assert_eq!(gantry.docker(args).ok(), "live");
    let changed = |gantry: &Daemon| {
        assert_eq!(memory(gantry, "live"), (96 * M).to_string());
        let quota = file(gantry, "live", "cpu/cpu.cfs_quota_us", "cpu.max");
        assert_eq!(quota, if unified() { "50000 100000" } else { "50000" });
        assert_eq!(file(gantry, "live", "pids/pids.max", "pids.max"), "max");
        assert_eq!(file(gantry, "live", "cpuset/cpuset.cpus", "cpuset.cpus"), "0");
        let format = "{{.HostConfig.Memory}} {{.HostConfig.MemorySwap}} {{.HostConfig.NanoCpus}} {{.HostConfig.PidsLimit}}";
        assert_eq!(gantry.inspect("live", format), format!("{} {} 500000000 0", 96 * M, 192 * M));
    };
    changed(&gantry);
    let now = gantry.docker(["info", "--format", "{{.SystemTime}}"]).ok().to_owned();
    let events = ["events", "--since", "2000-01-01", "--until", &now, "--filter", "event=update"];
    assert_eq!(gantry.docker(events).lines().len(), 1);
    gantry.crash();
    changed(&gantry);
    gantry.docker(["update", "--cpu-shares", "2048", "live"]).ok();
    assert_eq!(shares(&gantry, "live"), if unified() { "79" } else { "2048" });
    gantry.docker(["restart", "-t", "0", "live"]).ok();
    changed(&gantry);
}

#[test]
fn a_stopped_container_gets_its_limits_with_its_start() {
    let gantry = Daemon::start();
    gantry.docker(["create", "--name", "later", "busybox", "sleep", "1000"]).ok();
    gantry.docker(["update", "-m", "64m", "--memory-swap", "-1", "later"]).ok();
    assert_eq!(gantry.inspect("later", "{{.HostConfig.Memory}}"), (64 * M).to_string());
    gantry.docker(["start", "later"]).ok();
    assert_eq!(memory(&gantry, "later"), (64 * M).to_string());
    gantry.docker(["pause", "later"]).ok();
    gantry.docker(["update", "-m", "80m", "later"]).ok();
    assert_eq!(memory(&gantry, "later"), (80 * M).to_string());
    gantry.docker(["unpause", "later"]).ok();
}

#[test]
fn what_does_not_go_together_is_refused_in_dockers_words() {
    let gantry = Daemon::start();
    run(&gantry, "fixed", &["-m", "64m", "--cpus", "0.5"]);
    let id = gantry.inspect("fixed", "{{.Id}}");
    let ask = |body, status| gantry.api("POST", "/containers/fixed/update", Some(&body)).error(status);
    let cannot = |why: &str| format!("Cannot update container {id}: {why}");
    assert_eq!(
        ask(json!({"Memory": 256 * M}), 409),
        cannot(
            "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time"
        )
    );
    assert_eq!(
        ask(json!({"CpuQuota": 5000}), 409),
        cannot("Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set")
    );
    assert_eq!(ask(json!({"Memory": M}), 400), "Minimum memory limit allowed is 6MB");
    assert_eq!(
        ask(json!({"RestartPolicy": {"Name": "always", "MaximumRetryCount": 3}}), 400),
        "invalid restart policy: maximum retry count can only be used with 'on-failure'"
    );
    assert_eq!(
        gantry.api("POST", "/containers/none/update", Some(&json!({}))).error(404),
        "No such container: none"
    );
    let answer = gantry.api("POST", "/containers/fixed/update", Some(&json!({"CpuShares": 300})));
    assert_eq!((answer.status, answer.json()), (200, json!({"Warnings": null})));
    assert_eq!(memory(&gantry, "fixed"), (64 * M).to_string());
}

#[test]
fn a_change_that_the_kernel_refuses_in_part_is_undone_as_a_whole() {
    if unified() {
        eprintln!("cgroup v2 refuses none of these");
        return;
    }
    let gantry = Daemon::start();
    run(&gantry, "whole", &["-m", "64m", "--cpu-shares", "500"]);
    // Memory is written first and fits; that many shares there are not.
    let args = ["update", "-m", "96m", "--memory-swap", "96m", "--cpu-shares", "300000", "whole"];
    let text = gantry.docker(args).fails(1).to_owned();
    assert!(text.ends_with("the maximum allowed cpu-shares is 262144"), "{text}");
    assert_eq!((memory(&gantry, "whole"), shares(&gantry, "whole")), ((64 * M).to_string(), "500".into()));
    let swap = file(&gantry, "whole", "memory/memory.memsw.limit_in_bytes", "");
    assert_eq!(swap, (128 * M).to_string());
    assert_eq!(
        gantry.inspect("whole", "{{.HostConfig.Memory}} {{.HostConfig.CpuShares}}"),
        format!("{} 500", 64 * M)
    );
}

#[test]
fn a_restart_policy_given_afterwards_holds() {
    let mut gantry = Daemon::start();
    run(&gantry, "again", &[]);
    gantry.docker(["update", "--restart", "on-failure:3", "again"]).ok();
    let policy = "{{.HostConfig.RestartPolicy.Name}} {{.HostConfig.RestartPolicy.MaximumRetryCount}}";
    assert_eq!(gantry.inspect("again", policy), "on-failure 3");
    gantry.crash();
    assert_eq!(gantry.inspect("again", policy), "on-failure 3");
    let pid = gantry.inspect("again", "{{.State.Pid}}");
    gantry.place().sh(&format!("kill -9 {pid}")).ok();
    eventually("it is restarted", || (gantry.inspect("again", "{{.RestartCount}}") == "1").then_some(()));
    gantry.docker(["run", "-d", "--rm", "--name", "gone", "busybox", "sleep", "1000"]).ok();
    let text = gantry.docker(["update", "--restart", "always", "gone"]).fails(1).to_owned();
    assert!(
        text.ends_with("Restart policy cannot be updated because AutoRemove is enabled for the container"),
        "{text}"
    );
}
