//! Several log drivers on one container.

use gantry_tests::{Builder, Daemon, Fluentd, Place, Rsyslog, eventually};
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn with_receivers() -> (Rsyslog, Fluentd, Daemon) {
    let place = Place::new();
    let (rsyslog, fluentd) = (Rsyslog::start(&place), Fluentd::start(&place));
    let gantry = Builder::at(&place).start();
    (rsyslog, fluentd, gantry)
}

/// Runs a script under fanout with these options.
fn run(gantry: &Daemon, name: &str, options: &[&str], script: &str) {
    let mut args = vec!["run", "-d", "--name", name, "--log-driver=fanout"];
    args.extend(options.iter().flat_map(|o| ["--log-opt", o]));
    args.extend(["busybox", "sh", "-c", script]);
    gantry.docker(args).ok();
}

fn numbers<'a>(texts: impl Iterator<Item = &'a str>) -> BTreeSet<u32> {
    texts.filter_map(|t| t.parse().ok()).collect()
}

#[test]
fn each_driver_gets_every_line_with_its_own_options_and_streams() {
    let (rsyslog, fluentd, gantry) = with_receivers();
    let options = [
        "drivers=json-file,errors:syslog,fluentd",
        "errors.syslog-address=tcp://127.0.0.1:514",
        "errors.streams=stderr",
        "errors.tag=errors",
        "fluentd.fluentd-address=127.0.0.1:24224",
        "tag=shared",
        "json-file.labels=app",
    ];
    run(&gantry, "web", &options, "echo out; echo err >&2; sleep 0.1; echo more; echo worse >&2");
    gantry.until_exited("web");
    assert_eq!(fluentd.wait_for("more").tag, "shared");
    fluentd.wait_for("worse");
    assert!(rsyslog.wait_for("worse").tag.starts_with("errors["));
    rsyslog.wait_for("err");
    let told: Vec<String> = rsyslog.received().into_iter().map(|m| m.text).collect();
    assert_eq!(told, ["err", "worse"], "standard output goes elsewhere");
    assert_eq!(gantry.docker(["logs", "web"]).ok(), "out\nmore");
    let log = gantry.log_path("web");
    let out = eventually("it is stored", || {
        let stored = std::fs::read_to_string(&log).unwrap_or_default();
        let mut records = stored.lines().filter_map(|l| serde_json::from_str::<Value>(l).ok());
        records.find(|r| r["log"] == "out\n")
    });
    assert_eq!(out["attrs"]["tag"], "shared");
    let config = gantry.inspected("web")["HostConfig"]["LogConfig"].clone();
    assert_eq!((&config["Type"], &config["Config"]["errors.streams"]), (&json!("fanout"), &json!("stderr")));
}

#[test]
fn a_driver_whose_receiver_is_away_holds_no_other_up_and_catches_up_later() {
    let (rsyslog, mut fluentd, mut gantry) = with_receivers();
    fluentd.stop();
    let options = [
        "drivers=json-file,syslog,fluentd",
        "syslog.syslog-address=tcp://127.0.0.1:514",
        "fluentd.fluentd-request-ack=true",
    ];
    run(&gantry, "web", &options, "seq 1 500; exec sleep 1000");
    rsyslog.wait_for("500");
    assert_eq!(numbers(rsyslog.received().iter().map(|m| m.text.as_str())), (1..=500).collect());
    assert_eq!(gantry.docker(["logs", "--tail", "1", "web"]).ok(), "500");
    // What one driver still owes is known to the next daemon.
    gantry.crash();
    fluentd.start_again();
    fluentd.wait_for("500");
    let received = fluentd.received();
    assert_eq!(numbers(received.iter().map(|e| e.text("log"))), (1..=500).collect());
    gantry.docker(["rm", "-f", "web"]).ok();
}

#[test]
fn logs_reads_a_copy_where_no_driver_gives_all_lines_back() {
    let (_rsyslog, _fluentd, gantry) = with_receivers();
    let options = ["drivers=json-file,fluentd", "json-file.streams=stderr"];
    run(&gantry, "web", &options, "echo out; echo err >&2");
    gantry.until_exited("web");
    let stored = eventually("the error is stored", || {
        let text = std::fs::read_to_string(gantry.log_path("web")).unwrap_or_default();
        text.contains("err").then_some(text)
    });
    assert!(!stored.contains("out"), "{stored}");
    let told = gantry.docker(["logs", "web"]);
    assert_eq!((told.stdout.as_str(), told.stderr.as_str()), ("out\n", "err\n"));
}

#[test]
fn a_daemon_s_own_sinks_get_the_lines_of_all_containers() {
    let place = Place::new();
    let (rsyslog, fluentd) = (Rsyslog::start(&place), Fluentd::start(&place));
    let config = json!({ "log-sinks": {
        "central": { "driver": "syslog", "log-opts": { "syslog-address": "tcp://127.0.0.1:514", "tag": "all" } },
        "alarms": { "driver": "fluentd", "streams": "stderr" },
    } });
    let gantry = Builder::at(&place).config(&config).start();
    gantry.docker(["run", "--name", "web", "busybox", "sh", "-c", "echo hello; echo fire >&2"]).ok();
    assert!(rsyslog.wait_for("hello").tag.starts_with("all["));
    fluentd.wait_for("fire");
    assert!(fluentd.received().iter().all(|e| e.text("log") != "hello"));
    assert_eq!(gantry.inspect("web", "{{.HostConfig.LogConfig.Type}}"), "json-file");
    // One that keeps nothing sends nothing.
    gantry.docker(["run", "--log-driver=none", "busybox", "echo", "secret"]).ok();
    gantry.docker(["run", "busybox", "echo", "last"]).ok();
    rsyslog.wait_for("last");
    assert!(rsyslog.received().iter().all(|m| m.text != "secret"));
}

#[test]
fn what_several_drivers_cannot_be_is_refused_and_makes_nothing() {
    let gantry = Daemon::start();
    for (options, text) in [
        (vec![], "logger: fanout: log opt 'drivers' must name at least one driver"),
        (
            vec!["drivers=json-file,nosuch"],
            "error looking up logging plugin nosuch: plugin \"nosuch\" not found",
        ),
        (vec!["drivers=json-file,b:json-file"], "logger: b: one container has one json-file log"),
        (vec!["drivers=syslog", "syslog.x=1"], "logger: syslog: unknown log opt 'x' for syslog log driver"),
        (vec!["drivers=syslog", "mode=x"], "logger: logging mode not supported: x"),
    ] {
        let mut args = vec!["create", "--log-driver=fanout"];
        args.extend(options.iter().flat_map(|o| ["--log-opt", o]));
        args.push("busybox");
        let refused = gantry.docker(args);
        assert!(refused.code != 0 && refused.stderr.contains(text), "{}", refused.stderr);
    }
    assert_eq!(gantry.docker(["ps", "-aq"]).ok(), "");
    let refused =
        Builder::new().config(&json!({ "log-sinks": { "a": { "driver": "json-file" } } })).refused();
    assert!(refused.stderr.contains("log-sinks: a: each container has one folder"), "{}", refused.stderr);
    let refused = Builder::new().config(&json!({ "log-sinks": { "a": { "driver": "none" } } })).refused();
    assert!(refused.stderr.contains("log-sinks: a: none is no log sink"), "{}", refused.stderr);
}

#[test]
fn the_status_of_sinks_tells_what_has_not_arrived_and_events_tell_when_one_goes_and_comes() {
    let (rsyslog, mut fluentd, gantry) = with_receivers();
    fluentd.stop();
    // With what happened before the stream is open.
    let format = "{{.Action}} {{.Actor.Attributes.sink}}";
    let events = gantry.docker_running(["events", "--since", "1h", "--format", format]);
    let options = [
        "drivers=syslog,fluentd",
        "syslog.syslog-address=tcp://127.0.0.1:514",
        "fluentd.fluentd-request-ack=true",
    ];
    run(&gantry, "web", &options, "seq 1 100; exec sleep 1000");
    rsyslog.wait_for("100");
    let sinks = || {
        let answer = gantry.api("GET", "/gantry/logs?container=web", None).json();
        let of = |name: &str| answer.as_array().unwrap().iter().find(|s| s["Sink"] == name).unwrap().clone();
        [of("syslog"), of("fluentd"), of("json-file")]
    };
    let [syslog, away, copy] = eventually("the sinks' status settles", || {
        let now = sinks();
        let settled = now[0]["Delivered"]["Lines"] == 100 && now[1]["Retries"].as_u64() > Some(0);
        (settled && now[2]["Delivered"]["Lines"] == 100).then_some(now)
    });
    assert_eq!((&syslog["Lag"]["Lines"], &syslog["Copy"]), (&json!(0), &json!(false)));
    assert!(syslog["UpSince"].is_string() && away["UpSince"].is_null());
    assert_eq!((&away["Lag"]["Lines"], &away["Lag"]["Bytes"]), (&json!(100), &json!(292)));
    assert!(away["LastError"].as_str().unwrap().contains("refused"), "{away}");
    assert_eq!(copy["Copy"], json!(true));
    let shown = gantry.gantry(["logs", "status", "web"]);
    assert!(shown.ok().contains("100 lines, 292B"), "{}", shown.stdout);
    fluentd.start_again();
    fluentd.wait_for("100");
    eventually("nothing is owed", || (sinks()[1]["Lag"]["Lines"] == 0).then_some(()));
    eventually("the events tell of both", || {
        let text = events.stdout();
        (text.contains("log_down fluentd") && text.contains("log_up fluentd")).then_some(())
    });
    assert!(!events.stdout().contains("syslog"), "{}", events.stdout());
    gantry.docker(["rm", "-f", "web"]).ok();
}
