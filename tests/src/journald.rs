//! A real systemd-journald: a journal namespace of a test's own.

use crate::place::Place;
use crate::process::{Running, eventually, run};
use crate::receiver::Receiver;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Stopped and taken away when dropped.
#[derive(Debug)]
pub struct Journald {
    running: Option<Running>,
    place: Arc<Place>,
    name: String,
    /// What was shown ends here.
    cursor: Option<String>,
}

impl Journald {
    /// Starts it.
    #[track_caller]
    pub fn start(place: &Arc<Place>) -> Self {
        let name = place.cgroup().trim_start_matches('/').replace('.', "-");
        let mut journald = Self { running: None, place: Arc::clone(place), name, cursor: None };
        journald.start_again();
        journald
    }

    /// Starts it after [`Journald::stop`].
    #[track_caller]
    pub fn start_again(&mut self) {
        std::fs::create_dir_all("/run/systemd").expect("make the folder of the journal's sockets");
        let mut running = self.place.spawn("/lib/systemd/systemd-journald", [&self.name]);
        eventually("the journal listens", || {
            if running.ended() {
                panic!("systemd-journald ended at once:\n{}", running.stderr());
            }
            self.sockets().join("socket").exists().then_some(())
        });
        self.running = Some(running);
    }

    /// Ends it; what it has stays.
    pub fn stop(&mut self) {
        self.running = None;
        let _gone = std::fs::remove_dir_all(self.sockets());
    }

    /// The namespace's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn sockets(&self) -> PathBuf {
        Path::new("/run/systemd").join(format!("journal.{}", self.name))
    }

    /// What `journalctl` shows for a match.
    pub fn entries(&self, wanted: &str) -> Vec<Map<String, Value>> {
        let namespace = format!("--namespace={}", self.name);
        let shown = self.place.run("journalctl", [&namespace, "-q", "--all", "-o", "json", wanted]);
        shown.stdout.lines().map(|l| serde_json::from_str(l).expect("journalctl shows JSON")).collect()
    }
}

impl Receiver for Journald {
    fn process(&mut self) -> &mut Option<Running> {
        &mut self.running
    }

    #[track_caller]
    fn start_again(&mut self) {
        // Sockets that a killed one left are not those of the new one.
        let _gone = std::fs::remove_dir_all(self.sockets());
        Journald::start_again(self);
    }

    fn news(&mut self) -> Vec<String> {
        let mut command = self.place.command("journalctl");
        command.arg(format!("--namespace={}", self.name)).args(["-q", "--all", "-o", "json"]);
        command.arg("--output-fields=MESSAGE");
        if let Some(cursor) = &self.cursor {
            command.arg(format!("--after-cursor={cursor}"));
        }
        let shown = run(command).stdout;
        let entries = shown.lines().map(|l| serde_json::from_str::<Value>(l).expect("journalctl shows JSON"));
        let entries: Vec<Value> = entries.collect();
        if let Some(last) = entries.last() {
            self.cursor = last["__CURSOR"].as_str().map(str::to_owned);
        }
        entries.iter().filter_map(|e| e["MESSAGE"].as_str()).map(str::to_owned).collect()
    }
}

impl Drop for Journald {
    fn drop(&mut self) {
        self.stop();
        let machine = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
        for kind in ["/run/log/journal", "/var/log/journal"] {
            let _gone = std::fs::remove_dir_all(format!("{kind}/{}.{}", machine.trim(), self.name));
        }
    }
}
