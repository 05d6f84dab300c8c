//! SIGHUP: what a running daemon takes over from daemon.json, and what it keeps.

use gantry_tests::{Builder, Daemon};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// This moment, as `events` takes it.
fn now() -> String {
    let since = std::time::UNIX_EPOCH.elapsed().expect("a clock after 1970");
    format!("{}.{:09}", since.as_secs(), since.subsec_nanos())
}

fn reload(daemon: &Daemon, config: &str) {
    daemon.write("daemon.json", config);
    let before = daemon.log().matches("eloading configuration").count()
        + daemon.log().matches("Reloaded configuration").count();
    daemon.signal(Signal::SIGHUP);
    gantry_tests::eventually("the daemon has read its configuration", || {
        let log = daemon.log();
        let now =
            log.matches("eloading configuration").count() + log.matches("Reloaded configuration").count();
        (now > before).then_some(())
    });
}

fn info(daemon: &Daemon) -> Value {
    daemon.api("GET", "/info", None).json()
}

#[test]
fn sighup_takes_over_what_docker_takes_over_and_tells_it_in_an_event() {
    let daemon = Builder::new().config(&json!({"labels": ["a=1"], "debug": true})).start();
    let start = info(&daemon);
    assert_eq!((start["Labels"].clone(), start["Debug"].clone()), (json!(["a=1"]), json!(true)));
    let new = json!({
        "labels": ["b=2"], "insecure-registries": ["reg.lan:5000", "10.0.0.0/8"], "registry-mirrors": ["https://mirror.lan"],
        "live-restore": false, "shutdown-timeout": 33, "max-concurrent-downloads": 7, "default-shm-size": 1048576,
        "default-ulimits": {"nofile": {"Name": "nofile", "Soft": 64, "Hard": 64}}, "icc": false,
    });
    reload(&daemon, &new.to_string());
    let fresh = info(&daemon);
    assert_eq!((fresh["Labels"].clone(), fresh["Debug"].clone()), (json!(["b=2"]), json!(false)));
    assert_eq!(fresh["LiveRestoreEnabled"], json!(false));
    let registries = &fresh["RegistryConfig"];
    assert_eq!(registries["Mirrors"], json!(["https://mirror.lan/"]));
    assert_eq!(registries["InsecureRegistryCIDRs"], json!(["10.0.0.0/8", "::1/128", "127.0.0.0/8"]));
    assert_eq!(registries["IndexConfigs"]["reg.lan:5000"]["Secure"], json!(false));
    assert!(daemon.log().contains("new values that count only after a restart: icc"), "{}", daemon.log());
    let said = daemon.docker(["run", "--rm", "busybox", "sh", "-c", "ulimit -n; df -k /dev/shm | tail -1"]);
    assert!(said.lines()[0] == "64" && said.lines()[1].contains("1024"), "{said}");
    // It is told behind the line in the log.
    let event = gantry_tests::eventually("the event is told", || {
        let until = now();
        let args = ["events", "--since", "1", "--until", &until, "--filter", "type=daemon"];
        let events = daemon.docker(args.iter().chain(&["--format", "json"]));
        (!events.ok().is_empty()).then(|| events.json())
    });
    assert_eq!((&event["Action"], &event["Actor"]["ID"]), (&json!("reload"), &fresh["ID"]));
    let attributes = &event["Actor"]["Attributes"];
    for (key, value) in [
        ("debug", "false"),
        ("labels", "[\"b=2\"]"),
        ("live-restore", "false"),
        ("shutdown-timeout", "33"),
        ("max-concurrent-downloads", "7"),
        ("max-concurrent-uploads", "5"),
        ("max-download-attempts", "5"),
        ("insecure-registries", "[\"reg.lan:5000\",\"10.0.0.0/8\"]"),
        ("registry-mirrors", "[\"https://mirror.lan/\"]"),
        ("default-runtime", "gantry"),
        ("default-shm-size", "1048576"),
        ("name", fresh["Name"].as_str().expect("a name")),
    ] {
        assert_eq!(attributes[key], json!(value), "{key}");
    }
    // Containers are to live on over the end of this test's daemon.
    reload(&daemon, "{}");
    assert_eq!(info(&daemon)["LiveRestoreEnabled"], json!(true));
}

#[test]
fn a_file_that_is_wrong_is_refused_with_the_reason_and_everything_stays() {
    let daemon = Builder::new().config(&json!({"labels": ["a=1"]})).without_image().start();
    for (text, reason) in [
        ("{\"labels\": [\"b=2\"], \"colour\": 1}", "don't match any configuration option: colour"),
        ("{\"labels\": [\"b=2\"]", "invalid JSON: EOF"),
        (
            "{\"labels\": [\"b=2\"], \"shutdown-timeout\": \"x\"}",
            "\"shutdown-timeout\": must be a whole number, not \"x\"",
        ),
        ("{\"labels\": [\"b=2\", \"b=3\"]}", "conflict labels for b=3 and b=2"),
    ] {
        reload(&daemon, text);
        let log = daemon.log();
        let line = log.lines().rfind(|l| l.contains("Error reloading configuration")).expect("a line");
        assert!(line.contains(reason), "{line}");
        assert_eq!(info(&daemon)["Labels"], json!(["a=1"]));
    }
    let events = daemon.docker(["events", "--since", "1", "--until", &now(), "--filter", "type=daemon"]);
    assert_eq!(events.ok(), "");
}

#[test]
fn the_level_of_the_daemons_log_follows_the_file() {
    let daemon = Builder::new().config(&json!({})).without_image().start();
    daemon.docker(["version"]).ok();
    assert!(!daemon.log().contains("DEBUG"), "{}", daemon.log());
    reload(&daemon, "{\"debug\": true}");
    daemon.docker(["version"]).ok();
    daemon.until_logged("DEBUG");
}
