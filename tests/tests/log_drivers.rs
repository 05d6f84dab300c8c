//! Where a container's output goes.

use gantry_tests::{Builder, Daemon, Place, Rsyslog, eventually};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

fn ended(gantry: &Daemon, options: &[&str], name: &str, text: &str) {
    let mut args = vec!["run", "-d", "--name", name];
    args.extend(options);
    args.extend(["busybox", "sh", "-c", text]);
    gantry.docker(args).ok();
    gantry.until_exited(name);
}

/// The lines of a json-file log, once there are as many as expected.
fn records(path: &Path, count: usize) -> Vec<String> {
    eventually("the log has its lines", || {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        (text.lines().count() >= count && text.ends_with('\n'))
            .then(|| text.lines().map(str::to_owned).collect())
    })
}

fn with_rsyslog(args: &[&str]) -> (Rsyslog, Daemon) {
    let place = Place::new();
    let rsyslog = Rsyslog::start(&place);
    let gantry = Builder::at(&place).args(args.iter().copied()).start();
    (rsyslog, gantry)
}

#[test]
fn json_file_has_dockers_bytes() {
    let gantry = Daemon::start();
    ended(&gantry, &[], "plain", "echo one; echo two >&2; printf 'a<b>&\"c\\\\\\t\\033\\n'; printf 'end'");
    let path = gantry.log_path("plain");
    let id = gantry.inspect("plain", "{{.Id}}");
    assert_eq!(path, gantry.data().join("containers").join(&id).join(format!("{id}-json.log")));
    let lines = records(&path, 4);
    let starts = [
        r#"{"log":"one\n","stream":"stdout","time":""#,
        r#"{"log":"two\n","stream":"stderr","time":""#,
        r#"{"log":"a\u003cb\u003e\u0026\"c\\\u0009\u001b\n","stream":"stdout","time":""#,
        r#"{"log":"end","stream":"stdout","time":""#,
    ];
    for start in starts {
        let line =
            lines.iter().find(|l| l.starts_with(start)).unwrap_or_else(|| panic!("{start}: {lines:#?}"));
        let time = line[start.len()..].strip_suffix(r#""}"#).unwrap();
        assert!(time.len() <= 30 && time.ends_with('Z') && time.as_bytes()[19] == b'.', "{time}");
    }
}

#[test]
fn json_file_cuts_lines_at_16_kib() {
    let gantry = Daemon::start();
    ended(&gantry, &[], "long", "head -c 40000 /dev/zero | tr '\\0' x; echo");
    let lines = records(&gantry.log_path("long"), 3);
    let logs: Vec<String> = lines
        .iter()
        .map(|l| serde_json::from_str::<Value>(l).unwrap()["log"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(logs.iter().map(String::len).collect::<Vec<_>>(), [16384, 16384, 40001 - 2 * 16384]);
    assert!(logs[2].ends_with('\n') && !logs[0].ends_with('\n'));
}

#[test]
fn json_file_keeps_the_chosen_attributes() {
    let gantry = Daemon::start();
    let options = [
        "-l",
        "site=here",
        "-l",
        "other=x",
        "-e",
        "MODE=test",
        "--log-opt",
        "labels=site",
        "--log-opt",
        "env-regex=^MO",
        "--log-opt",
        "tag={{.Name}}",
    ];
    ended(&gantry, &options, "told", "echo x");
    let lines = records(&gantry.log_path("told"), 1);
    assert!(lines[0].contains(r#","attrs":{"MODE":"test","site":"here","tag":"told"},"#), "{}", lines[0]);
}

#[test]
fn json_file_rotates_and_still_reads_as_one() {
    let gantry = Daemon::start();
    let options = ["--log-opt", "max-size=10k", "--log-opt", "max-file=3"];
    ended(&gantry, &options, "turned", "seq -w 1 1000 | sed 's/.*/line number & of the log/'");
    let path = gantry.log_path("turned");
    eventually("the last line is in", || {
        std::fs::read_to_string(&path).ok().filter(|t| t.contains("number 1000"))
    });
    let folder = path.parent().unwrap();
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .filter(|n| n.contains("-json.log") && !n.contains("cursor"))
        .collect();
    names.sort();
    let base = path.file_name().unwrap().to_str().unwrap();
    assert_eq!(names, [base.to_owned(), format!("{base}.1"), format!("{base}.2")]);
    for name in &names {
        let size = std::fs::metadata(folder.join(name)).unwrap().len();
        assert!(size <= 10_240 + 200, "{name}: {size}");
    }
    let said = gantry.docker(["logs", "turned"]);
    let numbers: Vec<u32> =
        said.lines().iter().map(|l| l.split(' ').nth(2).unwrap().parse().unwrap()).collect();
    assert_eq!(*numbers.last().unwrap(), 1000);
    assert!(numbers.windows(2).all(|w| w[1] == w[0] + 1), "nothing is missing in between");
    assert!(numbers.len() > 150, "{}", numbers.len());
    assert_eq!(gantry.docker(["logs", "--tail", "200", "turned"]).lines().len(), 200.min(numbers.len()));
}

#[test]
fn json_file_compresses_what_is_rotated() {
    let gantry = Daemon::start();
    let options = ["--log-opt", "max-size=10k", "--log-opt", "max-file=3", "--log-opt", "compress=true"];
    ended(&gantry, &options, "packed", "seq -w 1 1000 | sed 's/.*/line number & of the log/'");
    let path = gantry.log_path("packed");
    let base = path.to_str().unwrap().to_owned();
    eventually("both old files are compressed", || {
        let gz = |n: u32| {
            std::fs::exists(format!("{base}.{n}.gz")).unwrap()
                && !std::fs::exists(format!("{base}.{n}")).unwrap()
        };
        // There may be none while one makes room for the next.
        let last = || std::fs::read_to_string(&base).is_ok_and(|text| text.contains("number 1000"));
        (gz(1) && gz(2) && last()).then_some(())
    });
    let plain = gantry.place().run("sh", ["-c", &format!("zcat {base}.1.gz | tail -n 1")]);
    assert!(plain.ok().starts_with(r#"{"log":"line number "#), "{plain}");
    let said = gantry.docker(["logs", "packed"]);
    let numbers: Vec<u32> =
        said.lines().iter().map(|l| l.split(' ').nth(2).unwrap().parse().unwrap()).collect();
    assert!(numbers.len() > 150 && *numbers.last().unwrap() == 1000);
    assert!(numbers.windows(2).all(|w| w[1] == w[0] + 1));
}

#[test]
fn json_file_without_max_file_keeps_one_file() {
    let gantry = Daemon::start();
    ended(
        &gantry,
        &["--log-opt", "max-size=5k"],
        "one",
        "seq -w 1 500 | sed 's/.*/line number & of the log/'",
    );
    let path = gantry.log_path("one");
    eventually("the last line is in", || {
        std::fs::read_to_string(&path).ok().filter(|t| t.contains("number 500"))
    });
    assert!(std::fs::metadata(&path).unwrap().len() <= 5 * 1024 + 200);
    assert!(!std::fs::exists(path.with_extension("log.1")).unwrap());
}

#[test]
fn the_local_driver_keeps_its_own_format_and_reads_it() {
    let gantry = Daemon::start();
    ended(&gantry, &["--log-driver", "local"], "here", "echo one; echo two >&2; sleep 0.2; seq 3 2000");
    let said = gantry.docker(["logs", "here"]);
    assert_eq!((said.lines().len(), said.stderr.as_str()), (1999, "two\n"));
    assert_eq!(gantry.docker(["logs", "--tail", "2", "here"]).ok(), "1999\n2000");
    let id = gantry.inspect("here", "{{.Id}}");
    let folder = gantry.data().join("containers").join(&id);
    eventually("it is stored", || {
        let found = std::fs::metadata(folder.join("local-logs/container.log"));
        found.is_ok_and(|found| found.len() > 1000).then_some(())
    });
    assert!(!std::fs::exists(folder.join(format!("{id}-json.log"))).unwrap());
    let follow = gantry.docker_running([
        "run",
        "--name",
        "now",
        "--log-driver",
        "local",
        "busybox",
        "sh",
        "-c",
        "echo live",
    ]);
    assert_eq!(follow.finish().ok(), "live");
}

#[test]
fn the_none_driver_keeps_nothing_and_hides_nothing() {
    let gantry = Daemon::start();
    let said = gantry.docker(["run", "--name", "mute", "--log-driver", "none", "busybox", "echo", "shown"]);
    assert_eq!(said.ok(), "shown");
    let id = gantry.inspect("mute", "{{.Id}}");
    assert!(
        !std::fs::exists(gantry.data().join("containers").join(&id).join(format!("{id}-json.log"))).unwrap()
    );
    assert_eq!(gantry.inspect("mute", "{{.HostConfig.LogConfig.Type}}|{{.LogPath}}"), "none|");
}

#[test]
fn syslog_over_tcp_has_dockers_form() {
    let (rsyslog, gantry) = with_rsyslog(&[]);
    let options =
        ["--log-driver=syslog", "--log-opt", "syslog-address=tcp://127.0.0.1:514", "--log-opt", "tag=mylog"];
    let mut args = vec!["run", "--name", "sys"];
    args.extend(options);
    args.extend(["busybox", "sh", "-c", "echo syslogtest; echo wrong >&2"]);
    gantry.docker(args).ok();
    let out = rsyslog.wait_for("syslogtest");
    let pid = gantry.pid();
    assert_eq!(
        (out.priority, out.tag.as_str(), out.text.as_str()),
        (30, format!("mylog[{pid}]:").as_str(), "syslogtest")
    );
    assert_eq!(rsyslog.wait_for("wrong").priority, 27, "standard error is an error");
    let said = gantry.docker(["logs", "sys"]);
    assert_eq!(
        (said.stdout.as_str(), said.stderr.as_str()),
        ("syslogtest\n", "wrong\n"),
        "and `logs` works all the same"
    );
}

#[test]
fn syslog_over_udp_with_another_facility() {
    let (rsyslog, gantry) = with_rsyslog(&[]);
    let options = [
        "--log-driver=syslog",
        "--log-opt=syslog-address=udp://127.0.0.1:514",
        "--log-opt=syslog-facility=local3",
    ];
    ended(&gantry, &options, "sys", "echo over udp");
    let message = rsyslog.wait_for("over udp");
    let id = gantry.inspect("sys", "{{.Id}}");
    assert_eq!(
        (message.priority, message.tag.split('[').next()),
        (158, Some(&id[..12])),
        "the tag is the short id"
    );
}

#[test]
fn syslog_over_unix_sockets() {
    let (rsyslog, gantry) = with_rsyslog(&[]);
    for (name, address) in [
        ("datagram", format!("unixgram://{}", rsyslog.datagram().display())),
        ("stream", format!("unix://{}", rsyslog.stream().display())),
    ] {
        let option = format!("syslog-address={address}");
        ended(
            &gantry,
            &["--log-driver=syslog", "--log-opt", &option, "--log-opt", "tag={{.Name}}/{{.ImageName}}"],
            name,
            &format!("echo over {name}"),
        );
        let message = rsyslog.wait_for(&format!("over {name}"));
        assert_eq!(message.tag.split('[').next(), Some(format!("{name}/busybox").as_str()));
    }
}

#[test]
fn syslog_in_its_other_formats() {
    let (rsyslog, gantry) = with_rsyslog(&[]);
    for format in ["rfc3164", "rfc5424", "rfc5424micro"] {
        let option = format!("syslog-format={format}");
        ended(
            &gantry,
            &[
                "--log-driver=syslog",
                "--log-opt=syslog-address=tcp://127.0.0.1:514",
                "--log-opt",
                &option,
                "--log-opt=tag=fmt",
            ],
            format,
            &format!("echo as {format}."),
        );
    }
    let host = gantry.place().sh("hostname").ok().to_owned();
    let pid = gantry.pid();
    let old = rsyslog.wait_for("as rfc3164.");
    assert!(
        old.raw.starts_with("<30>") && old.raw.ends_with(&format!(" {host} fmt[{pid}]: as rfc3164.")),
        "{old:?}"
    );
    let new = rsyslog.wait_for("as rfc5424.");
    assert!(
        new.raw.starts_with("<30>1 20") && new.raw.ends_with(&format!(" {host} fmt {pid} fmt - as rfc5424.")),
        "{new:?}"
    );
    assert_eq!(new.hostname, host);
    let micro = rsyslog.wait_for("as rfc5424micro.");
    let time = micro.raw.split(' ').nth(1).unwrap();
    assert!(time.len() >= 27 && time.as_bytes()[19] == b'.', "{time}");
}

#[test]
fn the_daemons_driver_comes_from_flags_and_a_container_may_have_another() {
    let (rsyslog, gantry) = with_rsyslog(&[
        "--log-driver",
        "syslog",
        "--log-opt",
        "syslog-address=tcp://127.0.0.1:514",
        "--log-opt",
        "tag=all",
    ]);
    assert_eq!(gantry.docker(["info", "-f", "{{.LoggingDriver}}"]).ok(), "syslog");
    ended(&gantry, &[], "default", "echo by default");
    assert_eq!(rsyslog.wait_for("by default").tag.split('[').next(), Some("all"));
    let shown = gantry.inspected("default");
    assert_eq!(
        shown["HostConfig"]["LogConfig"],
        json!({"Type": "syslog", "Config": {"syslog-address": "tcp://127.0.0.1:514", "tag": "all"}})
    );
    ended(&gantry, &["--log-opt", "tag=own"], "tagged", "echo own tag");
    assert_eq!(
        rsyslog.wait_for("own tag").tag.split('[').next(),
        Some("own"),
        "the daemon's address with the container's tag"
    );
    ended(&gantry, &["--log-driver", "json-file"], "other", "echo to a file");
    assert_eq!(
        gantry.inspect("other", "{{.HostConfig.LogConfig.Type}} {{len .HostConfig.LogConfig.Config}}"),
        "json-file 0"
    );
    assert_eq!(records(&gantry.log_path("other"), 1).len(), 1);
    assert!(!rsyslog.received().iter().any(|m| m.text.contains("to a file")));
}

#[test]
fn the_daemons_driver_comes_from_its_file() {
    let place = Place::new();
    let rsyslog = Rsyslog::start(&place);
    let config =
        json!({"log-driver": "syslog", "log-opts": {"syslog-address": "udp://127.0.0.1:514", "tag": "file"}});
    let gantry = Builder::at(&place).config(&config).start();
    ended(&gantry, &[], "default", "echo by file");
    assert_eq!(rsyslog.wait_for("by file").tag.split('[').next(), Some("file"));
}

#[test]
fn a_wrong_configuration_is_refused_in_dockers_words() {
    let refused = |builder: Builder, wanted: &str| {
        let said = builder.refused();
        assert!(said.stderr.contains(wanted), "{wanted:?}: {said}");
    };
    refused(
        Builder::new().args(["--log-driver", "syslog"]).config(&json!({"log-driver": "json-file"})),
        "the following directives are specified both as a flag and in the configuration file: log-driver: (from flag: syslog, from file: json-file)",
    );
    refused(
        Builder::new().config(&json!({"nosuch": 1})),
        "the following directives don't match any configuration option: nosuch",
    );
    refused(
        Builder::new().args(["--log-driver", "nosuch"]),
        "error looking up logging plugin nosuch: plugin \"nosuch\" not found",
    );
    refused(
        Builder::new().args(["--log-opt", "nosuch=1"]),
        "unknown log opt 'nosuch' for json-file log driver",
    );
    refused(Builder::new().args(["--config-file", "/nosuch/daemon.json"]), "/nosuch/daemon.json");
    let valid = Builder::new().config(&json!({"log-driver": "local"})).args(["--validate"]).run();
    // Docker says so on stderr.
    assert_eq!((valid.code, valid.stderr.as_str()), (0, "configuration OK\n"), "{valid}");
}

#[test]
fn a_containers_wrong_driver_or_option_is_refused_in_dockers_words() {
    let gantry = Daemon::start();
    let refused = |options: &[&str], wanted: &str| {
        let mut args = vec!["run", "--rm"];
        args.extend(options);
        args.extend(["busybox", "true"]);
        for said in [gantry.docker(args.clone()), gantry.gantry(args)] {
            assert!(said.fails(125).contains(wanted), "{wanted:?}: {said}");
        }
    };
    refused(
        &["--log-driver", "nosuch"],
        "error looking up logging plugin nosuch: plugin \"nosuch\" not found",
    );
    refused(&["--log-opt", "nosuch=1"], "unknown log opt 'nosuch' for json-file log driver");
    refused(
        &["--log-driver", "syslog", "--log-opt", "max-size=1m"],
        "unknown log opt 'max-size' for syslog log driver",
    );
    refused(
        &["--log-driver", "local", "--log-opt", "syslog-address=udp://1.2.3.4:5"],
        "unknown log opt 'syslog-address' for log driver local",
    );
    refused(&["--log-driver", "syslog", "--log-opt", "syslog-facility=nosuch"], "invalid syslog facility");
    refused(&["--log-driver", "syslog", "--log-opt", "syslog-format=nosuch"], "Invalid syslog format");
    refused(&["--log-driver", "syslog", "--log-opt", "syslog-address=ftp://x"], "unsupported scheme: 'ftp'");
    refused(&["--log-opt", "max-size=nosuch"], "invalid size: 'nosuch'");
    refused(&["--log-opt", "max-file=0", "--log-opt", "max-size=1m"], "max-file cannot be less than 1");
    refused(
        &["--log-opt", "compress=true"],
        "compress cannot be true when max-file is less than 2 or max-size is not set",
    );
    refused(&["--log-opt", "mode=nosuch"], "logger: logging mode not supported: nosuch");
    refused(
        &["--log-opt", "max-buffer-size=1m"],
        "logger: max-buffer-size option is only supported with 'mode=non-blocking'",
    );
    assert_eq!(gantry.docker(["ps", "-aq"]).ok(), "");
}

#[test]
fn a_sink_that_is_down_delays_nothing_and_gets_its_lines_later() {
    let place = Place::new();
    let gantry = Builder::at(&place)
        .args([
            "--log-driver",
            "syslog",
            "--log-opt",
            "syslog-address=tcp://127.0.0.1:514",
            "--log-opt",
            "tag=late",
        ])
        .start();
    let before = Instant::now();
    gantry
        .docker([
            "run",
            "-d",
            "--name",
            "on",
            "busybox",
            "sh",
            "-c",
            "n=0; while true; do n=$((n+1)); echo line $n.; sleep 0.05; done",
        ])
        .ok();
    assert_eq!(
        gantry.docker(["run", "--name", "brief", "busybox", "echo", "over already."]).ok(),
        "over already."
    );
    gantry.docker(["run", "--name", "gone", "busybox", "true"]).ok();
    gantry.docker(["rm", "gone"]).ok();
    eventually("logs work meanwhile", || {
        gantry.docker(["logs", "on"]).ok().contains("line 5.").then_some(())
    });
    gantry.docker(["stop", "-t", "0", "on"]).ok();
    // The commands themselves take their time on a slow machine.
    assert!(before.elapsed() < Duration::from_secs(60), "nothing waits for a sink: {:?}", before.elapsed());
    let last = gantry.docker(["logs", "--tail", "1", "on"]).ok().to_owned();
    let rsyslog = Rsyslog::start(&place);
    rsyslog.wait_for("over already.");
    rsyslog.wait_for(&last);
    let count: u32 = last.trim_start_matches("line ").trim_end_matches('.').parse().unwrap();
    for n in 1..=count {
        let text = format!("line {n}.");
        assert!(rsyslog.received().iter().any(|m| m.text == text), "{text}");
    }
}

#[test]
fn a_sink_that_goes_and_comes_back_misses_no_line() {
    let (mut rsyslog, gantry) =
        with_rsyslog(&["--log-driver", "syslog", "--log-opt", "syslog-address=tcp://127.0.0.1:514"]);
    gantry
        .docker([
            "run",
            "-d",
            "--name",
            "on",
            "busybox",
            "sh",
            "-c",
            "n=0; while true; do n=$((n+1)); echo line $n.; sleep 0.05; done",
        ])
        .ok();
    rsyslog.wait_for("line 5.");
    rsyslog.stop();
    let shown = gantry.docker(["logs", "on"]).lines().len();
    eventually("it goes on", || (gantry.docker(["logs", "on"]).lines().len() > shown + 20).then_some(()));
    rsyslog.start_again();
    gantry.docker(["stop", "-t", "0", "on"]).ok();
    let all: Vec<String> = gantry.docker(["logs", "on"]).lines().iter().map(|l| (*l).to_owned()).collect();
    rsyslog.wait_for(all.last().unwrap());
    let received: std::collections::BTreeSet<String> =
        rsyslog.received().into_iter().map(|m| m.text).collect();
    // TCP tells only of a later write that the far side is gone: the first lines after its end may be lost, as with Docker.
    let missing: Vec<_> = all.iter().filter(|l| !received.contains(*l)).collect();
    assert!(missing.len() <= 2, "{missing:?}");
}

#[test]
fn a_full_spool_stops_the_writer_or_drops_as_chosen() {
    let place = Place::new();
    let gantry = Builder::at(&place).args(["--spool-budget", "8388608"]).start();
    let sink = ["--log-driver=syslog", "--log-opt=syslog-address=tcp://127.0.0.1:514"];
    let mut args = vec!["run", "-d", "--name", "waits"];
    args.extend(sink);
    args.extend(["busybox", "guest", "lines", "1000000", "100"]);
    gantry.docker(args).ok();
    let mut args = vec!["run", "-d", "--name", "drops", "--log-opt=mode=non-blocking"];
    args.extend(sink);
    args.extend(["busybox", "guest", "lines", "1000000", "100"]);
    gantry.docker(args).ok();
    gantry.until_exited("drops");
    assert_eq!(gantry.inspect("drops", "{{.State.ExitCode}}"), "0");
    assert_eq!(gantry.inspect("waits", "{{.State.Running}}"), "true", "it waits for its sink");
    gantry.docker(["rm", "-f", "waits"]).ok();
}

#[test]
fn logs_survive_the_daemons_end_byte_for_byte() {
    let mut gantry = Daemon::start();
    gantry
        .docker([
            "run",
            "-d",
            "--name",
            "on",
            "busybox",
            "sh",
            "-c",
            "for n in $(seq 1 400); do echo line $n; echo err $n >&2; sleep 0.005; done",
        ])
        .ok();
    for _ in 0..4 {
        std::thread::sleep(Duration::from_millis(200));
        gantry.crash();
    }
    gantry.until_exited("on");
    let said = gantry.docker(["logs", "on"]);
    let wanted = |word: &str| (1..=400).map(|n| format!("{word} {n}\n")).collect::<String>();
    assert!(said.stdout == wanted("line") && said.stderr == wanted("err"), "{said}");
    assert_eq!(records(&gantry.log_path("on"), 800).len(), 800);
}
