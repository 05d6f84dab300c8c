//! What became of every line once all is well again.

use super::*;

impl Chaos {
    /// Makes everything good again, lets the writers end, and finds each line where it should be.
    #[track_caller]
    pub fn settle(mut self) {
        if self.disk.is_full() {
            self.disk.free();
        }
        self.stations.iter_mut().for_each(Station::mend);
        self.end_restarts();
        let status = self.gantry.docker(["ps", "-a", "--format", "{{.Names}} {{.State}}"]);
        assert!(status.lines().iter().all(|l| l.ends_with(" running")), "{status}");
        self.ledger.stop();
        for name in &self.names {
            self.gantry.until_exited(name);
        }
        let counts: BTreeMap<String, Vec<u64>> = self.stored();
        self.arrive(&counts);
        let lines: u64 = counts.values().flatten().sum();
        for name in self.names.iter().take(4) {
            let found = check_read(name, &self.gantry.docker(["logs", name]));
            assert_eq!(found, counts[name].iter().sum::<u64>(), "{name}, as read");
        }
        let followed: u64 = std::mem::take(&mut self.followers).into_iter().map(Follower::check).sum();
        let peak = peak_memory(self.gantry.pid());
        eprintln!("{lines} lines, {followed} followed, at most {peak} KiB; {:?}", self.counts);
        for station in &self.stations {
            let Received { again, torn, .. } = station.received;
            eprintln!("{}: {again} lines came again, {torn} torn", station.kind);
        }
        assert!(peak < MEMORY, "{peak} KiB");
    }

    /// How many lines of each run are stored, once all are.
    #[track_caller]
    fn stored(&self) -> BTreeMap<String, Vec<u64>> {
        let deadline = Instant::now() + CATCHING_UP;
        for (n, name) in self.names.iter().enumerate() {
            let query = format!("/gantry/logs?container={name}");
            while Instant::now() < deadline {
                let sinks = self.gantry.api("GET", &query, None).json();
                let mut sinks = sinks.as_array().expect("a list").iter();
                let stored = sinks.find(|s| s["Sink"] == store(n)).expect("each has one");
                if stored["Lag"]["Lines"] == 0 {
                    break;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        let check = |(n, name): (usize, &String)| match store(n) {
            "local" => (name.clone(), self.ledger.check_read_back(&self.gantry, name)),
            _ => (name.clone(), self.ledger.check_json(&self.gantry, name)),
        };
        self.names.iter().enumerate().map(check).collect()
    }

    #[track_caller]
    fn arrive(&mut self, counts: &BTreeMap<String, Vec<u64>>) {
        let deadline = Instant::now() + CATCHING_UP;
        loop {
            self.take_news();
            let mut missing = Vec::new();
            for (n, name) in self.names.iter().enumerate() {
                for station in self.stations.iter().filter(|s| goes_to(n).contains(&s.kind)) {
                    let lines = station.received.missing(name, &counts[name]);
                    let given_up = if sheds(n, station.kind) { self.dropped(name) } else { 0 };
                    if lines.len() as u64 > given_up {
                        missing.push(format!(
                            "{name} at {}: {} lines, {:?}…",
                            station.kind,
                            lines.len(),
                            lines[0]
                        ));
                    }
                }
            }
            if missing.is_empty() {
                return self.tell_drops(counts);
            }
            let late = Instant::now() > deadline;
            assert!(!late, "{}\n{}", missing.join("\n"), self.gantry.gantry(["logs", "status"]).stdout);
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Lines that a container's fluentd sink had no room for, as counted.
    fn dropped(&self, name: &str) -> u64 {
        let sinks = self.gantry.api("GET", &format!("/gantry/logs?container={name}"), None).json();
        let mut sinks = sinks.as_array().expect("a list").iter();
        let sink = sinks.find(|s| s["Sink"] == "fluentd").expect("it has one");
        sink["Dropped"]["buffer-full"].as_u64().expect("a count")
    }

    fn tell_drops(&self, counts: &BTreeMap<String, Vec<u64>>) {
        for (n, name) in self.names.iter().enumerate().filter(|(n, _)| goes_to(*n).contains(&"fluentd")) {
            let station = self.stations.iter().find(|s| s.kind == "fluentd").expect("there is one");
            let missing = station.received.missing(name, &counts[name]).len();
            if sheds(n, "fluentd") {
                let dropped = self.dropped(name);
                eprintln!("{name}: fluentd lacks {missing} lines, {dropped} are counted as dropped");
                assert_eq!(missing as u64, dropped, "{name}");
            }
        }
    }
}
