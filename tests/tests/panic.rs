//! Actors of every kind panic at random while containers write. Needs the build of `make fault`.

use gantry_tests::{Builder, Daemon, Load, Random, WRITERS, eventually, place_with_rsyslog};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Instant;

/// Panics, one at a time.
const PANICS: usize = 24;
/// The root exits on the sixth panic below it in a minute, and a router or sink over its limit rests for a while.
const AT_MOST: usize = 4;
/// Kinds under the root, which share its limit.
const TOP: [&str; 4] = ["events", "images", "network", "containers"];

fn actors(gantry: &Daemon) -> Vec<Value> {
    gantry.api("GET", "/gantry/actors", None).json().as_array().expect("a list").clone()
}

fn text<'a>(actor: &'a Value, key: &str) -> &'a str {
    actor[key].as_str().expect("text")
}

/// Respawns of the actor of that name, or none when it is not there at this moment.
fn respawns(gantry: &Daemon, name: &str) -> Option<u64> {
    let all = actors(gantry);
    all.iter().find(|a| text(a, "name") == name).and_then(|a| a["respawns"].as_u64())
}

/// Has every kind of actor do something; what fails does so because an actor is just gone.
fn stir(gantry: &Daemon, name: &str) {
    if let Some(id) = name.strip_prefix("container:") {
        gantry.api("POST", &format!("/containers/{id}/kill?signal=CONT"), None);
    } else if name == "images" {
        // There is no registry; to find that out is the actor's work.
        gantry.docker(["pull", "127.0.0.1:5000/nothing"]);
    } else if !name.starts_with("router:") && !name.starts_with("sink:") {
        gantry.docker(["run", "--rm", "busybox", "true"]);
    }
}

/// Commands that must work as soon as the actors are back.
fn commands_work(gantry: &Daemon) {
    let names = gantry.docker(["ps", "--format", "{{.Names}}"]);
    for w in WRITERS {
        assert!(names.lines().contains(&w.name), "{names}");
    }
    let last = gantry.docker(["logs", "--tail", "1", "slow"]);
    assert_eq!(last.ok().lines().count() + last.stderr.lines().count(), 1, "{last}");
    assert_eq!(gantry.docker(["exec", "slow", "echo", "in"]).ok(), "in");
    assert_eq!(gantry.docker(["run", "--rm", "busybox", "echo", "fresh"]).ok(), "fresh");
    gantry.docker(["run", "-d", "--name", "victim", "busybox", "sleep", "1000"]).ok();
    gantry.docker(["stop", "-t", "0", "victim"]).ok();
    gantry.docker(["rm", "victim"]).ok();
}

#[test]
fn no_line_is_lost_or_doubled_when_actors_panic() {
    let mut random = Random::seeded();
    let begin = Instant::now();
    let (place, rsyslog) = place_with_rsyslog();
    let gantry = Builder::at(&place).faulty().start();
    let load = Load::start(&gantry, &WRITERS);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut done = 0;
    while done < PANICS {
        let all = actors(&gantry);
        let kinds = ["container", "router", "sink", TOP[random.below(4) as usize]];
        let kind = kinds[random.below(kinds.len() as u64) as usize];
        let those: Vec<&Value> = all.iter().filter(|a| text(a, "kind") == kind).collect();
        assert!(!those.is_empty(), "no actor of kind {kind} in {all:?}");
        let name = text(those[random.below(those.len() as u64) as usize], "name").to_owned();
        let limited = if TOP.contains(&kind) { "root".to_owned() } else { name.clone() };
        let count = counts.entry(limited).or_default();
        if *count == AT_MOST {
            continue;
        }
        *count += 1;
        done += 1;
        let before = respawns(&gantry, &name).unwrap_or_default();
        let nth = 1 + random.below(3);
        let armed = gantry.api("POST", &format!("/gantry/fault?target={name}&nth={nth}"), None);
        assert_eq!(armed.json()["Armed"], 1, "{name}");
        eprintln!("{name} panics at message {nth}");
        eventually(&format!("{name} is respawned"), || {
            stir(&gantry, &name);
            respawns(&gantry, &name).filter(|n| *n > before)
        });
        eventually("all actors run", || {
            actors(&gantry).iter().all(|a| text(a, "state") == "running").then_some(())
        });
        commands_work(&gantry);
        load.goes_on(&gantry);
    }
    let shown = gantry.gantry(["actors"]);
    assert!(shown.ok().contains("injected fault"), "{shown}");
    assert!(gantry.log().contains("injected fault"));
    load.stop(&gantry);
    eprintln!("{PANICS} panics in {:?}", begin.elapsed());
    load.verify(&gantry, &rsyslog);
}

#[test]
fn an_ordinary_build_cannot_be_told_to_panic() {
    let gantry = Daemon::start();
    assert_eq!(gantry.api("POST", "/gantry/fault?target=events", None).error(404), "page not found");
}
