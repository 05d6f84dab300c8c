//! CloudWatch Logs as moto plays it, on a test's host.

use crate::place::Place;
use crate::process::{Running, eventually, run};
use crate::receiver::{Receiver, Tail};
use crate::workspace;
use serde_json::Value;
use std::process::Command;
use std::sync::Arc;

/// moto on port 8000; it forgets all when it ends. Stopped when dropped.
#[derive(Debug)]
pub struct Cloud {
    running: Option<Running>,
    place: Arc<Place>,
    tail: Tail,
}

impl Cloud {
    /// The environment in which it is believed.
    pub const KEYS: [(&'static str, &'static str); 3] =
        [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "key"), ("AWS_REGION", "eu-west-1")];

    /// Starts it.
    #[track_caller]
    pub fn start(place: &Arc<Place>) -> Self {
        let tail = Tail::of(place.path("cloudwatch.received"));
        let mut cloud = Self { running: None, place: Arc::clone(place), tail };
        cloud.start_again();
        cloud
    }

    fn command(&self) -> Command {
        let mut command = self.place.command("python3");
        // `make setup` installs it there.
        command.env("PYTHONPATH", workspace().join("target/receivers/moto"));
        command.arg(workspace().join("tests/receivers/cloudwatch.py"));
        command
    }

    /// The texts of a stream; none when it is missing.
    pub fn texts(&self, group: &str, stream: &str) -> Vec<String> {
        let mut command = self.command();
        command.args(["events", "8000", group, stream]);
        let said = run(command);
        if said.stderr.contains("ResourceNotFoundException") {
            return Vec::new();
        }
        let text =
            |line: &&str| serde_json::from_str::<(i64, String)>(line).expect("time and text of an event").1;
        said.lines().iter().map(text).collect()
    }

    /// Waits for a text in a stream; answers all of it.
    #[track_caller]
    pub fn wait_for(&self, group: &str, stream: &str, text: &str) -> Vec<String> {
        eventually(&format!("{group}/{stream} has {text:?}"), || {
            let texts = self.texts(group, stream);
            texts.iter().any(|t| t == text).then_some(texts)
        })
    }
}

impl Receiver for Cloud {
    fn process(&mut self) -> &mut Option<Running> {
        &mut self.running
    }

    #[track_caller]
    fn start_again(&mut self) {
        let mut command = self.command();
        command.args(["serve", "8000"]).arg(self.place.path("cloudwatch.received"));
        let mut running = Running::spawn(command);
        eventually("moto listens", || {
            assert!(!running.ended(), "it ended at once:\n{}", running.stderr());
            self.place.listens(8000).then_some(())
        });
        self.running = Some(running);
    }

    fn news(&mut self) -> Vec<String> {
        let texts = self.tail.news();
        texts
            .lines()
            .map(|l| serde_json::from_str::<Value>(l).expect("JSON")["message"].clone())
            .map(text)
            .collect()
    }
}

fn text(value: Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
