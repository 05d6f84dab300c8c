//! From create to rm.

use gantry_tests::{Daemon, eventually};
use std::time::Instant;

const FOREVER: [&str; 2] = ["sleep", "1000"];

fn sleeping(gantry: &Daemon, name: &str) -> String {
    gantry.docker(["run", "-d", "--name", name, "busybox", FOREVER[0], FOREVER[1]]).ok().to_owned()
}

#[test]
fn a_created_container_waits_for_its_start() {
    let gantry = Daemon::start();
    let id = gantry.docker(["create", "--name", "later", "busybox", "echo", "started"]).ok().to_owned();
    assert_eq!(id.len(), 64);
    assert_eq!(
        gantry.inspect("later", "{{.State.Status}} {{.State.Running}} {{.State.StartedAt}}"),
        "created false 0001-01-01T00:00:00Z"
    );
    assert_eq!(gantry.docker(["start", "-a", "later"]).ok(), "started");
    assert_eq!(gantry.inspect("later", "{{.State.Status}} {{.State.ExitCode}}"), "exited 0");
    assert_eq!(gantry.docker(["start", "later"]).ok(), "later", "it can be started again");
    assert_eq!(gantry.gantry(["create", "--name", "other", "busybox", "true"]).ok().len(), 64);
    assert_eq!(gantry.gantry(["start", "other"]).ok(), "other");
}

#[test]
fn starting_a_running_container_again_does_nothing() {
    let gantry = Daemon::start();
    let id = sleeping(&gantry, "once");
    let pid = gantry.inspect("once", "{{.State.Pid}}");
    gantry.docker(["start", "once"]).ok();
    assert_eq!(gantry.inspect("once", "{{.State.Pid}}"), pid);
    assert_eq!(gantry.api("POST", &format!("/containers/{id}/start"), None).status, 304);
}

#[test]
fn start_attaches_with_input_and_its_exit_code() {
    let gantry = Daemon::start();
    gantry.docker(["create", "-i", "--name", "cat", "busybox", "sh", "-c", "cat; exit 4"]).ok();
    let said = gantry.docker_with_input(["start", "-a", "-i", "cat"], b"typed");
    assert_eq!((said.code, said.stdout.as_str()), (4, "typed"));
}

#[test]
fn stop_asks_first_and_kills_after_the_grace() {
    let gantry = Daemon::start();
    let text = "trap 'echo bye; exit 3' TERM; echo up; while true; do sleep 0.1; done";
    gantry.docker(["run", "-d", "--name", "polite", "busybox", "sh", "-c", text]).ok();
    gantry
        .docker([
            "run",
            "-d",
            "--name",
            "deaf",
            "busybox",
            "sh",
            "-c",
            "trap '' TERM; echo up; while true; do sleep 0.1; done",
        ])
        .ok();
    for name in ["polite", "deaf"] {
        eventually("it is up", || gantry.docker(["logs", name]).ok().contains("up").then_some(()));
    }
    assert_eq!(gantry.docker(["stop", "polite"]).ok(), "polite");
    assert_eq!(gantry.inspect("polite", "{{.State.ExitCode}}"), "3");
    assert_eq!(gantry.docker(["logs", "polite"]).ok(), "up\nbye");
    let before = Instant::now();
    gantry.docker(["stop", "-t", "1", "deaf"]).ok();
    assert!(before.elapsed().as_secs() >= 1, "it had its grace");
    assert_eq!(gantry.inspect("deaf", "{{.State.ExitCode}}"), "137");
    assert_eq!(gantry.docker(["stop", "deaf"]).ok(), "deaf", "stopping what is stopped does nothing");
}

#[test]
fn the_stop_signal_and_grace_can_be_set_at_create() {
    let gantry = Daemon::start();
    let text = "trap 'exit 6' USR1; trap '' TERM; echo up; while true; do sleep 0.1; done";
    gantry.docker(["run", "-d", "--name", "own", "--stop-signal", "USR1", "busybox", "sh", "-c", text]).ok();
    eventually("it is up", || gantry.docker(["logs", "own"]).ok().contains("up").then_some(()));
    gantry.docker(["stop", "own"]).ok();
    assert_eq!(gantry.inspect("own", "{{.State.ExitCode}}"), "6");
    gantry
        .docker([
            "run",
            "-d",
            "--name",
            "soon",
            "--stop-timeout",
            "0",
            "busybox",
            "sh",
            "-c",
            "trap '' TERM; sleep 1000",
        ])
        .ok();
    gantry.docker(["stop", "soon"]).ok();
    assert_eq!(gantry.inspect("soon", "{{.State.ExitCode}}"), "137");
    gantry.docker(["run", "-d", "--name", "chosen", "busybox", "sh", "-c", text]).ok();
    eventually("it is up", || gantry.docker(["logs", "chosen"]).ok().contains("up").then_some(()));
    gantry.docker(["stop", "-s", "USR1", "chosen"]).ok();
    assert_eq!(gantry.inspect("chosen", "{{.State.ExitCode}}"), "6");
}

#[test]
fn kill_sends_any_signal() {
    let gantry = Daemon::start();
    let text = "trap 'echo hup' HUP; echo up; while true; do sleep 0.1; done";
    gantry.docker(["run", "-d", "--name", "target", "busybox", "sh", "-c", text]).ok();
    eventually("it is up", || gantry.docker(["logs", "target"]).ok().contains("up").then_some(()));
    for signal in ["HUP", "SIGHUP", "1"] {
        let had = gantry.docker(["logs", "target"]).lines().len();
        assert_eq!(gantry.docker(["kill", "-s", signal, "target"]).ok(), "target");
        eventually("the signal comes", || {
            (gantry.docker(["logs", "target"]).lines().len() > had).then_some(())
        });
    }
    assert!(gantry.docker(["kill", "-s", "NOSUCH", "target"]).fails(1).contains("invalid signal: NOSUCH"));
    gantry.docker(["kill", "target"]).ok();
    gantry.until_exited("target");
    assert_eq!(gantry.inspect("target", "{{.State.ExitCode}}"), "137");
    let id = gantry.inspect("target", "{{.Id}}");
    let said = gantry.docker(["kill", "target"]);
    assert!(
        said.fails(1).contains(&format!("cannot kill container: target: container {id} is not running")),
        "{said}"
    );
}

#[test]
fn wait_prints_the_exit_code() {
    let gantry = Daemon::start();
    gantry.docker(["run", "-d", "--name", "later", "busybox", "sh", "-c", "sleep 0.5; exit 11"]).ok();
    assert_eq!(gantry.docker(["wait", "later"]).ok(), "11");
    assert_eq!(gantry.docker(["wait", "later"]).ok(), "11", "also when it is over");
    assert_eq!(gantry.gantry(["wait", "later"]).ok(), "11");
    sleeping(&gantry, "killed");
    let waiting = gantry.docker_running(["wait", "killed"]);
    gantry.docker(["kill", "killed"]).ok();
    assert_eq!(waiting.finish().ok(), "137");
    assert_eq!(
        gantry.docker(["wait", "nosuch"]).fails(1),
        "Error response from daemon: No such container: nosuch"
    );
}

#[test]
fn rm_takes_stopped_containers_and_running_ones_by_force() {
    let gantry = Daemon::start();
    let id = sleeping(&gantry, "alive");
    for run in [Daemon::docker, Daemon::gantry] as [fn(&Daemon, [&'static str; 2]) -> _; 2] {
        let said = run(&gantry, ["rm", "alive"]);
        let wanted = "cannot remove container \"/alive\": container is running: stop the container before removing \
                      or force remove";
        assert!(said.fails(1).contains(wanted), "{said}");
        let said = run(&gantry, ["rm", "nosuch"]);
        assert!(said.fails(1).contains("No such container: nosuch"), "{said}");
    }
    assert_eq!(gantry.docker(["rm", "-f", "alive"]).ok(), "alive");
    assert_eq!(gantry.docker(["ps", "-aq"]).ok(), "");
    assert!(!gantry.data().join("containers").join(&id).exists());
    gantry.docker(["rm", "-f", "nosuch"]).fails(0);
    gantry.docker(["create", "--name", "idle", "busybox"]).ok();
    assert_eq!(gantry.docker(["rm", "-v", "idle"]).ok(), "idle");
    sleeping(&gantry, "alive");
    assert_eq!(gantry.gantry(["rm", "-f", "alive"]).ok(), "alive");
}

#[test]
fn a_name_can_be_changed_and_is_free_after_removal() {
    let gantry = Daemon::start();
    let id = sleeping(&gantry, "before");
    gantry.docker(["rename", "before", "after"]).ok();
    assert_eq!(gantry.inspect("after", "{{.Id}} {{.Name}}"), format!("{id} /after"));
    let said = gantry.docker(["inspect", "before"]);
    assert_eq!(said.stderr.trim(), "Error: No such object: before");
    sleeping(&gantry, "before");
    let said = gantry.docker(["rename", "before", "after"]);
    assert!(
        said.fails(1).contains("Conflict. The container name \"/after\" is already in use by container"),
        "{said}"
    );
    gantry.docker(["rm", "-f", "after"]).ok();
    gantry.docker(["rename", "before", "after"]).ok();
    gantry.gantry(["rename", "after", "again"]).ok();
    assert_eq!(gantry.inspect("again", "{{.Name}}"), "/again");
}

#[test]
fn a_container_is_found_by_name_id_and_any_unique_start_of_its_id() {
    let gantry = Daemon::start();
    let id = sleeping(&gantry, "found");
    for wanted in ["found", &id, &id[..12], &id[..5]] {
        assert_eq!(gantry.inspect(wanted, "{{.Id}}"), id);
    }
    let said = gantry.docker(["stop", "nosuch"]);
    assert_eq!(said.fails(1), "Error response from daemon: No such container: nosuch");
}

#[test]
fn restart_gives_a_new_process_with_the_same_files() {
    let gantry = Daemon::start();
    gantry
        .docker([
            "run",
            "-d",
            "--name",
            "again",
            "busybox",
            "sh",
            "-c",
            "echo x >> /count; wc -l < /count; exec sleep 1000",
        ])
        .ok();
    eventually("the first start", || gantry.docker(["logs", "again"]).ok().contains('1').then_some(()));
    let pid = gantry.inspect("again", "{{.State.Pid}}");
    assert_eq!(gantry.docker(["restart", "-t", "0", "again"]).ok(), "again");
    assert_ne!(gantry.inspect("again", "{{.State.Pid}}"), pid);
    eventually("the second start", || (gantry.docker(["logs", "again"]).ok() == "1\n2").then_some(()));
    assert_eq!(gantry.inspect("again", "{{.State.Status}}"), "running");
    gantry.docker(["kill", "again"]).ok();
    gantry.until_exited("again");
    gantry.gantry(["restart", "again"]).ok();
    assert_eq!(gantry.inspect("again", "{{.State.Status}}"), "running");
}

#[test]
fn ps_lists_running_containers_and_all_of_them_on_demand() {
    let gantry = Daemon::start();
    let up = sleeping(&gantry, "up");
    let down =
        gantry.docker(["run", "-d", "--name", "down", "busybox", "sh", "-c", "exit 3"]).ok().to_owned();
    gantry.until_exited("down");
    let made = gantry.docker(["create", "--name", "made", "busybox"]).ok().to_owned();
    assert_eq!(gantry.docker(["ps", "-q", "--no-trunc"]).ok(), up);
    assert_eq!(gantry.docker(["ps", "-aq", "--no-trunc"]).lines(), [&made, &down, &up], "newest first");
    assert_eq!(gantry.docker(["ps", "-n", "1", "-q", "--no-trunc"]).ok(), made);
    assert_eq!(gantry.docker(["ps", "-l", "-q", "--no-trunc"]).ok(), made);
    let table = gantry.docker(["ps", "-a"]);
    let rows = table.lines();
    assert!(rows[0].starts_with("CONTAINER ID   IMAGE     COMMAND"), "{table}");
    assert!(
        rows[1].starts_with(&made[..12]) && rows[1].contains("\"sh\"") && rows[1].contains("Created"),
        "{table}"
    );
    assert!(rows[2].contains("\"sh -c 'exit 3'\"") && rows[2].contains("Exited (3)"), "{table}");
    assert!(rows[3].contains("\"sleep 1000\"") && rows[3].contains("Up "), "{table}");
    let format = "{{.Names}}|{{.State}}|{{.Image}}|{{.Command}}|{{.Ports}}|{{.Networks}}";
    let said = gantry.docker(["ps", "--format", format]);
    assert_eq!(said.ok(), "up|running|busybox|\"sleep 1000\"||bridge");
    let ours = gantry.gantry(["ps", "-a"]);
    let columns = |text: &str| {
        text.split("  ").map(str::trim).filter(|c| !c.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(ours.lines().len(), 4);
    assert_eq!(columns(ours.lines()[0]), columns(rows[0]), "the same columns as docker's");
    assert_eq!(gantry.gantry(["ps", "-aq", "--no-trunc"]).lines(), [&made, &down, &up]);
}

#[test]
fn ps_filters() {
    let gantry = Daemon::start();
    sleeping(&gantry, "up-one");
    gantry.docker(["run", "-d", "--name", "down-one", "-l", "kind=x", "busybox", "sh", "-c", "exit 3"]).ok();
    gantry.until_exited("down-one");
    gantry.docker(["run", "-d", "--name", "down-two", "-l", "kind=y", "-l", "other", "busybox", "true"]).ok();
    gantry.until_exited("down-two");
    let up = gantry.inspect("up-one", "{{.Id}}");
    let listed = |filters: &[&str]| {
        let mut args = vec!["ps", "-a", "--format", "{{.Names}}"];
        args.extend(filters.iter().flat_map(|f| ["-f", f]));
        gantry.docker(args).ok().to_owned()
    };
    assert_eq!(listed(&["status=running"]), "up-one");
    assert_eq!(listed(&["status=exited"]), "down-two\ndown-one");
    assert_eq!(listed(&["exited=3"]), "down-one");
    assert_eq!(listed(&["name=down"]), "down-two\ndown-one");
    assert_eq!(listed(&["name=^down-one$"]), "down-one");
    assert_eq!(listed(&["label=kind"]), "down-two\ndown-one");
    assert_eq!(listed(&["label=kind=y"]), "down-two");
    assert_eq!(listed(&["label=kind", "label=other"]), "down-two", "labels are all wanted");
    assert_eq!(listed(&["status=running", "status=exited"]).lines().count(), 3, "statuses are alternatives");
    assert_eq!(listed(&["ancestor=busybox"]).lines().count(), 3);
    assert_eq!(listed(&["ancestor=other"]), "");
    assert_eq!(listed(&[&format!("id={}", &up[..6])]), "up-one");
    assert_eq!(listed(&["before=down-one"]), "up-one");
    assert_eq!(listed(&["since=down-one"]), "down-two");
    assert_eq!(listed(&["network=bridge"]).lines().count(), 3);
    let said = gantry.docker(["ps", "-f", "nosuch=1"]);
    assert!(said.fails(1).contains("invalid filter 'nosuch'"), "{said}");
    let said = gantry.docker(["ps", "-f", "status=nosuch"]);
    assert!(said.fails(1).contains("invalid filter 'status=nosuch'"), "{said}");
}

#[test]
fn inspect_tells_what_docker_tells() {
    let gantry = Daemon::start();
    let id = gantry
        .docker([
            "run", "-d", "--name", "told", "-e", "A=1", "-w", "/tmp", "-u", "app", "busybox", "sleep", "1000",
        ])
        .ok()
        .to_owned();
    let shown = gantry.inspected("told");
    let image = gantry.inspected("busybox")["Id"].clone();
    for (path, wanted) in [
        ("/Id", id.as_str().into()),
        ("/Name", "/told".into()),
        ("/Path", "sleep".into()),
        ("/Args", serde_json::json!(["1000"])),
        ("/Image", image),
        ("/State/Status", "running".into()),
        ("/State/Running", true.into()),
        ("/State/Paused", false.into()),
        ("/State/Restarting", false.into()),
        ("/State/OOMKilled", false.into()),
        ("/State/Dead", false.into()),
        ("/State/ExitCode", 0.into()),
        ("/State/Error", "".into()),
        ("/State/FinishedAt", "0001-01-01T00:00:00Z".into()),
        ("/RestartCount", 0.into()),
        ("/Platform", "linux".into()),
        ("/Config/Image", "busybox".into()),
        ("/Config/Cmd", serde_json::json!(["sleep", "1000"])),
        ("/Config/WorkingDir", "/tmp".into()),
        ("/Config/Env", serde_json::json!(["A=1"])),
        ("/Config/User", "app".into()),
        ("/Config/Tty", false.into()),
        ("/Config/OpenStdin", false.into()),
        ("/HostConfig/NetworkMode", "bridge".into()),
        ("/HostConfig/AutoRemove", false.into()),
        ("/HostConfig/Privileged", false.into()),
        ("/HostConfig/RestartPolicy/Name", "no".into()),
        ("/HostConfig/LogConfig/Type", "json-file".into()),
        ("/HostConfig/ShmSize", 67_108_864.into()),
        ("/NetworkSettings/Networks/bridge/IPAddress", "172.17.0.2".into()),
        ("/NetworkSettings/Networks/bridge/Gateway", "172.17.0.1".into()),
        ("/NetworkSettings/Networks/bridge/IPPrefixLen", 16.into()),
        ("/NetworkSettings/IPAddress", "172.17.0.2".into()),
        ("/Mounts", serde_json::json!([])),
    ] {
        assert_eq!(shown.pointer(path), Some(&wanted), "{path}");
    }
    let pid = shown["State"]["Pid"].as_u64().unwrap();
    // The kernel tells none while the program is being laid out.
    eventually("its command line", || {
        let command = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
        (command == "sleep\x001000\x00").then_some(())
    });
    for path in ["/Created", "/State/StartedAt"] {
        assert!(shown.pointer(path).unwrap().as_str().unwrap().ends_with('Z'), "{path}");
    }
    let ours = gantry.gantry(["inspect", "told"]).json();
    assert_eq!(ours[0]["Id"], shown["Id"]);
    assert_eq!(
        gantry.gantry(["inspect", "-f", "{{.State.Status}} {{.HostConfig.NetworkMode}}", "told"]).ok(),
        "running bridge"
    );
    let said = gantry.docker(["inspect", "nosuch"]);
    assert_eq!(
        (said.code, said.stdout.as_str(), said.stderr.as_str()),
        (1, "[]\n", "Error: No such object: nosuch\n")
    );
}

#[test]
fn top_lists_the_processes() {
    let gantry = Daemon::start();
    gantry
        .docker(["run", "-d", "--name", "busy", "busybox", "sh", "-c", "sleep 1001 & sleep 1002; true"])
        .ok();
    let top = eventually("both processes run", || {
        let top = gantry.docker(["top", "busy"]).ok().to_owned();
        (top.lines().count() == 4).then_some(top)
    });
    let columns: Vec<&str> = top.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(columns, ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]);
    assert!(top.contains(" sleep 1001") && top.contains(" sleep 1002"), "{top}");
    let said = gantry.docker(["top", "busy", "-o", "pid,args"]);
    assert_eq!(said.lines()[0].split_whitespace().collect::<Vec<_>>(), ["PID", "COMMAND"]);
    assert!(gantry.gantry(["top", "busy"]).ok().contains("sleep 1002"));
    gantry.docker(["kill", "busy"]).ok();
    gantry.until_exited("busy");
    let id = gantry.inspect("busy", "{{.Id}}");
    let said = gantry.docker(["top", "busy"]);
    assert_eq!(said.fails(1), format!("Error response from daemon: container {id} is not running"));
}

#[test]
fn every_process_of_a_container_ends_with_its_first() {
    let gantry = Daemon::start();
    gantry
        .docker([
            "run",
            "-d",
            "--name",
            "parent",
            "busybox",
            "sh",
            "-c",
            "setsid sleep 1003 & setsid sleep 1004 & exec sleep 1000",
        ])
        .ok();
    eventually("all run", || (gantry.docker(["top", "parent"]).lines().len() == 4).then_some(()));
    let pids: Vec<String> = gantry.docker(["top", "parent", "-o", "pid"]).lines()[1..]
        .iter()
        .map(|l| l.trim().to_owned())
        .collect();
    gantry.docker(["kill", "parent"]).ok();
    gantry.until_exited("parent");
    eventually("none is left", || {
        pids.iter().all(|p| !std::path::Path::new(&format!("/proc/{p}")).exists()).then_some(())
    });
}

#[test]
fn everything_goes_on_over_a_restart_of_the_daemon() {
    let mut gantry = Daemon::start();
    sleeping(&gantry, "survivor");
    let pid = gantry.inspect("survivor", "{{.State.Pid}}");
    let text = "until [ -e /go ]; do sleep 0.1; done; exit 9";
    gantry.docker(["run", "-d", "--name", "brief", "busybox", "sh", "-c", text]).ok();
    let brief = std::path::PathBuf::from(format!("/proc/{}", gantry.inspect("brief", "{{.State.Pid}}")));
    gantry.docker(["create", "--name", "idle", "busybox", "true"]).ok();
    gantry.kill();
    std::fs::write(brief.join("root/go"), "").unwrap();
    eventually("it ends", || (!brief.exists()).then_some(()));
    gantry.start_again();
    assert_eq!(gantry.inspect("survivor", "{{.State.Status}} {{.State.Pid}}"), format!("running {pid}"));
    assert_eq!(
        gantry.inspect("brief", "{{.State.Status}} {{.State.ExitCode}}"),
        "exited 9",
        "it ended while nobody watched"
    );
    assert_eq!(gantry.inspect("idle", "{{.State.Status}}"), "created");
    assert_eq!(gantry.docker(["exec", "survivor", "echo", "in"]).ok(), "in");
    gantry.docker(["start", "idle"]).ok();
    gantry.stop();
    gantry.start_again();
    assert_eq!(gantry.docker(["exec", "survivor", "echo", "in"]).ok(), "in");
    gantry.docker(["stop", "-t", "0", "survivor"]).ok();
    assert_eq!(gantry.inspect("survivor", "{{.State.ExitCode}}"), "137");
}
