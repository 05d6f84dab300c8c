//! A container whose lines go to a receiver that fails, and whether they all arrive.

use crate::daemon::{Builder, Daemon};
use crate::place::Place;
use crate::process::eventually;
use crate::receiver::Receiver;
use crate::relay::{Manner, Relay};
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a receiver and the way to it are put through, while containers come, write and go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trial {
    /// It is killed, is away for a while, and comes back.
    Dies,
    /// The same, at another address of its name.
    DiesAndMoves,
    /// It reads nothing for a while.
    Hangs,
    /// It reads nothing, and dies without having read.
    HangsAndDies,
    /// The same, and the daemon dies before it.
    BothDie,
    /// Little gets through to it.
    IsSlow,
    /// Its connections break in the middle of what comes, again and again.
    IsReset,
    /// It answers so for a while.
    Answers(&'static str),
}

/// What arrives in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promise {
    /// Every line.
    EveryLine,
    /// Every line but those on their way in the moment in which the receiver died.
    AllButOnTheWay,
}

/// Lines that are written at once while the receiver is away.
const BURST: u32 = 2000;
/// So many lines may come before one that was written earlier.
const ORDER: u32 = 25;
/// What a daemon may take at most, whoever is away, in KiB; one of a debug build has some 60 MiB without any load.
const MEMORY: u64 = 256 << 10;

/// A receiver by the name `collector`, and a container that numbers its lines: 50 a second.
pub struct Outage {
    receiver: Box<dyn Receiver>,
    relay: Option<Relay>,
    gantry: Daemon,
    driver: &'static str,
    options: Vec<String>,
    port: u16,
    promise: Promise,
    got: BTreeSet<String>,
    bursts: u32,
    forgiven: Vec<RangeInclusive<u32>>,
}

impl Outage {
    /// Lines go with these options to `receiver`, which hears on `port` of every address, or, where that is 0, at a path.
    #[track_caller]
    pub fn new(
        place: &Arc<Place>,
        receiver: impl Receiver + 'static,
        port: u16,
        promise: Promise,
        options: &[&str],
    ) -> Self {
        let hosts = place.path("hosts");
        std::fs::write(&hosts, "127.0.0.1 collector\n").expect("name the receiver");
        let mount = format!("mount --bind {} /etc/hosts && exec \"$0\" \"$@\"", hosts.display());
        let mut builder = Builder::at(place).through(&["unshare", "--mount", "sh", "-c", &mount]);
        for (name, value) in crate::Cloud::KEYS {
            builder = builder.env(name, value);
        }
        let authority = place.path("ca.pem");
        if authority.exists() {
            // Where a driver has no option for it.
            builder = builder.env("SSL_CERT_FILE", &authority.to_string_lossy());
        }
        let account = place.path("gcp.json");
        if account.exists() {
            builder = builder.env("GOOGLE_APPLICATION_CREDENTIALS", &account.to_string_lossy());
        }
        if place.path("plugins").exists() {
            builder = builder.args(crate::LogPlugin::flags(place));
        }
        let driver = options[0].split_once('-').expect("options begin as their driver's name does").0;
        let names = [
            "syslog", "fluentd", "gelf", "splunk", "loki", "otlp", "awslogs", "gcplogs", "journald", "outlet",
        ];
        let mut outage = Self {
            receiver: Box::new(receiver),
            relay: None,
            gantry: builder.start(),
            driver: names.into_iter().find(|n| n.starts_with(driver)).expect("a driver"),
            options: options.iter().map(|o| o.replace("PLACE", &place.root().to_string_lossy())).collect(),
            port,
            promise,
            got: BTreeSet::new(),
            bursts: 0,
            forgiven: Vec::new(),
        };
        let forever = "n=0; while true; do n=$((n+1)); echo line $n.; sleep 0.02; done";
        outage.run("on", forever);
        outage.catches_up();
        outage
    }

    /// Puts it through all of these, one after the other, and then looks whether what was promised is there.
    #[track_caller]
    pub fn endures(mut self, trials: &[Trial]) {
        for trial in trials {
            let begin = Instant::now();
            self.endure(*trial);
            eprintln!("{} {trial:?}: {:?}", self.driver, begin.elapsed());
        }
        self.ends();
    }

    #[track_caller]
    fn endure(&mut self, trial: Trial) {
        match trial {
            Trial::Dies | Trial::DiesAndMoves => {
                self.kill();
                self.bursts();
                self.nothing_waits();
                if trial == Trial::DiesAndMoves {
                    self.is_at("127.0.0.9");
                }
                self.receiver.start_again();
            }
            Trial::Hangs => {
                self.receiver.hang();
                self.nothing_waits();
                self.receiver.go_on();
            }
            Trial::HangsAndDies => {
                self.receiver.hang();
                self.bursts();
                self.nothing_waits();
                self.kill();
                self.receiver.start_again();
            }
            Trial::BothDie => {
                self.receiver.hang();
                self.bursts();
                self.nothing_waits();
                self.gantry.kill();
                self.kill();
                self.receiver.start_again();
                self.gantry.start_again();
            }
            Trial::IsSlow => {
                self.by_relay(Manner::Slow);
                self.bursts();
                self.nothing_waits();
            }
            Trial::IsReset => {
                let before = self.by_relay(Manner::Resets);
                self.bursts();
                self.nothing_waits();
                let relay = self.relay.as_ref().expect("it was just made");
                eventually("connections are reset", || (relay.resets() >= before + 3).then_some(()));
                relay.behave(Manner::Good);
            }
            Trial::Answers(how) => {
                self.receiver.answer(how);
                self.nothing_waits();
                self.receiver.answer("ok");
            }
        }
        self.catches_up();
    }

    fn is_at(&self, address: &str) {
        std::fs::write(self.gantry.place().path("hosts"), format!("{address} collector\n"))
            .expect("name the receiver");
    }

    /// Leads new connections over a relay that behaves so, and breaks the present one; answers the resets so far.
    #[track_caller]
    fn by_relay(&mut self, manner: Manner) -> u32 {
        let place = Arc::clone(self.gantry.place());
        let port = self.port;
        let relay = self.relay.get_or_insert_with(|| Relay::start(&place, port));
        relay.behave(manner);
        let before = relay.resets();
        self.is_at("127.0.0.2");
        self.receiver.kill();
        self.receiver.start_again();
        before
    }

    #[track_caller]
    fn kill(&mut self) {
        if self.promise == Promise::EveryLine {
            return self.receiver.kill();
        }
        self.catches_up();
        self.receiver.kill();
        self.got.extend(self.receiver.news());
        // What it kept so far; datagrams may overtake each other.
        let kept = |text: &String| text.strip_prefix("line ")?.strip_suffix('.')?.parse().ok();
        let kept: u32 = self.got.iter().filter_map(kept).max().unwrap_or(0);
        self.forgiven.push(kept.saturating_sub(ORDER)..=self.last_number());
    }

    fn run(&self, name: &str, script: &str) {
        let mut args = vec!["run", "-d", "--name", name, "--log-driver", self.driver];
        args.extend(self.options.iter().flat_map(|o| ["--log-opt", o]));
        args.extend(["busybox", "sh", "-c", script]);
        self.gantry.docker(args).ok();
    }

    /// Many lines at once, but for datagrams, which a receiver's kernel drops when many come.
    fn bursts(&mut self) {
        if self.promise == Promise::AllButOnTheWay {
            return;
        }
        self.bursts += 1;
        let burst = self.bursts;
        let script =
            format!("n=0; while [ $n -lt {BURST} ]; do n=$((n+1)); echo burst {burst} line $n.; done");
        self.run(&format!("burst{burst}"), &script);
    }

    fn last(&self) -> String {
        self.gantry.docker(["logs", "--tail", "1", "on"]).ok().to_owned()
    }

    fn last_number(&self) -> u32 {
        number(&self.last())
    }

    /// Takes what arrived; true when that is there now.
    fn arrived(&mut self, text: &str) -> bool {
        self.got.extend(self.receiver.news());
        self.got.contains(text)
    }

    /// A line that is written from now on arrives.
    #[track_caller]
    fn catches_up(&mut self) {
        let before = self.last();
        let new = eventually("more is written", || Some(self.last()).filter(|new| *new != before));
        eventually(&format!("the receiver has {new:?}"), || self.arrived(&new).then_some(()));
    }

    /// Another container with the same driver lives a whole life while the receiver is as it is.
    #[track_caller]
    fn nothing_waits(&self) {
        let before = Instant::now();
        self.run("brief", "echo brief; exec sleep 1000");
        eventually("it can be read here", || {
            (self.gantry.docker(["logs", "brief"]).ok() == "brief").then_some(())
        });
        self.gantry.docker(["ps"]).ok();
        self.gantry.docker(["stop", "-t", "0", "brief"]).ok();
        self.gantry.docker(["start", "brief"]).ok();
        self.gantry.docker(["rm", "-f", "brief"]).ok();
        // Docker's waits for as long as the receiver is away. The commands themselves take their time on a slow machine.
        assert!(before.elapsed() < Duration::from_secs(60), "{:?}", before.elapsed());
    }

    #[track_caller]
    fn ends(mut self) {
        self.gantry.docker(["stop", "-t", "0", "on"]).ok();
        let count = self.last_number();
        let mut wanted: Vec<String> = (1..=self.bursts)
            .flat_map(|b| (1..=BURST).map(move |n| format!("burst {b} line {n}.")))
            .collect();
        let forgiven = |n: &u32| self.forgiven.iter().any(|range| range.contains(n));
        wanted.extend((1..=count).filter(|n| !forgiven(n)).map(|n| format!("line {n}.")));
        let missing = |got: &BTreeSet<String>| wanted.iter().filter(|w| !got.contains(*w)).count();
        let deadline = Instant::now() + crate::PATIENCE;
        while missing(&self.got) > 0 && Instant::now() < deadline {
            self.got.extend(self.receiver.news());
            std::thread::sleep(Duration::from_millis(50));
        }
        let lost: Vec<&String> = wanted.iter().filter(|w| !self.got.contains(*w)).collect();
        assert!(
            lost.is_empty(),
            "{} of {} are missing: {:?}…",
            lost.len(),
            wanted.len(),
            &lost[..lost.len().min(9)]
        );
        let peak = peak_memory(self.gantry.pid());
        eprintln!("{}: {} lines, at most {peak} KiB", self.driver, wanted.len());
        assert!(peak < MEMORY, "{peak} KiB");
    }
}

fn number(line: &str) -> u32 {
    let number = line.trim_start_matches("line ").trim_end_matches('.');
    number.parse().unwrap_or_else(|_| panic!("not a line of ours: {line:?}"))
}

/// What a process had of memory at most, in KiB.
#[track_caller]
pub(crate) fn peak_memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).expect("the kernel tells it");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
