//! Log drivers changed while containers run, with `gantry logs driver set` and through the update endpoint.

use gantry_tests::{Builder, Daemon, Fluentd, Output, Place, Random, Rsyslog, eventually};
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;

const SYSLOG: [&str; 2] = ["syslog", "syslog-address=tcp://127.0.0.1:514"];
const FLUENTD: [&str; 2] = ["fluentd", "fluentd-address=127.0.0.1:24224"];

fn with_receivers() -> (Rsyslog, Fluentd, Daemon) {
    let place = Place::new();
    let (rsyslog, fluentd) = (Rsyslog::start(&place), Fluentd::start(&place));
    let gantry = Builder::at(&place).start();
    (rsyslog, fluentd, gantry)
}

/// Writes the numbers up to `count`, some at a time.
fn writer(gantry: &Daemon, name: &str, options: &[&str], count: u32) {
    let script = format!(
        "i=0; while [ $i -lt {count} ]; do echo $i; i=$((i+1)); [ $((i % 25)) = 0 ] && sleep 0.01; done"
    );
    let mut args = vec!["run", "-d", "--name", name];
    args.extend(options);
    args.extend(["busybox", "sh", "-c", &script]);
    gantry.docker(args).ok();
}

#[track_caller]
fn set(gantry: &Daemon, container: &str, driver: &[&str]) -> Output {
    let mut args = vec!["logs", "driver", "set", container, "--log-driver", driver[0]];
    args.extend(driver[1..].iter().flat_map(|option| ["--log-opt", option]));
    gantry.gantry(args)
}

fn numbers<'a>(texts: impl Iterator<Item = &'a str>) -> BTreeSet<u32> {
    texts.filter_map(|text| text.trim().parse().ok()).collect()
}

fn text(count: u32) -> String {
    (0..count).map(|n| n.to_string()).collect::<Vec<_>>().join("\n")
}

#[test]
fn lines_go_to_the_new_driver_from_where_the_old_one_ended_and_logs_has_all_of_them() {
    let (rsyslog, fluentd, gantry) = with_receivers();
    let folder = gantry.place().path("ctl");
    std::fs::create_dir(&folder).unwrap();
    // Writes on until it is told to stop, and then how many there were.
    let script = "i=0; until [ -e /ctl/stop ]; do echo $i; i=$((i+1)); [ $((i % 25)) = 0 ] && sleep 0.01; done; \
                  echo $i > /ctl/count";
    let mount = format!("{}:/ctl", folder.display());
    gantry.docker(["run", "-d", "--name", "web", "-v", &mount, "busybox", "sh", "-c", script]).ok();
    let events = gantry.docker_running(["events", "--filter", "container=web", "--since", "0"]);
    let last = || gantry.docker(["logs", "--tail", "1", "web"]).ok().to_owned();
    let sent = || numbers(rsyslog.received().iter().map(|m| m.text.as_str()));
    let forwarded = || numbers(fluentd.received().iter().map(|e| e.text("log")));
    for driver in [&["local"][..], &SYSLOG, &FLUENTD, &["local", "max-size=1m"], &["json-file", "tag=x"]] {
        let before = last();
        eventually("more is written", || (last() != before).then_some(()));
        assert_eq!(set(&gantry, "web", driver).ok(), "web");
        // Receivers get lines a moment later.
        eventually("it has some", || match driver[0] {
            "syslog" => (!sent().is_empty()).then_some(()),
            "fluentd" => (!forwarded().is_empty()).then_some(()),
            _ => Some(()),
        });
        let config = &gantry.inspected("web")["HostConfig"]["LogConfig"];
        assert_eq!(config["Type"], driver[0]);
        let told = config["Config"].as_object().map_or(0, |options| options.len());
        assert_eq!(told, driver.len() - 1, "the options given are all");
    }
    assert!(gantry.log_path("web").ends_with(format!("{}-json.log", gantry.inspect("web", "{{.Id}}"))));
    eventually("events tell it", || events.stdout().contains("log_driver_set").then_some(()));
    std::fs::write(folder.join("stop"), "").unwrap();
    gantry.until_exited("web");
    let count: u32 = std::fs::read_to_string(folder.join("count")).unwrap().trim().parse().unwrap();
    assert_eq!(gantry.docker(["logs", "web"]).ok(), text(count));
    let five: Vec<String> = (count - 5..count).map(|n| n.to_string()).collect();
    assert_eq!(gantry.docker(["logs", "--tail", "5", "web"]).lines(), five);
    // Each took a stretch of its own, and they follow on each other.
    let sent = eventually("the one ends where the other begins", || {
        let sent = sent();
        (forwarded().first() == Some(&(sent.last()? + 1))).then_some(sent)
    });
    let (first, last) = (sent.first().unwrap(), sent.last().unwrap());
    assert_eq!(sent.len() as u32, last - first + 1, "nothing is missing within");
}

#[test]
fn twenty_changes_amid_load_and_kills_of_the_daemon_lose_no_line_and_store_none_twice() {
    let (rsyslog, fluentd, mut gantry) = with_receivers();
    writer(&gantry, "web", &[], 12_000);
    writer(&gantry, "other", &[], 3000);
    let mut random = Random::seeded();
    let fan = ["fanout", "drivers=local,syslog", "syslog.syslog-address=tcp://127.0.0.1:514"];
    let drivers: [&[&str]; 5] = [&["json-file"], &["local"], &SYSLOG, &FLUENTD, &fan];
    for round in 0..20 {
        let driver = drivers[random.below(drivers.len() as u64) as usize];
        if round % 4 == 3 {
            let mut args = vec!["logs", "driver", "set", "web", "--log-driver", driver[0]];
            args.extend(driver[1..].iter().flat_map(|option| ["--log-opt", option]));
            let change = gantry.gantry_running(args);
            std::thread::sleep(Duration::from_millis(random.below(60)));
            gantry.crash();
            // It may have had its answer or not.
            drop(change);
        } else {
            set(&gantry, "web", driver).ok();
        }
        std::thread::sleep(Duration::from_millis(random.below(150)));
    }
    for name in ["web", "other"] {
        gantry.until_exited(name);
    }
    let read = gantry.docker(["logs", "web"]).ok().to_owned();
    let lines: Vec<u32> = read.lines().map(|l| l.parse().unwrap()).collect();
    let mut once = lines.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once, (0..12_000).collect::<Vec<u32>>(), "no line is missing");
    assert_eq!(lines, once, "each comes once, in order");
    assert_eq!(gantry.docker(["logs", "other"]).ok(), text(3000), "another container noticed nothing");
    // What a receiver got is a part of it.
    for got in [
        numbers(rsyslog.received().iter().map(|m| m.text.as_str())),
        numbers(fluentd.received().iter().map(|e| e.text("log"))),
    ] {
        assert!(got.iter().all(|n| *n < 12_000));
    }
}

#[test]
fn a_receiver_takes_over_from_one_that_is_away_all_that_it_had_not_got() {
    let (rsyslog, mut fluentd, gantry) = with_receivers();
    fluentd.stop();
    let options = [
        "--log-driver=fluentd",
        "--log-opt=fluentd-address=127.0.0.1:24224",
        "--log-opt=cache-disabled=true",
    ];
    writer(&gantry, "web", &options, 1000);
    gantry.until_exited("web");
    let mut syslog = SYSLOG.to_vec();
    syslog.push("cache-disabled=true");
    set(&gantry, "web", &syslog).ok();
    rsyslog.wait_for("999");
    let got = rsyslog.received().into_iter().map(|m| m.text).collect::<Vec<_>>().join("\n");
    assert_eq!(got, text(1000));
    let status = gantry.gantry(["logs", "status", "web"]);
    assert!(status.ok().contains("syslog") && !status.ok().contains("fluentd"), "{status}");
    let id = gantry.inspect("web", "{{.Id}}");
    let cursors = gantry.data().join("containers").join(id).join("cursors");
    eventually("nothing of the one that went stays", || {
        let mut left = std::fs::read_dir(&cursors).unwrap().map(|e| e.unwrap().file_name());
        left.all(|name| name.to_string_lossy().starts_with("syslog")).then_some(())
    });
}

#[test]
fn a_stopped_container_starts_with_its_new_driver_and_a_wrong_one_is_refused() {
    let (rsyslog, _, gantry) = with_receivers();
    gantry.docker(["run", "--name", "web", "busybox", "echo", "first"]).ok();
    let refused = set(&gantry, "web", &["syslog", "syslog-address=ftp://x"]);
    assert!(refused.fails(1).contains("unsupported scheme: 'ftp'"), "{refused}");
    let refused = set(&gantry, "web", &["nope"]);
    assert!(refused.fails(1).contains("plugin \"nope\" not found"), "{refused}");
    let body =
        json!({ "LogConfig": { "Type": "syslog", "Config": { "syslog-address": "tcp://127.0.0.1:514" } } });
    let answer = gantry.api("POST", "/containers/web/update", Some(&body));
    assert_eq!((answer.status, answer.json()["Warnings"].is_null()), (200, true), "{}", answer.text());
    gantry.docker(["start", "-a", "web"]).ok();
    rsyslog.wait_for("first");
    assert_eq!(rsyslog.received().len(), 1, "only what was written since");
    assert_eq!(gantry.docker(["logs", "web"]).ok(), "first\nfirst");
    // Docker's own changes leave it as it is.
    gantry.docker(["update", "--restart", "no", "web"]).ok();
    assert_eq!(gantry.inspect("web", "{{.HostConfig.LogConfig.Type}}"), "syslog");
}

#[test]
fn a_container_that_waits_for_a_full_spool_goes_on_once_its_lines_may_be_dropped() {
    let place = Place::new();
    let gantry = Builder::at(&place).args(["--spool-budget", "8388608"]).start();
    let away = [
        "--log-driver=syslog",
        "--log-opt=syslog-address=tcp://127.0.0.1:514",
        "--log-opt=cache-disabled=true",
    ];
    let mut args = vec!["run", "-d", "--name", "web"];
    args.extend(away);
    args.extend(["busybox", "sh", "-c", "dd if=/dev/zero bs=1000000 count=24 2>/dev/null | tr '\\0' 'x'"]);
    gantry.docker(args).ok();
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(gantry.inspect("web", "{{.State.Status}}"), "running", "it waits");
    let drops = [SYSLOG[0], SYSLOG[1], "cache-disabled=true", "mode=non-blocking"];
    set(&gantry, "web", &drops).ok();
    gantry.until_exited("web");
}

#[test]
fn a_follower_sees_every_line_across_changes() {
    let (_rsyslog, _fluentd, gantry) = with_receivers();
    writer(&gantry, "web", &[], 3000);
    let follower = gantry.docker_running(["logs", "-f", "web"]);
    for driver in [&["local"][..], &SYSLOG, &["local"], &["json-file"]] {
        std::thread::sleep(Duration::from_millis(150));
        set(&gantry, "web", driver).ok();
    }
    gantry.until_exited("web");
    assert_eq!(follower.finish().ok(), text(3000));
}
