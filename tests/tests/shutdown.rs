//! How a daemon ends, and what becomes of its containers.

use gantry_tests::{Builder, Daemon, eventually};
use nix::sys::signal::Signal;

const PATIENT: &str = "trap 'echo asked; exit 7' TERM; echo up; while :; do sleep 0.1; done";
const DEAF: &str = "trap '' TERM; echo up; while :; do sleep 0.1; done";

/// This moment, as `events` takes it.
fn now() -> String {
    let since = std::time::UNIX_EPOCH.elapsed().expect("a clock after 1970");
    format!("{}.{:09}", since.as_secs(), since.subsec_nanos())
}

/// The trap stands: the signal may come.
fn sure(daemon: &Daemon, name: &str) {
    eventually("the script runs", || daemon.docker(["logs", name]).ok().contains("up").then_some(()));
}

#[test]
fn containers_live_on_when_the_daemon_ends() {
    let mut daemon = Daemon::start();
    daemon.docker(["run", "-d", "--name", "cc", "busybox", "sh", "-c", PATIENT]).ok();
    let pid = daemon.inspect("cc", "{{.State.Pid}}");
    assert_eq!(daemon.stop().code, 0);
    daemon.start_again();
    assert_eq!(daemon.inspect("cc", "{{.State.Running}} {{.State.Pid}}"), format!("true {pid}"));
}

#[test]
fn without_live_restore_containers_stop_and_their_policies_apply_at_the_next_start() {
    let mut daemon = Builder::new().args(["--live-restore=false"]).start();
    let run = |name: &str, extra: &[&str]| {
        let args = ["run", "-d", "--name", name].into_iter().chain(extra.iter().copied());
        daemon.docker(args.chain(["busybox", "sh", "-c", PATIENT])).ok();
        sure(&daemon, name);
    };
    run("no", &[]);
    run("always", &["--restart", "always"]);
    run("unless", &["--restart", "unless-stopped"]);
    run("failure", &["--restart", "on-failure"]);
    run("gone", &["--rm"]);
    run("halted", &["--restart", "unless-stopped"]);
    daemon.docker(["stop", "halted"]).ok();
    let ended = daemon.stop();
    assert_eq!(ended.code, 0, "{ended}");
    daemon.start_again();
    let state = |name: &str| daemon.inspect(name, "{{.State.Status}} {{.State.ExitCode}}");
    for name in ["always", "unless", "failure"] {
        eventually("its policy starts it", || (state(name) == "running 0").then_some(()));
        assert!(daemon.docker(["logs", name]).ok().contains("asked"), "{name} was not asked to stop");
    }
    assert_eq!((state("no"), state("halted")), ("exited 7".to_owned(), "exited 7".to_owned()));
    assert!(!daemon.docker(["ps", "-a", "--format", "{{.Names}}"]).ok().contains("gone"));
}

#[test]
fn a_container_that_does_not_listen_is_killed_when_the_time_is_over() {
    let mut daemon = Builder::new().args(["--live-restore=false", "--shutdown-timeout=1"]).start();
    daemon.docker(["run", "-d", "--name", "deaf", "busybox", "sh", "-c", DEAF]).ok();
    sure(&daemon, "deaf");
    let ended = daemon.stop();
    assert!(ended.code == 0 && ended.stderr.contains("they did not stop within 1 s"), "{ended}");
    daemon.start_again();
    assert_eq!(daemon.inspect("deaf", "{{.State.Status}} {{.State.ExitCode}}"), "exited 137");
}

#[test]
fn a_container_with_more_patience_of_its_own_gets_it() {
    let mut daemon = Builder::new().args(["--live-restore=false", "--shutdown-timeout=1"]).start();
    let slow = "trap 'sleep 3; exit 5' TERM; echo up; while :; do sleep 0.1; done";
    daemon.docker(["run", "-d", "--name", "slow", "--stop-timeout", "20", "busybox", "sh", "-c", slow]).ok();
    sure(&daemon, "slow");
    assert_eq!(daemon.stop().code, 0);
    daemon.start_again();
    assert_eq!(daemon.inspect("slow", "{{.State.Status}} {{.State.ExitCode}}"), "exited 5");
}

#[test]
fn a_paused_container_is_thawed_to_stop() {
    let mut daemon = Builder::new().args(["--live-restore=false"]).start();
    daemon.docker(["run", "-d", "--name", "pp", "busybox", "sh", "-c", PATIENT]).ok();
    sure(&daemon, "pp");
    daemon.docker(["pause", "pp"]).ok();
    assert_eq!(daemon.stop().code, 0);
    daemon.start_again();
    assert_eq!(daemon.inspect("pp", "{{.State.Status}} {{.State.ExitCode}}"), "exited 7");
}

#[test]
fn a_request_under_way_is_answered_before_the_daemon_ends() {
    let mut daemon = Daemon::start();
    let slow = "trap 'sleep 1; exit 3' TERM; echo up; while :; do sleep 0.1; done";
    daemon.docker(["run", "-d", "--name", "cc", "busybox", "sh", "-c", slow]).ok();
    sure(&daemon, "cc");
    let follower = daemon.docker_running(["logs", "-f", "cc"]);
    let stopping = daemon.docker_running(["stop", "cc"]);
    eventually("the stop is under way", || {
        let events = daemon.docker(["events", "--since", "1", "--until", &now(), "--filter", "event=kill"]);
        (!events.ok().is_empty()).then_some(())
    });
    let ended = daemon.stop();
    assert_eq!(ended.code, 0, "{ended}");
    assert_eq!(stopping.finish().ok(), "cc");
    follower.finish();
    daemon.start_again();
    assert_eq!(daemon.inspect("cc", "{{.State.ExitCode}}"), "3");
}

#[test]
fn a_third_signal_ends_the_daemon_at_once() {
    let mut daemon = Builder::new().args(["--live-restore=false", "--shutdown-timeout=-1"]).start();
    daemon.docker(["run", "-d", "--name", "deaf", "--stop-timeout", "-1", "busybox", "sh", "-c", DEAF]).ok();
    sure(&daemon, "deaf");
    daemon.signal(Signal::SIGINT);
    daemon.until_logged("Processing signal 'SIGINT'");
    daemon.signal(Signal::SIGTERM);
    daemon.until_logged("a third signal ends it at once");
    daemon.signal(Signal::SIGINT);
    let ended = daemon.finished();
    assert_eq!(ended.code, 130, "{ended}");
    assert!(ended.stderr.contains("Forcing daemon shutdown without cleanup"), "{ended}");
    daemon.start_again();
    assert_eq!(daemon.inspect("deaf", "{{.State.Status}}"), "running");
    daemon.docker(["rm", "-f", "deaf"]).ok();
}
