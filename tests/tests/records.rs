//! Records built before any driver: long lines, lines that belong together, limits on the rate.

use gantry_tests::{Builder, Daemon, Fluentd, Place, Rsyslog, eventually};
use serde_json::Value;
use std::time::Duration;

/// Runs a script with these log options.
fn run(gantry: &Daemon, name: &str, options: &[&str], script: &str) {
    let mut args = vec!["run", "-d", "--name", name];
    args.extend(options.iter().flat_map(|o| ["--log-opt", o]));
    args.extend(["busybox", "sh", "-c", script]);
    gantry.docker(args).ok();
}

/// The texts in a container's json-file.
fn texts(gantry: &Daemon, name: &str) -> Vec<String> {
    let file = std::fs::read_to_string(gantry.log_path(name)).unwrap_or_default();
    let entry = |line: &str| {
        let entry: Value = serde_json::from_str(line).unwrap();
        entry["log"].as_str().unwrap().to_owned()
    };
    // The last may be half written.
    let whole = file.rfind('\n').map_or("", |end| &file[..end]);
    whole.lines().map(entry).collect()
}

const TRACE: &str = "java.lang.IllegalStateException: broken\n\tat a.b.C.d(C.java:7)\n\tat a.b.C.main(C.java:3)\n\
                     Caused by: java.io.IOException: disk\n\t... 2 more";

/// Prints it line by line.
fn trace() -> String {
    format!("printf '%s\\n' '{}'", TRACE.replace('\n', "'; sleep 0.01; printf '%s\\n' '"))
}

#[test]
fn a_stack_trace_arrives_whole_in_every_driver() {
    let place = Place::new();
    let (rsyslog, fluentd) = (Rsyslog::start(&place), Fluentd::start(&place));
    let gantry = Builder::at(&place).start();
    let options = [
        "drivers=json-file,syslog,fluentd",
        "syslog.syslog-address=tcp://127.0.0.1:514",
        r"multiline-pattern=^(\S+Exception|INFO)",
        "multiline-timeout=10s",
    ];
    let mut args = vec!["run", "-d", "--name", "web", "--log-driver=fanout"];
    args.extend(options.iter().flat_map(|o| ["--log-opt", o]));
    let script = format!("echo INFO before; {0}; echo INFO between; {{ {0}; }} >&2; echo INFO last", trace());
    args.extend(["busybox", "sh", "-c", &script]);
    gantry.docker(args).ok();
    gantry.until_exited("web");
    rsyslog.wait_for("INFO last");
    fluentd.wait_for("INFO last");
    let mut wanted = [TRACE, TRACE, "INFO before", "INFO between", "INFO last"].map(str::to_owned).to_vec();
    wanted.sort();
    let sorted = |mut all: Vec<String>| {
        all.sort();
        all
    };
    let got = eventually("all is in the file", || Some(texts(&gantry, "web")).filter(|t| t.len() == 5));
    assert_eq!(sorted(got.iter().map(|t| t.trim_end_matches('\n').to_owned()).collect()), wanted);
    let events = eventually("all is at fluentd", || Some(fluentd.received()).filter(|e| e.len() == 5));
    assert_eq!(sorted(events.iter().map(|e| e.text("log").to_owned()).collect()), wanted);
    // rsyslogd shows a line end inside a message so, and a tab too.
    let plain = |text: String| text.replace("#012", "\n").replace("#011", "\t");
    let messages = eventually("all is at rsyslogd", || Some(rsyslog.received()).filter(|m| m.len() == 5));
    assert_eq!(sorted(messages.into_iter().map(|m| plain(m.text)).collect()), wanted);
    assert!(gantry.docker(["logs", "web"]).stdout.contains(TRACE));
}

#[test]
fn a_record_that_nothing_follows_comes_by_itself_and_a_follower_sees_what_the_file_gets() {
    let gantry = Daemon::start();
    let options = ["multiline-datetime-format=%Y-%m-%d", "multiline-timeout=2s"];
    let script = "echo 2026-11-29 one; echo ' more'; until [ -e /next ]; do sleep 0.1; done; \
                  echo 2026-11-30 two; echo ' more'; exec sleep 1000";
    run(&gantry, "web", &options, script);
    let follower = gantry.docker_running(["logs", "-f", "web"]);
    let first = "2026-11-29 one\n more\n".to_owned();
    let both = [first.clone(), "2026-11-30 two\n more\n".to_owned()];
    eventually("the first is there while nothing follows", || {
        texts(&gantry, "web").contains(&first).then_some(())
    });
    gantry.docker(["exec", "web", "touch", "/next"]).ok();
    eventually("so is the second", || (texts(&gantry, "web") == both).then_some(()));
    eventually("the follower has them", || (follower.stdout() == both.concat()).then_some(()));
    drop(follower);
    gantry.docker(["rm", "-f", "web"]).ok();
}

#[test]
fn joined_lines_are_in_the_file_exactly_once_across_kills_of_the_daemon() {
    let mut gantry = Daemon::start();
    let options = [r"multiline-pattern=^\d", "multiline-timeout=5s", "max-size=200k", "max-file=100"];
    let script = "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo $i; echo \"  a of $i\"; echo \"  b of $i\" >&2; \
                  [ $((i % 50)) = 0 ] && sleep 0.05; done; echo 9999";
    run(&gantry, "web", &options, script);
    for _ in 0..6 {
        std::thread::sleep(Duration::from_millis(350));
        gantry.crash();
    }
    gantry.until_exited("web");
    let all = eventually("the last line is stored", || {
        Some(gantry.docker(["logs", "web"]).stdout).filter(|t| t.ends_with("9999\n"))
    });
    let wanted: String = (1..=3000).map(|n| format!("{n}\n  a of {n}\n")).collect();
    assert!(all == wanted + "9999\n", "{} bytes", all.len());
    let path = gantry.log_path("web");
    let folder = path.parent().unwrap();
    let mut records = 0;
    for file in std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()) {
        let named = file.file_name().unwrap().to_str().unwrap().contains("-json.log");
        let text = if named { std::fs::read_to_string(&file).unwrap() } else { String::new() };
        records += text.matches("\\n  a of ").count();
    }
    assert_eq!(records, 3000, "each pair is one record");
}

#[test]
fn lines_above_the_rate_are_told_of_and_counted() {
    let gantry = Daemon::start();
    run(&gantry, "web", &["rate-limit=100/m"], "seq 1 5000; sleep 0.2; echo not the last");
    gantry.until_exited("web");
    let told = "gantry: 4901 lines were suppressed here by rate-limit=100/m\n";
    let got =
        eventually("the file tells", || Some(texts(&gantry, "web")).filter(|t| t.contains(&told.into())));
    let first: Vec<String> = (1..=100).map(|n| format!("{n}\n")).collect();
    assert_eq!((&got[..100], got.len()), (&first[..], 101));
    let status: Value =
        serde_json::from_str(gantry.gantry(["logs", "status", "web", "--json"]).ok()).unwrap();
    assert_eq!(status[0]["Dropped"]["rate-limit"], 4901);
}

#[test]
fn a_flood_under_a_rate_is_held_to_it() {
    let mut gantry = Daemon::start();
    run(&gantry, "flood", &["rate-limit=50/s"], "exec yes");
    eventually("two windows are told of", || {
        let told = texts(&gantry, "flood").iter().filter(|t| t.contains("were suppressed here")).count();
        (told >= 2).then_some(())
    });
    gantry.crash();
    eventually("and more after the daemon came back", || {
        let told = texts(&gantry, "flood").iter().filter(|t| t.contains("were suppressed here")).count();
        (told >= 4).then_some(())
    });
    gantry.docker(["kill", "flood"]).ok();
    let texts = texts(&gantry, "flood");
    for window in texts.split(|t| t.contains("were suppressed here")) {
        assert!(window.len() <= 50, "{} lines in one window", window.len());
    }
    gantry.docker(["rm", "-f", "flood"]).ok();
}

#[test]
fn a_long_line_is_whole_where_that_is_asked_for() {
    let gantry = Daemon::start();
    let script = "head -c 204800 /dev/zero | tr '\\0' x; echo; echo next";
    run(&gantry, "whole", &["max-line-size=256k"], script);
    run(&gantry, "pieces", &[], script);
    gantry.until_exited("whole");
    gantry.until_exited("pieces");
    let lengths = |name: &str| {
        let got = eventually("the last line is stored", || {
            Some(texts(&gantry, name)).filter(|t| t.last().is_some_and(|l| l == "next\n"))
        });
        got.iter().map(String::len).collect::<Vec<_>>()
    };
    assert_eq!(lengths("whole"), [204_801, 5]);
    // As Docker's: the last piece ends the line.
    assert_eq!(lengths("pieces")[..12], [16384; 12]);
    let read = gantry.docker(["logs", "whole"]).stdout;
    assert_eq!(read.len(), 204_801 + 5);
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    let gantry = Daemon::start();
    for (options, text) in [
        (&["max-line-size=2m"][..], "invalid value for option max-line-size: 2m"),
        (&["multiline-pattern=("], "invalid value for option multiline-pattern: (: unclosed group"),
        (
            &["multiline-pattern=x", "multiline-datetime-format=%Y"],
            "you cannot configure log opt 'multiline-datetime-format' and 'multiline-pattern' at the same time",
        ),
        (&["multiline-max-lines=5"], "log opt 'multiline-max-lines' needs 'multiline-pattern'"),
        (&["rate-limit=fast"], "invalid value for option rate-limit: fast"),
    ] {
        let mut args = vec!["create"];
        args.extend(options.iter().flat_map(|o| ["--log-opt", o]));
        args.push("busybox");
        let refused = gantry.docker(args);
        assert!(refused.code != 0 && refused.stderr.contains(text), "{}", refused.stderr);
    }
}
