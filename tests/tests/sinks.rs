//! The log drivers that speak HTTP, and gelf: what arrives is what the container wrote, in each protocol's terms.

use gantry_tests::{Builder, Daemon, Place, Sink, eventually};
use serde_json::{Value, json};
use std::sync::Arc;

/// A daemon for which `collector` is 127.0.0.1.
fn daemon(place: &Arc<Place>) -> Daemon {
    let hosts = place.path("hosts");
    std::fs::write(&hosts, "127.0.0.1 localhost collector\n").unwrap();
    let mount = format!("mount --bind {} /etc/hosts && exec \"$0\" \"$@\"", hosts.display());
    Builder::at(place).through(&["unshare", "--mount", "sh", "-c", &mount]).start()
}

fn run(gantry: &Daemon, driver: &str, options: &[&str], more: &[&str], text: &str) {
    let mut args = vec!["run", "-d", "--name", "web", "--log-driver", driver];
    for option in options {
        args.extend(["--log-opt", option]);
    }
    args.extend(more);
    args.extend(["busybox", "sh", "-c", text]);
    gantry.docker(args).ok();
}

const TWO: &str = "echo out; echo err >&2";

fn long() -> String {
    format!("{TWO}; head -c 20000 /dev/zero | tr '\\0' x; echo; echo end")
}

#[test]
fn gelf_messages_have_dockers_fields_over_tcp() {
    let place = Place::new();
    let sink = Sink::start(&place, "gelf");
    let gantry = daemon(&place);
    let options = ["gelf-address=tcp://collector:8000", "tag={{.Name}}/x", "labels=app"];
    run(&gantry, "gelf", &options, &["--label", "app=shop"], &long());
    let out = sink.wait_for("out");
    let id = gantry.inspect("web", "{{.Id}}");
    let is = |key: &str, wanted: &str| assert_eq!(out[key], wanted, "{key} of {out}");
    is("_container_id", &id);
    is("_container_name", "web");
    is("_image_name", "busybox");
    is("_image_id", &gantry.inspect("web", "{{.Image}}"));
    is("_created", &gantry.inspect("web", "{{.Created}}"));
    is("_tag", "web/x");
    is("_app", "shop");
    assert_eq!((&out["level"], &sink.wait_for("err")["level"]), (&json!(6), &json!(3)));
    assert_eq!(out.get("_partial_id"), None);
    let (first, second) = (sink.wait_for(&"x".repeat(16384)), sink.wait_for(&"x".repeat(20000 - 16384)));
    assert_eq!(first["_partial_id"], second["_partial_id"]);
    let marks = [&first, &second].map(|m| (m["_partial_ordinal"].clone(), m["_partial_last"].clone()));
    assert_eq!(marks, [(json!("1"), json!("false")), (json!("2"), json!("true"))]);
    sink.wait_for("end");
    // What went away can still be read here.
    assert!(gantry.docker(["logs", "web"]).ok().ends_with("\nend"));
}

#[test]
fn gelf_messages_reach_a_server_by_datagrams_in_every_packing() {
    let place = Place::new();
    let sink = Sink::start_datagrams(&place);
    let gantry = daemon(&place);
    // Random text does not fit one datagram even compressed.
    let text = "echo small; head -c 15000 /dev/urandom | base64 | tr -d '\\n'; echo; echo end";
    for (name, options) in [
        ("gzip", &["gelf-compression-level=9"][..]),
        ("zlib", &["gelf-compression-type=zlib"]),
        ("none", &["gelf-compression-type=none"]),
    ] {
        let address = "gelf-address=udp://127.0.0.1:8000";
        let mut args = vec!["run", "-d", "--name", name, "--log-driver=gelf", "--log-opt", address];
        for option in options {
            args.extend(["--log-opt", option]);
        }
        args.extend(["busybox", "sh", "-c", text]);
        gantry.docker(args).ok();
        gantry.until_exited(name);
        let from = |m: &Value| m["_container_name"] == *name;
        eventually("all four messages are there", || {
            (sink.received().iter().filter(|m| from(m)).count() == 4).then_some(())
        });
        let wrote = gantry.docker(["logs", name]);
        let got: Vec<Value> = sink.received().into_iter().filter(|m| from(m)).collect();
        let mut texts: Vec<&str> = got.iter().map(|m| m["short_message"].as_str().unwrap()).collect();
        let mut wanted: Vec<&str> = Vec::new();
        for line in wrote.lines() {
            let (first, rest) = line.split_at(line.len().min(16384));
            wanted.push(first);
            wanted.extend((!rest.is_empty()).then_some(rest));
        }
        // Datagrams may overtake each other.
        texts.sort_unstable();
        wanted.sort_unstable();
        assert!(texts == wanted, "{name}");
    }
}

#[test]
fn splunk_events_are_dockers_in_each_format() {
    let place = Place::new();
    let sink = Sink::start(&place, "splunk");
    let gantry = daemon(&place);
    let common = ["splunk-url=http://collector:8000", "splunk-token=secret", "env=MODE"];
    let given = |more: &[&'static str]| [&common[..], more].concat();
    run(&gantry, "splunk", &given(&["splunk-source=src", "splunk-index=main"]), &["-e", "MODE=a"], TWO);
    let event = sink.wait_for("out");
    let short = &gantry.inspect("web", "{{.Id}}")[..12];
    let wanted = json!({"line": "out", "source": "stdout", "tag": short, "attrs": {"MODE": "a"}});
    assert_eq!(event["event"], wanted);
    assert_eq!((&event["envelope"]["source"], &event["envelope"]["index"]), (&json!("src"), &json!("main")));
    assert_eq!(event["channel"], Value::Null);
    assert_eq!(sink.wait_for("err")["event"]["source"], "stderr");
    gantry.docker(["rm", "-f", "web"]).ok();
    let options = given(&["splunk-format=json", "tag=", "splunk-gzip=true", "splunk-gzip-level=1"]);
    run(&gantry, "splunk", &options, &[], "echo '{\"a\": [1]}'; echo text");
    assert_eq!(sink.wait_for("text")["event"], json!({"line": "text", "source": "stdout"}));
    assert_eq!(sink.wait_for("{\"a\": [1]}")["event"]["line"], json!({"a": [1]}));
    gantry.docker(["rm", "-f", "web"]).ok();
    let options = given(&["splunk-format=raw", "tag={{.Name}}", "splunk-index-acknowledgment=true"]);
    run(&gantry, "splunk", &options, &["-e", "MODE=a"], "echo first; echo ' '; echo last");
    assert_eq!(sink.wait_for("web MODE=a last")["channel"].as_str().unwrap().len(), 36);
    sink.wait_for("web MODE=a first");
}

#[test]
fn splunk_with_acknowledgment_delivers_what_is_indexed() {
    let place = Place::new();
    let sink = Sink::start(&place, "splunk");
    let gantry = daemon(&place);
    sink.behave("unindexed");
    let options = [
        "splunk-url=http://collector:8000",
        "splunk-token=secret",
        "splunk-index-acknowledgment=true",
        "splunk-gzip=true",
    ];
    run(&gantry, "splunk", &options, &[], "seq 1 20");
    sink.wait_for("20");
    let asked = || std::fs::read_to_string(place.path("splunk.received.asked")).unwrap_or_default();
    eventually("it is asked again and again", || (asked().lines().count() > 2).then_some(()));
    let delivered = || {
        let answer = gantry.api("GET", "/gantry/logs?container=web", None).json();
        let of = answer.as_array().unwrap().iter().find(|s| s["Sink"] == "splunk").unwrap().clone();
        of["Delivered"]["Lines"].as_u64().unwrap()
    };
    assert_eq!(delivered(), 0);
    sink.behave("ok");
    eventually("it counts as delivered", || (delivered() == 20).then_some(()));
    assert_eq!(sink.received().len(), 20);
}

#[test]
fn loki_streams_have_grafanas_labels() {
    let place = Place::new();
    let sink = Sink::start(&place, "loki");
    let gantry = daemon(&place);
    let options = [
        "loki-url=http://collector:8000/loki/api/v1/push",
        "loki-external-labels=job=docker,name={{.Name}}",
        "loki-tenant-id=team",
        "labels=my.app",
    ];
    let many = "for n in 1 2 3 4 5; do echo same; done; echo; echo err >&2; echo end";
    run(&gantry, "loki", &options, &["--label", "my.app=\"shop\""], many);
    let end = sink.wait_for("end");
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let wanted = json!({
        "host": host.trim(), "job": "docker", "my_app": "\"shop\"", "name": "web", "source": "stdout"
    });
    assert_eq!((&end["labels"], &end["tenant"]), (&wanted, &json!("team")));
    assert_eq!(sink.wait_for("err")["labels"]["source"], "stderr");
    // They were read in one piece, and a Loki takes equal lines of one time for one.
    let times: Vec<i64> =
        sink.received().iter().filter(|e| e["text"] == "same").map(|e| e["time"].as_i64().unwrap()).collect();
    assert_eq!(times.len(), 5);
    assert!(times.windows(2).all(|w| w[0] < w[1]), "{times:?}");
}

#[test]
fn otlp_records_describe_their_container() {
    let place = Place::new();
    let sink = Sink::start(&place, "otlp");
    let gantry = daemon(&place);
    let options = [
        "otlp-endpoint=http://collector:8000",
        "otlp-headers=x-own=a%20b",
        "otlp-compression=gzip",
        "otlp-resource-attributes=deployment.environment=test",
        "labels=app",
    ];
    let text = format!("{}; printf '\\377\\n'", long());
    run(&gantry, "otlp", &options, &["--label", "app=shop"], &text);
    let out = sink.wait_for("out");
    let resource = &out["resource"];
    let is = |key: &str, wanted: &str| assert_eq!(resource[key], wanted, "{key} of {resource}");
    is("container.id", &gantry.inspect("web", "{{.Id}}"));
    is("container.name", "web");
    is("container.image.name", "busybox");
    is("container.image.id", &gantry.inspect("web", "{{.Image}}"));
    is("service.name", "web");
    is("deployment.environment", "test");
    is("app", "shop");
    assert_eq!((&out["header"], &out["packed"]), (&json!("a b"), &json!("gzip")));
    assert_eq!(out["severity"], json!([9, "INFO"]));
    let err = sink.wait_for("err");
    assert_eq!(
        (&err["severity"], &err["attributes"]),
        (&json!([17, "ERROR"]), &json!({"log.iostream": "stderr"}))
    );
    let piece = sink.wait_for(&"x".repeat(16384));
    assert_eq!(piece["attributes"]["log.partial.last"], false);
    // Bytes that are no text come as bytes.
    sink.wait_for("ff");
}

#[test]
fn receivers_are_believed_by_the_certificates_given() {
    let place = Place::new();
    let sink = Sink::start_tls(&place, "otlp");
    let gantry = daemon(&place);
    let certificate = place.path("server.pem");
    let certificate = certificate.to_str().unwrap();
    let run = |name: &str, host: &str, more: &str| {
        let endpoint = format!("otlp-endpoint=https://{host}:8000");
        let mut args = vec!["run", "-d", "--name", name, "--log-driver=otlp", "--log-opt", &endpoint];
        if !more.is_empty() {
            args.extend(["--log-opt", more]);
        }
        args.extend(["busybox", "echo", name]);
        gantry.docker(args).ok();
    };
    let given = format!("otlp-certificate={certificate}");
    run("stranger", "collector", "");
    run("misnamed", "localhost", &given);
    run("known", "collector", &given);
    run("anybody", "localhost", "otlp-insecure-skip-verify=true");
    sink.wait_for("known");
    sink.wait_for("anybody");
    for name in ["stranger", "misnamed"] {
        eventually("it can be read here", || (gantry.docker(["logs", name]).ok() == name).then_some(()));
        gantry.docker(["rm", "-f", name]).ok();
    }
    assert_eq!(sink.received().len(), 2);
}

#[test]
fn splunks_certificate_may_have_the_name_that_was_asked_for() {
    let place = Place::new();
    let sink = Sink::start_tls(&place, "splunk");
    let gantry = daemon(&place);
    let path = format!("splunk-capath={}", place.path("server.pem").display());
    let options =
        ["splunk-url=https://127.0.0.1:8000", "splunk-token=secret", &path, "splunk-caname=collector"];
    run(&gantry, "splunk", &options, &[], TWO);
    sink.wait_for("out");
}

#[test]
fn wrong_options_are_refused_and_drivers_are_listed() {
    let gantry = Daemon::start();
    let plugins = gantry.docker(["info", "--format", "{{json .Plugins.Log}}"]).json();
    let wanted = json!([
        "fluentd",
        "gcplogs",
        "gelf",
        "journald",
        "json-file",
        "local",
        "loki",
        "none",
        "otlp",
        "splunk",
        "syslog"
    ]);
    for driver in wanted.as_array().unwrap() {
        assert!(plugins.as_array().unwrap().contains(driver), "{driver} is not in {plugins}");
    }
    for (driver, options, text) in [
        ("gelf", &[][..], "gelf-address is a required parameter"),
        ("gelf", &["gelf-address=udp://h:1", "x=1"], "unknown log opt \"x\" for gelf log driver"),
        (
            "gelf",
            &["gelf-address=tcp://h:1", "gelf-compression-type=none"],
            "compression is only supported on UDP",
        ),
        ("splunk", &["splunk-token=t"], "splunk: splunk-url is expected"),
        (
            "splunk",
            &["splunk-token=t", "splunk-url=https://h", "splunk-capath=/nosuch.pem"],
            "could not read certificates from /nosuch.pem",
        ),
        ("loki", &[], "loki: loki-url is required in the config"),
        ("loki", &["loki-url=http://h", "keep-file=true"], "loki: option keep-file is not supported"),
        ("otlp", &["otlp-endpoint=grpc://h"], "unsupported scheme: 'grpc'"),
        ("fluentd", &["fluentd-compress=zstd"], "invalid fluentd-compress"),
        ("gcplogs", &["tag=x"], "\"tag\" is not a valid option for the gcplogs driver"),
        ("gcplogs", &["gcp-project=a/b"], "gcplogs: invalid gcp-project \"a/b\""),
        ("etwlogs", &[], "gantry does not support the log driver etwlogs: "),
    ] {
        let mut args = vec!["create", "--log-driver", driver];
        for option in options {
            args.extend(["--log-opt", option]);
        }
        args.push("busybox");
        let refused = gantry.docker(args);
        assert!(refused.code != 0 && refused.stderr.contains(text), "{text}: {}", refused.stderr);
    }
}
