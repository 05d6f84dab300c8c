//! What happens, when, and how it is made good again.

mod account;

use super::watch::{Follower, check_read};
use crate::daemon::{Builder, Daemon};
use crate::filler::Filler;
use crate::ledger::{Ledger, Received};
use crate::load::Random;
use crate::outage::peak_memory;
use crate::place::Place;
use crate::process::Running;
use crate::receiver::Receiver;
use crate::{Fluentd, Rsyslog, Sink};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How much of it.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// Containers, each with a json-file or local log and two of the receivers.
    pub containers: usize,
    /// How long it goes on.
    pub lasts: Duration,
}

/// How long what is owed may take once all receivers are back: longer than the longest pause of a sink.
const CATCHING_UP: Duration = Duration::from_secs(150);
/// What a daemon may take at most, in KiB.
const MEMORY: u64 = 400 << 10;
/// Between two blocks of a container's lines, microseconds.
const REST: u64 = 200_000;

/// What a receiver does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Well,
    Hangs,
    Gone,
}

struct Station {
    kind: &'static str,
    receiver: Box<dyn Receiver>,
    mood: Mood,
    /// The step at which it is well again.
    until: u32,
    received: Received,
}

/// Everything at once.
pub struct Chaos {
    stations: Vec<Station>,
    followers: Vec<Follower>,
    restarts: BTreeMap<String, Running>,
    disk: Filler,
    full_until: u32,
    names: Vec<String>,
    ledger: Ledger,
    counts: BTreeMap<&'static str, u32>,
    lasts: Duration,
    step: u32,
    random: Random,
    gantry: Daemon,
}

const KINDS: [&str; 3] = ["fluentd", "syslog", "gelf"];

impl Chaos {
    /// Receivers, a daemon whose data root is the disk mounted in the place, and containers at work.
    #[track_caller]
    pub fn begin(place: &Arc<Place>, scale: Scale) -> Self {
        let station = |kind, receiver| Station {
            kind,
            receiver,
            mood: Mood::Well,
            until: 0,
            received: Received::default(),
        };
        let stations = vec![
            station("fluentd", Box::new(Fluentd::start(place)) as Box<dyn Receiver>),
            station("syslog", Box::new(Rsyslog::start(place))),
            station("gelf", Box::new(Sink::start(place, "gelf"))),
        ];
        let gantry = Builder::at(place).faulty().start();
        let ledger = Ledger::new(&gantry);
        let names: Vec<String> = (0..scale.containers).map(|n| format!("c{n:02}")).collect();
        for (n, name) in names.iter().enumerate() {
            let options = options(n);
            let options: Vec<&str> = options.iter().map(String::as_str).collect();
            gantry.docker(ledger.writer(name, &options, REST)).ok();
        }
        Self {
            stations,
            followers: Vec::new(),
            restarts: BTreeMap::new(),
            disk: Filler::on(gantry.data()),
            full_until: 0,
            names,
            ledger,
            counts: BTreeMap::new(),
            lasts: scale.lasts,
            step: 0,
            random: Random::seeded(),
            gantry,
        }
    }

    /// Lets things happen for as long as it lasts.
    #[track_caller]
    pub fn rage(&mut self) {
        let begin = Instant::now();
        while begin.elapsed() < self.lasts {
            self.step += 1;
            self.mend_what_is_due();
            let what = match self.random.below(20) {
                0..=2 => self.kill_daemon(),
                3..=6 => self.panic_an_actor(),
                7..=9 => self.break_receiver(),
                10..=12 => self.hang_receiver(),
                13 => self.fill_disk(),
                14..=15 => self.restart_container(),
                16..=17 => self.follow(),
                _ => self.read(),
            };
            eprintln!("{:8.2} {what}", begin.elapsed().as_secs_f64());
            *self.counts.entry(what).or_default() += 1;
            self.take_news();
            self.random.pause(300);
        }
    }

    fn mend_what_is_due(&mut self) {
        if self.disk.is_full() && self.step >= self.full_until {
            self.disk.free();
        }
        for station in &mut self.stations {
            if self.step >= station.until {
                station.mend();
            }
        }
    }

    fn panics(&self) -> usize {
        self.gantry.log().matches("injected fault").count()
    }

    fn kill_daemon(&mut self) -> &'static str {
        self.gantry.kill();
        let longest = *self.random.of(&[0, 800]);
        self.random.pause(longest);
        self.gantry.start_again();
        "daemon killed"
    }

    fn panic_an_actor(&mut self) -> &'static str {
        let actors = self.gantry.api("GET", "/gantry/actors", None).json();
        let name = |a: &Value| a["name"].as_str().unwrap_or_default().to_owned();
        let those = actors.as_array().expect("a list").iter().map(name);
        let those: Vec<String> =
            those.filter(|n| n.starts_with("router:") || n.starts_with("sink:")).collect();
        if those.is_empty() {
            return "no actor to panic";
        }
        let target = self.random.of(&those).clone();
        let nth = 1 + self.random.below(3);
        let before = self.panics();
        // It may be gone by now.
        self.gantry.api("POST", &format!("/gantry/fault?target={target}&nth={nth}"), None);
        let deadline = Instant::now() + Duration::from_millis(500);
        while self.panics() == before && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        "actor panicked"
    }

    fn break_receiver(&mut self) -> &'static str {
        let at = self.random.below(self.stations.len() as u64) as usize;
        let steps = 1 + self.random.below(6) as u32;
        let station = &mut self.stations[at];
        if station.mood != Mood::Well {
            return "receiver broken already";
        }
        match station.kind {
            // It keeps what it has read in memory for a while.
            "syslog" => station.receiver.end(),
            _ => station.receiver.kill(),
        }
        (station.mood, station.until) = (Mood::Gone, self.step + steps);
        match station.kind {
            "syslog" => "syslog ended",
            "gelf" => "gelf killed",
            _ => "fluentd killed",
        }
    }

    fn hang_receiver(&mut self) -> &'static str {
        let at = self.random.below(self.stations.len() as u64) as usize;
        let steps = 1 + self.random.below(6) as u32;
        let station = &mut self.stations[at];
        if station.mood != Mood::Well {
            return "receiver broken already";
        }
        station.receiver.hang();
        (station.mood, station.until) = (Mood::Hangs, self.step + steps);
        match station.kind {
            "syslog" => "syslog hung",
            "gelf" => "gelf hung",
            _ => "fluentd hung",
        }
    }

    fn fill_disk(&mut self) -> &'static str {
        if self.disk.is_full() {
            return "disk full already";
        }
        self.disk.fill();
        self.full_until = self.step + 1 + self.random.below(4) as u32;
        "disk filled"
    }

    /// In the background, so that whatever comes next strikes in the middle of it.
    fn restart_container(&mut self) -> &'static str {
        self.end_restarts();
        let name = self.random.of(&self.names).clone();
        let client = self.gantry.docker_running(["restart", "-t", "0", &name]);
        self.restarts.insert(name, client);
        "container restarted"
    }

    /// What a kill or a full disk came in the way of is done now.
    fn end_restarts(&mut self) {
        for (name, client) in std::mem::take(&mut self.restarts) {
            client.finish();
            let started = self.gantry.docker(["start", &name]);
            if started.code != 0 {
                assert!(self.disk.is_full(), "{started}");
                self.disk.free();
                self.gantry.docker(["start", &name]).ok();
            }
        }
    }

    fn follow(&mut self) -> &'static str {
        for mut follower in std::mem::take(&mut self.followers) {
            if follower.ended() {
                follower.check();
            } else {
                self.followers.push(follower);
            }
        }
        if self.followers.len() < 3 {
            let name = self.random.of(&self.names).clone();
            self.followers.push(Follower::start(&self.gantry, &name));
        }
        "log followed"
    }

    fn read(&mut self) -> &'static str {
        let name = self.random.of(&self.names).clone();
        let tail = (1 + self.random.below(400)).to_string();
        let read = self.gantry.docker(["logs", "--tail", &tail, &name]);
        read.ok();
        check_read(&name, &read);
        self.gantry.docker(["ps"]).ok();
        "log read"
    }

    fn take_news(&mut self) {
        for station in &mut self.stations {
            for text in station.receiver.news() {
                station.received.note(&text);
            }
        }
    }
}

impl Station {
    fn mend(&mut self) {
        match self.mood {
            Mood::Well => {}
            Mood::Hangs => self.receiver.go_on(),
            Mood::Gone => self.receiver.start_again(),
        }
        self.mood = Mood::Well;
    }
}

/// The two receivers of the nth container.
fn goes_to(n: usize) -> [&'static str; 2] {
    [KINDS[n % 3], KINDS[(n + 1) % 3]]
}

/// The driver that keeps the nth container's lines.
fn store(n: usize) -> &'static str {
    if n % 5 == 4 { "local" } else { "json-file" }
}

/// Whether the nth container does not wait for that receiver.
fn sheds(n: usize, kind: &str) -> bool {
    kind == "fluentd" && n.is_multiple_of(2)
}

fn options(n: usize) -> Vec<String> {
    let ([one, two], store) = (goes_to(n), store(n));
    let mut options = vec![
        "--log-driver=fanout".to_owned(),
        format!("--log-opt={store}.max-size=100k"),
        format!("--log-opt={store}.max-file=2000"),
        format!("--log-opt={store}.compress={}", n % 4 == 3),
        format!("--log-opt=drivers={store},{one},{two}"),
    ];
    for kind in [one, two] {
        options.extend(match kind {
            "fluentd" => vec![
                "--log-opt=fluentd.fluentd-address=127.0.0.1:24224".to_owned(),
                "--log-opt=fluentd.fluentd-request-ack=true".to_owned(),
            ],
            "syslog" => vec!["--log-opt=syslog.syslog-address=tcp://127.0.0.1:514".to_owned()],
            _ => vec!["--log-opt=gelf.gelf-address=tcp://127.0.0.1:8000".to_owned()],
        });
    }
    if sheds(n, "fluentd") && [one, two].contains(&"fluentd") {
        let overflow = if n.is_multiple_of(4) { "drop-oldest" } else { "drop-newest" };
        options.extend([
            "--log-opt=fluentd.mode=non-blocking".to_owned(),
            "--log-opt=fluentd.max-buffer-size=4k".to_owned(),
            format!("--log-opt=fluentd.overflow={overflow}"),
        ]);
    }
    options
}
