//! `docker logs` and `docker attach`.

use gantry_tests::{Daemon, Output, Running, eventually};
use std::path::Path;

type Run = fn(&Daemon, Vec<&'static str>) -> Output;
const BOTH: [Run; 2] = [Daemon::docker, Daemon::gantry];
type Start = fn(&Daemon, Vec<&'static str>) -> Running;
const BOTH_RUNNING: [Start; 2] = [Daemon::docker_running, Daemon::gantry_running];

/// A container that has written `text` and ended.
fn ended(gantry: &Daemon, name: &'static str, text: &'static str) {
    gantry.docker(["run", "-d", "--name", name, "busybox", "sh", "-c", text]).ok();
    gantry.until_exited(name);
}

#[test]
fn everything_written_is_there_after_the_end_stream_by_stream() {
    let gantry = Daemon::start();
    ended(&gantry, "done", "echo one; echo two >&2; echo three; printf 'no newline'");
    for run in BOTH {
        let said = run(&gantry, vec!["logs", "done"]);
        assert_eq!((said.stdout.as_str(), said.stderr.as_str()), ("one\nthree\nno newline", "two\n"));
    }
}

#[test]
fn tail_takes_the_last_lines() {
    let gantry = Daemon::start();
    ended(&gantry, "ten", "seq 1 10");
    for run in BOTH {
        assert_eq!(run(&gantry, vec!["logs", "--tail", "3", "ten"]).ok(), "8\n9\n10");
        assert_eq!(run(&gantry, vec!["logs", "-n", "1", "ten"]).ok(), "10");
        assert_eq!(run(&gantry, vec!["logs", "--tail", "0", "ten"]).ok(), "");
        assert_eq!(run(&gantry, vec!["logs", "--tail", "all", "ten"]).lines().len(), 10);
        assert_eq!(run(&gantry, vec!["logs", "--tail", "100", "ten"]).lines().len(), 10);
    }
    assert_eq!(gantry.docker(["logs", "--tail", "-1", "ten"]).lines().len(), 10);
}

#[test]
fn tail_over_thousands_of_lines_on_both_streams() {
    let gantry = Daemon::start();
    gantry.docker(["run", "-d", "--name", "many", "busybox", "guest", "lines", "30000", "80"]).ok();
    gantry.until_exited("many");
    let said = gantry.docker(["logs", "--tail", "1000", "many"]);
    let (evens, odds) = (said.stdout.lines().count(), said.stderr.lines().count());
    assert_eq!(
        evens + odds,
        1000,
        "what comes through two pipes may be a little out of order, but nothing is left out"
    );
    let all = gantry.docker(["logs", "many"]);
    let numbers = |text: &str| text.lines().map(|l| l.parse::<u64>().unwrap()).collect::<Vec<_>>();
    assert!(numbers(&all.stdout).into_iter().eq((0..30_000).step_by(2)));
    assert!(numbers(&all.stderr).into_iter().eq((1..30_000).step_by(2)));
    assert!(all.stdout.ends_with(&said.stdout) && all.stderr.ends_with(&said.stderr));
}

#[test]
fn timestamps_are_rfc3339_with_nanoseconds_and_in_order() {
    let gantry = Daemon::start();
    ended(&gantry, "timed", "echo a; sleep 0.1; echo b");
    for run in BOTH {
        let said = run(&gantry, vec!["logs", "-t", "timed"]);
        let lines: Vec<_> = said.lines().iter().map(|l| l.split_once(' ').unwrap()).collect();
        assert_eq!([lines[0].1, lines[1].1], ["a", "b"]);
        for (time, _) in &lines {
            assert!(time.len() == 30 && time.as_bytes()[10] == b'T' && time.ends_with('Z'), "{time}");
        }
        assert!(lines[0].0 < lines[1].0);
    }
}

#[test]
fn a_line_has_the_time_at_which_it_ended() {
    // It had that of its first byte, and `--since` hid what had just been said.
    let gantry = Daemon::start();
    ended(&gantry, "slow", "echo a; printf b; sleep 3; echo c; printf d; sleep 3");
    let said = gantry.docker(["logs", "-t", "slow"]);
    let lines: Vec<_> = said.lines().iter().map(|l| l.split_once(' ').unwrap()).collect();
    let texts: Vec<_> = lines.iter().map(|(_, text)| *text).collect();
    assert_eq!(texts, ["a", "bc", "d"]);
    let times: Vec<jiff::Timestamp> = lines.iter().map(|(time, _)| time.parse().unwrap()).collect();
    for pair in times.windows(2) {
        assert!(pair[1].as_nanosecond() - pair[0].as_nanosecond() > 1_000_000_000, "{said}");
    }
}

#[test]
fn since_and_until_cut_by_time() {
    let gantry = Daemon::start();
    ended(&gantry, "timed", "echo a; sleep 1.2; echo b; sleep 1.2; echo c");
    let stamped = gantry.docker(["logs", "-t", "timed"]);
    let times: Vec<String> =
        stamped.lines().iter().map(|l| l.split_once(' ').unwrap().0.to_owned()).collect();
    for cli in [|g: &Daemon, a: Vec<&str>| g.docker(a), |g: &Daemon, a: Vec<&str>| g.gantry(a)] {
        assert_eq!(cli(&gantry, vec!["logs", "--since", &times[1], "timed"]).ok(), "b\nc");
        assert_eq!(cli(&gantry, vec!["logs", "--until", &times[1], "timed"]).ok(), "a\nb");
        assert_eq!(cli(&gantry, vec!["logs", "--since", &times[1], "--until", &times[1], "timed"]).ok(), "b");
        assert_eq!(cli(&gantry, vec!["logs", "--since", "1h", "timed"]).lines().len(), 3);
        assert_eq!(cli(&gantry, vec!["logs", "--until", "1h", "timed"]).ok(), "");
        assert_eq!(cli(&gantry, vec!["logs", "--since", &times[0], "--tail", "1", "timed"]).ok(), "c");
    }
    let said = gantry.docker(["logs", "--since", "yesterday", "timed"]);
    assert_ne!(said.code, 0, "{said}");
}

#[test]
fn follow_shows_lines_as_they_come_and_ends_with_the_container() {
    let gantry = Daemon::start();
    for (n, start) in BOTH_RUNNING.into_iter().enumerate() {
        let name = ["first", "second"][n];
        gantry
            .docker([
                "run",
                "-d",
                "-i",
                "--name",
                name,
                "busybox",
                "sh",
                "-c",
                "echo early; while read l && test $l != quit; do echo got $l; done; echo end >&2",
            ])
            .ok();
        let follow = start(&gantry, vec!["logs", "-f", name]);
        let only_new = start(&gantry, vec!["logs", "-f", "--tail", "0", name]);
        follow.wait_for("early");
        let mut feed = gantry.docker_running(["attach", "--sig-proxy=false", name]);
        // What was written before its stream was open is not new.
        let mut written = String::new();
        eventually("what is new is shown", || {
            feed.write("zero\n");
            written += "got zero\n";
            follow.wait_for(&format!("early\n{written}"));
            (!only_new.stdout().is_empty()).then_some(())
        });
        for word in ["one", "two", "three"] {
            feed.write(format!("{word}\n"));
            follow.wait_for(&format!("got {word}\n"));
            only_new.wait_for(&format!("got {word}\n"));
        }
        feed.write("quit\n");
        let said = follow.finish();
        let all = format!("early\n{written}got one\ngot two\ngot three");
        assert_eq!((said.ok(), said.stderr.as_str()), (all.as_str(), "end\n"));
        let new = only_new.finish();
        let wanted = format!("{written}got one\ngot two\ngot three");
        assert!(new.ok().starts_with("got zero\n") && wanted.ends_with(new.ok()), "{new}");
        assert_eq!(feed.finish().code, 0);
    }
}

#[test]
fn follow_loses_nothing_of_a_fast_writer() {
    let gantry = Daemon::start();
    gantry
        .docker(["create", "--name", "fast", "busybox", "sh", "-c", "sleep 0.3; exec guest lines 60000 100"])
        .ok();
    gantry.docker(["start", "fast"]).ok();
    let follow = gantry.docker_running(["logs", "-f", "fast"]);
    let said = follow.finish();
    let numbers = |text: &str| text.lines().map(|l| l.parse::<u64>().unwrap()).collect::<Vec<_>>();
    assert!(numbers(&said.stdout).into_iter().eq((0..60_000).step_by(2)));
    assert!(numbers(&said.stderr).into_iter().eq((1..60_000).step_by(2)));
}

#[test]
fn following_an_ended_container_ends_at_once() {
    let gantry = Daemon::start();
    ended(&gantry, "done", "echo last");
    for run in BOTH {
        assert_eq!(run(&gantry, vec!["logs", "-f", "done"]).ok(), "last");
    }
}

#[test]
fn follow_until_ends_at_its_time() {
    let gantry = Daemon::start();
    gantry
        .docker([
            "run",
            "-d",
            "--name",
            "on",
            "busybox",
            "sh",
            "-c",
            "while true; do echo tick; sleep 0.1; done",
        ])
        .ok();
    let before = eventually("it ticks", || {
        Some(gantry.docker(["logs", "on"]).lines().len()).filter(|ticks| *ticks > 3)
    });
    let until = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() + 3;
    let said = gantry.docker(["logs", "-f", "--until", &until.to_string(), "on"]);
    assert!(said.lines().len() > before, "{said}");
    assert_eq!(gantry.inspect("on", "{{.State.Running}}"), "true");
}

#[test]
fn logs_go_on_over_a_restart_of_the_container() {
    let gantry = Daemon::start();
    gantry.docker(["run", "--name", "twice", "busybox", "echo", "run"]).ok();
    gantry.docker(["start", "-a", "twice"]).ok();
    assert_eq!(gantry.docker(["logs", "twice"]).ok(), "run\nrun");
}

/// The numbers that were written in whole lines.
fn numbers(text: &str) -> Vec<u64> {
    let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    whole.map(|line| line.trim_end().parse().unwrap_or_else(|_| panic!("{line:?} in {text}"))).collect()
}

fn without_a_gap(numbers: &[u64]) -> bool {
    numbers.windows(2).all(|pair| pair[1] == pair[0] + 1)
}

#[test]
fn a_log_that_is_taken_away_while_its_container_writes_goes_on_with_later_lines_and_over_restarts() {
    let mut gantry = Daemon::start();
    let remove = |path: &Path| std::fs::remove_file(path).unwrap();
    let rename = |path: &Path| std::fs::rename(path, path.with_file_name("away")).unwrap();
    let cases = [("removed", "json-file", remove as fn(&Path)), ("moved", "local", rename)];
    for (name, driver, take) in cases {
        let text = "n=0; while true; do echo $n; n=$((n+1)); sleep 0.01; done";
        gantry
            .docker(["run", "-d", "--name", name, "--log-driver", driver, "busybox", "sh", "-c", text])
            .ok();
        let id = gantry.inspect(name, "{{.Id}}");
        let folder = gantry.data().join("containers").join(&id);
        let path = match driver {
            "local" => folder.join("local-logs/container.log"),
            _ => folder.join(format!("{id}-json.log")),
        };
        let grown = || {
            let grown = || std::fs::metadata(&path).is_ok_and(|found| found.len() > 2000);
            eventually("the log has lines", || grown().then_some(()));
        };
        grown();
        let follow = gantry.docker_running(["logs", "-f", name]);
        follow.wait_for("0\n1\n");
        take(&path);
        grown();
        let later = numbers(&gantry.docker(["logs", name]).stdout);
        assert!(later[0] > 0 && without_a_gap(&later), "{later:?}");
        follow.wait_for(&format!("\n{}\n", later.last().unwrap()));
        let followed = numbers(&follow.stdout());
        assert!(followed[0] == 0 && without_a_gap(&followed), "{followed:?}");
        drop(follow);

        gantry.docker(["restart", "-t", "0", name]).ok();
        let all = eventually("lines of the second run are there", || {
            let all = numbers(&gantry.docker(["logs", name]).stdout);
            all.contains(&0).then_some(all)
        });
        let second = all.iter().position(|n| *n == 0).unwrap();
        assert!(without_a_gap(&all[..second]) && without_a_gap(&all[second..]), "{all:?}");
        assert_eq!(all[0], later[0], "what was written since is all there");

        // The daemon may die before it has noticed, or after.
        take(&path);
        gantry.crash();
        let on = eventually("lines after the kill are there", || {
            let on = numbers(&gantry.docker(["logs", name]).stdout);
            (on.len() > 20).then_some(on)
        });
        assert!(without_a_gap(&on), "{on:?}");
        gantry.docker(["rm", "-f", name]).ok();
    }
}

#[test]
fn lines_longer_than_16_kib_come_back_whole() {
    let gantry = Daemon::start();
    ended(&gantry, "long", "head -c 100000 /dev/zero | tr '\\0' x; echo; echo short");
    for run in BOTH {
        let said = run(&gantry, vec!["logs", "long"]);
        let lines = said.lines();
        assert_eq!((lines.len(), lines[0].len(), lines[1]), (2, 100_000, "short"));
        let said = run(&gantry, vec!["logs", "--tail", "1", "long"]);
        assert_eq!(said.ok(), "short");
    }
}

#[test]
fn bytes_that_are_not_text_come_back_as_dockers_log_keeps_them() {
    let gantry = Daemon::start();
    ended(&gantry, "bytes", "printf 'a\\000b\\tc\\033[1m\\342\\202\\254\\n'");
    assert_eq!(gantry.docker(["logs", "bytes"]).stdout, "a\0b\tc\u{1b}[1m€\n");
}

#[test]
fn details_show_the_chosen_labels_and_variables() {
    let gantry = Daemon::start();
    gantry
        .docker([
            "run",
            "--name",
            "told",
            "-l",
            "site=here",
            "-e",
            "ENVIRONMENT=test",
            "--log-opt",
            "labels=site",
            "--log-opt",
            "env=ENVIRONMENT",
            "busybox",
            "echo",
            "line",
        ])
        .ok();
    assert_eq!(gantry.docker(["logs", "--details", "told"]).ok(), "ENVIRONMENT=test,site=here line");
}

#[test]
fn logs_of_nothing_say_so() {
    let gantry = Daemon::start();
    for run in BOTH {
        let said = run(&gantry, vec!["logs", "nosuch"]);
        assert!(said.fails(1).contains("No such container: nosuch"), "{said}");
    }
    gantry.docker(["create", "--name", "idle", "busybox", "true"]).ok();
    assert_eq!(gantry.docker(["logs", "idle"]).ok(), "");
    gantry.docker(["run", "--name", "mute", "--log-driver", "none", "busybox", "echo", "x"]).ok();
    let said = gantry.docker(["logs", "mute"]);
    assert!(said.fails(1).contains("configured logging driver does not support reading"), "{said}");
}

#[test]
fn attach_shows_what_comes_from_now_on_and_takes_input() {
    let gantry = Daemon::start();
    for (n, start) in BOTH_RUNNING.into_iter().enumerate() {
        let name = ["first", "second"][n];
        gantry
            .docker([
                "run",
                "-d",
                "-i",
                "--name",
                name,
                "busybox",
                "sh",
                "-c",
                "echo before; while read l && test $l != quit; do echo out $l; echo err $l >&2; done; exit 6",
            ])
            .ok();
        eventually("it is up", || (gantry.docker(["logs", name]).ok() == "before").then_some(()));
        let mut attached = start(&gantry, vec!["attach", name]);
        attached.write("typed\n");
        attached.wait_for("out typed\n");
        attached.write("quit\n");
        let said = attached.finish();
        assert_eq!(
            (said.code, said.stdout.as_str(), said.stderr.as_str()),
            (6, "out typed\n", "err typed\n")
        );
    }
}

#[test]
fn attach_without_input_only_watches() {
    let gantry = Daemon::start();
    gantry
        .docker([
            "run",
            "-d",
            "--name",
            "ticks",
            "busybox",
            "sh",
            "-c",
            "while true; do echo tick; sleep 0.1; done",
        ])
        .ok();
    let watch = gantry.docker_running(["attach", "--no-stdin", "--sig-proxy=false", "ticks"]);
    watch.wait_for("tick\ntick\n");
    drop(watch);
    assert_eq!(gantry.inspect("ticks", "{{.State.Running}}"), "true");
    gantry.docker(["kill", "ticks"]).ok();
    gantry.until_exited("ticks");
    let said = gantry.docker(["attach", "ticks"]);
    assert!(said.fails(1).contains("cannot attach to a stopped container, start it first"), "{said}");
}

#[test]
fn the_end_of_an_attached_clients_input_is_the_containers_only_if_it_was_made_for_that() {
    let gantry = Daemon::start();
    let text = "echo up; cat; echo end of input; sleep 1000";
    gantry.docker(["create", "-i", "--name", "once", "busybox", "sh", "-c", text]).ok();
    gantry.docker(["start", "once"]).ok();
    gantry.docker(["run", "-d", "-i", "--name", "kept", "busybox", "sh", "-c", text]).ok();
    for name in ["once", "kept"] {
        eventually("it is up", || (gantry.docker(["logs", name]).ok() == "up").then_some(()));
        let mut first = gantry.docker_running(["attach", name]);
        first.write("first\n");
        first.wait_for("first");
        first.close_stdin();
        if name == "once" {
            first.wait_for("end of input");
        }
    }
    let mut second = gantry.docker_running(["attach", "kept"]);
    second.write("second\n");
    second.wait_for("second");
    assert_eq!(gantry.docker(["logs", "kept"]).ok(), "up\nfirst\nsecond");
}
