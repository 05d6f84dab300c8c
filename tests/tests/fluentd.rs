//! The fluentd driver, into the Fluentd project's own server.

use gantry_tests::{Builder, Daemon, Fluentd, Place, eventually};
use std::collections::BTreeSet;

fn with_fluentd() -> (Fluentd, Daemon) {
    let place = Place::new();
    let fluentd = Fluentd::start(&place);
    let gantry = Builder::at(&place).start();
    (fluentd, gantry)
}

#[test]
fn records_have_dockers_fields_and_the_tag_asked_for() {
    let (fluentd, gantry) = with_fluentd();
    gantry
        .docker([
            "run",
            "-d",
            "--name",
            "web",
            "--log-driver=fluentd",
            "--log-opt",
            "tag=docker.{{.Name}}",
            "--log-opt",
            "fluentd-address=127.0.0.1:24224",
            "--log-opt",
            "labels=app",
            "--label",
            "app=shop",
            "--log-opt",
            "fluentd-request-ack=true",
            "--log-opt",
            "fluentd-sub-second-precision=true",
            "busybox",
            "sh",
            "-c",
            "echo out; echo err >&2; head -c 20000 /dev/zero | tr '\\0' x; echo",
        ])
        .ok();
    let id = gantry.inspect("web", "{{.Id}}");
    let out = fluentd.wait_for("out");
    assert_eq!(out.tag, "docker.web");
    assert_eq!((out.text("container_id"), out.text("container_name")), (id.as_str(), "/web"));
    assert_eq!((out.text("source"), out.text("app")), ("stdout", "shop"));
    assert!(out.time.contains('.'), "{}", out.time);
    assert_eq!(fluentd.wait_for("err").text("source"), "stderr");
    let first = fluentd.wait_for(&"x".repeat(16384));
    let second = fluentd.wait_for(&"x".repeat(20000 - 16384));
    assert_eq!(first.text("partial_id"), second.text("partial_id"));
    let parts = [&first, &second].map(|e| (e.text("partial_ordinal"), e.text("partial_last")));
    assert_eq!(parts, [("1", "false"), ("2", "true")]);
    // What went away can still be read here.
    assert!(gantry.docker(["logs", "web"]).ok().starts_with("out\n"));
}

#[test]
fn a_receiver_that_is_away_gets_every_line_once_it_is_back() {
    let (mut fluentd, gantry) = with_fluentd();
    fluentd.stop();
    gantry
        .docker([
            "run",
            "-d",
            "--name",
            "web",
            "--log-driver=fluentd",
            "--log-opt",
            "fluentd-request-ack=true",
            "--log-opt",
            "fluentd-retry-wait=100ms",
            "busybox",
            "sh",
            "-c",
            "seq 1 500; exec sleep 1000",
        ])
        .ok();
    eventually("the lines are written", || {
        gantry.docker(["logs", "web"]).stdout.ends_with("500\n").then_some(())
    });
    assert!(fluentd.received().is_empty());
    fluentd.start_again();
    fluentd.wait_for("500");
    let numbers: BTreeSet<u32> = fluentd.received().iter().map(|e| e.text("log").parse().unwrap()).collect();
    assert_eq!(numbers, (1..=500).collect());
    gantry.docker(["rm", "-f", "web"]).ok();
}

#[test]
fn compressed_messages_are_understood_and_confirmed() {
    let (fluentd, gantry) = with_fluentd();
    let options = ["fluentd-compress=gzip", "fluentd-request-ack=true", "fluentd-sub-second-precision=true"];
    let mut args = vec!["run", "-d", "--name", "web", "--log-driver=fluentd"];
    for option in options {
        args.extend(["--log-opt", option]);
    }
    args.extend(["busybox", "seq", "2000"]);
    gantry.docker(args).ok();
    let last = fluentd.wait_for("2000");
    assert_eq!(last.text("container_name"), "/web");
    assert!(last.time.contains('.'), "{}", last.time);
    let numbers: Vec<u32> = fluentd.received().iter().map(|e| e.text("log").parse().unwrap()).collect();
    assert_eq!(numbers, (1..=2000).collect::<Vec<u32>>());
}

#[test]
fn wrong_options_are_refused_in_dockers_words() {
    let gantry = Daemon::start();
    for (option, text) in [
        ("fluentd-address=udp://x", "unsupported scheme: 'udp'"),
        ("fluentd-async-connect=true", "unknown log opt 'fluentd-async-connect' for fluentd log driver"),
        ("fluentd-max-retries=2147483648", "invalid fluentd-max-retries: value out of range"),
    ] {
        let refused = gantry.docker(["create", "--log-driver=fluentd", "--log-opt", option, "busybox"]);
        assert!(refused.code != 0 && refused.stderr.contains(text), "{}", refused.stderr);
    }
}
