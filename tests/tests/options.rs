//! Users, init, memory, limits of processes, kernel parameters, security options, devices.

use gantry_tests::{Daemon, Output, eventually};
use serde_json::{Value, json};

#[track_caller]
fn inside(gantry: &Daemon, options: &str, text: &str) -> Output {
    let mut args = vec!["run", "--rm"];
    args.extend(options.split_whitespace());
    args.extend(["busybox", "sh", "-c", text]);
    gantry.docker(args)
}

#[track_caller]
fn create(gantry: &Daemon, host: Value) -> (u16, String) {
    let answer =
        gantry.api("POST", "/containers/create", Some(&json!({"Image": "busybox", "HostConfig": host})));
    (answer.status, answer.json()["message"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn users_and_groups_are_those_of_the_image() {
    let gantry = Daemon::start();
    for (options, wanted) in [
        ("-u app", "uid=1000(app) gid=1000(app) groups=1000(app),2000(extra)"),
        ("-u 1000", "uid=1000(app) gid=1000(app) groups=1000(app),2000(extra)"),
        ("-u app:nogroup", "uid=1000(app) gid=65534(nogroup) groups=65534(nogroup)"),
        ("-u app:77", "uid=1000(app) gid=77 groups=77"),
        ("-u 5:6", "uid=5 gid=6 groups=6"),
        ("-u 5", "uid=5 gid=0(root) groups=0(root)"),
        ("--group-add extra --group-add 9", "uid=0(root) gid=0(root) groups=0(root),2000(extra),9"),
        ("-u nobody --group-add app", "uid=65534(nobody) gid=65534(nogroup) groups=1000(app),65534(nogroup)"),
    ] {
        let said = inside(&gantry, options, "id");
        let sorted = |text: &str| {
            let (ids, groups) =
                text.split_once("groups=").map(|(i, g)| (i.to_owned(), g.to_owned())).unwrap();
            let mut groups: Vec<String> = groups.split(',').map(str::to_owned).collect();
            groups.sort();
            (ids, groups)
        };
        assert_eq!(sorted(said.ok()), sorted(wanted), "{options}");
    }
    for (options, text) in [
        ("-u ghost", "unable to find user ghost: no matching entries in passwd file"),
        ("-u app:ghosts", "unable to find group ghosts: no matching entries in group file"),
        ("--group-add ghosts", "Unable to find group ghosts: no matching entries in group file"),
        ("-u 4294967296", "uids and gids must be in range 0-2147483647"),
    ] {
        let said = inside(&gantry, options, "true");
        assert!(said.fails(125).contains(text), "{options}: {said}");
    }
    gantry
        .docker(["run", "-d", "--name", "grouped", "--group-add", "extra", "busybox", "sleep", "1000"])
        .ok();
    let said = gantry.docker(["exec", "-u", "nobody", "grouped", "id"]);
    assert!(said.ok().contains("2000(extra)"), "exec has the container's groups: {said}");
}

#[test]
fn an_init_reaps_hands_signals_on_and_ends_as_the_program_does() {
    let gantry = Daemon::start();
    // An orphan falls to the first process: `sleep` leaves it unburied, the init does not.
    let zombies = |name: &str, wanted: &str| {
        gantry.docker(["exec", name, "sh", "-c", "(sleep 0.01 &)"]).ok();
        eventually("the orphan has ended", || {
            (!gantry.docker(["exec", name, "ps"]).ok().contains("sleep 0.01")).then_some(())
        });
        let count = "cat /proc/[0-9]*/stat 2>/dev/null | cut -d' ' -f3 | grep -c Z";
        eventually(&format!("{name} an init there are {wanted} zombies"), || {
            let said = gantry.docker(["exec", name, "sh", "-c", count]);
            (said.stdout.trim() == wanted).then_some(())
        });
    };
    gantry.docker(["run", "-d", "--name", "without", "busybox", "sleep", "1000"]).ok();
    gantry.docker(["run", "-d", "--name", "with", "--init", "busybox", "sleep", "1000"]).ok();
    zombies("without", "1");
    zombies("with", "0");
    let said = inside(&gantry, "--init", "cat /proc/1/comm; tr '\\0' ' ' < /proc/1/cmdline; exit 7");
    assert!(said.code == 7 && said.stdout.contains("/sbin/docker-init -- sh -c"), "{said}");
    let text = "trap 'echo got it; exit 5' TERM; echo up; while true; do sleep 0.05; done";
    let run = gantry.docker_running(["run", "--rm", "--init", "busybox", "sh", "-c", text]);
    run.wait_for("up");
    run.signal(nix::sys::signal::Signal::SIGTERM);
    let said = run.finish();
    assert_eq!((said.code, said.stdout.as_str()), (5, "up\ngot it\n"));
    let said = gantry.docker(["run", "--rm", "--init", "busybox", "no-such-program"]);
    assert!(said.fails(127).contains("exec no-such-program failed: No such file or directory"), "{said}");
    assert_eq!(inside(&gantry, "--init", "kill -9 $$").code, 137);
    // With a terminal it gives the program the foreground.
    let mut terminal =
        gantry.docker_pty(["run", "--rm", "-it", "--init", "--name", "typed", "busybox", "sh"]);
    terminal.expect("# ");
    terminal.send("sleep 1000\r");
    let seen = || gantry.docker(["exec", "typed", "ps"]).stdout.lines().any(|l| l.ends_with(" sleep 1000"));
    eventually("it sleeps", || seen().then_some(()));
    terminal.send("\x03");
    terminal.send("exit 4\r");
    assert_eq!(terminal.finish(), 4);
    // Where others are first already there is nothing for it to do.
    let said = inside(&gantry, "--init --pid host", "ls /sbin/docker-init");
    assert!(said.fails(1).contains("No such file"), "{said}");
    assert_eq!(gantry.docker(["info", "-f", "{{.InitBinary}}"]).ok(), "docker-init");
}

#[test]
fn kernel_parameters_are_set_in_the_containers_namespaces_only() {
    let gantry = Daemon::start();
    let options = "--sysctl net.ipv4.ip_forward=1 --sysctl kernel.shmmax=4096 --sysctl fs.mqueue.msg_max=5";
    let said = inside(
        &gantry,
        options,
        "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmax /proc/sys/fs/mqueue/msg_max",
    );
    assert_eq!(said.lines(), ["1", "4096", "5"]);
    let frame = "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: ";
    for (host, text) in [
        (
            json!({"Sysctls": {"kernel.panic": "1"}}),
            "sysctl \"kernel.panic\" is not in a separate kernel namespace: unknown",
        ),
        (
            json!({"Sysctls": {"net.ipv4.ip_forward": "1"}, "NetworkMode": "host"}),
            "sysctl \"net.ipv4.ip_forward\" not allowed in host network namespace: unknown",
        ),
        (
            json!({"Sysctls": {"kernel.shmmax": "1"}, "IpcMode": "host"}),
            "sysctl \"kernel.shmmax\" is not in a separate kernel namespace: unknown",
        ),
    ] {
        let body = json!({"Image": "busybox", "HostConfig": host});
        let made = gantry.api("POST", "/containers/create", Some(&body)).json();
        let started =
            gantry.api("POST", &format!("/containers/{}/start", made["Id"].as_str().unwrap()), None);
        let message = started.json()["message"].as_str().unwrap().to_owned();
        assert_eq!((started.status, message), (500, format!("{frame}{text}")));
    }
}

#[test]
fn security_options_are_honoured_or_refused_by_name() {
    let gantry = Daemon::start();
    let no_new = |options: &str| {
        inside(&gantry, options, "grep NoNewPrivs /proc/self/status | cut -f2").ok().to_owned()
    };
    assert_eq!(no_new(""), "0");
    for yes in ["no-new-privileges", "no-new-privileges=true", "no-new-privileges:true"] {
        assert_eq!(no_new(&format!("--security-opt {yes}")), "1", "{yes}");
    }
    assert_eq!(no_new("--security-opt no-new-privileges=false"), "0");
    let filter =
        |options: &str| inside(&gantry, options, "grep Seccomp: /proc/self/status | cut -f2").ok().to_owned();
    assert_eq!(filter("--security-opt seccomp=builtin"), "2");
    assert_eq!(filter("--security-opt seccomp=unconfined"), "0");
    for accepted in ["apparmor=unconfined", "label=disable"] {
        let said = inside(&gantry, &format!("--security-opt {accepted}"), "echo fine");
        assert_eq!((said.ok(), said.stderr.as_str()), ("fine", ""), "{accepted}");
    }
    let said = inside(&gantry, "--security-opt apparmor=mine", "echo fine");
    assert!(said.ok() == "fine" && said.stderr.contains("AppArmor"), "{said}");
    assert_eq!(
        create(&gantry, json!({"SecurityOpt": ["nonsense"]})),
        (500, "invalid --security-opt 1: \"nonsense\"".into())
    );
    assert_eq!(
        create(&gantry, json!({"SecurityOpt": ["a=b"]})),
        (500, "invalid --security-opt 2: \"a=b\"".into())
    );
    let said =
        gantry.docker(["create", "--name", "broken", "--security-opt", "seccomp=/dev/null", "busybox"]);
    assert_ne!(said.code, 0, "the CLI reads the file: {said}");
    let body = json!({"Image": "busybox", "HostConfig": {"SecurityOpt": ["seccomp={"]}});
    let made = gantry.api("POST", "/containers/create", Some(&body)).json();
    let started = gantry.api("POST", &format!("/containers/{}/start", made["Id"].as_str().unwrap()), None);
    assert_eq!(started.status, 500);
    assert!(started.json()["message"].as_str().unwrap().starts_with("Decoding seccomp profile failed: "));
    assert_eq!(
        create(&gantry, json!({"CapAdd": ["fly"]})),
        (400, "invalid CapAdd: unknown capability: \"CAP_FLY\"".into())
    );
    let held = std::fs::read_to_string("/proc/self/status").unwrap();
    let held = held.lines().find_map(|l| l.strip_prefix("CapBnd:\t")).unwrap();
    // Not every machine gives its root everything: what is not there cannot be added.
    let missing = u64::from_str_radix(held, 16).unwrap() & 1 << 24 == 0;
    let (status, text) = create(&gantry, json!({"CapAdd": ["sys_resource"]}));
    let refused = "invalid CapAdd: capability not supported by your kernel or not available in the current environment: \"CAP_SYS_RESOURCE\"";
    assert_eq!((status, text.as_str()), if missing { (400, refused) } else { (201, "") });
}

#[test]
fn devices_are_brought_in_with_just_the_rights_that_were_given() {
    let gantry = Daemon::start();
    let folder = gantry.place().path("nodes");
    std::fs::create_dir_all(folder.join("deep")).unwrap();
    let text = format!(
        "cd {} && mknod -m 640 full c 1 7 && chown 3:4 full && mknod deep/fuse c 10 229 && ln -s full link",
        folder.display()
    );
    gantry.place().sh(&text).ok();
    let nodes = folder.display();
    let said = inside(
        &gantry,
        &format!("--device {nodes}/full:/dev/mine"),
        "stat -c '%a %u:%g %t:%T' /dev/mine; echo x > /dev/mine",
    );
    assert_eq!(said.stdout, "640 3:4 1:7\n");
    assert!(said.stderr.contains("No space left"), "it can be written to: {said}");
    let fuse = |rights: &str| {
        inside(
            &gantry,
            &format!("--device {nodes}/deep/fuse:/dev/fuse{rights}"),
            "exec 3</dev/fuse && echo read; exec 4>/dev/fuse && echo written",
        )
    };
    assert_eq!(fuse("").ok(), "read\nwritten");
    let said = fuse(":r");
    assert!(said.stdout == "read\n" && said.stderr.contains("not permitted"), "{said}");
    assert!(fuse(":w").stderr.contains("not permitted"));
    let said = inside(&gantry, &format!("--device {nodes}/link:/dev/linked"), "stat -c '%t:%T' /dev/linked");
    assert_eq!(said.ok(), "1:7", "a link is followed");
    let said = inside(
        &gantry,
        &format!("--device {nodes}:/dev/all"),
        "cd /dev/all; stat -c '%n %t:%T' full deep/fuse; exec 3</dev/all/deep/fuse && echo read",
    );
    assert_eq!(said.ok(), "full 1:7\ndeep/fuse a:e5\nread");
    let rule = [
        "run",
        "--rm",
        "--device-cgroup-rule",
        "c 10:229 rw",
        "busybox",
        "sh",
        "-c",
        "mknod /tmp/f c 10 229; exec 3</tmp/f && echo read",
    ];
    assert_eq!(gantry.docker(rule).ok(), "read");
    assert!(inside(&gantry, "", "mknod /tmp/f c 10 229; exec 3</tmp/f").stderr.contains("not permitted"));
    let said = inside(
        &gantry,
        &format!("--privileged --device {nodes}/full:/dev/mine"),
        "stat -c '%t:%T' /dev/mine",
    );
    assert_eq!(said.ok(), "1:7");
    let frame = "error gathering device information while adding custom device";
    let said = inside(&gantry, "--device /dev/nothing", "true");
    assert!(
        said.fails(127).contains(&format!("{frame} \"/dev/nothing\": no such file or directory")),
        "{said}"
    );
    let said = inside(&gantry, &format!("--device {}:/dev/x", gantry.write("plain", "").display()), "true");
    assert!(said.fails(125).contains(frame) && said.stderr.contains(": not a device node"), "{said}");
    assert_eq!(
        create(&gantry, json!({"DeviceCgroupRules": ["c 1"]})),
        (400, "invalid device cgroup rule format: 'c 1'".into())
    );
    let said = inside(&gantry, "--gpus all", "true");
    assert!(
        said.fails(125).contains("could not select device driver \"\" with capabilities: [[gpu]]"),
        "{said}"
    );
    // A /dev of the user's is the host's: nothing is made there.
    let dev = gantry.place().path("dev");
    std::fs::create_dir(&dev).unwrap();
    gantry.place().sh(&format!("mknod -m 666 {}/null c 1 3", dev.display())).ok();
    inside(&gantry, &format!("-v {}:/dev --device {nodes}/full:/dev/mine", dev.display()), "true");
    assert!(!dev.join("mine").exists());
}

#[test]
fn inspect_shows_what_a_container_has_and_not_only_what_was_asked_for() {
    let gantry = Daemon::start();
    let made = gantry.api("POST", "/containers/create?name=plain", Some(&json!({"Image": "busybox"})));
    assert_eq!(made.status, 201);
    let host = gantry.inspected("plain")["HostConfig"].clone();
    for (key, value) in [
        ("IpcMode", json!("private")),
        ("CgroupnsMode", json!("private")),
        ("PidMode", json!("")),
        ("UTSMode", json!("")),
        ("UsernsMode", json!("")),
        ("Runtime", json!("gantry")),
        ("ShmSize", json!(67_108_864)),
        ("Privileged", json!(false)),
        ("ReadonlyRootfs", json!(false)),
        ("Init", Value::Null),
        ("CapAdd", Value::Null),
        ("SecurityOpt", Value::Null),
        ("Devices", json!([])),
        ("ReadonlyPaths", json!(["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"])),
    ] {
        assert_eq!(host[key], value, "{key}");
    }
    assert!(host["MaskedPaths"].as_array().unwrap().iter().any(|p| p == "/proc/kcore"));
    gantry
        .docker([
            "create",
            "--name",
            "full",
            "--privileged",
            "--init",
            "--read-only",
            "--shm-size",
            "1m",
            "--pid",
            "host",
            "--uts",
            "host",
            "--cgroupns",
            "host",
            "--userns",
            "host",
            "--ipc",
            "shareable",
            "--cap-add",
            "SYS_TIME",
            "--security-opt",
            "no-new-privileges",
            "--device",
            "/dev/null:/dev/mine:r",
            "--ulimit",
            "nofile=1:2",
            "--sysctl",
            "net.ipv4.ip_forward=1",
            "--group-add",
            "extra",
            "--oom-score-adj",
            "7",
            "busybox",
        ])
        .ok();
    let host = gantry.inspected("full")["HostConfig"].clone();
    for (key, value) in [
        ("IpcMode", json!("shareable")),
        ("CgroupnsMode", json!("host")),
        ("PidMode", json!("host")),
        ("UTSMode", json!("host")),
        ("UsernsMode", json!("host")),
        ("ShmSize", json!(1_048_576)),
        ("Privileged", json!(true)),
        ("ReadonlyRootfs", json!(true)),
        ("Init", json!(true)),
        ("CapAdd", json!(["CAP_SYS_TIME"])),
        ("SecurityOpt", json!(["no-new-privileges"])),
        (
            "Devices",
            json!([{"PathOnHost": "/dev/null", "PathInContainer": "/dev/mine", "CgroupPermissions": "r"}]),
        ),
        ("Ulimits", json!([{"Name": "nofile", "Hard": 2, "Soft": 1}])),
        ("Sysctls", json!({"net.ipv4.ip_forward": "1"})),
        ("GroupAdd", json!(["extra"])),
        ("OomScoreAdj", json!(7)),
        ("MaskedPaths", Value::Null),
        ("ReadonlyPaths", Value::Null),
    ] {
        assert_eq!(host[key], value, "{key}");
    }
}

#[test]
fn a_daemons_defaults_reach_its_containers() {
    let gantry = gantry_tests::Builder::new()
        .args(["--init", "--default-ipc-mode=shareable", "--default-cgroupns-mode=host"])
        .start();
    gantry.docker(["run", "-d", "--name", "donor", "busybox", "sleep", "1000"]).ok();
    assert_eq!(
        gantry.inspect("donor", "{{.HostConfig.IpcMode}} {{.HostConfig.CgroupnsMode}}"),
        "shareable host"
    );
    assert!(gantry.docker(["exec", "donor", "cat", "/proc/1/cmdline"]).ok().starts_with("/sbin/docker-init"));
    inside(&gantry, "--ipc container:donor", "true").ok();
    assert_eq!(inside(&gantry, "--init=false", "cat /proc/1/comm").ok(), "cat");
}
