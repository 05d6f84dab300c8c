//! Containers that write numbered lines on both streams, and whether every one of them arrived.

use crate::daemon::Daemon;
use crate::place::Place;
use crate::process::eventually;
use crate::syslog::{Message, Rsyslog};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Random numbers that can be had again: the seed is printed, and `GANTRY_SEED` sets it.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// Seeded from the clock unless `GANTRY_SEED` says otherwise.
    pub fn seeded() -> Self {
        let given = std::env::var("GANTRY_SEED").ok().map(|s| s.parse().expect("GANTRY_SEED is a number"));
        let clock = || SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as u64;
        let seed = given.unwrap_or_else(clock);
        eprintln!("to repeat: GANTRY_SEED={seed}");
        Self(seed)
    }

    /// The numbers that follow from `seed`.
    pub fn from_seed(seed: u64) -> Self {
        Self(seed)
    }

    /// The seed of what is left to come.
    pub fn seed(&self) -> u64 {
        self.0
    }

    /// One of these.
    pub fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len() as u64) as usize]
    }

    /// True once in so many times.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// A number below `bound` (splitmix64).
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % bound
    }

    /// A pause of at most `milliseconds`.
    pub fn pause(&mut self, milliseconds: u64) {
        std::thread::sleep(Duration::from_millis(self.below(milliseconds + 1)));
    }
}

/// One writing container.
#[derive(Debug, Clone, Copy)]
pub struct Writer {
    /// Its name; for syslog also the tag.
    pub name: &'static str,
    /// Its log driver.
    pub driver: &'static str,
    /// Lines of each stream in one write.
    pub block: u64,
    /// Microseconds between two writes.
    pub rest_us: u64,
    /// Some lines are longer than a piece (16 KiB). Not for syslog, where pieces stay apart.
    pub long: bool,
}

/// Writers at work.
#[derive(Debug)]
pub struct Load {
    writers: Vec<Writer>,
    control: PathBuf,
    pids: Vec<String>,
}

/// What `guest numbers` writes as its nth line.
fn line(n: u64, long: bool) -> String {
    let padding = if long && n.is_multiple_of(97) { 40_000 } else { n as usize % 50 };
    format!("{n:010}{}", "x".repeat(padding))
}

/// What a stream's lines must be.
struct Sequence {
    what: String,
    long: bool,
    next: u64,
    ended: bool,
}

impl Sequence {
    fn new(what: String, long: bool) -> Self {
        Self { what, long, next: 0, ended: false }
    }

    /// The next line, which must follow the one before.
    #[track_caller]
    fn exactly(&mut self, line: &str) {
        assert!(!self.ended, "{}: {line:?} after the end", self.what);
        if line == format!("end {}", self.next) {
            self.ended = true;
            return;
        }
        assert!(
            line == self::line(self.next, self.long),
            "{}: line {} is {}",
            self.what,
            self.next,
            shown(line)
        );
        self.next += 1;
    }

    #[track_caller]
    fn finish(&self) {
        assert!(self.ended, "{}: {} lines and no end", self.what, self.next);
        assert!(self.next > 0, "{}: nothing was written", self.what);
    }
}

fn shown(line: &str) -> String {
    format!("{:?} ({} bytes)", line.chars().take(80).collect::<String>(), line.len())
}

impl Load {
    /// Starts the writers; syslog goes to a [`Rsyslog`] of the place.
    #[track_caller]
    pub fn start(gantry: &Daemon, writers: &[Writer]) -> Self {
        let control = gantry.place().path("ctl");
        std::fs::create_dir(&control).expect("make the writers' control folder");
        for w in writers {
            let mut command = vec!["run".to_owned(), "-d".into(), "--name".into(), w.name.into()];
            command.extend(["-v".into(), format!("{}:/ctl:ro", control.display())]);
            command.extend(["--log-driver".into(), w.driver.into()]);
            if w.driver == "syslog" {
                let options = ["syslog-address=tcp://127.0.0.1:514".to_owned(), format!("tag={}", w.name)];
                command.extend(options.into_iter().flat_map(|o| ["--log-opt".to_owned(), o]));
            }
            let (block, rest) = (w.block.to_string(), w.rest_us.to_string());
            let lengths = if w.long { "long" } else { "short" };
            command.extend(["busybox", "guest", "numbers", &block, &rest, lengths].map(str::to_owned));
            gantry.docker(command).ok();
        }
        let mut load = Self { writers: writers.to_vec(), control, pids: Vec::new() };
        load.pids = load.running(gantry);
        load
    }

    fn running(&self, gantry: &Daemon) -> Vec<String> {
        let format = "{{.State.Status}} {{.State.Pid}} {{.RestartCount}}";
        let mut command = vec!["inspect", "--format", format];
        command.extend(self.writers.iter().map(|w| w.name));
        gantry.docker(command).ok().lines().map(str::to_owned).collect()
    }

    /// None has ended, and each one's log grows.
    #[track_caller]
    pub fn goes_on(&self, gantry: &Daemon) {
        assert_eq!(self.running(gantry), self.pids);
        let files: Vec<_> = self.writers.iter().map(|w| (w.name, self.file(gantry, w))).collect();
        for (name, file) in &files {
            let before = size(file);
            eventually(&format!("the log of {name} grows"), || (size(file) > before).then_some(()));
        }
    }

    /// A log file that grows as the writer writes; for syslog the one kept beside it.
    fn file(&self, gantry: &Daemon, w: &Writer) -> PathBuf {
        if w.driver == "json-file" {
            return gantry.log_path(w.name);
        }
        let id = gantry.inspect(w.name, "{{.Id}}");
        let folder = gantry.data().join("containers").join(&id);
        let kept = folder.join(format!("{id}-json.log"));
        if w.driver == "local" { folder.join("local-logs/container.log") } else { kept }
    }

    /// Lets the writers end and waits until they have.
    #[track_caller]
    pub fn stop(&self, gantry: &Daemon) {
        std::fs::write(self.control.join("stop"), "").expect("tell the writers to stop");
        for w in &self.writers {
            gantry.until_exited(w.name);
            assert_eq!(gantry.inspect(w.name, "{{.State.ExitCode}}"), "0", "{}", w.name);
        }
    }

    /// After [`Load::stop`]: every line is where it should be.
    #[track_caller]
    pub fn verify(&self, gantry: &Daemon, rsyslog: &Rsyslog) {
        for w in &self.writers {
            let lines = match w.driver {
                "json-file" => self.check_json(gantry, w),
                "local" => check_read_back(gantry, w),
                _ => check_syslog(rsyslog, w) + check_read_back(gantry, w),
            };
            eprintln!("{}: {lines} lines", w.name);
        }
    }

    /// Each number once and in order, in the file itself.
    #[track_caller]
    fn check_json(&self, gantry: &Daemon, w: &Writer) -> u64 {
        let path = self.file(gantry, w);
        eventually(&format!("{}: both ends are in the file", w.name), || {
            (tail(&path).matches("\"log\":\"end ").count() == 2).then_some(())
        });
        let mut streams =
            ["stdout", "stderr"].map(|s| (Sequence::new(format!("{} {s}", w.name), w.long), String::new()));
        let file = BufReader::new(File::open(&path).expect("open the log"));
        for record in file.lines() {
            let record = record.expect("read the log");
            let (text, rest) = record
                .strip_prefix("{\"log\":\"")
                .and_then(|r| r.split_once('"'))
                .unwrap_or_else(|| panic!("{}: not a record: {}", w.name, shown(&record)));
            assert!(rest.ends_with("Z\"}"), "{}: a torn record: {}", w.name, shown(&record));
            let (sequence, begun) = &mut streams[usize::from(rest.starts_with(",\"stream\":\"stderr\""))];
            match text.strip_suffix("\\n") {
                Some(last) => {
                    begun.push_str(last);
                    sequence.exactly(begun);
                    begun.clear();
                }
                None => begun.push_str(text),
            }
        }
        streams.iter().for_each(|(s, _)| s.finish());
        streams[0].0.next + streams[1].0.next
    }
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |m| m.len())
}

/// The end of a file, long enough to hold what a pipe still held of one stream after the other had ended.
fn tail(path: &Path) -> String {
    let mut file = File::open(path).expect("open the log");
    let length = file.seek(SeekFrom::End(0)).expect("find the log's end");
    file.seek(SeekFrom::Start(length.saturating_sub(512 << 10))).expect("go back in the log");
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).expect("read the log");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Each number once and in order, as `docker logs` gives it.
#[track_caller]
fn check_read_back(gantry: &Daemon, w: &Writer) -> u64 {
    eventually(&format!("{}: `logs` gives both ends", w.name), || {
        // One stream's end may be followed by what a pipe still held of the other: 64 KiB of short lines.
        let last = gantry.docker(["logs", "--tail", "7000", w.name]);
        let ended = |text: &str| text.lines().last().is_some_and(|line| line.starts_with("end "));
        (ended(&last.stdout) && ended(&last.stderr)).then_some(())
    });
    let all = gantry.docker(["logs", w.name]);
    let mut lines = 0;
    for (stream, text) in [("stdout", &all.stdout), ("stderr", &all.stderr)] {
        let mut sequence = Sequence::new(format!("{} {stream} read back", w.name), w.long);
        text.lines().for_each(|line| sequence.exactly(line));
        sequence.finish();
        lines += sequence.next;
    }
    lines
}

/// Each number at least once, on the stream it was written to.
#[track_caller]
fn check_syslog(rsyslog: &Rsyslog, w: &Writer) -> u64 {
    let tag = format!("{}[", w.name);
    let mine = |m: &&Message, priority| m.priority == priority && m.tag.starts_with(&tag);
    let received = eventually(&format!("{}: rsyslogd has both ends", w.name), || {
        let received = rsyslog.received();
        let has_end = |p| received.iter().filter(|m| mine(m, p)).any(|m| m.text.starts_with("end "));
        (has_end(30) && has_end(27)).then_some(received)
    });
    let mut lines = 0;
    for (stream, priority) in [("stdout", 30), ("stderr", 27)] {
        let what = format!("{} {stream} at rsyslogd", w.name);
        let (mut seen, mut end) = (BTreeSet::new(), 0);
        for m in received.iter().filter(|m| mine(m, priority)) {
            if let Some(count) = m.text.strip_prefix("end ") {
                end = count.parse().expect("the count of lines");
                continue;
            }
            let n: u64 = m.text.get(..10).and_then(|t| t.parse().ok()).unwrap_or_default();
            assert!(m.text == line(n, w.long), "{what}: not a line of ours: {}", shown(&m.text));
            seen.insert(n);
        }
        let missing: Vec<u64> = (0..end).filter(|n| !seen.contains(n)).take(5).collect();
        assert!(end > 0 && missing.is_empty(), "{what}: of {end} lines {missing:?}… are missing");
        lines += end;
    }
    lines
}

/// The writers of the tests that kill, on every kind of sink. The fast one writes as fast as it can but rests in between, so that
/// there are millions of lines to check and not hundreds of millions.
pub const WRITERS: [Writer; 5] = [
    Writer { name: "fast", driver: "json-file", block: 8_000, rest_us: 100_000, long: false },
    Writer { name: "bursts", driver: "json-file", block: 200, rest_us: 20_000, long: true },
    Writer { name: "slow", driver: "json-file", block: 1, rest_us: 30_000, long: true },
    Writer { name: "local", driver: "local", block: 20, rest_us: 10_000, long: true },
    Writer { name: "syslog", driver: "syslog", block: 20, rest_us: 10_000, long: false },
];

/// A place with an rsyslogd in it.
#[track_caller]
pub fn place_with_rsyslog() -> (Arc<Place>, Rsyslog) {
    let place = Place::new();
    let rsyslog = Rsyslog::start(&place);
    (place, rsyslog)
}
