//! The awslogs driver, into moto's CloudWatch Logs.

use gantry_tests::{Builder, Daemon, Place, Running, eventually, workspace};
use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;

/// moto on 127.0.0.1:8000; it forgets all when it ends.
struct Cloud {
    place: Arc<Place>,
    running: Option<Running>,
}

impl Cloud {
    fn command(place: &Place) -> Command {
        let mut command = place.command("python3");
        // `make setup` installs it there.
        command.env("PYTHONPATH", workspace().join("target/receivers/moto"));
        command.arg(workspace().join("tests/receivers/cloudwatch.py"));
        command
    }

    #[track_caller]
    fn start(place: &Arc<Place>) -> Self {
        let mut command = Self::command(place);
        command.args(["serve", "8000"]);
        let mut running = Running::spawn(command);
        eventually("moto listens", || {
            assert!(!running.ended(), "it ended at once:\n{}", running.stderr());
            place.listens(8000).then_some(())
        });
        Self { place: Arc::clone(place), running: Some(running) }
    }

    fn signal(&self, signal: Signal) {
        self.running.as_ref().expect("it runs").signal(signal);
    }

    /// The texts of a stream; none when it is missing.
    fn texts(&self, group: &str, stream: &str) -> Vec<String> {
        let mut command = Self::command(&self.place);
        command.args(["events", "8000", group, stream]);
        let said = gantry_tests::run(command);
        if said.stderr.contains("ResourceNotFoundException") {
            return Vec::new();
        }
        let text = |line: &&str| serde_json::from_str::<(i64, String)>(line).unwrap().1;
        said.lines().iter().map(text).collect()
    }

    #[track_caller]
    fn wait_for(&self, group: &str, stream: &str, text: &str) -> Vec<String> {
        eventually(&format!("{group}/{stream} has {text:?}"), || {
            let texts = self.texts(group, stream);
            texts.iter().any(|t| t == text).then_some(texts)
        })
    }
}

fn daemon(place: &Arc<Place>) -> Daemon {
    let keys = [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "key"), ("AWS_REGION", "eu-west-1")];
    keys.into_iter().fold(Builder::at(place), |builder, (name, value)| builder.env(name, value)).start()
}

fn run(gantry: &Daemon, name: &str, options: &[&str], text: &str) {
    let mut args = vec!["run", "-d", "--name", name, "--log-driver=awslogs"];
    for option in ["awslogs-endpoint=http://127.0.0.1:8000"].iter().chain(options) {
        args.extend(["--log-opt", option]);
    }
    args.extend(["busybox", "sh", "-c", text]);
    gantry.docker(args).ok();
}

#[test]
fn groups_and_streams_are_made_and_lines_are_events_in_order() {
    let place = Place::new();
    let cloud = Cloud::start(&place);
    let gantry = daemon(&place);
    let create = ["awslogs-create-group=true", "awslogs-group=g-{{.Name}}", "tag={{.Name}}.s"];
    run(&gantry, "web", &create, "seq 300; echo; head -c 100000 /dev/zero | tr '\\0' x; echo; echo end");
    let texts = cloud.wait_for("g-web", "web.s", "end");
    let wanted: Vec<String> =
        (1..=300).map(|n| n.to_string()).chain(["x".repeat(100_000), "end".into()]).collect();
    assert!(texts == wanted, "{} of {} texts", texts.len(), wanted.len());
    // A stream that is there already does as well, and what went away can be read here.
    run(&gantry, "again", &["awslogs-group=g-web", "awslogs-stream=web.s"], "echo more");
    cloud.wait_for("g-web", "web.s", "more");
    assert!(gantry.docker(["logs", "web"]).ok().ends_with("\nend"));
}

#[test]
fn a_service_that_is_away_hangs_or_lacks_the_group_gets_every_line_later() {
    let place = Place::new();
    let gantry = daemon(&place);
    let group = ["awslogs-group=g", "awslogs-stream=s"];
    run(&gantry, "early", &group, "seq 1 100");
    eventually("it can be read here", || {
        gantry.docker(["logs", "early"]).stdout.ends_with("100\n").then_some(())
    });
    let mut cloud = Cloud::start(&place);
    cloud.signal(Signal::SIGSTOP);
    run(&gantry, "late", &[&group[..], &["awslogs-create-group=true"]].concat(), "seq 101 200");
    eventually("it can be read here", || {
        gantry.docker(["logs", "late"]).stdout.ends_with("200\n").then_some(())
    });
    cloud.signal(Signal::SIGCONT);
    cloud.wait_for("g", "s", "200");
    cloud.wait_for("g", "s", "100");
    let numbers: BTreeSet<u32> = cloud.texts("g", "s").iter().map(|text| text.parse().unwrap()).collect();
    assert_eq!(numbers, (1..=200).collect());
    // One that forgot everything gets group and stream anew.
    cloud.running = None;
    let cloud = Cloud::start(&place);
    gantry.docker(["start", "late"]).ok();
    cloud.wait_for("g", "s", "200");
    for name in ["early", "late"] {
        gantry.docker(["rm", "-f", name]).ok();
    }
}

#[test]
fn wrong_options_are_refused_in_dockers_words() {
    let gantry = Daemon::start();
    for (option, text) in [
        ("awslogs-region=x", "must specify a value for log opt 'awslogs-group'"),
        ("labels=x", "unknown log opt 'labels' for awslogs log driver"),
        ("awslogs-multiline-pattern=x", "log opt 'awslogs-multiline-pattern' is not supported"),
    ] {
        let refused = gantry.docker(["create", "--log-driver=awslogs", "--log-opt", option, "busybox"]);
        assert!(refused.code != 0 && refused.stderr.contains(text), "{}", refused.stderr);
    }
}
