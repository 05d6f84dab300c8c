//! A real receiver of Fluentd's forward protocol on a test's host.

use crate::place::Place;
use crate::process::{Running, eventually};
use crate::receiver::{Receiver, Tail};
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

/// What a forward server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// TCP, port 24224 of every address.
    Tcp,
    /// TLS, the same port, with `server.pem` of [`crate::make_certificates`].
    Tls,
    /// The socket `fluentd.sock` in the place's folder.
    Unix,
}

/// The Fluentd project's server for node. Stopped when dropped.
#[derive(Debug)]
pub struct Fluentd {
    running: Option<Running>,
    place: Arc<Place>,
    over: Over,
    tail: Tail,
}

impl Fluentd {
    /// Starts it.
    #[track_caller]
    pub fn start(place: &Arc<Place>) -> Self {
        Self::start_over(place, Over::Tcp)
    }

    /// Starts one that speaks so.
    #[track_caller]
    pub fn start_over(place: &Arc<Place>, over: Over) -> Self {
        let tail = Tail::of(place.path("fluentd.received"));
        let mut fluentd = Self { running: None, place: Arc::clone(place), over, tail };
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
        let socket = self.place.path("fluentd.sock");
        let _earlier = std::fs::remove_file(&socket);
        command.arg(tests.join("tests/receivers/fluentd.js"));
        match self.over {
            Over::Unix => command.arg(&socket).arg(self.file()),
            Over::Tcp => command.arg("24224").arg(self.file()),
            Over::Tls => {
                let (certificate, key) = (self.place.path("server.pem"), self.place.path("server.key"));
                command.arg("24224").arg(self.file()).arg(certificate).arg(key)
            }
        };
        let mut running = Running::spawn(command);
        eventually("the forward server listens", || {
            if running.ended() {
                panic!("the forward server ended at once:\n{}", running.stderr());
            }
            (socket.exists() || self.place.listens(24224)).then_some(())
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
        whole.lines().map(event).collect()
    }

    /// Waits for an event whose text is `log`.
    #[track_caller]
    pub fn wait_for(&self, log: &str) -> Event {
        eventually(&format!("the forward server receives {log:?}"), || {
            self.received().into_iter().find(|e| e.text("log") == log)
        })
    }
}

impl Receiver for Fluentd {
    fn process(&mut self) -> &mut Option<Running> {
        &mut self.running
    }

    #[track_caller]
    fn start_again(&mut self) {
        Fluentd::start_again(self);
    }

    fn news(&mut self) -> Vec<String> {
        self.tail.news().lines().map(|line| event(line).text("log").to_owned()).collect()
    }
}

fn event(line: &str) -> Event {
    let (tag, time, record) = serde_json::from_str(line).expect("the receiver writes JSON");
    Event { tag, time, record }
}
