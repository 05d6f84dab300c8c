//! Metrics for Prometheus, read by its own parsers.

use gantry_tests::{Builder, Daemon, Fluentd, Form, Metrics, Place, eventually};
use nix::sys::signal::Signal;
use serde_json::json;
use std::sync::Arc;

const PORT: u16 = 9323;

fn start(place: &Arc<Place>) -> Daemon {
    Builder::at(place).args(["--metrics-addr", "127.0.0.1:9323"]).start()
}

fn scrape(gantry: &Daemon) -> Metrics {
    Metrics::scrape(gantry.place(), PORT, Form::OpenMetrics)
}

/// What is at a path of the metrics' address: status and body.
fn fetched(gantry: &Daemon, path: &str) -> (String, String) {
    let url = format!("http://127.0.0.1:{PORT}{path}");
    let said = gantry.place().run("curl", ["-s", "-w", "\n%{http_code}", &url]);
    let (body, status) = said.ok().rsplit_once('\n').unwrap();
    (status.to_owned(), body.to_owned())
}

#[test]
fn each_sink_s_lines_are_told_as_written_arrived_waiting_and_dropped() {
    let place = Place::new();
    let mut fluentd = Fluentd::start(&place);
    fluentd.stop();
    let gantry = start(&place);
    let drivers = ["--log-opt", "drivers=json-file,far:fluentd", "--log-opt", "far.fluentd-request-ack=true"];
    let run = ["run", "-d", "--name", "web", "--log-driver=fanout"];
    let script = ["busybox", "sh", "-c", "seq 1 100; exec sleep 1000"];
    let id = gantry.docker(run.iter().chain(&drivers).chain(&script)).ok()[..12].to_owned();
    let near = [("id", id.as_str()), ("name", "web"), ("sink", "json-file"), ("driver", "json-file")];
    let far = [("id", id.as_str()), ("name", "web"), ("sink", "far"), ("driver", "fluentd")];
    let arrived = "gantry_log_sink_acknowledged_lines_total";
    let told = eventually("the near sink has all, the far one has tried", || {
        let now = scrape(&gantry);
        let tried = now.get("gantry_log_sink_retries_total", &far)? > 0.0;
        (tried && now.get(arrived, &near) == Some(100.0)).then_some(now)
    });
    for (name, of_near, of_far) in [
        ("gantry_log_sink_in_lines_total", 100.0, 100.0),
        ("gantry_log_sink_in_bytes_total", 192.0, 192.0),
        ("gantry_log_sink_acknowledged_bytes_total", 192.0, 0.0),
        ("gantry_log_sink_lag_lines", 0.0, 100.0),
        ("gantry_log_sink_lag_bytes", 0.0, 292.0),
        ("gantry_log_sink_up", 1.0, 0.0),
    ] {
        assert_eq!((told.value(name, &near), told.value(name, &far)), (of_near, of_far), "{name}");
    }
    assert_eq!(told.value("gantry_log_sink_lag_seconds", &near), 0.0);
    assert!(told.value("gantry_log_sink_up_since_timestamp_seconds", &near) > 1e9);
    assert_eq!(told.get("gantry_log_sink_up_since_timestamp_seconds", &far), None);
    assert_eq!(
        told.value("gantry_log_sink_dropped_lines_total", &[("sink", "far"), ("reason", "refused")]),
        0.0
    );
    assert!(told.value("gantry_log_spool_used_bytes", &[("id", &id), ("name", "web")]) > 292.0);
    assert_eq!(told.value("gantry_log_spool_budget_bytes", &[]), f64::from(64 << 20));
    eventually("the age of what waits grows", || {
        (scrape(&gantry).value("gantry_log_sink_lag_seconds", &far) > 1.0).then_some(())
    });
    fluentd.start_again();
    let told = eventually("all of it arrives", || {
        let now = scrape(&gantry);
        let up = now.value("gantry_log_sink_up", &far) == 1.0;
        (up && now.value("gantry_log_sink_lag_lines", &far) == 0.0).then_some(now)
    });
    assert_eq!(told.value(arrived, &far), 100.0);
    assert_eq!(told.value("gantry_log_sink_in_lines_total", &far), 100.0, "what was counted once stays so");
    let text = Metrics::scrape(&place, PORT, Form::Text);
    assert_eq!(text.value(arrived, &far), 100.0);
    let states: f64 = ["opening", "idle", "delivering", "waiting", "reopening"]
        .map(|state| text.value("gantry_log_sink_state", &[("sink", "far"), ("state", state)]))
        .iter()
        .sum();
    assert_eq!(states, 1.0);
    gantry.docker(["rm", "-f", "web"]).ok();
    assert_eq!(scrape(&gantry).count(arrived, &[]), 0, "only what exists is told");
}

#[test]
fn the_engine_is_told_under_dockers_names_and_its_actors_under_its_own() {
    let place = Place::new();
    let gantry = start(&place);
    gantry.docker(["run", "-d", "--name", "one", "busybox", "sleep", "1000"]).ok();
    gantry.docker(["run", "-d", "--name", "two", "busybox", "sleep", "1000"]).ok();
    gantry.docker(["pause", "two"]).ok();
    gantry.docker(["run", "--name", "three", "busybox", "true"]).ok();
    gantry.docker(["rm", "three"]).ok();
    gantry.docker(["create", "--name", "four", "busybox"]).ok();
    let running = [("kind", "container"), ("state", "running")];
    // The actor of a container that was removed ends behind the answer.
    let told = eventually("three containers have their actors", || {
        Some(scrape(&gantry)).filter(|now| now.value("gantry_actors", &running) == 3.0)
    });
    let state = |state| told.value("engine_daemon_container_states_containers", &[("state", state)]);
    assert_eq!((state("running"), state("paused"), state("stopped")), (1.0, 1.0, 1.0));
    assert_eq!(told.value("gantry_containers", &[("state", "created")]), 1.0);
    for (action, count) in [("create", 4.0), ("start", 3.0), ("delete", 1.0)] {
        let name = "engine_daemon_container_actions_seconds_count";
        assert_eq!(told.value(name, &[("action", action)]), count, "{action}");
        let last = [("action", action), ("le", "+Inf")];
        assert_eq!(told.value("engine_daemon_container_actions_seconds_bucket", &last), count);
    }
    let info = gantry.api("GET", "/info", None).json();
    let label = |name| told.label("engine_daemon_engine_info", name);
    assert_eq!((label("daemon_id").as_str(), label("kernel").as_str()), {
        (info["ID"].as_str().unwrap(), info["KernelVersion"].as_str().unwrap())
    });
    assert_eq!(told.value("engine_daemon_engine_cpus_cpus", &[]), info["NCPU"].as_f64().unwrap());
    assert_eq!(told.value("gantry_images", &[]), 1.0);
    assert!(told.value("engine_daemon_events_total", &[]) > 5.0);
    for name in [
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "process_open_fds",
        "process_max_fds",
        "process_start_time_seconds",
    ] {
        assert!(told.value(name, &[]) > 0.0, "{name}");
    }
}

#[test]
fn nothing_but_reading_is_served_at_the_address() {
    let place = Place::new();
    let gantry = start(&place);
    let (status, page) = fetched(&gantry, "/");
    assert!(status == "200" && page.contains("<title>gantry</title>"), "{page}");
    assert!(!page.contains("http://") && !page.contains("https://"), "it needs nothing from elsewhere");
    let (status, top) = fetched(&gantry, "/top");
    let top: serde_json::Value = serde_json::from_str(&top).unwrap();
    assert!(status == "200" && top["Actors"].as_array().unwrap().iter().any(|a| a["name"] == "events"));
    for path in ["/containers/json", "/v1.43/containers/json", "/gantry/actors", "/metrics/x"] {
        assert_eq!(fetched(&gantry, path).0, "404", "{path}");
    }
}

#[test]
fn an_address_that_is_none_or_is_taken_is_refused_at_the_start() {
    let place = Place::new();
    let _taken = place.spawn("python3", ["-m", "http.server", "9323", "--bind", "127.0.0.1"]);
    eventually("the port is taken", || place.listens(PORT).then_some(()));
    let refused = Builder::at(&place).args(["--metrics-addr", "127.0.0.1:9323"]).refused();
    let text = "failed to start metrics server: listen tcp 127.0.0.1:9323: bind: address already in use";
    assert!(refused.stderr.contains(text), "{refused}");
    let refused = Builder::at(&place).config(&json!({ "metrics-addr": "localhost" })).refused();
    let text = "invalid value for the key \"metrics-addr\": \"localhost\": missing port in address";
    assert!(refused.stderr.contains(text), "{refused}");
}

#[test]
fn without_an_address_nothing_listens_and_a_new_one_needs_a_restart() {
    let place = Place::new();
    let gantry = Builder::at(&place).config(&json!({})).start();
    gantry.write("daemon.json", json!({ "metrics-addr": "127.0.0.1:9323" }).to_string());
    gantry.signal(Signal::SIGHUP);
    gantry.until_logged("new values that count only after a restart: metrics-addr");
    assert!(!place.listens(PORT));
}

#[test]
fn every_address_of_the_machine_can_be_meant() {
    let place = Place::new();
    let _gantry = Builder::at(&place).args(["--metrics-addr", ":9323"]).start();
    for url in ["http://127.0.0.1:9323/metrics", "http://[::1]:9323/metrics"] {
        place.run("curl", ["-sfg", "-o", "/dev/null", url]).ok();
    }
}

#[test]
fn a_sink_that_goes_and_comes_is_told_once_each_time() {
    let place = Place::new();
    let mut fluentd = Fluentd::start(&place);
    fluentd.stop();
    let gantry = start(&place);
    let head =
        ["run", "-d", "--name", "web", "--log-driver=fluentd", "--log-opt", "fluentd-request-ack=true"];
    gantry.docker(head.iter().chain(&["busybox", "sh", "-c", "echo hi; exec sleep 1000"])).ok();
    let retries = || scrape(&gantry).get("gantry_log_sink_retries_total", &[("sink", "fluentd")]);
    eventually("it was tried more than once", || (retries()? >= 3.0).then_some(()));
    fluentd.start_again();
    fluentd.wait_for("hi");
    let told = |event: &str| {
        let filter = format!("event={event}");
        let until = seconds_now();
        let args = ["events", "--since", "0", "--until", &until, "--filter", &filter];
        let format = ["--format", "{{.Actor.Attributes.name}} {{.Actor.Attributes.sink}}"];
        gantry.docker(args.iter().chain(&format)).ok().to_owned()
    };
    assert_eq!(
        eventually("its return is told", || Some(told("log_up")).filter(|t| !t.is_empty())),
        "web fluentd"
    );
    assert_eq!(told("log_down"), "web fluentd");
}

fn seconds_now() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    now.as_secs_f64().to_string()
}
