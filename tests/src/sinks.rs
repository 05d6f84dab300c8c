//! Receivers of log lines on a test's host: gelf, splunk, loki, otlp and gcplogs.

use crate::place::Place;
use crate::process::{Running, eventually};
use crate::receiver::{Receiver, Tail};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

/// A receiver. Stopped when dropped.
#[derive(Debug)]
pub struct Sink {
    running: Option<Running>,
    place: Arc<Place>,
    kind: &'static str,
    tls: bool,
    tail: Tail,
}

impl Sink {
    /// A strict one for `gelf` (TCP), `splunk`, `loki`, `otlp` or `gcplogs`, on port 8000 of every address. For the last one
    /// an account is made: `gcp.json` in the place's folder.
    #[track_caller]
    pub fn start(place: &Arc<Place>, kind: &'static str) -> Self {
        if kind == "gcplogs" {
            make_account(place);
        }
        let mut sink = Self::of(place, kind, false);
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
        let mut sink = Self::of(place, kind, true);
        sink.start_again();
        sink
    }

    /// graygelf's server for node, for gelf over UDP on port 8000.
    #[track_caller]
    pub fn start_datagrams(place: &Arc<Place>) -> Self {
        let mut sink = Self::of(place, "datagrams", false);
        sink.start_again();
        sink
    }

    fn of(place: &Arc<Place>, kind: &'static str, tls: bool) -> Self {
        let tail = Tail::of(place.path(&format!("{kind}.received")));
        Self { running: None, place: Arc::clone(place), kind, tls, tail }
    }

    fn command(&self) -> Command {
        let receivers = crate::workspace().join("tests/receivers");
        // `make setup` installs them there.
        let installed = crate::workspace().join("target/receivers");
        if self.kind == "datagrams" {
            let _earlier = std::fs::remove_file(self.path("listens"));
            let mut command = self.place.command("node");
            command.env("NODE_PATH", installed.join("node_modules"));
            command.arg(receivers.join("gelf.js")).arg("8000").arg(self.file());
            return command;
        }
        let mut command = self.place.command("python3");
        command.env("PYTHONPATH", installed.join(if self.kind == "gcplogs" { "gcp" } else { "python" }));
        command.arg(receivers.join("sinks.py")).arg(self.kind).arg("8000").arg(self.file());
        if self.tls {
            command.arg(self.place.path("server.pem")).arg(self.place.path("server.key"));
        }
        command
    }

    /// Starts it after [`Receiver::kill`].
    #[track_caller]
    pub fn start_again(&mut self) {
        let mut running = Running::spawn(self.command());
        eventually("the receiver listens", || {
            assert!(!running.ended(), "it ended at once:\n{}", running.stderr());
            (self.place.listens(8000) || self.path("listens").exists()).then_some(())
        });
        self.running = Some(running);
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
        self.is_content();
        let text = std::fs::read_to_string(self.file()).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| serde_json::from_str(line).expect("the receiver writes JSON")).collect()
    }

    /// Waits for a line that is `wanted`.
    #[track_caller]
    pub fn wait_for(&self, wanted: &str) -> Value {
        eventually(&format!("the receiver has {wanted:?}"), || {
            self.received().into_iter().find(|entry| text(entry) == wanted)
        })
    }

    #[track_caller]
    fn is_content(&self) {
        let wrong = std::fs::read_to_string(self.path("wrong")).unwrap_or_default();
        assert_eq!(wrong, "", "the receiver was not content");
    }
}

impl Receiver for Sink {
    fn process(&mut self) -> &mut Option<Running> {
        &mut self.running
    }

    #[track_caller]
    fn start_again(&mut self) {
        Sink::start_again(self);
    }

    fn news(&mut self) -> Vec<String> {
        self.is_content();
        let entries = self.tail.news();
        entries
            .lines()
            .map(|l| text(&serde_json::from_str(l).expect("the receiver writes JSON")).to_owned())
            .collect()
    }

    fn answer(&self, how: &str) {
        self.behave(how);
    }
}

/// The key of an account of a service, as Google hands it out, and its public half, `gcp.pem`.
#[track_caller]
fn make_account(place: &Arc<Place>) {
    let root = place.root().display();
    place
        .sh(&format!(
            "cd {root}; openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out gcp.key 2> openssl.log; \
             openssl pkey -in gcp.key -pubout -out gcp.pem"
        ))
        .ok();
    let key = std::fs::read_to_string(place.path("gcp.key")).expect("read the key");
    let account = json!({
        "type": "service_account", "project_id": "p", "private_key_id": "k1", "private_key": key,
        "client_email": "gantry@p.iam.gserviceaccount.com", "client_id": "1",
        "token_uri": "https://oauth2.googleapis.com/token",
    });
    std::fs::write(place.path("gcp.json"), account.to_string()).expect("write the account");
}

fn text(entry: &Value) -> &str {
    let text = entry.get("text").or_else(|| entry.get("short_message"));
    text.and_then(Value::as_str).unwrap_or_default()
}
