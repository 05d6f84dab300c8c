//! The awslogs driver towards a service that throttles, fails, forgets and rejects, and with credentials that come from the
//! machine or from a task.

use gantry_tests::{Builder, Daemon, Place, Running, eventually, workspace};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;

struct Service {
    place: Arc<Place>,
    _running: Running,
}

impl Service {
    /// On port 8000, and with metadata at an address of this host's own.
    #[track_caller]
    fn start(place: &Arc<Place>, metadata: Option<&str>) -> Self {
        let mut command = place.command("python3");
        command.arg(workspace().join("tests/receivers/aws.py")).arg("8000").arg(place.path("aws"));
        if let Some(address) = metadata {
            place.run("ip", ["address", "add", &format!("{address}/32"), "dev", "lo"]).ok();
            command.arg(address);
        }
        let running = Running::spawn(command);
        running.wait_for("listens");
        Self { place: Arc::clone(place), _running: running }
    }

    fn script(&self, words: &str) {
        std::fs::write(self.place.path("aws.script"), words).unwrap();
    }

    /// Each word of the script has had its put.
    fn is_through(&self) -> bool {
        std::fs::read_to_string(self.place.path("aws.script")).unwrap().is_empty()
    }

    #[track_caller]
    fn events(&self) -> Vec<Value> {
        let wrong = std::fs::read_to_string(self.place.path("aws.wrong")).unwrap_or_default();
        assert_eq!(wrong, "", "the service was not content");
        let text = std::fs::read_to_string(self.place.path("aws")).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn numbers(&self) -> BTreeSet<u32> {
        self.events().iter().map(|e| e["text"].as_str().unwrap().parse().unwrap()).collect()
    }

    #[track_caller]
    fn wait_for(&self, text: &str) -> Value {
        eventually(&format!("the service has {text:?}"), || {
            self.events().into_iter().find(|e| e["text"] == text)
        })
    }
}

fn run(gantry: &Daemon, name: &str, options: &[&str], text: &str) {
    let mut args = vec!["run", "-d", "--name", name, "--log-driver=awslogs"];
    for option in ["awslogs-endpoint=http://127.0.0.1:8000", "awslogs-group=g"].iter().chain(options) {
        args.extend(["--log-opt", option]);
    }
    args.extend(["busybox", "sh", "-c", text]);
    gantry.docker(args).ok();
}

fn daemon(place: &Arc<Place>, env: &[(&str, &str)]) -> Daemon {
    env.iter().fold(Builder::at(place), |builder, (name, value)| builder.env(name, value)).start()
}

/// What is known of the sink of `web`.
fn status(gantry: &Daemon) -> Value {
    let sinks = gantry.api("GET", "/gantry/logs?container=web", None).json();
    sinks.as_array().unwrap().iter().find(|s| s["Sink"] == "awslogs").unwrap().clone()
}

const KEYS: [(&str, &str); 3] =
    [("AWS_ACCESS_KEY_ID", "own"), ("AWS_SECRET_ACCESS_KEY", "key"), ("AWS_REGION", "eu-west-1")];

#[test]
fn a_service_that_throttles_fails_and_forgets_gets_every_line() {
    let place = Place::new();
    let service = Service::start(&place, None);
    let gantry = daemon(&place, &KEYS);
    service.script("throttle throttle fail ok missing fail throttle");
    // More than one put takes.
    run(&gantry, "web", &[], "for n in $(seq 1 4); do seq $((n*5000-4999)) $((n*5000)); sleep 0.3; done");
    service.wait_for("20000");
    assert_eq!(service.numbers(), (1..=20_000).collect());
    let told = status(&gantry);
    assert!(told["Retries"].as_u64() >= Some(5), "{told}");
}

#[test]
fn events_that_the_service_rejects_for_their_time_are_counted_and_no_others_lost() {
    let place = Place::new();
    let service = Service::start(&place, None);
    let gantry = daemon(&place, &KEYS);
    service.script("old new");
    // Each part has a put of its own: the next is written once the one before was taken.
    let parts = "seq 1 10; until [ -e /second ]; do sleep 0.1; done; seq 11 20; \
                 until [ -e /third ]; do sleep 0.1; done; echo 21";
    run(&gantry, "web", &[], parts);
    eventually("a first put was taken", || (!service.events().is_empty()).then_some(()));
    gantry.touch("web", "/second");
    eventually("both puts were taken", || service.is_through().then_some(()));
    gantry.touch("web", "/third");
    service.wait_for("21");
    let missing = 21 - service.numbers().len();
    assert_eq!(missing, 2);
    assert_eq!(status(&gantry)["Refused"], 2);
    // The command line means whole seconds: what happened in the running one comes with the next.
    let events = ["events", "--since=1h", "--until=0s", "--filter=event=log_refused"];
    eventually("it is told", || gantry.docker(events).ok().contains("sink=awslogs").then_some(()));
}

#[test]
fn region_and_credentials_come_from_the_machine() {
    let place = Place::new();
    let service = Service::start(&place, Some("169.254.169.254"));
    let gantry = daemon(&place, &[("HOME", "/nosuch")]);
    run(&gantry, "web", &[], "echo here");
    assert_eq!(service.wait_for("here")["key"], "ofthemachine");
}

#[test]
fn credentials_come_from_a_task_by_its_environment_or_by_option() {
    let place = Place::new();
    let service = Service::start(&place, Some("169.254.170.2"));
    let task = [("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/task"), KEYS[2]];
    let gantry = daemon(&place, &[&task[..], &[("HOME", "/nosuch")]].concat());
    run(&gantry, "env", &[], "echo by environment");
    assert_eq!(service.wait_for("by environment")["key"], "ofthetask");
    gantry.docker(["rm", "-f", "env"]).ok();
    drop(gantry);
    let gantry = daemon(&place, &KEYS);
    run(&gantry, "option", &["awslogs-credentials-endpoint=/v2/credentials/task"], "echo by option");
    assert_eq!(service.wait_for("by option")["key"], "ofthetask");
}
