//! The daemon or its log actors die under load while containers write to four sinks each.

use gantry_tests::{
    Builder, Daemon, Fluentd, Ledger, Place, Random, Received, Receiver, Rsyslog, Shadow, Sink, eventually,
};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

const WRITERS: [(&str, u64); 2] = [("fast", 10_000), ("slow", 60_000)];
const OPTIONS: [&str; 6] = [
    "--log-driver=fanout",
    "--log-opt=drivers=json-file,fluentd,syslog,gelf",
    "--log-opt=fluentd.fluentd-address=127.0.0.1:24224",
    "--log-opt=fluentd.fluentd-request-ack=true",
    "--log-opt=syslog.syslog-address=tcp://127.0.0.1:514",
    "--log-opt=gelf.gelf-address=tcp://127.0.0.1:8000",
];

struct Load {
    receivers: Vec<(Box<dyn Receiver>, Received)>,
    ledger: Ledger,
    gantry: Daemon,
}

impl Load {
    #[track_caller]
    fn start(place: &Arc<Place>, builder: Builder) -> Self {
        let receivers: [Box<dyn Receiver>; 3] = [
            Box::new(Fluentd::start(place)),
            Box::new(Rsyslog::start(place)),
            Box::new(Sink::start(place, "gelf")),
        ];
        let gantry = builder.start();
        let ledger = Ledger::new(&gantry);
        for (name, rest) in WRITERS {
            gantry.docker(ledger.writer(name, &OPTIONS, rest)).ok();
        }
        Self { receivers: receivers.into_iter().map(|r| (r, Received::default())).collect(), ledger, gantry }
    }

    /// More of each writer's lines are stored.
    #[track_caller]
    fn goes_on(&self) {
        for (name, _) in WRITERS {
            let (log, size) = (self.gantry.log_path(name), |p: &_| std::fs::metadata(p).unwrap().len());
            let before = size(&log);
            eventually("more is stored", || (size(&log) > before).then_some(()));
        }
    }

    /// Each line is stored once, byte for byte as a reader saw it, and has arrived everywhere.
    #[track_caller]
    fn ends(mut self, shadows: BTreeMap<&str, Shadow>) {
        self.ledger.stop();
        for (name, _) in WRITERS {
            self.gantry.until_exited(name);
            eventually("nothing is owed", || {
                let sinks = self.gantry.api("GET", &format!("/gantry/logs?container={name}"), None).json();
                sinks.as_array().unwrap().iter().all(|s| s["Lag"]["Lines"] == 0).then_some(())
            });
            let counts = self.ledger.check_json(&self.gantry, name);
            for (receiver, received) in &mut self.receivers {
                eventually("each line has arrived", || {
                    receiver.news().iter().for_each(|text| received.note(text));
                    received.missing(name, &counts).is_empty().then_some(())
                });
            }
            eprintln!("{name}: {counts:?} lines");
        }
        for (name, shadow) in shadows {
            let file = std::fs::read(self.gantry.log_path(name)).unwrap();
            let seen = shadow.end();
            let same = seen.iter().zip(&file).take_while(|(a, b)| a == b).count();
            assert!(seen.len() <= file.len() && same == seen.len(), "{name}: another byte at {same}");
        }
    }

    fn shadows(&self) -> BTreeMap<&'static str, Shadow> {
        WRITERS.map(|(name, _)| (name, Shadow::of(&self.gantry.log_path(name)))).into()
    }
}

#[test]
fn daemon_kills_change_no_stored_byte_and_lose_no_line_of_any_sink() {
    let mut random = Random::seeded();
    let place = Place::new();
    let mut load = Load::start(&place, Builder::at(&place));
    load.goes_on();
    let shadows = load.shadows();
    for round in 0..12 {
        random.pause(if round % 3 == 0 { 50 } else { 500 });
        load.gantry.kill();
        random.pause(if round % 2 == 0 { 0 } else { 400 });
        load.gantry.start_again();
        if round % 4 == 3 {
            load.goes_on();
        }
    }
    load.ends(shadows);
}

#[test]
fn panics_of_routers_and_sinks_change_no_stored_byte_and_lose_no_line_of_any_sink() {
    let mut random = Random::seeded();
    let place = Place::new();
    let load = Load::start(&place, Builder::at(&place).faulty());
    load.goes_on();
    let shadows = load.shadows();
    let panics = || load.gantry.log().matches("injected fault").count();
    for _ in 0..12 {
        let actors = load.gantry.api("GET", "/gantry/actors", None).json();
        let logs = |a: &&Value| a["kind"] == "router" || a["kind"] == "sink";
        let those: Vec<&Value> = actors.as_array().unwrap().iter().filter(logs).collect();
        let target = random.of(&those)["name"].as_str().unwrap();
        let (before, nth) = (panics(), 1 + random.below(3));
        load.gantry.api("POST", &format!("/gantry/fault?target={target}&nth={nth}"), None);
        eventually(&format!("{target} panics"), || (panics() > before).then_some(()));
        random.pause(200);
    }
    load.goes_on();
    load.ends(shadows);
}
