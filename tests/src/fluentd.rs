//! A real receiver of Fluentd's forward protocol on a test's host.

use crate::place::Place;
use crate::process::{Running, eventually};
use std::path::PathBuf;
use std::sync::Arc;

/// An event as the receiver understood it.
#[derive(Debug, Clone)]
pub struct Event {
    /// Tag.
    pub tag: String,
    /// Seconds, with nanoseconds after a dot where they were sent.
    pub time: String,
    /// The record.
    pub record: serde_json::Map<String, serde_json::Value>,
}

impl Event {
    /// A field's text.
    pub fn text(&self, field: &str) -> &str {
        self.record.get(field).and_then(|v| v.as_str()).unwrap_or_default()
    }
}

/// The Fluentd project's server for node, on 127.0.0.1:24224. Stopped when dropped.
#[derive(Debug)]
pub struct Fluentd {
    running: Option<Running>,
    place: Arc<Place>,
}

impl Fluentd {
    /// Starts it.
    #[track_caller]
    pub fn start(place: &Arc<Place>) -> Self {
        let mut fluentd = Self { running: None, place: Arc::clone(place) };
        fluentd.start_again();
        fluentd
    }

    /// Starts it after [`Fluentd::stop`].
    #[track_caller]
    pub fn start_again(&mut self) {
        let tests = crate::workspace();
        let mut command = self.place.command("node");
        // `make setup` installs it there.
        command.env("NODE_PATH", tests.join("target/receivers/node_modules"));
        command.arg(tests.join("tests/receivers/fluentd.js")).arg("24224").arg(self.file());
        let mut running = Running::spawn(command);
        eventually("the forward server listens", || {
            if running.ended() {
                panic!("the forward server ended at once:\n{}", running.stderr());
            }
            self.place.listens(24224).then_some(())
        });
        self.running = Some(running);
    }

    /// Stops it; what it received stays.
    pub fn stop(&mut self) {
        self.running = None;
    }

    fn file(&self) -> PathBuf {
        self.place.path("fluentd.received")
    }

    /// Everything received so far.
    pub fn received(&self) -> Vec<Event> {
        let text = std::fs::read_to_string(self.file()).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole
            .lines()
            .map(|line| {
                let (tag, time, record) = serde_json::from_str(line).expect("the receiver writes JSON");
                Event { tag, time, record }
            })
            .collect()
    }

    /// Waits for an event whose text is `log`.
    #[track_caller]
    pub fn wait_for(&self, log: &str) -> Event {
        eventually(&format!("the forward server receives {log:?}"), || {
            self.received().into_iter().find(|e| e.text("log") == log)
        })
    }
}
