//! What a container can and cannot see or do, asked from inside. Each test is rows of ISOLATION.md.

use gantry_tests::{Daemon, Output, image};
use serde_json::json;
use std::path::Path;

/// `docker run --rm OPTIONS busybox sh -c TEXT`.
#[track_caller]
fn inside(gantry: &Daemon, options: &str, text: &str) -> Output {
    let mut args = vec!["run", "--rm"];
    args.extend(options.split_whitespace());
    args.extend(["busybox", "sh", "-c", text]);
    gantry.docker(args)
}

/// What the kernel answers to these calls.
#[track_caller]
fn probe(gantry: &Daemon, options: &str, calls: &str) -> String {
    let program = image::probe();
    let options = format!("-v {}:/probe:ro {options}", program.display());
    inside(gantry, &options, &format!("/probe {calls}")).ok().to_owned()
}

fn status(pid: &str, key: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(":\t").map(str::to_owned));
    line.unwrap()
}

#[test]
fn its_capabilities_are_dockers_and_no_more() {
    let gantry = Daemon::start();
    let sets = "grep -E '^Cap(Inh|Prm|Eff|Bnd|Amb)' /proc/self/status | cut -f2";
    let (none, usual) = ("0000000000000000", "00000000a80425fb");
    assert_eq!(inside(&gantry, "", sets).lines(), [none, usual, usual, usual, none]);
    assert_eq!(inside(&gantry, "-u app", sets).lines(), [none, none, none, usual, none]);
    assert_eq!(inside(&gantry, "--cap-drop ALL", sets).lines(), [none; 5]);
    let one = "0000000000001000";
    let said = inside(&gantry, "--cap-drop all --cap-add net_admin", sets);
    assert_eq!(said.lines(), [none, one, one, one, none]);
    let own = status("self", "CapBnd");
    for options in ["--privileged", "--cap-add ALL"] {
        assert_eq!(inside(&gantry, options, sets).lines(), [none, &own, &own, &own, none], "{options}");
    }
    let but = u64::from_str_radix(&own, 16).unwrap() & !1;
    assert_eq!(inside(&gantry, "--cap-add ALL --cap-drop CHOWN", sets).lines()[3], format!("{but:016x}"));
}

#[test]
fn calls_outside_the_policy_are_refused_and_others_are_not() {
    let gantry = Daemon::start();
    let refused = "mount umount2 unshare clone-newuser setns keyctl add_key request_key kexec_load kexec_file_load \
                   init_module finit_module delete_module bpf perf_event_open reboot swapon open_by_handle_at \
                   userfaultfd io_uring_setup pivot_root settimeofday iopl vsock quotactl fsopen";
    let said = probe(&gantry, "", refused);
    let eperm: Vec<String> = refused.split_whitespace().map(|name| format!("{name} 1")).collect();
    assert_eq!(said.lines().collect::<Vec<_>>(), eperm);
    assert_eq!(probe(&gantry, "", "clone3"), "clone3 38", "programs are to fall back to clone");
    let allowed = probe(&gantry, "", "mkdir chroot personality inet ptrace");
    assert_eq!(allowed, "mkdir ok\nchroot ok\npersonality ok\ninet ok\nptrace 3");
    // That it was the policy: without it the same calls fail for other reasons, or not at all.
    let open = probe(&gantry, "--security-opt seccomp=unconfined", "keyctl add_key setns io_uring_setup");
    assert!(!open.lines().any(|l| l.ends_with(" 1")), "{open}");
    let open = probe(&gantry, "--privileged", "mount fsopen setns unshare");
    assert!(!open.lines().any(|l| l.ends_with(" 1")), "{open}");
    // A capability brings the calls that it is for.
    let admin = probe(&gantry, "--cap-add SYS_ADMIN", "mount unshare kexec_load");
    assert_eq!(admin.lines().map(|l| l.ends_with(" 1")).collect::<Vec<_>>(), [false, false, true], "{admin}");
}

#[test]
fn the_kernels_files_are_hidden_or_read_only() {
    let gantry = Daemon::start();
    let files = "for f in kcore keys timer_list sched_debug interrupts; do [ ! -e /proc/$f ] || wc -c < /proc/$f; done";
    assert!(inside(&gantry, "", files).lines().iter().all(|l| l.trim() == "0"));
    let folders = "for f in /proc/acpi /proc/scsi /proc/asound /sys/firmware /sys/devices/virtual/powercap; do ls -A $f; done";
    assert_eq!(inside(&gantry, "", folders).stdout, "");
    let write = "for f in sys/kernel/panic sysrq-trigger irq/default_smp_affinity; do echo 1 > /proc/$f; done
        echo 1 > /sys/kernel/mm/ksm/run; mkdir /sys/fs/cgroup/x; for g in /sys/fs/cgroup/*; do mkdir $g/x; done";
    let said = inside(&gantry, "", write);
    assert!(
        said.stderr.lines().all(|l| l.contains("Read-only file system") || l.contains("nonexistent")),
        "{said}"
    );
    assert!(said.stderr.lines().count() >= 4, "{said}");
    // Asked to, the engine hides nothing.
    let open = "--security-opt systempaths=unconfined";
    let said = inside(&gantry, open, "grep -c ' /proc/' /proc/self/mounts; wc -c < /proc/timer_list");
    assert_eq!(said.stdout.lines().next(), Some("0"), "{said}");
    let mounts =
        inside(&gantry, "--privileged", "grep ' /proc/' /proc/self/mounts; touch /sys/fs/cgroup || true");
    assert_eq!(mounts.ok(), "");
}

#[test]
fn its_file_systems_are_mounted_as_the_runtime_specification_and_docker_say() {
    let gantry = Daemon::start();
    let said = inside(&gantry, "", "cat /proc/self/mounts");
    for (target, kind, options) in [
        ("/proc", "proc", "rw,nosuid,nodev,noexec"),
        ("/dev", "tmpfs", "rw,nosuid"),
        ("/dev/pts", "devpts", "rw,nosuid,noexec"),
        ("/dev/mqueue", "mqueue", "rw,nosuid,nodev,noexec"),
        ("/dev/shm", "tmpfs", "rw,nosuid,nodev,noexec"),
        ("/sys", "sysfs", "ro,nosuid,nodev,noexec"),
    ] {
        let line = said.stdout.lines().find(|l| l.split(' ').nth(1) == Some(target)).unwrap();
        let fields: Vec<&str> = line.split(' ').collect();
        assert!(fields[2] == kind && fields[3].starts_with(options), "{line}");
    }
    assert!(said.lines().iter().any(|l| l.starts_with("overlay / overlay rw")), "{said}");
    let read_only = inside(&gantry, "--read-only", "grep ' / ' /proc/self/mounts; touch /x");
    assert!(read_only.stdout.starts_with("overlay / overlay ro"), "{read_only}");
    assert!(read_only.fails(1).contains("Read-only file system"));
}

#[test]
fn its_devices_are_the_harmless_ones() {
    let gantry = Daemon::start();
    let said = inside(
        &gantry,
        "",
        "ls /dev; stat -c '%n %a %t:%T' /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty",
    );
    let list = "core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero";
    let lines = said.lines();
    assert_eq!(lines[..15].join(" "), list);
    let nodes =
        ["null 666 1:3", "zero 666 1:5", "full 666 1:7", "random 666 1:8", "urandom 666 1:9", "tty 666 5:0"];
    assert_eq!(lines[15..], nodes.map(|n| format!("/dev/{n}")));
    let made = inside(
        &gantry,
        "",
        "mknod /tmp/disk b 7 0 && mknod /tmp/kmsg c 1 11 && cat /tmp/disk; cat /tmp/kmsg",
    );
    assert_eq!(made.fails(1).matches("Operation not permitted").count(), 2, "{made}");
    let open = inside(&gantry, "--privileged", "ls /dev; head -c1 /dev/kmsg > /tmp/x");
    assert!(open.lines().len() > 20, "{open}");
}

#[test]
fn nothing_of_the_hosts_is_open_in_its_processes() {
    let gantry = Daemon::start();
    gantry.docker(["run", "-d", "--name", "quiet", "-i", "busybox", "cat"]).ok();
    // The last of the second is the folder that is being listed. What begins its program is closing some of the first.
    let wanted = "/proc/1/fd:\n0\n1\n2\n\n/proc/self/fd:\n0\n1\n2\n3";
    gantry_tests::eventually(wanted, || {
        let said = gantry.docker(["exec", "quiet", "ls", "/proc/1/fd", "/proc/self/fd"]);
        (said.code == 0 && said.ok() == wanted).then_some(())
    });
    let said = gantry.docker(["exec", "quiet", "ls", "-l", "/proc/1/fd"]);
    assert_eq!(said.ok().matches("pipe:").count(), 3, "{said}");
}

#[test]
fn it_cannot_see_signal_or_trace_the_host() {
    let gantry = Daemon::start();
    let daemon = gantry.pid();
    let text = format!("ls -d /proc/[0-9]* | wc -l; kill -0 {daemon}; ls /proc/{daemon}");
    let said = inside(&gantry, "", &text);
    assert!(said.stdout.trim().parse::<u32>().unwrap() < 5, "{said}");
    assert!(said.stderr.contains("No such process") && said.stderr.contains("No such file"), "{said}");
    // Even where it sees them, what is in them stays theirs.
    let text = format!(
        "cd /proc/{daemon}; cat environ; cat fd/1; ls root; cat maps; cat stat > /dev/null && echo seen"
    );
    let said = inside(&gantry, "--pid host", &text);
    assert_eq!(said.ok(), "seen", "{said}");
    assert_eq!(said.stderr.matches("ermission denied").count(), 4, "{said}");
    let said = inside(&gantry, "--pid host -u app", &format!("kill {daemon}"));
    assert!(said.fails(1).contains("not permitted"), "{said}");
}

#[test]
fn the_runtimes_own_program_is_out_of_its_reach() {
    let gantry = Daemon::start();
    let shim = gantry_tests::program("gantry-shim");
    let before = std::fs::read(&shim).unwrap();
    gantry.docker(["run", "-d", "--name", "other", "busybox", "sleep", "1000"]).ok();
    let parent = status(&gantry.inspect("other", "{{.State.Pid}}"), "PPid");
    // With everything that would be needed for it, but for a bug.
    let options = "--pid host --privileged";
    let text = format!(
        "cd /proc/{parent}; echo broken > exe; mount -o remount,rw,bind exe; ls fd | wc -l; readlink exe"
    );
    let said = inside(&gantry, options, &text);
    assert!(
        said.stderr.contains("exe: Read-only file system") || said.stderr.contains("can't create exe"),
        "{said}"
    );
    assert!(std::fs::read(&shim).unwrap() == before);
    // The init is a copy, and the container's own mount of it is read-only.
    let said = inside(&gantry, "--init", "echo broken > /sbin/docker-init; echo broken > /proc/1/exe");
    assert_eq!(
        said.stderr.matches("Read-only file system").count() + said.stderr.matches("busy").count(),
        2,
        "{said}"
    );
    assert!(std::fs::read(&shim).unwrap() == before);
}

#[test]
fn what_it_mounts_nobody_else_sees() {
    let gantry = Daemon::start();
    let run = ["run", "-d", "--name", "mounter", "--privileged", "busybox", "sh", "-c"];
    gantry.docker(run.into_iter().chain(["mount -t tmpfs mine /mnt 2>/dev/null || { mkdir /mnt; mount -t tmpfs mine /mnt; }; echo up; sleep 1000"])).ok();
    gantry_tests::eventually("it has mounted", || {
        (gantry.docker(["logs", "mounter"]).stdout == "up\n").then_some(())
    });
    assert!(gantry.docker(["exec", "mounter", "cat", "/proc/mounts"]).ok().contains("mine /mnt tmpfs"));
    let hosts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!hosts.contains("mine"), "{hosts}");
    let root = gantry.data();
    assert!(
        !hosts.contains(root.to_str().unwrap()),
        "the container's root is not mounted on the host: {hosts}"
    );
    assert!(
        !inside(&gantry, "", "cat /proc/mounts").ok().contains(root.to_str().unwrap()),
        "nor are the host's paths told"
    );
}

#[test]
fn its_groups_are_all_it_sees_of_the_hosts() {
    let gantry = Daemon::start();
    let said = inside(
        &gantry,
        "-m 64m",
        "cut -d: -f3 /proc/self/cgroup | sort -u; cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null",
    );
    assert_eq!(said.stdout, "/\n67108864\n", "{said}");
    let said = inside(
        &gantry,
        "-m 64m --cgroupns host",
        "grep -c gt /proc/self/cgroup; cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || echo 67108864",
    );
    assert_eq!(said.lines()[1], "67108864", "{said}");
    // Older command lines do not know the option.
    let started = |name: &str, host: serde_json::Value| {
        let write = "mkdir /sys/fs/cgroup/memory/x 2>/dev/null || mkdir /sys/fs/cgroup/x";
        let body = json!({"Image": "busybox", "Cmd": ["sh", "-c", write], "HostConfig": host});
        let made = gantry.api("POST", &format!("/containers/create?name={name}"), Some(&body));
        assert_eq!(made.status, 201);
        gantry.docker(["start", "-a", name])
    };
    started("writer", json!({"SecurityOpt": ["writable-cgroups"]})).ok();
    let kept = started("reader", json!({"SecurityOpt": ["writable-cgroups=false"], "Privileged": true}));
    assert!(kept.fails(1).contains("Read-only file system"), "{kept}");
}

#[test]
fn its_namespaces_are_its_own() {
    let gantry = Daemon::start();
    let names = ["cgroup", "ipc", "mnt", "net", "pid", "uts", "time", "user"];
    let said =
        inside(&gantry, "", &format!("cd /proc/self/ns; for n in {}; do readlink $n; done", names.join(" ")));
    for (name, own) in names.iter().zip(said.lines()) {
        let hosts = std::fs::read_link(Path::new("/proc/self/ns").join(name)).unwrap();
        let shared = ["time", "user"].contains(name);
        assert_eq!(hosts.to_str() == Some(own), shared, "{name}");
    }
}

#[test]
fn its_process_is_made_as_it_was_described() {
    let gantry = Daemon::start();
    let program = image::probe();
    let options = format!(
        "-v {}:/probe:ro -w /made/for/it -e A=b -h name --domainname lan -u 12:34 --group-add 56 --oom-score-adj 321 \
         --ulimit nofile=99:100 --ulimit core=0 --security-opt no-new-privileges",
        program.display()
    );
    let text = "pwd; env | sort | tr '\\n' ' '; echo; id; /probe umask; cat /proc/self/oom_score_adj; ulimit -n; ulimit -Hn; \
                ulimit -c; hostname; cat /proc/sys/kernel/domainname; grep NoNewPrivs /proc/self/status";
    let said = inside(&gantry, &options, text);
    let lines = said.lines();
    assert_eq!(lines[0], "/made/for/it");
    for variable in [
        "A=b",
        "HOME=/",
        "HOSTNAME=name",
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    ] {
        assert!(lines[1].split(' ').any(|v| v == variable), "{variable}: {said}");
    }
    let rest =
        ["uid=12 gid=34 groups=34,56", "umask 022", "321", "99", "100", "0", "name", "lan", "NoNewPrivs:\t1"];
    assert_eq!(lines[2..], rest, "{said}");
}
