//! Namespaces shared with the host and with other containers.

use gantry_tests::{Daemon, Output, eventually};
use serde_json::json;

#[track_caller]
fn inside(gantry: &Daemon, options: &str, text: &str) -> Output {
    let mut args = vec!["run", "--rm"];
    args.extend(options.split_whitespace());
    args.extend(["busybox", "sh", "-c", text]);
    gantry.docker(args)
}

#[track_caller]
fn start(gantry: &Daemon, options: &str, text: &str) {
    let mut args = vec!["run", "-d"];
    args.extend(options.split_whitespace());
    args.extend(["busybox", "sh", "-c", text]);
    gantry.docker(args).ok();
}

/// Waits until a container's script has written this.
#[track_caller]
fn noted(gantry: &Daemon, name: &str, text: &str) {
    eventually("the note is written", || {
        (gantry.docker(["exec", name, "cat", "/dev/shm/note"]).stdout.trim_end() == text).then_some(())
    });
}

fn hosts(namespace: &str) -> String {
    std::fs::read_link(format!("/proc/self/ns/{namespace}")).unwrap().to_str().unwrap().to_owned()
}

#[test]
fn processes_of_the_host_are_seen_when_asked_for_and_all_of_the_containers_are_killed() {
    let gantry = Daemon::start();
    let options = "--name seer --pid host";
    start(&gantry, options, "sleep 4242 & sleep 4243 & (setsid sleep 4244 &) ; echo up; sleep 1000");
    eventually("it is up", || (gantry.docker(["logs", "seer"]).stdout == "up\n").then_some(()));
    let said = gantry.docker(["exec", "seer", "readlink", "/proc/self/ns/pid"]);
    assert_eq!(said.ok(), hosts("pid"), "exec joins the same");
    assert_eq!(gantry.inspect("seer", "{{.HostConfig.PidMode}}"), "host");
    let alive = || {
        let found = gantry.place().run("ps", ["-eo", "args"]).stdout;
        found.lines().filter(|l| l.starts_with("sleep 424")).count()
    };
    // Between fork and exec they have the shell's command line.
    eventually("all three sleep", || (alive() == 3).then_some(()));
    gantry.docker(["kill", "seer"]).ok();
    eventually("killed are all, not the first process alone", || (alive() == 0).then_some(()));
    // The same when it ends by itself.
    start(&gantry, "--name ending --pid host", "sleep 4245 & exit 3");
    gantry.until_exited("ending");
    eventually("its processes are gone", || (alive() == 0).then_some(()));
    assert_eq!(gantry.inspect("ending", "{{.State.ExitCode}}"), "3");
}

#[test]
fn a_container_joins_the_processes_of_another_and_goes_with_them() {
    let gantry = Daemon::start();
    start(&gantry, "--name first", "sleep 1000");
    // Its shell may not have become the program yet.
    eventually("the first process of the other is seen", || {
        let said = inside(&gantry, "--pid container:first", "ps; readlink /proc/self/ns/pid");
        said.ok().contains("    1 root     sleep 1000").then_some(())
    });
    start(&gantry, "--name second --pid container:first", "sleep 2000");
    let id = gantry.inspect("first", "{{.Id}}");
    assert_eq!(gantry.inspect("second", "{{.HostConfig.PidMode}}"), format!("container:{id}"));
    let names = ["first", "second"]
        .map(|c| gantry.docker(["exec", c, "readlink", "/proc/self/ns/pid"]).ok().to_owned());
    assert_eq!(names[0], names[1]);
    gantry.docker(["kill", "second"]).ok();
    assert!(!gantry.docker(["exec", "first", "ps"]).ok().contains("2000"));
    gantry.docker(["start", "second"]).ok();
    gantry.docker(["kill", "first"]).ok();
    gantry.until_exited("second");
    assert_eq!(gantry.inspect("second", "{{.State.ExitCode}}"), "137");
}

#[test]
fn memory_and_message_queues_are_shared_as_far_as_both_agree() {
    let gantry = Daemon::start();
    start(&gantry, "--name donor --ipc shareable --shm-size 5m", "echo shared > /dev/shm/note; sleep 1000");
    noted(&gantry, "donor", "shared");
    let text = "cat /dev/shm/note; df -k /dev/shm | tail -1; echo back > /dev/shm/answer; readlink /proc/self/ns/ipc";
    let said = inside(&gantry, "--ipc container:donor", text);
    assert!(said.lines()[0] == "shared" && said.lines()[1].contains("5120"), "{said}");
    assert_eq!(gantry.docker(["exec", "donor", "cat", "/dev/shm/answer"]).ok(), "back");
    assert_eq!(gantry.docker(["exec", "donor", "readlink", "/proc/self/ns/ipc"]).ok(), said.lines()[2]);
    let own = inside(&gantry, "--ipc container:donor --tmpfs /dev/shm", "ls -A /dev/shm");
    assert_eq!(own.ok(), "", "what the user mounts there goes before it");
    let folder = gantry.place().path("memory");
    std::fs::create_dir(&folder).unwrap();
    let options = format!("--ipc container:donor -v {}:/dev/shm", folder.display());
    inside(&gantry, &options, "touch /dev/shm/mine").ok();
    assert!(folder.join("mine").exists());
    start(&gantry, "--name keeper", "sleep 1000");
    assert_eq!(gantry.inspect("keeper", "{{.HostConfig.IpcMode}}"), "private");
    let id = gantry.inspect("keeper", "{{.Id}}");
    let refused = inside(&gantry, "--ipc container:keeper", "true");
    assert!(
        refused.fails(125).contains(&format!(
            "failed to join IPC namespace: container {id}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)"
        )),
        "{refused}"
    );
    let none = inside(&gantry, "--ipc none", "ls -d /dev/shm /dev/mqueue; readlink /proc/self/ns/ipc");
    assert!(none.stdout.lines().next() == Some("/dev/mqueue") && none.lines()[1] != hosts("ipc"), "{none}");
    let host = inside(
        &gantry,
        "--ipc host",
        "grep /dev/shm /proc/mounts | cut -d' ' -f3; readlink /proc/self/ns/ipc",
    );
    assert_eq!(host.lines(), ["tmpfs".to_owned(), hosts("ipc")]);
}

#[test]
fn a_name_and_groups_can_be_the_hosts() {
    let gantry = Daemon::start();
    let name = gantry.place().run("hostname", []).ok().to_owned();
    let said = inside(&gantry, "--uts host", "hostname; readlink /proc/self/ns/uts");
    assert_eq!(said.lines(), [name, hosts("uts")]);
    let said = inside(&gantry, "--cgroupns host", "readlink /proc/self/ns/cgroup");
    assert_eq!(said.ok(), hosts("cgroup"));
    let said = inside(&gantry, "--userns host", "readlink /proc/self/ns/user");
    assert_eq!(said.ok(), hosts("user"));
}

#[test]
fn what_cannot_be_joined_is_told_in_dockers_words() {
    let gantry = Daemon::start();
    gantry.docker(["create", "--name", "stopped", "busybox"]).ok();
    let id = gantry.inspect("stopped", "{{.Id}}");
    for (options, text) in [
        ("--pid container:nobody", "failed to join PID namespace: No such container: nobody".to_owned()),
        ("--ipc container:nobody", "failed to join IPC namespace: No such container: nobody".to_owned()),
        ("--pid container:stopped", format!("failed to join PID namespace: container {id} is not running")),
        ("--ipc container:stopped", format!("failed to join IPC namespace: container {id} is not running")),
        ("--uts host --hostname mine", "conflicting options: hostname and the UTS mode".to_owned()),
    ] {
        let said = inside(&gantry, options, "true");
        assert!(said.fails(125).contains(&text), "{options}: {said}");
    }
    for (field, value, status, text) in [
        ("PidMode", "container:", 400, "invalid PID mode: container:"),
        ("IpcMode", "mine", 400, "invalid IPC mode: mine"),
        ("UTSMode", "mine", 400, "invalid UTS mode: mine"),
        ("UsernsMode", "private", 501, "gantry does not remap users"),
    ] {
        let answer = gantry.api(
            "POST",
            "/containers/create",
            Some(&json!({"Image": "busybox", "HostConfig": {field: value}})),
        );
        assert_eq!(answer.status, status, "{field}");
        assert!(answer.json()["message"].as_str().unwrap().starts_with(text), "{}", answer.json());
    }
}

#[test]
fn shared_namespaces_are_found_again_by_another_daemon() {
    let mut gantry = Daemon::start();
    start(&gantry, "--name first --ipc shareable", "echo here > /dev/shm/note; sleep 1000");
    noted(&gantry, "first", "here");
    start(&gantry, "--name second --pid container:first --ipc container:first", "sleep 2000");
    gantry.crash();
    assert_eq!(gantry.docker(["exec", "second", "cat", "/dev/shm/note"]).ok(), "here");
    assert_eq!(
        inside(&gantry, "--ipc container:second", "cat /dev/shm/note").ok(),
        "here",
        "what is shared can be passed on"
    );
    gantry.docker(["restart", "-t", "0", "second"]).ok();
    assert!(gantry.docker(["exec", "first", "ps"]).ok().contains("sleep 2000"));
}
