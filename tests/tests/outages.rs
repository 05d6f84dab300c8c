//! Receivers that fail in every way: each line is there in the end, and nothing waits for them meanwhile.

use gantry_tests::{Builder, Daemon, Place, Sink, eventually};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

struct Outage {
    sink: Sink,
    gantry: Daemon,
    driver: &'static str,
    options: Vec<&'static str>,
}

impl Outage {
    /// A receiver by the name `collector`, and a container that numbers its lines.
    fn new(driver: &'static str, options: &[&'static str]) -> Self {
        let place = Place::new();
        let sink = Sink::start(&place, driver);
        let hosts = place.path("hosts");
        std::fs::write(&hosts, "127.0.0.1 collector\n").unwrap();
        let mount = format!("mount --bind {} /etc/hosts && exec \"$0\" \"$@\"", hosts.display());
        let gantry = Builder::at(&place).through(&["unshare", "--mount", "sh", "-c", &mount]).start();
        let outage = Self { sink, gantry, driver, options: options.to_vec() };
        let forever = "n=0; while true; do n=$((n+1)); echo line $n.; sleep 0.02; done";
        outage.run("on", &["sh", "-c", forever]);
        outage.catches_up();
        outage
    }

    fn run(&self, name: &str, command: &[&str]) {
        let mut args = vec!["run", "-d", "--name", name, "--log-driver", self.driver];
        for option in &self.options {
            args.extend(["--log-opt", option]);
        }
        args.push("busybox");
        args.extend(command);
        self.gantry.docker(args).ok();
    }

    fn last(&self) -> String {
        self.gantry.docker(["logs", "--tail", "1", "on"]).ok().to_owned()
    }

    /// A line that is written from now on arrives.
    #[track_caller]
    fn catches_up(&self) {
        let before = self.last();
        let mut new = before.clone();
        eventually("more is written", || {
            new = self.last();
            (new != before).then_some(())
        });
        self.sink.wait_for(&new);
    }

    /// Another container with the same driver lives a whole life while the receiver is as it is.
    #[track_caller]
    fn nothing_waits(&self) {
        let before = Instant::now();
        self.run("brief", &["sh", "-c", "echo brief; exec sleep 1000"]);
        eventually("it can be read here", || {
            (self.gantry.docker(["logs", "brief"]).ok() == "brief").then_some(())
        });
        self.gantry.docker(["ps"]).ok();
        self.gantry.docker(["stop", "-t", "0", "brief"]).ok();
        self.gantry.docker(["rm", "brief"]).ok();
        // Docker's waits for as long as the receiver is away.
        assert!(before.elapsed() < Duration::from_secs(20), "{:?}", before.elapsed());
    }

    /// The receiver dies with what it has not read, is away for a while, and comes back at another address.
    fn dies_and_moves(&mut self) {
        self.sink.kill();
        self.nothing_waits();
        std::fs::write(self.gantry.place().path("hosts"), "127.0.0.9 collector\n").unwrap();
        self.sink.start_again();
        self.catches_up();
    }

    fn hangs(&mut self) {
        self.sink.hang();
        self.nothing_waits();
        self.sink.go_on();
        self.catches_up();
        self.sink.hang();
        self.nothing_waits();
        // What its kernel took is lost to it.
        self.sink.kill();
        self.sink.start_again();
        self.catches_up();
    }

    fn is_slow_and_resets(&self) {
        self.sink.behave("slow");
        self.nothing_waits();
        self.catches_up();
        self.sink.behave("reset");
        self.nothing_waits();
        self.sink.behave("ok");
        self.catches_up();
    }

    fn answers(&self, statuses: &[&str]) {
        for status in statuses {
            self.sink.behave(status);
            self.nothing_waits();
            self.sink.behave("ok");
            self.catches_up();
        }
    }

    /// Every line is there.
    #[track_caller]
    fn ends(self) {
        self.gantry.docker(["stop", "-t", "0", "on"]).ok();
        let last = self.last();
        self.sink.wait_for(&last);
        let count: u32 = last.trim_start_matches("line ").trim_end_matches('.').parse().unwrap();
        let got: BTreeSet<String> = self.sink.texts().into_iter().collect();
        let missing: Vec<String> =
            (1..=count).map(|n| format!("line {n}.")).filter(|l| !got.contains(l)).collect();
        assert!(missing.is_empty(), "of {count}: {missing:?}");
        self.gantry.docker(["rm", "on"]).ok();
    }
}

#[test]
fn gelf_over_tcp_gets_every_line_in_the_end() {
    let mut outage = Outage::new("gelf", &["gelf-address=tcp://collector:8000"]);
    outage.dies_and_moves();
    outage.hangs();
    outage.is_slow_and_resets();
    outage.ends();
}

const SPLUNK: [&str; 2] = ["splunk-url=http://collector:8000", "splunk-token=secret"];

#[test]
fn splunk_gets_every_line_in_the_end() {
    let mut outage = Outage::new("splunk", &SPLUNK);
    outage.dies_and_moves();
    outage.hangs();
    outage.is_slow_and_resets();
    outage.answers(&["503", "429", "403"]);
    outage.ends();
}

const LOKI: [&str; 2] = ["loki-url=http://collector:8000/loki/api/v1/push", "loki-timeout=2s"];

#[test]
fn loki_gets_every_line_in_the_end() {
    let mut outage = Outage::new("loki", &LOKI);
    outage.dies_and_moves();
    outage.hangs();
    outage.is_slow_and_resets();
    outage.answers(&["500", "429"]);
    outage.ends();
}

const OTLP: [&str; 2] = ["otlp-endpoint=http://collector:8000", "otlp-timeout=2s"];

#[test]
fn otlp_gets_every_line_in_the_end() {
    let mut outage = Outage::new("otlp", &OTLP);
    outage.dies_and_moves();
    outage.hangs();
    outage.is_slow_and_resets();
    outage.answers(&["502", "429"]);
    outage.ends();
}
