//! Restart policies, as Docker's, and gantry's pauses.

use gantry_tests::{Daemon, eventually};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Runs a container in the background with these options before the image.
fn run(gantry: &Daemon, name: &str, options: &[&str], command: &str) {
    gantry.docker([&["run", "-d", "--name", name], options, &["busybox", "sh", "-c", command]].concat()).ok();
}

fn count(gantry: &Daemon, name: &str) -> i64 {
    gantry.inspect(name, "{{.RestartCount}}").parse().expect("a number")
}

fn status(gantry: &Daemon, name: &str) -> String {
    gantry.inspect(name, "{{.State.Status}}")
}

fn comes_to(gantry: &Daemon, name: &str, wanted: &str) {
    eventually(&format!("{name} is {wanted}"), || (status(gantry, name) == wanted).then_some(()));
}

#[test]
fn each_policy_restarts_what_docker_restarts() {
    let gantry = Daemon::start();
    run(&gantry, "no", &[], "exit 1");
    run(&gantry, "twice", &["--restart", "on-failure:2"], "exit 3");
    run(&gantry, "fine", &["--restart", "on-failure"], "exit 0");
    run(&gantry, "always", &["--restart", "always"], "exit 0");
    run(&gantry, "unless", &["--restart", "unless-stopped"], "exit 1");
    for (name, code, restarts) in [("no", 1, 0), ("twice", 3, 2), ("fine", 0, 0)] {
        eventually("the last end", || {
            (status(&gantry, name) == "exited" && count(&gantry, name) == restarts).then_some(())
        });
        assert_eq!(gantry.inspect(name, "{{.State.ExitCode}}"), code.to_string());
    }
    for name in ["always", "unless"] {
        eventually("restarts", || (count(&gantry, name) >= 2).then_some(()));
        assert_eq!(gantry.docker(["stop", name]).ok(), name);
        assert_eq!(status(&gantry, name), "exited");
    }
    let policy = gantry.inspected("twice")["HostConfig"]["RestartPolicy"].take();
    assert_eq!((&policy["Name"], &policy["MaximumRetryCount"]), (&"on-failure".into(), &2.into()));
}

#[test]
fn a_container_between_two_runs_says_so_and_can_be_stopped_or_started() {
    let gantry = Daemon::start();
    let pause = ["--restart", "always", "-l", "gantry.restart.min=1h"];
    run(&gantry, "slow", &pause, "exit 7");
    comes_to(&gantry, "slow", "restarting");
    let state = gantry.inspected("slow")["State"].take();
    assert_eq!(
        (&state["Running"], &state["Restarting"], &state["Pid"], &state["ExitCode"]),
        (&true.into(), &true.into(), &0.into(), &7.into())
    );
    assert_eq!(count(&gantry, "slow"), 1);
    let shown = gantry.docker(["ps", "--format", "{{.Status}}"]).ok().to_owned();
    assert!(shown.starts_with("Restarting (7) ") && shown.ends_with(" ago"), "{shown}");
    let id = gantry.inspect("slow", "{{.Id}}");
    let refused = gantry.docker(["exec", "slow", "true"]);
    assert!(
        refused
            .fails(1)
            .contains(&format!("container {id} is restarting, wait until the container is running"))
    );
    let attached = gantry.api("POST", "/containers/slow/attach?stream=1", None);
    let text = "container slow is restarting, wait until the container is running";
    assert_eq!((attached.status, attached.json()["message"].as_str()), (409, Some(text)));
    assert!(
        gantry.docker(["rm", "slow"]).fails(1).contains("container is restarting: stop the container before")
    );
    gantry.docker(["stop", "slow"]).ok();
    assert_eq!(status(&gantry, "slow"), "exited");
    gantry.docker(["start", "slow"]).ok();
    comes_to(&gantry, "slow", "restarting");
    assert_eq!(count(&gantry, "slow"), 1, "a start by the user counts anew");
    gantry.docker(["rm", "-f", "slow"]).ok();
}

#[test]
fn a_manual_restart_of_a_restarting_container_starts_it_at_once() {
    let gantry = Daemon::start();
    let pause = ["--restart", "always", "-l", "gantry.restart.min=1h"];
    run(&gantry, "slow", &pause, "test -e /second && sleep 1000; touch /second; exit 1");
    comes_to(&gantry, "slow", "restarting");
    gantry.docker(["restart", "slow"]).ok();
    assert_eq!((status(&gantry, "slow"), count(&gantry, "slow")), ("running".to_owned(), 0));
}

#[test]
fn wrong_policies_and_pauses_are_refused() {
    let gantry = Daemon::start();
    let refused = |options: &[&str]| {
        let args = ["create"].iter().chain(options).chain(&["busybox"]);
        gantry.docker(args).fails(1).to_owned()
    };
    let only = "invalid restart policy: maximum retry count can only be used with 'on-failure'";
    assert!(refused(&["--restart", "always:3"]).contains(only));
    let unknown = "invalid restart policy: unknown policy 'often'; use one of 'no', 'always', 'on-failure', or \
                   'unless-stopped'";
    assert!(refused(&["--restart", "often"]).contains(unknown));
    assert!(refused(&["-l", "gantry.restart.min=soon"]).contains("gantry.restart.min"));
    assert!(refused(&["-l", "gantry.restart.often=1s"]).contains("unknown label gantry.restart.often"));
    let both = serde_json::json!({
        "Image": "busybox", "HostConfig": {"AutoRemove": true, "RestartPolicy": {"Name": "always"}},
    });
    let answer = gantry.api("POST", "/containers/create", Some(&both));
    let text = "can't create 'AutoRemove' container with restart policy";
    assert_eq!((answer.status, answer.json()["message"].as_str()), (400, Some(text)));
}

#[test]
fn a_daemon_that_comes_back_starts_what_docker_would_start() {
    let mut gantry = Daemon::start();
    let forever = "sleep 1000";
    for (name, policy) in [("always", "always"), ("unless", "unless-stopped"), ("failing", "on-failure")] {
        run(&gantry, name, &["--restart", policy], forever);
        run(
            &gantry,
            &format!("{name}-stopped"),
            &["--restart", policy, "-t", "--stop-timeout", "0"],
            forever,
        );
        gantry.docker(["stop", &format!("{name}-stopped")]).ok();
    }
    let pid = gantry.inspect("always", "{{.State.Pid}}");
    gantry.crash();
    comes_to(&gantry, "always-stopped", "running");
    assert_eq!(gantry.inspect("always", "{{.State.Pid}}"), pid, "what runs goes on");
    assert_eq!(count(&gantry, "always"), 0);
    for name in ["unless", "failing"] {
        assert_eq!(status(&gantry, name), "running");
        assert_eq!(status(&gantry, &format!("{name}-stopped")), "exited");
    }
}

/// Ends a container's process and its shim, as a reboot of the host would.
fn reboot(pid: &str) {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the container's process");
    let shim: i32 = stat.rsplit(") ").next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    for pid in [shim, pid.parse().unwrap()] {
        // The one may have taken the other along.
        let _gone = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    eventually("both are gone", || (!std::path::Path::new(&format!("/proc/{pid}")).exists()).then_some(()));
}

#[test]
fn a_reboot_brings_back_what_ran_and_not_what_was_stopped() {
    let mut gantry = Daemon::start();
    let forever = "sleep 1000";
    let all = [("always", "always"), ("unless", "unless-stopped"), ("failing", "on-failure"), ("no", "no")];
    for (name, policy) in all {
        run(&gantry, name, &["--restart", policy], forever);
    }
    run(&gantry, "stopped", &["--restart", "unless-stopped", "--stop-timeout", "0"], forever);
    gantry.docker(["stop", "stopped"]).ok();
    let pids: Vec<String> = all.iter().map(|(name, _)| gantry.inspect(name, "{{.State.Pid}}")).collect();
    gantry.kill();
    pids.iter().for_each(|pid| reboot(pid));
    gantry.start_again();
    for name in ["always", "unless", "failing"] {
        comes_to(&gantry, name, "running");
        gantry.docker(["exec", name, "true"]).ok();
    }
    assert_eq!(count(&gantry, "failing"), 0, "the container is not to blame");
    comes_to(&gantry, "no", "exited");
    assert_eq!(gantry.inspect("no", "{{.State.ExitCode}}"), "137");
    assert_eq!(status(&gantry, "stopped"), "exited");
}

#[test]
fn a_pause_that_the_daemon_does_not_live_to_see_is_not_for_ever() {
    let mut gantry = Daemon::start();
    let command = "test -e /second && sleep 1000; touch /second; exit 1";
    run(&gantry, "slow", &["--restart", "on-failure:1", "-l", "gantry.restart.min=1h"], command);
    comes_to(&gantry, "slow", "restarting");
    gantry.crash();
    comes_to(&gantry, "slow", "running");
    assert_eq!(count(&gantry, "slow"), 1);
}
