//! The gcplogs driver, into a receiver that takes Google Cloud Logging's `entries.write` to the letter of its protobuf.

use gantry_tests::{Builder, Daemon, Place, Receiver, Sink, eventually};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A daemon with the account that the receiver believes.
fn daemon(place: &Arc<Place>) -> Daemon {
    let account = place.path("gcp.json");
    Builder::at(place).env("GOOGLE_APPLICATION_CREDENTIALS", &account.to_string_lossy()).start()
}

fn run(gantry: &Daemon, options: &[&str], more: &[&str], text: &str) {
    let mut args = vec!["run", "-d", "--name", "web", "--log-driver=gcplogs"];
    for option in ["gcp-endpoint=http://127.0.0.1:8000"].iter().chain(options) {
        args.extend(["--log-opt", option]);
    }
    args.extend(more);
    args.extend(["busybox", "sh", "-c", text]);
    gantry.docker(args).ok();
}

/// What is known of the sink of `web`.
fn status(gantry: &Daemon) -> Value {
    let sinks = gantry.api("GET", "/gantry/logs?container=web", None).json();
    sinks.as_array().unwrap().iter().find(|s| s["Sink"] == "gcplogs").unwrap().clone()
}

fn numbers(sink: &Sink) -> BTreeSet<u32> {
    sink.received().iter().map(|entry| entry["text"].as_str().unwrap().parse().unwrap()).collect()
}

#[test]
fn entries_have_dockers_payload_and_come_with_a_token_that_the_account_signed() {
    let place = Place::new();
    let sink = Sink::start(&place, "gcplogs");
    let gantry = daemon(&place);
    let options = [
        "gcp-project=p",
        "gcp-log-cmd=true",
        "gcp-meta-zone=z",
        "gcp-meta-name=n",
        "gcp-meta-id=7",
        "labels=app",
        "env-regex=^MO",
    ];
    let more = ["--label", "app=shop", "-e", "MODE=a"];
    let text = "echo out; echo err >&2; echo; head -c 20000 /dev/zero | tr '\\0' x; echo; printf 'b\\377\\n'; echo end";
    run(&gantry, &options, &more, text);
    sink.wait_for("end");
    let out = sink.wait_for("out");
    let payload = json!({
        "instance": { "zone": "z", "name": "n", "id": "7" },
        "container": {
            "name": "/web",
            "id": gantry.inspect("web", "{{.Id}}"),
            "imageName": "busybox",
            "imageId": gantry.inspect("web", "{{.Image}}"),
            "created": gantry.inspect("web", "{{.Created}}"),
            "command": format!("sh -c {text}"),
            "metadata": { "app": "shop", "MODE": "a" },
        },
        "message": "out",
    });
    assert_eq!(out["payload"], payload);
    let resource = json!({ "type": "gce_instance", "labels": { "instance_id": "7", "zone": "z" } });
    assert_eq!((&out["resource"], &out["project"]), (&resource, &json!("p")));
    assert_eq!(out["who"], "gantry@p.iam.gserviceaccount.com");
    assert_eq!(sink.wait_for("err")["payload"]["container"], out["payload"]["container"]);
    // An empty line is an entry without a message; a long one comes in pieces, as Docker's.
    assert_eq!(sink.wait_for("")["payload"].get("message"), None);
    sink.wait_for(&"x".repeat(16384));
    sink.wait_for(&"x".repeat(20000 - 16384));
    sink.wait_for("b\u{fffd}");
    // What went away can still be read here.
    assert!(gantry.docker(["logs", "web"]).ok().ends_with("end"));
}

#[test]
fn a_service_that_is_away_throttles_or_takes_a_token_no_more_gets_every_line_once() {
    let place = Place::new();
    let mut sink = Sink::start(&place, "gcplogs");
    sink.kill();
    let gantry = daemon(&place);
    let text = "mkfifo /in; exec 3<>/in; seq 1 5000; while read n <&3; do seq $((n+1)) $((n+5000)); done";
    run(&gantry, &["gcp-project=p"], &[], text);
    let goes_on = |from: u32| {
        let script = format!("echo {from} > /in");
        gantry.docker(["exec", "web", "sh", "-c", &script]).ok();
    };
    let readable = |last: &str| {
        eventually("it can be read here", || {
            (gantry.docker(["logs", "--tail", "1", "web"]).ok() == last).then_some(())
        });
    };
    readable("5000");
    sink.start_again();
    sink.wait_for("5000");
    for (from, answer) in [(5000, "429"), (10_000, "503"), (15_000, "401")] {
        sink.behave(answer);
        let before = status(&gantry)["Retries"].as_u64().unwrap();
        goes_on(from);
        readable(&(from + 5000).to_string());
        eventually("it is tried again", || {
            (status(&gantry)["Retries"].as_u64() > Some(before + 1)).then_some(())
        });
        sink.behave("ok");
        sink.wait_for(&(from + 5000).to_string());
    }
    assert_eq!(numbers(&sink), (1..=20_000).collect());
    assert_eq!(sink.received().len(), 20_000);
    assert_eq!(status(&gantry)["Refused"], 0);
}

#[test]
fn entries_that_the_service_refuses_are_counted_and_no_others_lost() {
    let place = Place::new();
    let sink = Sink::start(&place, "gcplogs");
    let gantry = daemon(&place);
    // The last one comes alone: then the service does not say which it is.
    let text = "seq 1 50; echo reject me; seq 51 100; sleep 2; echo reject me; sleep 2; echo 101";
    run(&gantry, &["gcp-project=p"], &[], text);
    sink.wait_for("101");
    assert_eq!(numbers(&sink), (1..=101).collect());
    assert_eq!(status(&gantry)["Refused"], 2);
    // The command line means whole seconds: what happened in the running one comes with the next.
    let events = ["events", "--since=1h", "--until=0s", "--filter=event=log_refused"];
    eventually("it is told", || gantry.docker(events).ok().contains("sink=gcplogs").then_some(()));
}

#[test]
fn project_instance_and_token_come_from_the_machine() {
    let place = Place::new();
    let sink = Sink::start(&place, "gcplogs");
    let machine = [("GCE_METADATA_HOST", "127.0.0.1:8000"), ("HOME", "/nosuch")];
    let builder = Builder::at(&place);
    let gantry = machine.into_iter().fold(builder, |builder, (name, value)| builder.env(name, value)).start();
    run(&gantry, &["gcp-meta-name=own"], &[], "echo here");
    let here = sink.wait_for("here");
    let instance = json!({ "zone": "europe-west3-a", "name": "own", "id": "4711" });
    assert_eq!(here["payload"]["instance"], instance);
    let labels = json!({ "instance_id": "4711", "zone": "europe-west3-a" });
    assert_eq!(here["resource"], json!({ "type": "gce_instance", "labels": labels }));
    assert_eq!((&here["project"], &here["who"]), (&json!("machines-project"), &json!("themachine")));
}

#[test]
fn without_a_project_a_container_runs_and_what_is_missing_is_told_in_dockers_words() {
    let gantry = Daemon::start();
    run(&gantry, &[], &[], "echo here; exec sleep 1000");
    let told = eventually("the sink tells what is missing", || {
        let told = status(&gantry).to_string();
        told.contains("No project was specified and couldn't read project from the metadata server")
            .then_some(told)
    });
    assert!(told.contains("Please specify a project"), "{told}");
    assert_eq!(gantry.docker(["logs", "web"]).ok(), "here");
}
