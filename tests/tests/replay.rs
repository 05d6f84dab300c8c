//! Stored logs sent to other drivers, and log drivers tried out.

use gantry_tests::{Builder, Daemon, Fluentd, Place, Rsyslog, eventually};
use nix::sys::signal::Signal;

fn with_receivers() -> (Rsyslog, Fluentd, Daemon) {
    let place = Place::new();
    let (rsyslog, fluentd) = (Rsyslog::start(&place), Fluentd::start(&place));
    let gantry = Builder::at(&place).start();
    (rsyslog, fluentd, gantry)
}

const TO_FLUENTD: [&str; 3] = ["--log-driver=fluentd", "--log-opt", "fluentd-address=127.0.0.1:24224"];

fn replay<'a>(options: &[&'a str], to: &[&'a str]) -> Vec<&'a str> {
    [&["logs", "replay", "web"], options, to].concat()
}

#[test]
fn a_stored_log_goes_to_another_driver_with_its_times() {
    for driver in ["json-file", "local"] {
        let (rsyslog, fluentd, gantry) = with_receivers();
        let script = "for i in $(seq 1 500); do echo $i; done; echo wrong >&2";
        gantry.docker(["run", "--log-driver", driver, "--name", "web", "busybox", "sh", "-c", script]).ok();
        let told = gantry.gantry(replay(&[], &TO_FLUENTD));
        assert!(told.ok().starts_with("501 lines, "), "{told}");
        let got = eventually("all of it arrives", || {
            let got = fluentd.received();
            (got.len() >= 501).then_some(got)
        });
        let text: Vec<&str> = got.iter().map(|e| e.text("log")).filter(|text| *text != "wrong").collect();
        assert_eq!(text, (1..=500).map(|n| n.to_string()).collect::<Vec<_>>());
        let wrong = got.iter().find(|e| e.text("log") == "wrong").unwrap();
        let stored = gantry.docker(["logs", "-t", "web"]);
        let then: jiff::Timestamp = stored.stderr.split(' ').next().unwrap().parse().unwrap();
        assert!(wrong.time.starts_with(&then.as_second().to_string()), "it keeps its time");
        let to = ["--log-driver=syslog", "--log-opt=syslog-address=tcp://127.0.0.1:514"];
        gantry.gantry(replay(&["--streams", "stderr"], &to)).ok();
        rsyslog.wait_for("wrong");
        assert_eq!(rsyslog.received().len(), 1);
        let told = gantry.gantry(replay(&["--until", "1h"], &to));
        assert!(told.ok().starts_with("0 lines, 0B"), "{told}");
        // Nothing of the container has changed.
        assert_eq!(gantry.inspect("web", "{{.HostConfig.LogConfig.Type}}"), driver);
    }
}

#[test]
fn a_receiver_that_comes_back_gets_the_rest_and_one_that_stays_away_is_an_error() {
    let (_, mut fluentd, gantry) = with_receivers();
    gantry.docker(["run", "--name", "web", "busybox", "seq", "1", "100"]).ok();
    fluentd.stop();
    let running = gantry.gantry_running(replay(&[], &TO_FLUENTD));
    eventually("it tells that it tries again", || running.stderr().contains("trying again").then_some(()));
    fluentd.start_again();
    let told = running.finish();
    assert!(told.ok().starts_with("100 lines, "), "{told}");
    fluentd.stop();
    let told = gantry.gantry(replay(&["--timeout", "1"], &TO_FLUENTD));
    assert_eq!(told.code, 1, "{told}");
    assert!(told.stdout.starts_with("0 lines, 0B") && told.stdout.contains("refused"), "{told}");
}

#[test]
fn an_interrupted_replay_ends_with_its_summary_and_leaves_no_actor() {
    let (_, mut fluentd, gantry) = with_receivers();
    gantry.docker(["run", "--name", "web", "busybox", "seq", "1", "100"]).ok();
    fluentd.stop();
    let running = gantry.gantry_running(replay(&[], &TO_FLUENTD));
    eventually("it tells that it tries again", || running.stderr().contains("trying again").then_some(()));
    running.signal(Signal::SIGINT);
    let told = running.finish();
    assert_eq!(told.code, 130, "{told}");
    assert!(told.stdout.contains("interrupted"), "{told}");
    eventually("the actor is gone", || (!gantry.gantry(["actors"]).ok().contains("replay:")).then_some(()));
}

#[test]
fn a_probe_tells_whether_a_line_arrives_and_leaves_nothing_behind() {
    let (rsyslog, mut fluentd, gantry) = with_receivers();
    let containers = || std::fs::read_dir(gantry.data().join("containers")).map_or(0, Iterator::count);
    let before = containers();
    let test = |options: &[&str]| gantry.gantry([&["logs", "driver", "test"], options].concat());
    let to = ["--log-driver=syslog", "--log-opt=syslog-address=tcp://127.0.0.1:514"];
    assert!(test(&to).ok().starts_with("syslog: delivered in "));
    rsyslog.wait_for("gantry probe of log driver syslog");
    for driver in ["json-file", "local"] {
        assert!(test(&["--log-driver", driver]).ok().starts_with(&format!("{driver}: delivered in ")));
    }
    fluentd.stop();
    let several = ["--log-driver=fanout", "--log-opt=drivers=a:syslog,b:fluentd"];
    let several = [&several[..], &["--log-opt=a.syslog-address=tcp://127.0.0.1:514"]].concat();
    let told = test(&several);
    assert_eq!(told.code, 1, "{told}");
    assert!(
        told.stdout.contains("a (syslog): delivered") && told.stdout.contains("b (fluentd): not delivered: "),
        "{told}"
    );
    let wrong = test(&["--log-driver=syslog", "--log-opt=syslog-address=ftp://x"]);
    assert!(wrong.fails(1).contains("unsupported scheme: 'ftp'"), "{wrong}");
    assert_eq!(containers(), before);
}

#[test]
fn the_drivers_there_are_and_their_options_are_listed() {
    let gantry = Daemon::start();
    let all = gantry.gantry(["logs", "driver", "ls"]);
    for name in ["awslogs", "fanout", "gcplogs", "json-file", "local", "none", "syslog"] {
        assert!(all.ok().lines().any(|line| line.split_whitespace().next() == Some(name)), "{all}");
    }
    let one = gantry.gantry(["logs", "driver", "ls", "syslog"]);
    assert!(one.ok().contains("syslog-address"), "{one}");
    let common = one.ok().split("OPTION OF ANY DRIVER").nth(1).unwrap_or_default().to_owned();
    assert!(["mode ", "rate-limit ", "cache-max-size "].iter().all(|key| common.contains(key)), "{one}");
    let json = gantry.gantry(["logs", "driver", "ls", "--json", "local"]).json();
    assert_eq!((&json[0]["Name"], &json[0]["Reads"]), (&"local".into(), &true.into()));
    let unknown = gantry.gantry(["logs", "driver", "ls", "nope"]);
    assert!(unknown.fails(1).contains("'nope' is registered"), "{unknown}");
}
