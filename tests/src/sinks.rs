//! Receivers of log lines on a test's host: gelf, splunk, loki and otlp.

use crate::place::Place;
use crate::process::{Running, eventually};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;

/// A receiver. Stopped when dropped.
#[derive(Debug)]
pub struct Sink {
    running: Option<Running>,
    place: Arc<Place>,
    kind: &'static str,
    tls: bool,
}

impl Sink {
    /// A strict one for `gelf` (TCP), `splunk`, `loki` or `otlp`, on port 8000 of every address.
    #[track_caller]
    pub fn start(place: &Arc<Place>, kind: &'static str) -> Self {
        let mut sink = Self { running: None, place: Arc::clone(place), kind, tls: false };
        sink.start_again();
        sink
    }

    /// One that speaks TLS, with the certificate `server.pem` in the place's folder: its own authority, for the name
    /// `collector`.
    #[track_caller]
    pub fn start_tls(place: &Arc<Place>, kind: &'static str) -> Self {
        let root = place.root().display();
        place
            .sh(&format!(
                "cd {root}; openssl req -x509 -newkey rsa:2048 -nodes -keyout server.key -out server.pem -subj /CN=x \
                 -addext subjectAltName=DNS:collector 2> openssl.log"
            ))
            .ok();
        let mut sink = Self { running: None, place: Arc::clone(place), kind, tls: true };
        sink.start_again();
        sink
    }

    /// graygelf's server for node, for gelf over UDP on 127.0.0.1:8000.
    #[track_caller]
    pub fn start_datagrams(place: &Arc<Place>) -> Self {
        let workspace = crate::workspace();
        let sink = Self { running: None, place: Arc::clone(place), kind: "datagrams", tls: false };
        let mut command = place.command("node");
        // `make setup` installs it there.
        command.env("NODE_PATH", workspace.join("target/receivers/node_modules"));
        command.arg(workspace.join("tests/receivers/gelf.js")).arg("8000").arg(sink.file());
        let mut running = Running::spawn(command);
        let listens = place.path("datagrams.received.listens");
        eventually("the gelf server listens", || {
            assert!(!running.ended(), "it ended at once:\n{}", running.stderr());
            listens.exists().then_some(())
        });
        Self { running: Some(running), ..sink }
    }

    /// Starts it after [`Sink::kill`].
    #[track_caller]
    pub fn start_again(&mut self) {
        let workspace = crate::workspace();
        let mut command = self.place.command("python3");
        // `make setup` installs them there.
        command.env("PYTHONPATH", workspace.join("target/receivers/python"));
        command.arg(workspace.join("tests/receivers/sinks.py")).arg(self.kind).arg("8000").arg(self.file());
        if self.tls {
            command.arg(self.place.path("server.pem")).arg(self.place.path("server.key"));
        }
        let mut running = Running::spawn(command);
        eventually("the receiver listens", || {
            assert!(!running.ended(), "it ended at once:\n{}", running.stderr());
            self.place.listens(8000).then_some(())
        });
        self.running = Some(running);
    }

    /// Ends it at once; what it received stays.
    pub fn kill(&mut self) {
        self.running = None;
    }

    /// Its kernel goes on taking connections and bytes, it reads nothing.
    pub fn hang(&self) {
        self.running.as_ref().expect("it runs").signal(Signal::SIGSTOP);
    }

    /// It goes on where it hung.
    pub fn go_on(&self) {
        self.running.as_ref().expect("it runs").signal(Signal::SIGCONT);
    }

    /// `ok`, `slow`, `reset` in the middle of what comes, or an HTTP status to answer with.
    pub fn behave(&self, how: &str) {
        let (file, new) = (self.path("behaviour"), self.path("behaviour.new"));
        std::fs::write(&new, how).and_then(|()| std::fs::rename(&new, &file)).expect("say how to behave");
    }

    fn file(&self) -> PathBuf {
        self.place.path(&format!("{}.received", self.kind))
    }

    fn path(&self, what: &str) -> PathBuf {
        self.place.path(&format!("{}.received.{what}", self.kind))
    }

    /// Everything received so far. Fails the test when something broke the protocol.
    #[track_caller]
    pub fn received(&self) -> Vec<Value> {
        let wrong = std::fs::read_to_string(self.path("wrong")).unwrap_or_default();
        assert_eq!(wrong, "", "the receiver was not content");
        let text = std::fs::read_to_string(self.file()).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| serde_json::from_str(line).expect("the receiver writes JSON")).collect()
    }

    /// The texts received so far.
    #[track_caller]
    pub fn texts(&self) -> Vec<String> {
        let text = |entry: &Value| {
            let text = entry.get("text").or_else(|| entry.get("short_message"));
            text.and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        self.received().iter().map(text).collect()
    }

    /// Waits for a line that is `text`.
    #[track_caller]
    pub fn wait_for(&self, text: &str) -> Value {
        eventually(&format!("the receiver has {text:?}"), || {
            let at = self.texts().iter().position(|t| t == text)?;
            self.received().into_iter().nth(at)
        })
    }
}
