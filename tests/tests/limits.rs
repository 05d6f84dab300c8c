//! What a container may take of the machine: checked in Docker's words, set, told, and enforced by the kernel.

use gantry_tests::cgroup::{file, legacy_has, unified};
use gantry_tests::{Daemon, eventually, image};
use serde_json::{Value, json};

const M: i64 = 1 << 20;

/// A daemon that also has the image `tools`: busybox with Debian's `dd` and `stress`.
fn with_tools() -> Daemon {
    let gantry = Daemon::start();
    gantry.docker(["import", image::tools_tar().to_str().unwrap(), "tools"]).ok();
    gantry
}

fn run(gantry: &Daemon, name: &str, options: &[&str], command: &[&str]) -> String {
    let head = ["run", "-d", "--name", name];
    gantry.docker(head.iter().chain(options).chain(command)).ok().to_owned()
}

/// The disk that holds the test's folders: throttles are for whole disks.
fn disk(gantry: &Daemon) -> String {
    let stat = gantry.place().sh(&format!("stat -c %Hd:%Ld {}", gantry.place().root().display()));
    let own = std::fs::canonicalize(format!("/sys/dev/block/{}", stat.ok()))
        .expect("the tests' folders lie on a block device");
    let whole = if own.join("partition").exists() { own.parent().unwrap().to_owned() } else { own };
    format!("/dev/{}", whole.file_name().unwrap().to_str().unwrap())
}

#[test]
fn every_limit_reaches_the_kernel_and_is_told() {
    let gantry = Daemon::start();
    let disk = disk(&gantry);
    let throttle = |n: &str| format!("{disk}:{n}");
    let [rb, wb, ri, wi] = ["1mb", "2mb", "30", "40"].map(throttle);
    let options = [
        "-m",
        "64m",
        "--memory-swap",
        "96m",
        "--memory-reservation",
        "32m",
        "--cpu-shares",
        "512",
        "--cpu-period",
        "50000",
        "--cpu-quota",
        "20000",
        "--cpuset-cpus",
        "0",
        "--cpuset-mems",
        "0",
        "--pids-limit",
        "20",
        "--oom-score-adj",
        "300",
        "--device-read-bps",
        &rb,
        "--device-write-bps",
        &wb,
        "--device-read-iops",
        &ri,
        "--device-write-iops",
        &wi,
    ];
    run(&gantry, "all", &options, &["busybox", "sleep", "1000"]);
    for (v1, told, v2, told2) in [
        ("memory/memory.limit_in_bytes", "67108864", "memory.max", "67108864"),
        ("memory/memory.soft_limit_in_bytes", "33554432", "memory.low", "33554432"),
        ("cpu/cpu.shares", "512", "cpu.weight", "20"),
        ("cpu/cpu.cfs_period_us", "50000", "cpu.max", "20000 50000"),
        ("cpu/cpu.cfs_quota_us", "20000", "cpu.max", "20000 50000"),
        ("cpuset/cpuset.cpus", "0", "cpuset.cpus", "0"),
        ("cpuset/cpuset.mems", "0", "cpuset.mems", "0"),
        ("pids/pids.max", "20", "pids.max", "20"),
    ] {
        assert_eq!(file(&gantry, "all", v1, v2), if unified() { told2 } else { told }, "{v1} {v2}");
    }
    if unified() || legacy_has("memory/memory.memsw.limit_in_bytes") {
        let swap = file(&gantry, "all", "memory/memory.memsw.limit_in_bytes", "memory.swap.max");
        assert_eq!(swap, (if unified() { 32 * M } else { 96 * M }).to_string());
    }
    let rates = ["read_bps", "write_bps", "read_iops", "write_iops"].map(|kind| {
        let text = file(&gantry, "all", &format!("blkio/blkio.throttle.{kind}_device"), "io.max");
        text.split_once(' ').map(|(_, rate)| rate.to_owned()).unwrap_or_default()
    });
    let together = "rbps=1048576 wbps=2097152 riops=30 wiops=40";
    let wanted = if unified() { [together; 4] } else { ["1048576", "2097152", "30", "40"] };
    assert_eq!(rates, wanted);
    let pid = gantry.inspect("all", "{{.State.Pid}}");
    assert_eq!(std::fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap(), "300\n");
    let told = &gantry.inspected("all")["HostConfig"];
    let limits = json!({
        "Memory": 64 * M, "MemorySwap": 96 * M, "MemoryReservation": 32 * M, "CpuShares": 512, "CpuPeriod": 50000,
        "CpuQuota": 20000, "CpusetCpus": "0", "CpusetMems": "0", "PidsLimit": 20, "OomScoreAdj": 300, "NanoCpus": 0,
        "BlkioDeviceReadBps": [{"Path": disk, "Rate": M}], "BlkioDeviceWriteIOps": [{"Path": disk, "Rate": 40}],
    });
    for (key, value) in limits.as_object().unwrap() {
        assert_eq!(&told[key], value, "{key}");
    }
}

#[test]
fn swap_is_as_much_as_memory_unless_told_otherwise() {
    let gantry = Daemon::start();
    if !unified() && !legacy_has("memory/memory.memsw.limit_in_bytes") {
        eprintln!("this kernel does not account for swap");
        return;
    }
    let swap = |name: &str, option: &[&str]| {
        let options: Vec<&str> = ["-m", "64m"].iter().chain(option).copied().collect();
        run(&gantry, name, &options, &["busybox", "sleep", "1000"]);
        let told = gantry.inspect(name, "{{.HostConfig.MemorySwap}}");
        (told, file(&gantry, name, "memory/memory.memsw.limit_in_bytes", "memory.swap.max"))
    };
    let default = if unified() { 64 * M } else { 128 * M };
    assert_eq!(swap("twice", &[]), ((128 * M).to_string(), default.to_string()));
    let (told, set) = swap("any", &["--memory-swap", "-1"]);
    assert_eq!(told, "-1");
    assert!(set == "max" || set.parse::<i64>().unwrap() > 1 << 60, "{set}");
}

#[test]
fn cpus_are_a_quota_and_zero_processes_are_no_limit() {
    let gantry = Daemon::start();
    run(&gantry, "half", &["--cpus", "0.5", "--pids-limit", "0"], &["busybox", "sleep", "1000"]);
    let quota = file(&gantry, "half", "cpu/cpu.cfs_quota_us", "cpu.max");
    assert_eq!(quota, if unified() { "50000 100000" } else { "50000" });
    assert_eq!(file(&gantry, "half", "pids/pids.max", "pids.max"), "max");
    assert_eq!(gantry.inspect("half", "{{.HostConfig.NanoCpus}}"), "500000000");
    let fork = "for i in 1 2 3 4 5 6 7 8; do sleep 1 & done; wait";
    let few = gantry.docker(["run", "--rm", "--pids-limit", "5", "busybox", "sh", "-c", fork]);
    assert!(few.stderr.contains("fork"), "{few}");
}

#[test]
fn a_real_time_budget_is_given_as_far_as_the_kernel_has_one() {
    let gantry = Daemon::start();
    let run = |name: &str| {
        let options = ["--cpu-rt-period", "500000", "--cpu-rt-runtime", "5000", "--cap-add", "sys_nice"];
        let head = ["run", "-d", "--name", name];
        gantry.docker(head.iter().chain(&options).chain(&["busybox", "sleep", "1000"]))
    };
    if !legacy_has("cpu/cpu.rt_runtime_us") {
        let text = run("none").fails(125).to_owned();
        assert!(text.contains("kernel does not support CPU real-time scheduler"), "{text}");
        return;
    }
    for name in ["one", "two"] {
        run(name).ok();
        assert_eq!(file(&gantry, name, "cpu/cpu.rt_runtime_us", ""), "5000");
        assert_eq!(file(&gantry, name, "cpu/cpu.rt_period_us", ""), "500000");
    }
}

#[test]
fn values_that_cannot_be_are_refused_in_dockers_words_and_leave_nothing() {
    let gantry = Daemon::start();
    let cpus = std::thread::available_parallelism().unwrap().get();
    let too_many =
        format!("range of CPUs is from 0.01 to {cpus}.00, as there are only {cpus} CPUs available");
    let cases: [(Value, &str); 9] = [
        (json!({"Memory": 4 * M}), "Minimum memory limit allowed is 6MB"),
        (
            json!({"Memory": 64 * M, "MemorySwap": 32 * M}),
            "Minimum memoryswap limit should be larger than memory limit, see usage",
        ),
        (
            json!({"MemorySwap": 32 * M}),
            "You should always set the Memory limit when using Memoryswap limit, see usage",
        ),
        (json!({"NanoCpus": (cpus as i64 + 1) * 1_000_000_000}), &too_many),
        (json!({"CpuQuota": 10}), "CPU cfs quota can not be less than 1ms (i.e. 1000)"),
        (json!({"CpusetCpus": "0-"}), "Invalid value 0- for cpuset cpus: invalid format: 0-"),
        (json!({"OomScoreAdj": 1001}), "Invalid value 1001, range for oom score adj is [-1000, 1000]"),
        (
            json!({"NanoCpus": 1_000_000, "CpuQuota": 1000}),
            "Conflicting options: Nano CPUs and CPU Quota cannot both be set",
        ),
        (
            json!({"IOMaximumIOps": 5}),
            "Invalid QoS settings: linux does not support Maximum IO Bandwidth or Maximum IO IOps",
        ),
    ];
    for (limits, text) in cases {
        let body = json!({"Image": "busybox", "HostConfig": limits});
        assert_eq!(gantry.api("POST", "/containers/create", Some(&body)).error(400), text);
    }
    let beyond = gantry.docker(["run", "--rm", "--cpuset-cpus", "0-4000", "busybox", "true"]);
    let text = beyond.fails(125);
    assert!(text.contains("Requested CPUs are not available - requested 0-4000, available: 0"), "{text}");
    assert_eq!(gantry.docker(["ps", "-aq"]).ok(), "");
}

#[test]
fn what_the_kernel_cannot_do_is_discarded_with_a_warning() {
    let gantry = Daemon::start();
    let create = |limits: Value| {
        let body = json!({"Image": "busybox", "HostConfig": limits});
        let answer = gantry.api("POST", "/containers/create", Some(&body));
        assert_eq!(answer.status, 201, "{}", answer.text());
        let told = answer.json();
        let inspected = gantry.inspected(told["Id"].as_str().unwrap());
        (told["Warnings"].to_string(), inspected["HostConfig"].clone())
    };
    let (warnings, told) = create(json!({"OomKillDisable": true, "Memory": 64 * M, "CpuPercent": 5}));
    assert!(warnings.contains("linux does not support CPU percent. Percent discarded."), "{warnings}");
    let unable = "Your kernel does not support OomKillDisable. OomKillDisable discarded.";
    assert_eq!(warnings.contains(unable), unified(), "{warnings}");
    assert_eq!(told["OomKillDisable"], if unified() { Value::Null } else { json!(true) });
    let (warnings, told) = create(json!({"BlkioWeight": 300}));
    let able = unified() || legacy_has("blkio/blkio.weight");
    assert_eq!(warnings.contains("does not support Block I/O weight"), !able, "{warnings}");
    assert_eq!(told["BlkioWeight"], if able { 300 } else { 0 });
    let info = gantry.api("GET", "/info", None).json();
    assert_eq!(info["OomKillDisable"], !unified());
    assert_eq!((&info["MemoryLimit"], &info["PidsLimit"]), (&json!(true), &json!(true)));
}

#[test]
fn a_throttle_of_a_device_that_is_missing_is_told_at_the_start() {
    let gantry = Daemon::start();
    let options = ["--name", "no", "--device-write-bps", "/dev/nosuch:1mb", "busybox", "true"];
    gantry.docker(["create"].iter().chain(&options)).ok();
    let text = gantry.api("POST", "/containers/no/start", None).error(500);
    assert_eq!(text, "stat /dev/nosuch: no such file or directory");
    assert_eq!(gantry.inspect("no", "{{.State.Status}}"), "created");
}

#[test]
fn groups_lie_under_the_parent_that_was_asked_for() {
    let gantry = Daemon::start();
    let parent = format!("{}/sub", gantry.place().cgroup());
    let options = ["--cgroup-parent", &parent, "-m", "64m"];
    let id = run(&gantry, "child", &options, &["busybox", "sleep", "1000"]);
    let memory = if unified() { "" } else { "memory/" };
    let group = format!("/sys/fs/cgroup/{memory}{}/{id}", parent.trim_start_matches('/'));
    assert!(std::path::Path::new(&group).exists(), "{group}");
    assert_eq!(gantry.inspect("child", "{{.HostConfig.CgroupParent}}"), parent);
    gantry.docker(["update", "-m", "80m", "child"]).ok();
    let file = if unified() { "memory.max" } else { "memory.limit_in_bytes" };
    assert_eq!(std::fs::read_to_string(format!("{group}/{file}")).unwrap().trim(), (80 * M).to_string());
    gantry.docker(["rm", "-f", "child"]).ok();
    eventually("its group is gone", || (!std::path::Path::new(&group).exists()).then_some(()));
    // As in Docker the parent stays.
    gantry
        .place()
        .sh(&format!("rmdir /sys/fs/cgroup{parent} /sys/fs/cgroup/*{parent} 2>/dev/null; true"))
        .ok();
}

/// What `single` and `double` have used, read at one moment: so near that the first uses next to nothing meanwhile.
fn both_used(gantry: &Daemon) -> [f64; 2] {
    eventually("both are read at once", || {
        let (single, double) = (used(gantry, "single"), used(gantry, "double"));
        (used(gantry, "single") - single < 1e8).then_some([single, double])
    })
}

/// Nanoseconds of processor time that a container has used.
fn used(gantry: &Daemon, container: &str) -> f64 {
    let stats = gantry.api("GET", &format!("/containers/{container}/stats?stream=false&one-shot=1"), None);
    stats.json()["cpu_stats"]["cpu_usage"]["total_usage"].as_f64().unwrap()
}

#[test]
fn twice_the_shares_get_twice_the_processor() {
    let gantry = with_tools();
    for (name, shares) in [("single", "1024"), ("double", "2048")] {
        let options = ["--cpu-shares", shares, "--cpuset-cpus", "0"];
        run(&gantry, name, &options, &["tools", "/usr/bin/stress", "-c", "2"]);
    }
    // Both burn before either is measured.
    eventually("both run", || ["single", "double"].iter().all(|c| used(&gantry, c) > 1e8).then_some(()));
    let before = both_used(&gantry);
    let ratio = eventually("they have used six seconds", || {
        let now = both_used(&gantry);
        let [single, double] = [now[0] - before[0], now[1] - before[1]];
        (single + double > 6e9).then_some(double / single)
    });
    assert!((1.6..2.5).contains(&ratio), "1:{ratio}");
}

#[test]
fn a_burner_stays_on_its_processor() {
    let gantry = with_tools();
    run(&gantry, "bound", &["--cpuset-cpus", "0"], &["tools", "/usr/bin/stress", "-c", "3"]);
    eventually("it burns", || (used(&gantry, "bound") > 3e8).then_some(()));
    let listed = eventually("all of it run", || {
        let listed = gantry.docker(["top", "bound", "-eo", "pid,args"]);
        (listed.lines().len() > 4).then(|| listed.ok().to_owned())
    });
    for pid in listed.lines().skip(1).filter_map(|l| l.split_whitespace().next()) {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        // proc_pid_stat(5): field 39, counted here from the third.
        assert_eq!(fields.split(' ').nth(36), Some("0"), "{stat}");
    }
}

fn oom_events(gantry: &Daemon, container: &str) -> usize {
    let now = gantry.docker(["info", "--format", "{{.SystemTime}}"]).ok().to_owned();
    let filter = format!("container={container}");
    let args =
        ["events", "--since", "2000-01-01", "--until", &now, "--filter", "event=oom", "--filter", &filter];
    gantry.docker(args).lines().len()
}

const HUNGRY: &str = "x=$(head -c 60000000 /dev/zero | tr '\\0' x); echo survived";

#[test]
fn a_container_that_wants_too_much_memory_is_killed_and_told_so() {
    let gantry = Daemon::start();
    let died = gantry.docker([
        "run",
        "--name",
        "hungry",
        "-m",
        "16m",
        "--memory-swap",
        "16m",
        "busybox",
        "sh",
        "-c",
        HUNGRY,
    ]);
    assert_eq!((died.code, died.stdout.as_str()), (137, ""), "{died}");
    assert_eq!(gantry.inspect("hungry", "{{.State.OOMKilled}} {{.State.ExitCode}}"), "true 137");
    assert_eq!(oom_events(&gantry, "hungry"), 1);
    gantry.docker(["update", "-m", "200m", "--memory-swap", "200m", "hungry"]).ok();
    gantry.docker(["start", "-a", "hungry"]).ok();
    assert_eq!(gantry.inspect("hungry", "{{.State.OOMKilled}} {{.State.ExitCode}}"), "false 0");
}

#[test]
fn a_child_killed_for_memory_is_told_while_its_container_lives_on() {
    let gantry = Daemon::start();
    let text = format!("sh -c \"{}\"; echo child $?; sleep 1000", HUNGRY.replace('$', "\\$"));
    let options = ["-m", "16m", "--memory-swap", "16m"];
    run(&gantry, "parent", &options, &["busybox", "sh", "-c", &text]);
    eventually("the child dies", || {
        gantry.docker(["logs", "parent"]).ok().contains("child 137").then_some(())
    });
    eventually("the event comes", || (oom_events(&gantry, "parent") == 1).then_some(()));
    assert_eq!(gantry.inspect("parent", "{{.State.OOMKilled}} {{.State.Status}}"), "true running");
    gantry.docker(["kill", "parent"]).ok();
    assert_eq!(gantry.inspect("parent", "{{.State.OOMKilled}} {{.State.Status}}"), "true exited");
    assert_eq!(oom_events(&gantry, "parent"), 1, "it is not told twice");
}

#[test]
fn without_the_oom_killer_a_container_waits_and_can_be_killed() {
    if unified() {
        eprintln!("cgroup v2 always kills");
        return;
    }
    let gantry = Daemon::start();
    let options = ["-m", "16m", "--memory-swap", "16m", "--oom-kill-disable"];
    run(&gantry, "waiting", &options, &["busybox", "sh", "-c", HUNGRY]);
    eventually("it wants more", || (oom_events(&gantry, "waiting") == 1).then_some(()));
    assert_eq!(gantry.inspect("waiting", "{{.State.OOMKilled}} {{.State.Status}}"), "false running");
    gantry.docker(["kill", "waiting"]).ok();
    assert_eq!(gantry.inspect("waiting", "{{.State.Status}} {{.State.ExitCode}}"), "exited 137");
}

/// Bytes a second, as `dd` tells them at the end of its last line: `6291456 bytes (…) copied, 2.97 s, 2.1 MB/s`.
fn speed(told: &str) -> f64 {
    let line = told.lines().last().unwrap();
    let bytes: f64 = line.split(' ').next().unwrap().parse().unwrap();
    let seconds = line.split(", ").find_map(|part| part.strip_suffix(" s")).unwrap();
    bytes / seconds.parse::<f64>().unwrap()
}

/// It is never faster than is wanted, and hardly slower unless the disk has others to serve.
#[track_caller]
fn near(wanted: f64, measure: impl Fn() -> f64) {
    eventually("the disk has time", || {
        let got = measure() / wanted;
        assert!(got < 1.15, "{got} of what is allowed");
        (got > 0.85).then_some(())
    });
}

#[test]
fn writing_and_reading_are_slowed_to_the_devices_limits() {
    let gantry = with_tools();
    let disk = disk(&gantry);
    let dd = |option: &str, rate: &str, args: &[&str]| {
        let rate = format!("{disk}:{rate}");
        let volume = format!("{}:/w", gantry.place().path("").display());
        let head = ["run", "--rm", option, &rate, "-v", &volume, "tools", "/usr/bin/dd"];
        let told = gantry.docker(head.iter().chain(args));
        told.ok();
        speed(&told.stderr)
    };
    let file = "/w/throttled";
    let (out, back) = (format!("of={file}"), format!("if={file}"));
    near(2.0 * M as f64, || {
        dd("--device-write-bps", "2mb", &["if=/dev/zero", &out, "bs=64k", "count=128", "oflag=direct"])
    });
    near(4.0 * M as f64, || {
        dd("--device-read-bps", "4mb", &[&back, "of=/dev/null", "bs=64k", "iflag=direct"])
    });
    near(50.0 * 4096.0, || {
        dd("--device-write-iops", "50", &["if=/dev/zero", &out, "bs=4k", "count=150", "oflag=direct"])
    });
    std::fs::remove_file(gantry.place().path("throttled")).unwrap();
}
