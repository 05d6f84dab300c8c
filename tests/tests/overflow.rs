//! Sinks that take nothing while a container writes more than their buffer: what is dropped is counted and told.

use gantry_tests::{Builder, Daemon, Fluentd, Place, Receiver, eventually};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Many times the buffer.
const LINES: u64 = 10_000;

/// Writes lines of a kilobyte, numbered from the one to the other.
fn writes(from: u64, to: u64) -> String {
    format!("awk 'BEGIN {{ p = sprintf(\"%01000d\", 0); for (i = {from}; i <= {to}; i++) print i, p }}'")
}

fn goes_on(gantry: &Daemon, name: &str, step: &str) {
    gantry.touch(name, step);
}

fn last(gantry: &Daemon, name: &str) -> String {
    let line = gantry.docker(["logs", "--tail", "1", name]).ok().to_owned();
    line.split(' ').next().unwrap_or_default().to_owned()
}

fn status(gantry: &Daemon, name: &str, sink: &str) -> Value {
    let answer = gantry.api("GET", &format!("/gantry/logs?container={name}"), None).json();
    answer.as_array().unwrap().iter().find(|s| s["Sink"] == sink).cloned().unwrap_or_default()
}

fn dropped(gantry: &Daemon, name: &str, sink: &str) -> u64 {
    status(gantry, name, sink)["Dropped"]["buffer-full"].as_u64().unwrap_or_default()
}

/// Lines a gap is said to have had.
fn told(text: &str) -> Option<u64> {
    text.strip_prefix("gantry: ")?.split(' ').next()?.parse().ok()
}

/// While a receiver hangs for two rounds of output, with a daemon killed in between, only its sink's lines are dropped, and
/// counted: as many as are missing in the end.
fn what_is_missing_is_what_was_counted(overflow: &str) {
    let place: Arc<Place> = Place::new();
    // It confirms what it has: what a daemon's kernel holds when it dies would be nobody's otherwise.
    let mut sink = Fluentd::start(&place);
    // Less than a round: the second daemon's first batch hangs, and what follows is dropped for the container's sake.
    let mut gantry = Builder::at(&place).args(["--spool-budget=8m"]).start();
    let overflow = format!("fluentd.overflow={overflow}");
    let options = [
        "drivers=json-file,fluentd",
        "fluentd.fluentd-request-ack=true",
        "fluentd.mode=non-blocking",
        "fluentd.max-buffer-size=1m",
        &overflow,
    ];
    let wait = |step: &str| format!("until [ -e {step} ]; do sleep 0.05; done");
    let script = [
        "echo first".to_owned(),
        wait("/one"),
        writes(1, LINES),
        wait("/two"),
        writes(LINES + 1, 2 * LINES),
        wait("/three"),
        "echo last; exec sleep 1000".to_owned(),
    ];
    let script = script.join("; ");
    let run = |gantry: &Daemon, name: &str, script: &str| {
        let mut args = vec!["run", "-d", "--name", name, "--log-driver=fanout"];
        args.extend(options.iter().flat_map(|o| ["--log-opt", o]));
        args.extend(["busybox", "sh", "-c", script]);
        gantry.docker(args).ok();
    };
    run(&gantry, "web", &script);
    sink.wait_for("first");
    sink.hang();
    goes_on(&gantry, "web", "/one");
    eventually("the first round is stored", || (last(&gantry, "web") == LINES.to_string()).then_some(()));
    let before =
        eventually("lines are dropped", || Some(dropped(&gantry, "web", "fluentd")).filter(|n| *n > 0));
    gantry.crash();
    eventually("the next daemon knows of them", || {
        (dropped(&gantry, "web", "fluentd") >= before).then_some(())
    });
    goes_on(&gantry, "web", "/two");
    let end = (2 * LINES).to_string();
    eventually("the second round is stored", || (last(&gantry, "web") == end).then_some(()));
    eventually("more is dropped", || (dropped(&gantry, "web", "fluentd") > before).then_some(()));
    let start = Instant::now();
    run(&gantry, "brief", "echo brief; exec sleep 1000");
    gantry.docker(["ps"]).ok();
    gantry.docker(["rm", "-f", "brief"]).ok();
    assert!(start.elapsed() < Duration::from_secs(20), "it waited for the sink: {:?}", start.elapsed());
    sink.go_on();
    eventually("nothing is owed", || (status(&gantry, "web", "fluentd")["Lag"]["Lines"] == 0).then_some(()));
    goes_on(&gantry, "web", "/three");
    sink.wait_for("last");
    let texts = sink.news();
    let number = |text: &String| text.split(' ').next().and_then(|n| n.parse::<u64>().ok());
    let got: BTreeSet<u64> = texts.iter().filter_map(number).collect();
    let missing = 2 * LINES - got.len() as u64;
    let gaps: u64 = texts.iter().filter_map(|text| told(text)).sum();
    assert_eq!((dropped(&gantry, "web", "fluentd"), gaps), (missing, missing), "{} came", got.len());
    let stored = gantry.docker(["logs", "web"]);
    let numbers: Vec<u64> = stored.lines().iter().filter_map(|l| l.split(' ').next()?.parse().ok()).collect();
    assert!(numbers.iter().copied().eq(1..=2 * LINES), "{} of {} are stored", numbers.len(), 2 * LINES);
    gantry.docker(["rm", "-f", "web"]).ok();
}

#[test]
fn the_oldest_lines_go_and_are_counted_over_a_daemon_s_death() {
    what_is_missing_is_what_was_counted("drop-oldest");
}

#[test]
fn the_newest_lines_go_and_are_counted_over_a_daemon_s_death() {
    what_is_missing_is_what_was_counted("drop-newest");
}

#[test]
fn logs_are_whole_beside_a_receiver_that_is_never_there() {
    let place = Place::new();
    let gantry = Builder::at(&place).args(["--spool-budget=16m"]).start();
    let mut args = vec!["run", "-d", "--name", "web", "--log-driver=gelf"];
    let options = ["gelf-address=tcp://127.0.0.1:9", "mode=non-blocking", "max-buffer-size=1m"];
    args.extend(options.iter().flat_map(|o| ["--log-opt", o]));
    // Each round fits the spool, all of them are more than twice as much: what the sink holds must go.
    let round =
        |n: u64| format!("until [ -e /{n} ]; do sleep 0.01; done; {}", writes(n * 4000 + 1, n * 4000 + 4000));
    let script = (0..10).map(round).collect::<Vec<_>>().join("; ") + "; exec sleep 1000";
    args.extend(["busybox", "sh", "-c", &script]);
    gantry.docker(args).ok();
    for n in 0..10 {
        goes_on(&gantry, "web", &format!("/{n}"));
        let end = (n * 4000 + 4000).to_string();
        eventually("the round is stored", || (last(&gantry, "web") == end).then_some(()));
    }
    let stored = gantry.docker(["logs", "web"]);
    let numbers = stored.lines().iter().filter_map(|l| l.split(' ').next()?.parse::<u64>().ok()).count();
    assert_eq!((numbers, stored.stderr.as_str()), (40_000, ""));
    eventually("the sink's are counted", || (dropped(&gantry, "web", "gelf") > 30_000).then_some(()));
}
