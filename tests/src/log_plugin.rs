//! A log plugin on a test's host.

use crate::place::Place;
use crate::process::Running;
use crate::receiver::{Receiver, Tail};
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;

/// A strict one. Stopped when dropped.
#[derive(Debug)]
pub struct LogPlugin {
    running: Option<Running>,
    place: Arc<Place>,
    name: &'static str,
    address: String,
    tail: Tail,
}

impl LogPlugin {
    /// The daemon's flags for plugins of this place.
    pub fn flags(place: &Place) -> [String; 2] {
        let (folder, fifos) = (place.path("plugins"), place.path("fifos"));
        [format!("--log-plugin-dir={}", folder.display()), format!("--log-plugin-fifos={}", fifos.display())]
    }

    /// One with a socket of that name in the folder for plugins.
    #[track_caller]
    pub fn start(place: &Arc<Place>, name: &'static str) -> Self {
        let socket = place.path("plugins").join(format!("{name}.sock"));
        Self::at(place, name, &socket.to_string_lossy())
    }

    /// One at a port of 127.0.0.1, of which a file has yet to tell the daemon.
    #[track_caller]
    pub fn at_port(place: &Arc<Place>, name: &'static str, port: u16) -> Self {
        Self::at(place, name, &port.to_string())
    }

    #[track_caller]
    fn at(place: &Arc<Place>, name: &'static str, address: &str) -> Self {
        std::fs::create_dir_all(place.path("plugins")).expect("make a folder for plugins");
        let tail = Tail::of(place.path(&format!("{name}.entries")));
        let place = Arc::clone(place);
        let mut plugin = Self { running: None, place, name, address: address.to_owned(), tail };
        plugin.start_again();
        plugin
    }

    fn path(&self, ending: &str) -> PathBuf {
        self.place.path(&format!("{}.entries{ending}", self.name))
    }

    /// `ok`, `managed`, `refuse`, `volumes`, `reads`, `files` or `tears`, as its own text says.
    pub fn behave(&self, how: &str) {
        let (file, new) = (self.path(".behaviour"), self.path(".behaviour.new"));
        std::fs::write(&new, how).and_then(|()| std::fs::rename(&new, &file)).expect("say how to behave");
    }

    #[track_caller]
    fn values(&self, ending: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path(ending)).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| serde_json::from_str(line).expect("the plugin writes JSON")).collect()
    }

    /// Every entry so far. Fails the test when something broke the protocol.
    #[track_caller]
    pub fn entries(&self) -> Vec<Value> {
        assert_eq!(self.values(".wrong"), Vec::<Value>::new(), "the plugin was not content");
        self.values("")
    }

    /// The texts of all entries so far.
    #[track_caller]
    pub fn texts(&self) -> Vec<String> {
        self.entries().iter().map(|e| e["text"].as_str().expect("a text").to_owned()).collect()
    }

    /// The bodies of the calls of a method so far; `end` and `torn` are the ends of fifos.
    #[track_caller]
    pub fn calls(&self, method: &str) -> Vec<Value> {
        let calls = self.values(".calls").into_iter();
        calls.filter(|call| call[0] == method).map(|mut call| call[1].take()).collect()
    }

    /// The fifos that are there.
    pub fn fifos(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.place.path("fifos")).into_iter().flatten().flatten();
        entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect()
    }
}

impl Receiver for LogPlugin {
    fn process(&mut self) -> &mut Option<Running> {
        &mut self.running
    }

    #[track_caller]
    fn start_again(&mut self) {
        let workspace = crate::workspace();
        let mut command = self.place.command("python3");
        // `make setup` installs protobuf there.
        command.env("PYTHONPATH", workspace.join("target/receivers/python"));
        command.arg(workspace.join("tests/receivers/log_plugin.py"));
        command.arg(&self.address).arg(self.path(""));
        let running = Running::spawn(command);
        running.wait_for("listens");
        self.running = Some(running);
    }

    fn news(&mut self) -> Vec<String> {
        let news = self.tail.news();
        let text = |line: &str| serde_json::from_str::<Value>(line).expect("JSON")["text"].clone();
        news.lines().map(|line| text(line).as_str().unwrap_or_default().to_owned()).collect()
    }
}
