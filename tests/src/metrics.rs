//! What Prometheus would read of a daemon.

use crate::place::Place;
use crate::process::run;
use serde_json::Value;

/// In which form metrics are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// What Prometheus asks for first.
    OpenMetrics,
    /// What Docker answers with.
    Text,
}

/// All samples of one scrape, as Prometheus' own parsers for Python understood them.
#[derive(Debug)]
pub struct Metrics(Vec<Value>);

impl Metrics {
    /// Scrapes `http://127.0.0.1:port/metrics` on a place's host.
    #[track_caller]
    pub fn scrape(place: &Place, port: u16, form: Form) -> Self {
        let workspace = crate::workspace();
        let mut command = place.command("python3");
        // `make setup` installs it there.
        command.env("PYTHONPATH", workspace.join("target/receivers/python"));
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        command.arg(workspace.join("tests/receivers/scrape.py"));
        command.arg(format!("http://127.0.0.1:{port}/metrics"));
        command.arg(match form {
            Form::OpenMetrics => "openmetrics",
            Form::Text => "text",
        });
        let output = run(command);
        let read = |line: &str| serde_json::from_str(line).expect("the script writes JSON");
        Self(output.ok().lines().map(read).collect())
    }

    fn matching<'a>(&'a self, name: &'a str, labels: &'a [(&str, &str)]) -> impl Iterator<Item = &'a Value> {
        let fits = move |sample: &&Value| {
            sample["name"] == name && labels.iter().all(|(key, value)| sample["labels"][key] == *value)
        };
        self.0.iter().filter(fits)
    }

    /// The value of the one sample with this name and at least these labels, if there is one.
    #[track_caller]
    pub fn get(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let mut found = self.matching(name, labels);
        let one = found.next();
        assert!(found.next().is_none(), "{name} {labels:?} is there more than once");
        one.map(|sample| sample["value"].as_f64().expect("values are numbers"))
    }

    /// The same, which is there.
    #[track_caller]
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.get(name, labels).unwrap_or_else(|| panic!("no {name} with {labels:?} among:\n{:#?}", self.0))
    }

    /// A label of the first sample with this name.
    #[track_caller]
    pub fn label(&self, name: &str, label: &str) -> String {
        let sample = self.matching(name, &[]).next().unwrap_or_else(|| panic!("no {name}"));
        sample["labels"][label].as_str().unwrap_or_else(|| panic!("{name} has no label {label}")).to_owned()
    }

    /// How many samples have this name and at least these labels.
    pub fn count(&self, name: &str, labels: &[(&str, &str)]) -> usize {
        self.matching(name, labels).count()
    }
}
