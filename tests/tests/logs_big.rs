//! Reading much, reading what is damaged, and following without a gap.

use gantry_tests::{Builder, Daemon, Output, Place, Running, eventually};
use nix::sys::signal::Signal;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const LINES: u64 = 300_000;
const MINUTE: u64 = 60;
const MIB: u64 = 1 << 20;

type Cli = fn(&Daemon, Vec<&str>) -> Output;
const BOTH: [Cli; 2] = [|g, args| g.docker(args), |g, args| g.gantry(args)];

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A container whose log has 300 MB, a line of 1 kB each hundredth of a second up to now.
fn with_a_big_log() -> (Daemon, u64) {
    let mut gantry = Daemon::start();
    gantry.docker(["run", "--name", "big", "busybox", "true"]).ok();
    gantry.until_exited("big");
    let log = gantry.log_path("big");
    gantry.stop();
    let end = now();
    let mut out = BufWriter::with_capacity(1 << 20, File::create(&log).unwrap());
    let filling = "x".repeat(930);
    for n in 0..LINES {
        let hundredths = end * 100 - (LINES - n);
        let time = jiff::Timestamp::from_millisecond(hundredths as i64 * 10).unwrap();
        writeln!(out, "{{\"log\":\"{n} {filling}\\n\",\"stream\":\"stdout\",\"time\":\"{time}\"}}").unwrap();
    }
    out.flush().unwrap();
    // Without it all that stands in the file counts.
    std::fs::remove_file(log.with_file_name("json-file.cursor")).unwrap();
    gantry.start_again();
    eventually("the log is open", || {
        (!gantry.docker(["logs", "-n", "1", "big"]).ok().is_empty()).then_some(())
    });
    (gantry, end)
}

/// Bytes that the daemon has read so far.
fn read_by(gantry: &Daemon) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/io", gantry.pid())).unwrap();
    text.lines().find_map(|l| l.strip_prefix("rchar: ")).unwrap().parse().unwrap()
}

/// The most memory it has had since it was last asked, in bytes.
fn peak(gantry: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gantry.pid())).unwrap();
    let peak = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap();
    std::fs::write(format!("/proc/{}/clear_refs", gantry.pid()), "5").unwrap();
    peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// Bytes and lines that the docker CLI gives, without keeping them.
fn counted(gantry: &Daemon, args: &[&str]) -> (usize, usize) {
    let mut docker = gantry.docker_command(args).stdout(Stdio::piped()).spawn().unwrap();
    let (mut bytes, mut lines, mut buffer) = (0, 0, vec![0; 1 << 20]);
    let mut out = docker.stdout.take().unwrap();
    loop {
        match out.read(&mut buffer).unwrap() {
            0 => break,
            n => {
                bytes += n;
                lines += buffer[..n].iter().filter(|b| **b == b'\n').count();
            }
        }
    }
    assert!(docker.wait().unwrap().success());
    (bytes, lines)
}

#[test]
fn a_tail_and_a_span_of_a_big_log_read_little_of_it_and_all_of_it_takes_little_memory() {
    let (gantry, end) = with_a_big_log();
    let cost = |args: &[&str]| {
        let before = read_by(&gantry);
        let said = gantry.docker([&["logs"], args, &["big"]].concat());
        let numbers: Vec<u64> =
            said.lines().iter().map(|l| l.split(' ').next().unwrap().parse().unwrap()).collect();
        (numbers, read_by(&gantry) - before)
    };
    let (numbers, read) = cost(&["--tail", "10"]);
    assert_eq!(numbers, (LINES - 10..LINES).collect::<Vec<_>>());
    assert!(read < 2 * MIB, "{read}");
    let minute = (end - MINUTE).to_string();
    let (numbers, read) = cost(&["--since", &minute]);
    assert_eq!(numbers, (LINES - 6000..LINES).collect::<Vec<_>>());
    assert!(read < 12 * MIB, "{read} for 6 MB of lines");
    let (from, to) = ((end - 40 * MINUTE).to_string(), (end - 40 * MINUTE + 1).to_string());
    let (numbers, read) = cost(&["--since", &from, "--until", &to]);
    assert_eq!(numbers, (LINES - 240_000..=LINES - 239_900).collect::<Vec<_>>());
    assert!(read < 4 * MIB, "{read}");
    let early = (end - 60 * MINUTE).to_string();
    let (numbers, read) = cost(&["--until", &early]);
    assert!(numbers.is_empty() && read < 2 * MIB, "{read}");
    peak(&gantry);
    let before = peak(&gantry);
    assert_eq!(counted(&gantry, &["logs", "big"]).1, LINES as usize);
    let grown = peak(&gantry).saturating_sub(before);
    assert!(grown < 48 * MIB, "{grown}");
}

#[test]
fn a_line_of_64_mb_without_end_takes_little_memory() {
    let gantry = Daemon::start();
    peak(&gantry);
    let before = peak(&gantry);
    gantry
        .docker([
            "run",
            "-d",
            "--name",
            "endless",
            "busybox",
            "sh",
            "-c",
            "head -c 64000000 /dev/zero | tr '\\0' x",
        ])
        .ok();
    let (followed, _) = counted(&gantry, &["logs", "-f", "endless"]);
    assert_eq!(followed, 64_000_000);
    gantry.until_exited("endless");
    assert_eq!(counted(&gantry, &["logs", "endless"]).0, 64_000_000);
    let grown = peak(&gantry).saturating_sub(before);
    assert!(grown < 64 * MIB, "{grown}");
}

#[test]
fn damage_is_skipped_and_told_with_its_bytes() {
    let gantry = Daemon::start();
    for driver in ["json-file", "local"] {
        gantry
            .docker(["run", "-d", "--name", driver, "--log-driver", driver, "busybox", "seq", "1", "1000"])
            .ok();
        gantry.until_exited(driver);
        eventually("all is stored", || {
            let sinks = gantry.api("GET", &format!("/gantry/logs?container={driver}"), None).json();
            let stored = sinks[0]["Lag"]["Lines"] == 0;
            (stored && gantry.docker(["logs", driver]).lines().len() == 1000).then_some(())
        });
        let log = match driver {
            "json-file" => gantry.log_path(driver),
            _ => gantry
                .data()
                .join("containers")
                .join(gantry.inspect(driver, "{{.Id}}"))
                .join("local-logs/container.log"),
        };
        let mut bytes = std::fs::read(&log).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle..middle + 2000].fill(0);
        let last = bytes.len() - 20;
        bytes[last] ^= 0x40;
        std::fs::write(&log, bytes).unwrap();
        let name = log.file_name().unwrap().to_str().unwrap();
        let said = gantry.docker(["logs", driver]);
        let numbers: Vec<u32> = said.lines().iter().map(|l| l.parse().unwrap()).collect();
        assert!(numbers.len() > 900 && numbers.is_sorted() && numbers[..3] == [1, 2, 3], "{said}");
        let told: Vec<_> = said.stderr.lines().collect();
        assert!(told[0].starts_with("gantry: bytes "), "{said}");
        assert!(told[0].ends_with(&format!(" of {name} are damaged and were skipped")), "{said}");
        gantry.until_logged(&told[0]["gantry: ".len()..]);
        // Both streams are told apart: who wants standard output alone gets it as it was.
        let id = gantry.inspect(driver, "{{.Id}}");
        let answer = gantry.api("GET", &format!("/containers/{id}/logs?stdout=1"), None);
        assert!(!answer.text().contains("gantry:"));
    }
}

fn numbers(text: &str) -> impl Iterator<Item = u64> {
    text.lines().map(|l| l.parse().unwrap())
}

#[track_caller]
fn has_all(follower: Running, lines: u64) {
    let said = follower.finish();
    let own: Vec<_> = said.stderr.lines().filter(|l| l.starts_with("gantry:")).collect();
    assert!(own.is_empty(), "{own:?}");
    let out = said.stdout.strip_prefix("ready\n").unwrap();
    for (text, from) in [(out, 0), (said.stderr.as_str(), 1)] {
        let gap = numbers(text).zip((from..lines).step_by(2)).find(|(got, wanted)| got != wanted);
        assert_eq!((gap, text.lines().count() as u64), (None, lines / 2));
    }
}

#[test]
fn followers_miss_nothing_however_files_are_rotated() {
    let gantry = Daemon::start();
    for (name, files, compress) in [("one", "1", "false"), ("two", "2", "true"), ("three", "3", "false")] {
        let (files, compress) = (format!("max-file={files}"), format!("compress={compress}"));
        gantry
            .docker([
                "run",
                "-d",
                "-i",
                "--name",
                name,
                "--log-opt",
                "max-size=300k",
                "--log-opt",
                &files,
                "--log-opt",
                &compress,
                "busybox",
                "sh",
                "-c",
                "echo ready; read go; exec guest lines 60000 100",
            ])
            .ok();
        let followers: Vec<_> = (0..4).map(|_| gantry.docker_running(["logs", "-f", name])).collect();
        // Who comes later finds that the first lines were rotated away.
        followers.iter().for_each(|f| f.wait_for("ready\n"));
        let mut go = gantry.docker_running(["attach", "--sig-proxy=false", name]);
        go.write("go\n");
        for follower in followers {
            has_all(follower, 60_000);
        }
    }
}

#[test]
fn a_stuck_follower_holds_nobody_up_and_misses_nothing() {
    let place = Place::new();
    let gantry = Builder::at(&place).args(["--spool-budget", "8388608"]).start();
    gantry
        .docker([
            "run",
            "-d",
            "-i",
            "--name",
            "busy",
            "busybox",
            "sh",
            "-c",
            "echo 0; read go; exec guest lines 300000 100",
        ])
        .ok();
    let stuck = gantry.docker_running(["logs", "-f", "busy"]);
    stuck.wait_for("0\n");
    stuck.signal(Signal::SIGSTOP);
    let mut go = gantry.docker_running(["attach", "--sig-proxy=false", "busy"]);
    std::thread::sleep(Duration::from_millis(300));
    go.write("go\n");
    gantry.until_exited("busy");
    stuck.signal(Signal::SIGCONT);
    let said = stuck.finish();
    let mut out = numbers(&said.stdout);
    assert_eq!(out.next(), Some(0));
    assert!(out.eq((0..300_000).step_by(2)), "standard output has a gap");
    assert!(numbers(&said.stderr).eq((1..300_000).step_by(2)), "standard error has a gap");
}

#[test]
fn following_ends_at_its_time_though_nothing_comes() {
    let gantry = Daemon::start();
    gantry.docker(["run", "-d", "--name", "silent", "busybox", "sh", "-c", "echo one; sleep 1000"]).ok();
    eventually("it has spoken", || (gantry.docker(["logs", "silent"]).ok() == "one").then_some(()));
    let until = (now() + 2).to_string();
    for cli in BOTH {
        assert_eq!(cli(&gantry, vec!["logs", "-f", "--until", &until, "silent"]).ok(), "one");
    }
    assert_eq!(gantry.docker(["logs", "-f", "--until", "1s", "silent"]).ok(), "one");
}

#[test]
fn every_driver_can_be_read_running_and_ended_and_after_the_daemon_was_killed() {
    let mut gantry = Daemon::start();
    let drivers: [(&str, &[&str]); 8] = [
        ("json-file", &[]),
        ("local", &[]),
        ("syslog", &["syslog-address=tcp://127.0.0.1:1"]),
        ("fluentd", &["fluentd-address=127.0.0.1:1", "fluentd-async=true"]),
        ("gelf", &["gelf-address=tcp://127.0.0.1:1"]),
        ("splunk", &["splunk-token=t", "splunk-url=http://127.0.0.1:1", "splunk-verify-connection=false"]),
        ("loki", &["loki-url=http://127.0.0.1:1/loki/api/v1/push"]),
        ("otlp", &["otlp-endpoint=http://127.0.0.1:1"]),
    ];
    for (driver, options) in drivers {
        let mut args = vec![
            "run",
            "-d",
            "--name",
            driver,
            "-l",
            "site=here",
            "--log-driver",
            driver,
            "--log-opt",
            "labels=site",
        ];
        args.extend(options.iter().flat_map(|o| ["--log-opt", o]));
        args.extend(["busybox", "sh", "-c", "seq 1 100; echo err >&2; printf unfinished; exec sleep 1000"]);
        gantry.docker(args).ok();
    }
    let whole = |gantry: &Daemon, driver: &str, ending: &str| {
        eventually(&format!("all of {driver} is there"), || {
            let said = gantry.docker(["logs", driver]);
            let text = said.stdout.clone();
            (said.code == 0
                && said.stderr == "err\n"
                && text.lines().count() >= 100
                && text.ends_with(ending))
            .then_some(())
        });
        let last = gantry.docker(["logs", "--tail", "3", "--details", driver]);
        assert!(last.stdout.lines().all(|l| l.starts_with("site=here ")), "{last}");
    };
    for (driver, _) in drivers {
        whole(&gantry, driver, "100\n");
    }
    gantry.crash();
    for (driver, _) in drivers {
        whole(&gantry, driver, "100\n");
        gantry.docker(["stop", "-t", "0", driver]).ok();
        whole(&gantry, driver, "unfinished");
    }
    gantry.crash();
    for (driver, _) in drivers {
        whole(&gantry, driver, "unfinished");
        let since = gantry.docker(["logs", "--since", "1h", "--tail", "1", driver]);
        assert_eq!((since.stdout.as_str(), since.code), ("unfinished", 0), "{since}");
        assert_eq!(gantry.docker(["logs", "--until", "1h", driver]).ok(), "");
    }
    gantry
        .docker([
            "run",
            "-d",
            "--name",
            "gone",
            "--log-driver",
            "syslog",
            "--log-opt",
            "syslog-address=tcp://127.0.0.1:1",
            "--log-opt",
            "cache-disabled=true",
            "busybox",
            "echo",
            "x",
        ])
        .ok();
    let said = gantry.docker(["logs", "gone"]);
    assert!(said.fails(1).contains("configured logging driver does not support reading"), "{said}");
}

/// Moments in each of the forms that the command line takes.
#[test]
fn moments_are_read_in_every_form() {
    let gantry = Daemon::start();
    gantry.docker(["run", "--name", "timed", "busybox", "sh", "-c", "echo a; sleep 1.1; echo b"]).ok();
    let stamped = gantry.docker(["logs", "-t", "timed"]);
    let b = stamped.lines()[1].split_once(' ').unwrap().0.to_owned();
    let time: jiff::Timestamp = b.parse().unwrap();
    let ns = time.as_nanosecond();
    let unix = format!("{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000);
    let later = format!("{}.{:09}", (ns + 1) / 1_000_000_000, (ns + 1) % 1_000_000_000);
    for cli in BOTH {
        for since in [b.as_str(), unix.as_str(), &time.to_string()] {
            assert_eq!(cli(&gantry, vec!["logs", "--since", since, "timed"]).ok(), "b", "{since}");
            assert_eq!(
                cli(&gantry, vec!["logs", "--since", since, "--tail", "2", "timed"]).ok(),
                "b",
                "{since}"
            );
            assert_eq!(
                cli(&gantry, vec!["logs", "--until", since, "--tail", "1", "timed"]).ok(),
                "b",
                "{since}"
            );
        }
        assert_eq!(cli(&gantry, vec!["logs", "--since", &later, "timed"]).ok(), "");
        assert_eq!(cli(&gantry, vec!["logs", "--since", "1h30m", "timed"]).ok(), "a\nb");
        let date = time.strftime("%Y-%m-%d").to_string();
        assert!(["a\nb", "b"].contains(&cli(&gantry, vec!["logs", "--since", &date, "timed"]).ok()));
    }
}

#[test]
fn a_log_that_others_compressed_and_cut_is_read_as_far_as_it_goes() {
    let gantry = Daemon::start();
    gantry
        .docker([
            "run",
            "-d",
            "--name",
            "old",
            "--log-opt",
            "max-size=20k",
            "--log-opt",
            "max-file=20",
            "--log-opt",
            "compress=true",
            "busybox",
            "seq",
            "1",
            "3000",
        ])
        .ok();
    gantry.until_exited("old");
    let log = gantry.log_path("old");
    let packed = |n: u32| Path::new(&format!("{}.{n}.gz", log.display())).to_owned();
    // No file takes another's place any more once the last line is in.
    eventually("they are compressed", || {
        let whole = (1..=3).all(|n| packed(n).exists() && !packed(n).with_extension("").exists());
        let last = || std::fs::read_to_string(&log).is_ok_and(|text| text.contains(r#""log":"3000\n""#));
        (whole && last()).then_some(())
    });
    assert_eq!(gantry.docker(["logs", "old"]).lines().len(), 3000);
    assert_eq!(gantry.docker(["logs", "--tail", "2000", "old"]).lines().first(), Some(&"1001"));
    let bytes = std::fs::read(packed(3)).unwrap();
    std::fs::write(packed(3), &bytes[..bytes.len() / 2]).unwrap();
    let said = gantry.docker(["logs", "old"]);
    let all: Vec<u32> = said.lines().iter().map(|l| l.parse().unwrap()).collect();
    assert!(
        all.len() > 2500 && all.is_sorted() && all.first() == Some(&1) && all.last() == Some(&3000),
        "{said}"
    );
    assert!(said.stderr.contains("-json.log.3.gz is damaged"), "{said}");
}
