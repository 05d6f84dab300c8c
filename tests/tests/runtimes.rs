//! Containers on another OCI runtime: Debian's runc.

use gantry_tests::{Builder, Daemon, eventually};
use serde_json::json;

const RUNC: &str = "/usr/sbin/runc";

/// A daemon with runc as `other`, and with arguments as `verbose`.
#[track_caller]
fn daemon() -> Daemon {
    assert!(std::path::Path::new(RUNC).exists(), "runc is missing: run `make setup`");
    let config = json!({"runtimes": {
        "other": {"path": "runc"},
        "verbose": {"path": RUNC, "runtimeArgs": ["--debug"]},
    }});
    Builder::new().config(&config).start()
}

#[test]
fn a_container_on_another_runtime_is_as_one_on_gantrys_own() {
    let gantry = daemon();
    let options = [
        "--rm",
        "-u",
        "app",
        "-w",
        "/made",
        "-e",
        "A=b",
        "-h",
        "name",
        "--domainname",
        "lan",
        "--ulimit",
        "nofile=99:100",
    ];
    let text = "id; pwd; echo $A $HOME; hostname; cat /proc/sys/kernel/domainname; ulimit -n; grep -E 'CapBnd|Seccomp:' /proc/self/status; cat /etc/hostname; exit 6";
    let mut said = Vec::new();
    for runtime in ["other", "verbose", "gantry"] {
        let args =
            ["run", "--runtime", runtime].into_iter().chain(options).chain(["busybox", "sh", "-c", text]);
        let output = gantry.docker(args);
        assert_eq!(output.code, 6, "{output}");
        said.push(output.stdout);
    }
    assert_eq!(said[0], said[2]);
    assert_eq!(said[1], said[2]);
    let filter = |name: &str| {
        let program = format!("{}:/probe:ro", gantry_tests::image::probe().display());
        let calls = [
            "/probe",
            "mount",
            "unshare",
            "clone-newuser",
            "clone3",
            "keyctl",
            "kexec_load",
            "mkdir",
            "inet",
            "vsock",
        ];
        let args = ["run", "--rm", "--runtime", name, "-v", &program, "busybox"].into_iter().chain(calls);
        gantry.docker(args).ok().to_owned()
    };
    assert_eq!(filter("other"), filter("gantry"), "the policy spelled out is the compiled one");
    let id = gantry.docker(["create", "--runtime", "other", "busybox"]).ok().to_owned();
    assert_eq!(gantry.inspect(&id, "{{.HostConfig.Runtime}}"), "other");
}

#[test]
fn its_whole_life_is_served() {
    let gantry = daemon();
    let text = "trap 'echo bye; exit 3' TERM; echo up; while true; do sleep 0.05; done";
    gantry
        .docker([
            "run",
            "-d",
            "--name",
            "life",
            "--runtime",
            "other",
            "-p",
            "8080:80",
            "busybox",
            "sh",
            "-c",
            text,
        ])
        .ok();
    eventually("it is up", || (gantry.docker(["logs", "life"]).stdout == "up\n").then_some(()));
    let said = gantry.docker_with_input(
        ["exec", "-i", "-u", "app", "life", "sh", "-c", "id -un; cat; exit 5"],
        b"typed\n",
    );
    assert_eq!((said.code, said.stdout.as_str()), (5, "app\ntyped\n"));
    let said = gantry.docker(["exec", "life", "nothing"]);
    assert!(
        said.code == 127 && said.stdout.contains("exec: \"nothing\": executable file not found in $PATH"),
        "{said}"
    );
    assert!(gantry.docker(["top", "life"]).ok().contains("trap"));
    gantry.docker(["pause", "life"]).ok();
    assert_eq!(gantry.inspect("life", "{{.State.Status}}"), "paused");
    gantry.docker(["unpause", "life"]).ok();
    gantry.docker(["stop", "life"]).ok();
    assert_eq!(gantry.inspect("life", "{{.State.ExitCode}}"), "3");
    assert_eq!(gantry.docker(["logs", "life"]).stdout, "up\nbye\n");
    gantry.docker(["start", "life"]).ok();
    gantry.docker(["pause", "life"]).ok();
    gantry.docker(["kill", "life"]).ok();
    gantry.until_exited("life");
    assert_eq!(gantry.inspect("life", "{{.State.ExitCode}}"), "137");
}

#[test]
fn its_terminal_is_handed_over() {
    let gantry = daemon();
    let mut terminal = gantry.docker_pty(["run", "--rm", "-it", "--runtime", "other", "busybox", "sh"]);
    terminal.expect("# ");
    terminal.send("tty; stty size; exit 9\r");
    terminal.expect("/dev/pts/0");
    terminal.expect("24 80");
    assert_eq!(terminal.finish(), 9);
    gantry.docker(["run", "-d", "--name", "host", "--runtime", "other", "busybox", "sleep", "1000"]).ok();
    let mut terminal = gantry.docker_pty(["exec", "-it", "host", "sh"]);
    terminal.expect("# ");
    terminal.send("exit 8\r");
    assert_eq!(terminal.finish(), 8);
}

#[test]
fn it_outlives_the_daemon_and_leaves_nothing_when_its_shim_is_killed() {
    let mut gantry = daemon();
    gantry
        .docker([
            "run",
            "-d",
            "--name",
            "lives",
            "--runtime",
            "other",
            "busybox",
            "sh",
            "-c",
            "echo before; sleep 1000",
        ])
        .ok();
    gantry.crash();
    assert_eq!(gantry.docker(["exec", "lives", "echo", "again"]).ok(), "again");
    let hosts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!hosts.contains(gantry.data().to_str().unwrap()), "its root is mounted on the host: {hosts}");
    let pid = gantry.inspect("lives", "{{.State.Pid}}");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let shim = status.lines().find_map(|l| l.strip_prefix("PPid:\t")).unwrap();
    gantry.place().run("kill", ["-9", shim]).ok();
    gantry.until_exited("lives");
    assert_eq!(gantry.inspect("lives", "{{.State.ExitCode}}"), "137");
    gantry.docker(["start", "lives"]).ok();
}

#[test]
fn what_it_cannot_run_is_told_in_dockers_words() {
    let gantry = daemon();
    let said = gantry.docker(["run", "--rm", "--runtime", "other", "busybox", "nothing"]);
    let text = "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create \
                failed: unable to start container process: exec: \"nothing\": executable file not found in $PATH: unknown";
    assert!(said.fails(127).contains(text), "{said}");
    let said = gantry.docker(["run", "--rm", "--runtime", "other", "busybox", "/etc"]);
    assert_eq!(said.code, 126, "{said}");
    let said = gantry.docker(["run", "--rm", "--runtime", "other", "-u", "ghost", "busybox", "true"]);
    assert!(
        said.fails(125).contains("unable to find user ghost: no matching entries in passwd file"),
        "{said}"
    );
    let said = gantry.docker(["run", "--rm", "--runtime", "kata", "busybox", "true"]);
    assert!(said.fails(125).contains("unknown or invalid runtime name: kata"), "{said}");
    assert_eq!(gantry.docker(["ps", "-aq"]).ok(), "");
}

#[test]
fn options_reach_it() {
    let gantry = daemon();
    let run = |options: &str, text: &str| {
        let args = format!("run --rm --runtime other {options} busybox sh -c");
        gantry.docker(args.split_whitespace().chain([text])).ok().to_owned()
    };
    assert_eq!(run("--init", "head -c 17 /proc/1/cmdline"), "/sbin/docker-init");
    assert_eq!(
        run("--read-only --tmpfs /scratch", "touch /scratch/x; touch /x 2>/dev/null || echo kept"),
        "kept"
    );
    assert_eq!(run("--privileged", "mkdir -p /mnt; mount -t tmpfs none /mnt && echo mounted"), "mounted");
    assert_eq!(run("--cap-drop ALL", "grep CapBnd /proc/self/status | cut -f2"), "0000000000000000");
    assert_eq!(run("--sysctl net.ipv4.ip_forward=1", "cat /proc/sys/net/ipv4/ip_forward"), "1");
    assert_eq!(run("--device /dev/zero:/dev/mine", "head -c 1 /dev/mine | wc -c"), "1");
    assert_eq!(
        run(
            "-m 64m",
            "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null || true"
        ),
        "67108864"
    );
    let pid = std::fs::read_link("/proc/self/ns/pid").unwrap();
    assert_eq!(run("--pid host", "readlink /proc/self/ns/pid"), pid.to_str().unwrap());
    gantry
        .docker([
            "run",
            "-d",
            "--name",
            "donor",
            "--ipc",
            "shareable",
            "busybox",
            "sh",
            "-c",
            "echo shared > /dev/shm/note; sleep 1000",
        ])
        .ok();
    eventually("the note is written", || {
        (gantry.docker(["exec", "donor", "cat", "/dev/shm/note"]).stdout == "shared\n").then_some(())
    });
    assert_eq!(run("--ipc container:donor", "cat /dev/shm/note"), "shared");
    let profile = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 98}]});
    let file = gantry.write("deny.json", profile.to_string());
    assert_eq!(
        run(&format!("--security-opt seccomp={}", file.display()), "mkdir /x 2>&1 | grep -c ddress || true"),
        "1"
    );
}

#[test]
fn it_can_be_the_default_and_info_tells_of_it() {
    let gantry = Builder::new()
        .args(["--add-runtime", &format!("other={RUNC}"), "--default-runtime", "other"])
        .start();
    gantry.docker(["run", "-d", "--name", "any", "busybox", "sleep", "1000"]).ok();
    assert_eq!(gantry.inspect("any", "{{.HostConfig.Runtime}}"), "other");
    gantry.docker(["run", "-d", "--name", "own", "--runtime", "gantry", "busybox", "sleep", "1000"]).ok();
    assert_eq!(gantry.inspect("own", "{{.HostConfig.Runtime}}"), "gantry");
    // Docker's name for it, told back as it was asked for.
    gantry
        .docker(["create", "--name", "dockers", "--runtime", "runc", "--isolation", "default", "busybox"])
        .ok();
    assert_eq!(
        gantry.inspect("dockers", "{{.HostConfig.Runtime}} {{.HostConfig.Isolation}}"),
        "runc default"
    );
    let info = gantry.docker(["info", "--format", "{{json .Runtimes}} {{.DefaultRuntime}}"]);
    assert!(
        info.ok().contains(&format!("\"other\":{{\"path\":\"{RUNC}\"}}")) && info.ok().ends_with(" other"),
        "{info}"
    );
}
