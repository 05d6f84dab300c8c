//! The daemon dies somewhere in the middle of each step that makes or changes networks.

use gantry_tests::{Daemon, Random, Residue};
use serde_json::{Value, json};
use std::time::Duration;

/// How often where `GANTRY_KILLS` does not say.
const FEW: u64 = 16;

/// Longer than any of the steps takes on a machine that is at rest.
const STEP_US: u64 = 30_000;

fn create(network: &str, port: &str) -> Value {
    let ports = json!({ "80/tcp": [{ "HostPort": port }], "80/udp": [{ "HostPort": port }] });
    json!({
        "Image": "busybox", "Cmd": ["sleep", "100000"],
        "HostConfig": { "NetworkMode": network, "PortBindings": ports },
    })
}

/// What is to be broken off, after what has to be there.
#[derive(Debug, Clone, Copy)]
enum Step {
    Connect,
    Disconnect,
    Run,
    Stop,
    Make,
    Remove,
}

const STEPS: [Step; 6] = [Step::Connect, Step::Disconnect, Step::Run, Step::Stop, Step::Make, Step::Remove];

impl Step {
    fn prepare(self, gantry: &Daemon) {
        let create = |network, port| {
            let made = gantry.api("POST", "/containers/create?name=box", Some(&create(network, port)));
            assert_eq!(made.status, 201, "{}", made.text());
        };
        let start = || assert_eq!(gantry.api("POST", "/containers/box/start", None).status, 204);
        match self {
            Self::Make => {}
            Self::Remove => self.make(gantry),
            Self::Run => {
                self.make(gantry);
                create("own", "7000");
            }
            // Its ports move to the network that it is connected to, for that comes first by name.
            Self::Connect => {
                self.make(gantry);
                create("bridge", "7000");
                start();
            }
            Self::Disconnect | Self::Stop => {
                self.make(gantry);
                create("own", "7000");
                start();
            }
        }
    }

    fn make(self, gantry: &Daemon) {
        let made = gantry.api("POST", "/networks/create", Some(&json!({ "Name": "own" })));
        assert_eq!(made.status, 201, "{}", made.text());
    }

    fn request(self) -> (&'static str, &'static str, Option<Value>) {
        match self {
            Self::Connect => ("POST", "/networks/own/connect", Some(json!({ "Container": "box" }))),
            Self::Disconnect => ("POST", "/networks/own/disconnect", Some(json!({ "Container": "box" }))),
            Self::Run => ("POST", "/containers/box/start", None),
            Self::Stop => ("POST", "/containers/box/stop?t=0", None),
            Self::Make => ("POST", "/networks/create", Some(json!({ "Name": "own" }))),
            Self::Remove => ("DELETE", "/networks/own", None),
        }
    }
}

#[test]
fn a_daemon_killed_in_the_middle_of_a_networks_step_leaves_nothing_once_all_is_removed() {
    let rounds = std::env::var("GANTRY_KILLS").map_or(FEW, |n| n.parse().expect("GANTRY_KILLS is a number"));
    let mut random = Random::seeded();
    let mut gantry = Daemon::start();
    Step::Stop.prepare(&gantry);
    clear(&gantry);
    let before = Residue::at_rest(&gantry);
    for round in 0..rounds {
        let step = STEPS[round as usize % STEPS.len()];
        step.prepare(&gantry);
        let (caller, after) = (gantry.caller(), random.below(STEP_US));
        let answered = std::thread::scope(|scope| {
            let (method, path, body) = step.request();
            let asked = scope.spawn(move || caller.ask(method, path, body.as_ref()));
            std::thread::sleep(Duration::from_micros(after));
            gantry.kill();
            asked.join().expect("ask")
        });
        eprintln!("{step:?} killed after {after} us: {:?}", answered.map(|a| a.status));
        gantry.start_again();
        clear(&gantry);
        before.assert_restored(&gantry);
        // Address and port are free, too.
        gantry.docker(["run", "--rm", "-p", "7000:80", "busybox", "true"]).ok();
    }
}

/// Removes the container and the network, where there are any.
fn clear(gantry: &Daemon) {
    for path in ["/containers/box?force=true", "/networks/own"] {
        let answer = gantry.api("DELETE", path, None);
        assert!(matches!(answer.status, 204 | 404), "{path}: {}", answer.text());
    }
}
