//! `docker run` without a terminal.

use gantry_tests::{Daemon, eventually};

#[test]
fn output_goes_to_the_stream_it_was_written_to() {
    let gantry = Daemon::start();
    let said = gantry.docker(["run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2"]);
    assert_eq!((said.code, said.stdout.as_str(), said.stderr.as_str()), (0, "out\n", "err\n"));
    let said = gantry.gantry(["run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2"]);
    assert_eq!((said.code, said.stdout.as_str(), said.stderr.as_str()), (0, "out\n", "err\n"));
}

#[test]
fn the_exit_code_is_the_commands() {
    let gantry = Daemon::start();
    for run in [Daemon::docker, Daemon::gantry] as [fn(&Daemon, [&'static str; 6]) -> _; 2] {
        assert_eq!(run(&gantry, ["run", "--rm", "busybox", "sh", "-c", "exit 42"]).code, 42);
        assert_eq!(run(&gantry, ["run", "--rm", "busybox", "sh", "-c", "exit 0"]).code, 0);
        assert_eq!(run(&gantry, ["run", "--rm", "busybox", "sh", "-c", "exit 255"]).code, 255);
    }
}

#[test]
fn a_command_killed_by_a_signal_exits_with_128_and_its_number() {
    let gantry = Daemon::start();
    for (signal, code) in [("KILL", 137), ("TERM", 143), ("USR1", 138)] {
        // As process 1 it is killed by what it has a handler for, and by SIGKILL from outside.
        let text = format!("trap 'exit {code}' {signal}; echo up; while true; do sleep 0.1; done");
        let text = if signal == "KILL" { "echo up; exec sleep 100" } else { text.as_str() };
        let name = format!("by-{signal}");
        let run = gantry.docker_running(["run", "--name", &name, "busybox", "sh", "-c", text]);
        run.wait_for("up");
        gantry.docker(["kill", "-s", signal, &name]).ok();
        assert_eq!(run.finish().code, code, "{signal}");
        assert_eq!(gantry.inspect(&name, "{{.State.ExitCode}}"), code.to_string());
    }
}

#[test]
fn a_command_that_is_not_there_ends_with_127() {
    let gantry = Daemon::start();
    for run in [Daemon::docker, Daemon::gantry] as [fn(&Daemon, [&'static str; 4]) -> _; 2] {
        let said = run(&gantry, ["run", "--rm", "busybox", "nosuch"]);
        assert!(said.fails(127).contains(r#"exec: "nosuch": executable file not found in $PATH"#), "{said}");
        let said = run(&gantry, ["run", "--rm", "busybox", "/bin/nosuch"]);
        assert!(
            said.fails(127).contains(r#"exec: "/bin/nosuch": stat /bin/nosuch: no such file or directory"#),
            "{said}"
        );
    }
    assert_eq!(gantry.docker(["ps", "-aq"]).ok(), "", "--rm removes a container that could not start");
}

#[test]
fn a_command_that_cannot_be_run_ends_with_126() {
    let gantry = Daemon::start();
    let said = gantry.docker(["run", "--rm", "busybox", "/etc/passwd"]);
    assert!(said.fails(126).contains(r#"exec: "/etc/passwd": permission denied"#), "{said}");
    let said = gantry.docker(["run", "--rm", "busybox", "/etc"]);
    assert!(said.fails(126).contains(r#"exec: "/etc": is a directory"#), "{said}");
    assert_eq!(gantry.gantry(["run", "--rm", "busybox", "/etc"]).code, 126);
}

#[test]
fn what_the_daemon_refuses_ends_with_125() {
    let gantry = Daemon::start();
    gantry.docker(["create", "--name", "taken", "busybox"]).ok();
    let id = gantry.inspect("taken", "{{.Id}}");
    let wanted = format!(
        "Error response from daemon: Conflict. The container name \"/taken\" is already in use by container \"{id}\". \
         You have to remove (or rename) that container to be able to reuse that name."
    );
    for run in [Daemon::docker, Daemon::gantry] as [fn(&Daemon, [&'static str; 4]) -> _; 2] {
        let said = run(&gantry, ["run", "--name", "taken", "busybox"]);
        assert!(said.fails(125).contains(&wanted), "{said}");
        let said = run(&gantry, ["run", "-u", "nosuch", "busybox"]);
        assert!(
            said.fails(125).contains("unable to find user nosuch: no matching entries in passwd file"),
            "{said}"
        );
        let said = run(&gantry, ["run", "--pull", "never", "absent"]);
        assert!(
            said.fails(125).contains("Error response from daemon: No such image: absent:latest"),
            "{said}"
        );
        let said = run(&gantry, ["run", "--name", "a b", "busybox"]);
        let wanted = "Invalid container name (a b), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed";
        assert!(said.fails(125).contains(wanted), "{said}");
    }
}

#[test]
fn an_unknown_flag_ends_with_125() {
    let gantry = Daemon::start();
    assert!(gantry.docker(["run", "--nosuch", "busybox"]).fails(125).contains("unknown flag: --nosuch"));
    assert!(gantry.gantry(["run", "--nosuch", "busybox"]).fails(125).contains("--nosuch"));
}

#[test]
fn the_environment_is_dockers_with_the_users_on_top() {
    let gantry = Daemon::start();
    let said = gantry.docker([
        "run",
        "--rm",
        "-e",
        "A=1",
        "-e",
        "B=two words",
        "-e",
        "PATH=/bin",
        "-h",
        "box",
        "busybox",
        "env",
    ]);
    let mut lines = said.lines();
    lines.sort_unstable();
    assert_eq!(lines, ["A=1", "B=two words", "HOME=/root", "HOSTNAME=box", "PATH=/bin"]);
    let plain = gantry.docker(["run", "--rm", "busybox", "sh", "-c", "echo $PATH; echo ${TERM-unset}"]);
    assert_eq!(plain.lines(), ["/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "unset"]);
    let file = gantry.write("env", "FROM_FILE=yes\n# comment\nTERM\n");
    let said = gantry.docker(["run", "--rm", "--env-file", file.to_str().unwrap(), "busybox", "env"]);
    assert!(said.lines().contains(&"FROM_FILE=yes") && said.lines().contains(&"TERM=xterm"), "{said}");
    let said =
        gantry.gantry(["run", "--rm", "-e", "A=1", "--env-file", file.to_str().unwrap(), "busybox", "env"]);
    assert!(said.lines().contains(&"A=1") && said.lines().contains(&"FROM_FILE=yes"), "{said}");
}

#[test]
fn the_working_folder_is_made_when_it_is_missing() {
    let gantry = Daemon::start();
    assert_eq!(gantry.docker(["run", "--rm", "-w", "/new/folder", "busybox", "pwd"]).ok(), "/new/folder");
    assert_eq!(gantry.gantry(["run", "--rm", "-w", "/new/folder", "busybox", "pwd"]).ok(), "/new/folder");
    assert_eq!(gantry.docker(["run", "--rm", "busybox", "pwd"]).ok(), "/");
    let said = gantry.docker(["run", "--rm", "-w", "not/absolute", "busybox", "pwd"]);
    let wanted = "the working directory 'not/absolute' is invalid, it needs to be an absolute path";
    assert!(said.fails(125).contains(wanted), "{said}");
}

#[test]
fn the_user_is_looked_up_in_the_images_files() {
    let gantry = Daemon::start();
    let id = |user: &str| {
        let said = gantry.docker([
            "run",
            "--rm",
            "-u",
            user,
            "busybox",
            "sh",
            "-c",
            "id -u; id -g; id -G; echo $HOME",
        ]);
        said.lines().iter().map(|l| (*l).to_owned()).collect::<Vec<_>>()
    };
    let app = id("app");
    assert_eq!((app[0].as_str(), app[1].as_str(), app[3].as_str()), ("1000", "1000", "/home"));
    assert!(app[2].split(' ').any(|g| g == "2000"), "supplementary group: {app:?}");
    assert_eq!(id("1000")[..2], ["1000", "1000"]);
    assert_eq!(id("app:extra")[..2], ["1000", "2000"]);
    assert_eq!(id("4242"), ["4242", "0", "0", "/"]);
    assert_eq!(id("4242:77")[..2], ["4242", "77"]);
    let said = gantry.docker(["run", "--rm", "-u", "app:nosuch", "busybox", "id"]);
    assert!(
        said.fails(125).contains("unable to find group nosuch: no matching entries in group file"),
        "{said}"
    );
    let said = gantry.docker(["run", "--rm", "-u", "app", "--group-add", "77", "busybox", "id", "-G"]);
    assert!(said.ok().split(' ').any(|g| g == "77"), "{said}");
}

#[test]
fn the_hostname_is_the_short_id_or_the_given_one() {
    let gantry = Daemon::start();
    let named = gantry.docker([
        "run",
        "--rm",
        "-h",
        "box.example",
        "busybox",
        "sh",
        "-c",
        "hostname; cat /etc/hostname /etc/hosts",
    ]);
    let lines = named.lines();
    assert_eq!(lines[..2], ["box.example", "box.example"]);
    assert!(lines.contains(&"127.0.0.1\tlocalhost"), "{named}");
    assert!(lines.contains(&"172.17.0.2\tbox.example box"), "{named}");
    gantry.docker(["run", "--name", "plain", "busybox", "hostname"]).ok();
    let id = gantry.inspect("plain", "{{.Id}}");
    assert_eq!(gantry.docker(["logs", "plain"]).ok(), &id[..12]);
    assert_eq!(gantry.inspect("plain", "{{.Config.Hostname}}"), id[..12]);
}

#[test]
fn the_entrypoint_can_be_replaced() {
    let gantry = Daemon::start();
    assert_eq!(gantry.docker(["run", "--rm", "--entrypoint", "echo", "busybox", "a", "b"]).ok(), "a b");
    assert_eq!(gantry.gantry(["run", "--rm", "--entrypoint", "echo", "busybox", "a", "b"]).ok(), "a b");
    let archive = gantry_tests::image::docker_archive();
    gantry.docker(["load", "-i", archive.to_str().unwrap()]).ok();
    let image = "gantry.test/layered:1";
    assert_eq!(gantry.docker(["run", "--rm", image]).ok(), "entry command");
    assert_eq!(gantry.docker(["run", "--rm", image, "other"]).ok(), "entry other");
    assert_eq!(
        gantry.docker(["run", "--rm", "--entrypoint", "pwd", image]).ok(),
        "/home",
        "its command goes with it"
    );
    assert_eq!(
        gantry.docker(["run", "--rm", "--entrypoint", "", image, "cat", "/hello"]).ok(),
        "hello from a layer"
    );
    let said = gantry.docker(["run", "--rm", "--entrypoint", "", image]);
    assert!(said.fails(125).contains("no command specified"), "{said}");
}

#[test]
fn rm_removes_the_container_at_its_end() {
    let gantry = Daemon::start();
    gantry.docker(["run", "--rm", "busybox", "true"]).ok();
    assert_eq!(gantry.docker(["ps", "-aq"]).ok(), "");
    gantry.docker(["run", "--rm", "-d", "--name", "brief", "busybox", "sleep", "0.2"]).ok();
    eventually("a container started with -d --rm goes", || {
        gantry.docker(["ps", "-aq"]).ok().is_empty().then_some(())
    });
}

#[test]
fn detached_prints_the_full_id_and_goes_on() {
    let gantry = Daemon::start();
    let id = gantry.docker(["run", "-d", "--name", "web", "busybox", "sleep", "1000"]).ok().to_owned();
    assert_eq!(id.len(), 64);
    assert_eq!(
        gantry.docker(["ps", "--no-trunc", "--format", "{{.ID}} {{.Names}}"]).ok(),
        format!("{id} web")
    );
    let id = gantry.gantry(["run", "-d", "busybox", "sleep", "1000"]).ok().to_owned();
    assert_eq!(id.len(), 64);
    let name = gantry.inspect(&id, "{{.Name}}");
    assert!(name.starts_with('/') && name.contains('_'), "a name is made up of two words: {name}");
    let cid = gantry.place().path("cid");
    let id =
        gantry.docker(["run", "-d", "--cidfile", cid.to_str().unwrap(), "busybox", "true"]).ok().to_owned();
    assert_eq!(std::fs::read_to_string(cid).unwrap(), id);
}

#[test]
fn piped_input_reaches_the_container_and_its_end_closes_it() {
    let gantry = Daemon::start();
    assert_eq!(gantry.docker_with_input(["run", "--rm", "-i", "busybox", "cat"], b"hello").stdout, "hello");
    assert_eq!(gantry.gantry_with_input(["run", "--rm", "-i", "busybox", "cat"], b"hello").stdout, "hello");
    let said = gantry.docker_with_input(["run", "--rm", "busybox", "wc", "-c"], b"not wanted");
    assert_eq!(said.ok().trim(), "0", "without -i there is no input");
}

#[test]
fn a_megabyte_of_any_bytes_goes_in_and_comes_out_whole() {
    let gantry = Daemon::start();
    let bytes: Vec<u8> = (0..1_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let sum = gantry.write("bytes", &bytes);
    let wanted = gantry.place().run("sha256sum", [sum.to_str().unwrap()]).ok()[..64].to_owned();
    let said = gantry.docker_with_input(["run", "--rm", "-i", "busybox", "sha256sum"], &bytes);
    assert_eq!(said.ok()[..64], wanted);
    let mut cat = gantry.docker_command(["run", "--rm", "-i", "busybox", "cat"]);
    let out = gantry.place().path("out");
    cat.stdin(std::fs::File::open(&sum).unwrap()).stdout(std::fs::File::create(&out).unwrap());
    assert!(cat.status().unwrap().success());
    assert!(std::fs::read(out).unwrap() == bytes, "what came out differs");
}

#[test]
fn only_the_chosen_streams_are_attached() {
    let gantry = Daemon::start();
    let text = "echo out; echo err >&2";
    let said = gantry.docker(["run", "--rm", "-a", "stderr", "busybox", "sh", "-c", text]);
    assert_eq!((said.stdout.lines().any(|l| l == "out"), said.stderr.as_str()), (false, "err\n"));
    let said = gantry.docker(["run", "--rm", "-a", "stdout", "busybox", "sh", "-c", text]);
    assert_eq!((said.stdout.as_str(), said.stderr.as_str()), ("out\n", ""));
}

#[test]
fn signals_of_the_client_reach_the_container() {
    let gantry = Daemon::start();
    let text = "trap 'echo got it; exit 5' TERM; echo up; while true; do sleep 0.1; done";
    for run in [Daemon::docker_running, Daemon::gantry_running] as [fn(&Daemon, [&'static str; 6]) -> _; 2] {
        let run = run(&gantry, ["run", "--rm", "busybox", "sh", "-c", text]);
        run.wait_for("up");
        run.signal(nix::sys::signal::Signal::SIGTERM);
        let said = run.finish();
        assert_eq!((said.code, said.stdout.as_str()), (5, "up\ngot it\n"));
    }
}

#[test]
fn the_container_sees_only_its_own_processes_and_is_confined() {
    let gantry = Daemon::start();
    let said = gantry.docker(["run", "--rm", "busybox", "sh", "-c", "echo $$; ls -d /proc/[0-9]* | wc -l"]);
    assert_eq!(said.lines()[0], "1");
    assert!(said.lines()[1].trim().parse::<u32>().unwrap() < 6, "{said}");
    let caps = gantry.docker(["run", "--rm", "busybox", "grep", "Cap", "/proc/self/status"]);
    assert!(caps.lines().contains(&"CapEff:\t00000000a80425fb"), "Docker's default capabilities: {caps}");
    let said = gantry.docker([
        "run",
        "--rm",
        "busybox",
        "sh",
        "-c",
        "mount -t tmpfs none /tmp; echo 1 > /proc/sys/kernel/panic; grep Seccomp: /proc/self/status",
    ]);
    assert!(
        said.stderr.contains("mount: permission denied") && said.stderr.contains("Read-only file system"),
        "{said}"
    );
    assert_eq!(said.ok(), "Seccomp:\t2");
    let said = gantry.docker([
        "run",
        "--rm",
        "--cap-drop",
        "ALL",
        "--cap-add",
        "CHOWN",
        "busybox",
        "grep",
        "CapEff",
        "/proc/self/status",
    ]);
    assert_eq!(said.ok(), "CapEff:\t0000000000000001");
    let said = gantry.docker([
        "run",
        "--rm",
        "--privileged",
        "busybox",
        "sh",
        "-c",
        "mount -t tmpfs none /tmp && echo mounted",
    ]);
    assert_eq!(said.ok(), "mounted");
}

#[test]
fn the_root_can_be_read_only_with_tmpfs_beside_it() {
    let gantry = Daemon::start();
    let said = gantry.docker([
        "run",
        "--rm",
        "--read-only",
        "--tmpfs",
        "/scratch",
        "busybox",
        "sh",
        "-c",
        "touch /scratch/x && echo fine; touch /x",
    ]);
    assert_eq!(said.stdout, "fine\n", "{said}");
    assert!(said.stderr.contains("Read-only file system"), "{said}");
}

#[test]
fn limits_are_in_the_containers_cgroup() {
    let gantry = Daemon::start();
    gantry
        .docker([
            "run",
            "-d",
            "--name",
            "small",
            "-m",
            "64m",
            "--pids-limit",
            "50",
            "--cpus",
            "0.5",
            "busybox",
            "sleep",
            "1000",
        ])
        .ok();
    let shown =
        gantry.inspect("small", "{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}} {{.HostConfig.NanoCpus}}");
    assert_eq!(shown, "67108864 50 500000000");
    let pid = gantry.inspect("small", "{{.State.Pid}}");
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let of = |controller: &str, v1: &str, v2: &str| {
        let line = groups
            .lines()
            .find(|l| l.split(':').nth(1).is_some_and(|c| c.split(',').any(|c| c == controller)));
        let path = match line {
            Some(l) => format!("/sys/fs/cgroup/{controller}{}/{v1}", l.splitn(3, ':').nth(2).unwrap()),
            None => {
                format!("/sys/fs/cgroup{}/{v2}", groups.lines().find_map(|l| l.strip_prefix("0::")).unwrap())
            }
        };
        std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}")).trim().to_owned()
    };
    assert_eq!(of("memory", "memory.limit_in_bytes", "memory.max"), "67108864");
    assert_eq!(of("pids", "pids.max", "pids.max"), "50");
    let said = gantry.docker([
        "run",
        "--rm",
        "--ulimit",
        "nofile=123:456",
        "--sysctl",
        "net.ipv4.ip_forward=0",
        "--shm-size",
        "32m",
        "busybox",
        "sh",
        "-c",
        "ulimit -n; ulimit -Hn; cat /proc/sys/net/ipv4/ip_forward; df -k /dev/shm | tail -1",
    ]);
    assert_eq!(said.lines()[..3], ["123", "456", "0"]);
    assert!(said.lines()[3].contains("32768"), "{said}");
}

#[test]
fn a_container_over_its_memory_limit_is_killed_and_says_so() {
    let gantry = Daemon::start();
    let said = gantry.docker([
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
        "tail /dev/zero",
    ]);
    assert_eq!(said.code, 137, "{said}");
    assert_eq!(gantry.inspect("hungry", "{{.State.OOMKilled}}"), "true");
}

#[test]
fn labels_hosts_and_dns_are_taken_over() {
    let gantry = Daemon::start();
    let said = gantry.docker([
        "run",
        "--name",
        "labelled",
        "-l",
        "a=b",
        "-l",
        "empty",
        "--add-host",
        "db:10.1.2.3",
        "--dns",
        "9.9.9.9",
        "--dns-search",
        "example.com",
        "busybox",
        "cat",
        "/etc/hosts",
        "/etc/resolv.conf",
    ]);
    for line in ["10.1.2.3\tdb", "nameserver 9.9.9.9", "search example.com"] {
        assert!(said.lines().contains(&line), "{line}: {said}");
    }
    assert_eq!(gantry.inspect("labelled", "{{json .Config.Labels}}"), r#"{"a":"b","empty":""}"#);
}

#[test]
fn several_containers_run_at_once() {
    let gantry = Daemon::start();
    let runs: Vec<_> =
        (0..8).map(|n| gantry.docker_running(["run", "--rm", "busybox", "echo", &n.to_string()])).collect();
    for (n, run) in runs.into_iter().enumerate() {
        assert_eq!(run.finish().ok(), n.to_string());
    }
}
