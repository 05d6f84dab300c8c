//! The awslogs driver, into moto's CloudWatch Logs.

use gantry_tests::{Builder, Cloud, Daemon, Place, Receiver, eventually};
use std::collections::BTreeSet;
use std::sync::Arc;

fn daemon(place: &Arc<Place>) -> Daemon {
    Cloud::KEYS
        .into_iter()
        .fold(Builder::at(place), |builder, (name, value)| builder.env(name, value))
        .start()
}

fn run(gantry: &Daemon, name: &str, options: &[&str], text: &str) {
    let mut args = vec!["run", "-d", "--name", name, "--log-driver=awslogs"];
    for option in ["awslogs-endpoint=http://127.0.0.1:8000"].iter().chain(options) {
        args.extend(["--log-opt", option]);
    }
    args.extend(["busybox", "sh", "-c", text]);
    gantry.docker(args).ok();
}

#[test]
fn groups_and_streams_are_made_and_lines_are_events_in_order() {
    let place = Place::new();
    let cloud = Cloud::start(&place);
    let gantry = daemon(&place);
    let create = ["awslogs-create-group=true", "awslogs-group=g-{{.Name}}", "tag={{.Name}}.s"];
    run(&gantry, "web", &create, "seq 300; echo; head -c 100000 /dev/zero | tr '\\0' x; echo; echo end");
    let texts = cloud.wait_for("g-web", "web.s", "end");
    let wanted: Vec<String> =
        (1..=300).map(|n| n.to_string()).chain(["x".repeat(100_000), "end".into()]).collect();
    assert!(texts == wanted, "{} of {} texts", texts.len(), wanted.len());
    // A stream that is there already does as well, and what went away can be read here.
    run(&gantry, "again", &["awslogs-group=g-web", "awslogs-stream=web.s"], "echo more");
    cloud.wait_for("g-web", "web.s", "more");
    assert!(gantry.docker(["logs", "web"]).ok().ends_with("\nend"));
}

#[test]
fn lines_that_belong_together_are_one_event_by_dockers_options() {
    let place = Place::new();
    let cloud = Cloud::start(&place);
    let gantry = daemon(&place);
    let create = ["awslogs-create-group=true", "awslogs-group=g", "awslogs-force-flush-interval-seconds=1"];
    let script = "echo '[Nov 29, 2026 17:00:00] a'; echo ' b'; echo '[Nov 29, 2026 17:00:01] c'; echo ' d'; exec sleep 1000";
    let dated = r"awslogs-datetime-format=\[%b %d, %Y %H:%M:%S\]";
    run(&gantry, "dated", &[&create[..], &["awslogs-stream=dated", dated]].concat(), script);
    let pattern = r"awslogs-multiline-pattern=^\S";
    run(&gantry, "found", &[&create[..], &["awslogs-stream=found", pattern]].concat(), script);
    for (stream, name) in [("dated", "dated"), ("found", "found")] {
        // The last ends because nothing follows.
        let texts = cloud.wait_for("g", stream, "[Nov 29, 2026 17:00:01] c\n d");
        assert_eq!(texts, ["[Nov 29, 2026 17:00:00] a\n b", "[Nov 29, 2026 17:00:01] c\n d"]);
        // What can be read here has the container's own lines.
        assert_eq!(gantry.docker(["logs", "--tail", "1", name]).stdout, " d\n");
        gantry.docker(["rm", "-f", name]).ok();
    }
}

#[test]
fn a_service_that_is_away_hangs_or_lacks_the_group_gets_every_line_later() {
    let place = Place::new();
    let gantry = daemon(&place);
    let group = ["awslogs-group=g", "awslogs-stream=s"];
    run(&gantry, "early", &group, "seq 1 100");
    eventually("it can be read here", || {
        gantry.docker(["logs", "early"]).stdout.ends_with("100\n").then_some(())
    });
    let mut cloud = Cloud::start(&place);
    cloud.hang();
    run(&gantry, "late", &[&group[..], &["awslogs-create-group=true"]].concat(), "seq 101 200");
    eventually("it can be read here", || {
        gantry.docker(["logs", "late"]).stdout.ends_with("200\n").then_some(())
    });
    cloud.go_on();
    cloud.wait_for("g", "s", "200");
    cloud.wait_for("g", "s", "100");
    let numbers: BTreeSet<u32> = cloud.texts("g", "s").iter().map(|text| text.parse().unwrap()).collect();
    assert_eq!(numbers, (1..=200).collect());
    // One that forgot everything gets group and stream anew.
    cloud.kill();
    cloud.start_again();
    gantry.docker(["start", "late"]).ok();
    cloud.wait_for("g", "s", "200");
    for name in ["early", "late"] {
        gantry.docker(["rm", "-f", name]).ok();
    }
}

#[test]
fn wrong_options_are_refused_in_dockers_words() {
    let gantry = Daemon::start();
    for (option, text) in [
        ("awslogs-region=x", "must specify a value for log opt 'awslogs-group'"),
        ("labels=x", "unknown log opt 'labels' for awslogs log driver"),
        ("awslogs-multiline-pattern=(", "must specify a value for log opt 'awslogs-group'"),
    ] {
        let refused = gantry.docker(["create", "--log-driver=awslogs", "--log-opt", option, "busybox"]);
        assert!(refused.code != 0 && refused.stderr.contains(text), "{}", refused.stderr);
    }
}
