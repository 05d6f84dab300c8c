//! Health checks.

use gantry_tests::{Daemon, eventually, image};
use serde_json::Value;

/// Options of a check that is done all the time.
const OFTEN: [&str; 4] = ["--health-interval", "50ms", "--health-retries", "2"];

fn run(gantry: &Daemon, name: &str, options: &[&str]) {
    let args: [&[&str]; 4] = [&["run", "-d", "--name", name], &OFTEN, options, &["busybox", "sleep", "1000"]];
    gantry.docker(args.concat()).ok();
}

fn health(gantry: &Daemon, name: &str) -> Value {
    gantry.inspected(name)["State"]["Health"].take()
}

fn comes_to(gantry: &Daemon, name: &str, wanted: &str) {
    eventually(wanted, || (health(gantry, name)["Status"] == wanted).then_some(()));
}

fn shown(gantry: &Daemon, name: &str) -> String {
    let filter = format!("name=^{name}$");
    gantry.docker(["ps", "-a", "--filter", &filter, "--format", "{{.Status}}"]).ok().to_owned()
}

#[test]
fn a_container_becomes_healthy_and_unhealthy_as_its_check_says() {
    let gantry = Daemon::start();
    run(&gantry, "web", &["--health-cmd", "cat /fine && echo $HOSTNAME"]);
    comes_to(&gantry, "web", "unhealthy");
    assert!(shown(&gantry, "web").ends_with(" (unhealthy)"));
    gantry.docker(["exec", "web", "sh", "-c", "echo very > /fine"]).ok();
    comes_to(&gantry, "web", "healthy");
    assert!(shown(&gantry, "web").starts_with("Up ") && shown(&gantry, "web").ends_with(" (healthy)"));
    eventually("five probes are kept", || {
        let found = health(&gantry, "web");
        let log = found["Log"].as_array().unwrap();
        (log.len() == 5 && log.iter().all(|p| p["ExitCode"] == 0)).then_some(())
    });
    let last = health(&gantry, "web")["Log"][4].take();
    let id = gantry.inspect("web", "{{.Id}}");
    assert_eq!(last["Output"], format!("very\n{}\n", &id[..12]));
    assert!(last["Start"].as_str() < last["End"].as_str());
    let listed = |value: &str| {
        let filter = format!("health={value}");
        gantry.docker(["ps", "-q", "--no-trunc", "--filter", &filter]).ok().to_owned()
    };
    assert_eq!([listed("healthy"), listed("unhealthy"), listed("none")], [id, String::new(), String::new()]);
    gantry.docker(["stop", "-t", "0", "web"]).ok();
    assert!(shown(&gantry, "web").starts_with("Exited (137) "));
}

#[test]
fn every_change_is_told_with_the_sessions_behind_it() {
    let gantry = Daemon::start();
    let events = gantry.docker_running(["events", "--filter", "container=web", "--format", "{{.Action}}"]);
    eventually("the stream is open", || {
        gantry.docker(["create", "--name", "webprobe", "busybox"]).ok();
        gantry.docker(["rm", "webprobe"]).ok();
        (!events.stdout().is_empty()).then_some(())
    });
    run(&gantry, "web", &["--health-cmd", "test -e /fine"]);
    events.wait_for("health_status: unhealthy");
    gantry.docker(["exec", "web", "touch", "/fine"]).ok();
    events.wait_for("health_status: healthy");
    let said = events.stdout();
    for wanted in
        ["exec_create: /bin/sh -c test -e /fine", "exec_start: /bin/sh -c test -e /fine", "exec_die"]
    {
        assert!(said.lines().any(|l| l == wanted), "{wanted} is not in {said}");
    }
    assert_eq!(said.matches("health_status: unhealthy").count(), 1, "only changes are told");
}

/// What runs of the checks that sleep.
fn sleepers(gantry: &Daemon) -> Vec<String> {
    let processes = gantry.docker(["top", "web", "-o", "pid,args"]);
    let those = processes.lines().into_iter().filter(|l| l.ends_with(" sleep 555"));
    those.map(str::to_owned).collect()
}

#[test]
fn a_check_over_its_time_is_killed_with_all_it_started() {
    let gantry = Daemon::start();
    run(&gantry, "web", &["--health-cmd", "echo so far; sleep 555; true", "--health-timeout", "1s"]);
    comes_to(&gantry, "web", "unhealthy");
    // On a slow machine one may be over before it has said anything.
    eventually("what it had said is kept", || {
        let found = health(&gantry, "web");
        let probes = found["Log"].as_array().unwrap();
        assert!(probes.iter().all(|p| p["ExitCode"] == -1), "{found}");
        let wanted = "Health check exceeded timeout (1s): so far\n";
        probes.iter().any(|p| p["Output"] == wanted).then_some(())
    });
    // Each that is left adds one to those that are found; one that is killed takes a moment to go.
    eventually("none but the probe under way runs", || (sleepers(&gantry).len() <= 1).then_some(()));
}

#[test]
fn a_check_does_not_outlive_its_daemon() {
    let mut gantry = Daemon::start();
    run(&gantry, "web", &["--health-cmd", "sleep 555; true", "--health-timeout", "1h"]);
    let before = eventually("a probe runs", || Some(sleepers(&gantry)).filter(|found| found.len() == 1));
    gantry.kill();
    // With nobody to end it the next daemon would find two.
    gantry.start_again();
    let own = eventually("its own probe runs alone", || {
        Some(sleepers(&gantry)).filter(|found| found.len() == 1 && *found != before)
    });
    gantry.docker(["exec", "web", "true"]).ok();
    assert_eq!(sleepers(&gantry), own);
}

#[test]
fn long_output_is_cut() {
    let gantry = Daemon::start();
    run(&gantry, "web", &["--health-cmd", "head -c 10000 /dev/zero | tr '\\0' x"]);
    comes_to(&gantry, "web", "healthy");
    let said = health(&gantry, "web")["Log"][0]["Output"].as_str().unwrap().to_owned();
    assert_eq!((said.len(), said.ends_with("x...")), (4099, true));
}

#[test]
fn failures_while_it_starts_do_not_count() {
    let gantry = Daemon::start();
    run(
        &gantry,
        "web",
        &["--health-cmd", "test -e /fine", "--health-start-period", "1h", "--health-start-interval", "50ms"],
    );
    eventually("probes fail", || {
        let found = health(&gantry, "web");
        (found["Log"].as_array().unwrap().len() == 5).then_some(found)
    });
    let found = health(&gantry, "web");
    assert_eq!((&found["Status"], &found["FailingStreak"]), (&"starting".into(), &0.into()));
    assert!(shown(&gantry, "web").ends_with(" (health: starting)"));
    gantry.docker(["exec", "web", "touch", "/fine"]).ok();
    comes_to(&gantry, "web", "healthy");
    gantry.docker(["exec", "web", "rm", "/fine"]).ok();
    comes_to(&gantry, "web", "unhealthy");
}

#[test]
fn an_images_check_is_run_unless_it_is_turned_off() {
    let gantry = Daemon::start();
    let tar = image::import_tar();
    let check = "HEALTHCHECK --interval=50ms --retries=1 CMD test -e /fine";
    gantry
        .docker(["import", "-c", check, "-c", "CMD [\"sleep\", \"1000\"]", tar.to_str().unwrap(), "checked"])
        .ok();
    gantry.docker(["run", "-d", "--name", "own", "checked"]).ok();
    gantry.docker(["run", "-d", "--name", "none", "--no-healthcheck", "checked"]).ok();
    gantry.docker(["run", "-d", "--name", "patient", "--health-retries", "100000", "checked"]).ok();
    comes_to(&gantry, "own", "unhealthy");
    let config = |name: &str| gantry.inspected(name)["Config"]["Healthcheck"].take();
    assert_eq!(config("none")["Test"], serde_json::json!(["NONE"]));
    assert_eq!(health(&gantry, "none"), Value::Null);
    assert!(!shown(&gantry, "none").contains('('));
    let wanted = serde_json::json!({
        "Test": ["CMD-SHELL", "test -e /fine"], "Interval": 50_000_000, "Retries": 100_000,
    });
    assert_eq!(config("patient"), wanted);
    eventually("it is probed", || {
        (health(&gantry, "patient")["FailingStreak"].as_i64() > Some(1)).then_some(())
    });
    assert_eq!(health(&gantry, "patient")["Status"], "starting");
}

#[test]
fn wrong_checks_are_refused() {
    let gantry = Daemon::start();
    let create = |check: Value| {
        let body = serde_json::json!({"Image": "busybox", "Healthcheck": check});
        let answer = gantry.api("POST", "/containers/create", Some(&body));
        (answer.status, answer.json()["message"].as_str().unwrap_or_default().to_owned())
    };
    for name in ["Interval", "Timeout", "StartPeriod", "StartInterval"] {
        let wanted = format!("{name} in Healthcheck cannot be less than 1ms");
        assert_eq!(create(serde_json::json!({"Test": ["CMD", "true"], name: 1})), (400, wanted));
    }
    let negative = create(serde_json::json!({"Test": ["CMD", "true"], "Retries": -1}));
    assert_eq!(negative, (400, "Retries in Healthcheck cannot be negative".to_owned()));
    assert_eq!(create(serde_json::json!({"Test": ["PING", "x"]})).0, 400);
}

#[test]
fn a_paused_container_is_left_alone_and_a_new_daemon_knows_the_verdict() {
    let mut gantry = Daemon::start();
    run(&gantry, "web", &["--health-cmd", "echo x >> /probes"]);
    comes_to(&gantry, "web", "healthy");
    gantry.docker(["pause", "web"]).ok();
    assert!(shown(&gantry, "web").ends_with(" (Paused)"));
    gantry.docker(["unpause", "web"]).ok();
    comes_to(&gantry, "web", "healthy");
    gantry.crash();
    let probes = |gantry: &Daemon| gantry.docker(["exec", "web", "wc", "-l", "/probes"]).ok().to_owned();
    let before = probes(&gantry);
    assert_eq!(health(&gantry, "web")["Status"], "healthy");
    eventually("it is probed on", || (probes(&gantry) != before).then_some(()));
    gantry.docker(["restart", "-t", "0", "web"]).ok();
    comes_to(&gantry, "web", "healthy");
}
