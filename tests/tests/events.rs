//! `docker events`.

use gantry_tests::{Daemon, image};
use serde_json::Value;

fn now() -> String {
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    format!("{}.{:09}", time.as_secs(), time.subsec_nanos())
}

#[test]
fn a_containers_life_is_told_in_order() {
    let gantry = Daemon::start();
    let since = now();
    gantry.docker(["run", "--name", "told", "-l", "a=b", "busybox", "sh", "-c", "exit 3"]).fails(3);
    gantry.docker(["rename", "told", "renamed"]).ok();
    gantry.docker(["rm", "renamed"]).ok();
    let said =
        gantry.docker(["events", "--since", &since, "--until", &now(), "--format", "{{.Type}} {{.Action}}"]);
    let wanted = [
        "container create",
        "container attach",
        "network connect",
        "container start",
        "container die",
        "network disconnect",
        "container rename",
        "container destroy",
    ];
    let lines = said.lines();
    let of = |kind: &str| lines.iter().filter(|l| l.starts_with(kind)).copied().collect::<Vec<_>>();
    let want = |kind: &str| wanted.iter().filter(|l| l.starts_with(kind)).copied().collect::<Vec<_>>();
    assert_eq!(of("container"), want("container"));
    assert_eq!(of("network"), want("network"));
    let said = gantry.docker([
        "events",
        "--since",
        &since,
        "--until",
        &now(),
        "--filter",
        "event=die",
        "--format",
        "{{json .}}",
    ]);
    let die = said.json();
    assert_eq!(
        (&die["Type"], &die["Action"], &die["status"]),
        (&"container".into(), &"die".into(), &"die".into())
    );
    let attributes = &die["Actor"]["Attributes"];
    assert_eq!(
        (&attributes["name"], &attributes["image"], &attributes["exitCode"], &attributes["a"]),
        (&"told".into(), &"busybox".into(), &"3".into(), &"b".into())
    );
    assert!(attributes["execDuration"].is_string());
    assert_eq!(die["Actor"]["ID"].as_str().unwrap().len(), 64);
    let nanos = die["timeNano"].as_i64().unwrap();
    assert_eq!(die["time"].as_i64().unwrap(), nanos / 1_000_000_000);
}

#[test]
fn they_come_as_they_happen() {
    let gantry = Daemon::start();
    for (n, live) in [gantry.docker_running(["events"]), gantry.gantry_running(["events"])].iter().enumerate()
    {
        // The stream is open once it tells of something; what happened before that is not told.
        gantry_tests::eventually("the stream is open", || {
            gantry.docker(["run", "--rm", "--name", "probe", "busybox", "true"]).ok();
            live.stdout().contains("name=probe").then_some(())
        });
        let name = format!("seen{n}");
        gantry.docker(["run", "-d", "--name", &name, "busybox", "sleep", "1000"]).ok();
        live.wait_for(&format!("name={name}"));
        gantry.docker(["kill", "-s", "TERM", &name]).ok();
        gantry.docker(["stop", "-t", "0", &name]).ok();
        gantry.docker(["rm", &name]).ok();
        let destroyed = |text: &str| {
            text.lines().any(|l| l.contains("container destroy") && l.contains(&format!("name={name}")))
        };
        gantry_tests::eventually("the end is told", || destroyed(&live.stdout()).then_some(()));
        let text = live.stdout();
        let line = text
            .lines()
            .find(|l| l.contains("container kill") && l.contains(&format!("name={name}")))
            .expect("a kill");
        assert!(line.contains("signal=15"), "{line}");
        assert!(
            text.lines().any(|l| l.contains("container stop") && l.contains(&format!("name={name}"))),
            "{text}"
        );
        let time = line.split(' ').next().unwrap();
        assert!(time.len() >= 20 && time.as_bytes()[10] == b'T', "{time}");
    }
}

#[test]
fn filters_choose() {
    let gantry = Daemon::start();
    let since = now();
    gantry.docker(["run", "--rm", "--name", "one", "-l", "kind=x", "busybox", "true"]).ok();
    gantry.docker(["run", "--rm", "--name", "two", "busybox", "true"]).ok();
    let until = now();
    let listed = |filters: &[&str]| {
        let mut args = vec![
            "events",
            "--since",
            &since,
            "--until",
            &until,
            "--format",
            "{{.Action}} {{.Actor.Attributes.name}}",
        ];
        args.extend(filters.iter().flat_map(|f| ["--filter", f]));
        gantry.docker(args).lines().iter().map(|l| (*l).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(listed(&["event=start"]), ["start one", "start two"]);
    assert_eq!(listed(&["event=start", "event=create"]).len(), 4);
    assert_eq!(listed(&["event=start", "container=two"]), ["start two"]);
    assert_eq!(listed(&["event=start", "label=kind=x"]), ["start one"]);
    assert_eq!(listed(&["type=image"]).len(), 0);
    assert!(listed(&["type=container", "image=busybox"]).len() >= 8);
}

#[test]
fn images_have_events_too() {
    let gantry = Daemon::start();
    let since = now();
    gantry.docker(["load", "-i", image::docker_archive().to_str().unwrap()]).ok();
    gantry.docker(["tag", "gantry.test/layered:1", "other:2"]).ok();
    gantry.docker(["rmi", "other:2"]).ok();
    gantry.docker(["rmi", "gantry.test/layered:1"]).ok();
    let said = gantry.docker([
        "events",
        "--since",
        &since,
        "--until",
        &now(),
        "--filter",
        "type=image",
        "--format",
        "{{.Action}}",
    ]);
    assert_eq!(said.lines(), ["load", "tag", "untag", "untag", "delete"]);
}

#[test]
fn exec_has_events() {
    let gantry = Daemon::start();
    gantry.docker(["run", "-d", "--name", "base", "busybox", "sleep", "1000"]).ok();
    let since = now();
    gantry.docker(["exec", "base", "sh", "-c", "exit 4"]).fails(4);
    // Its end is told a moment after its client has heard of it.
    let events: Vec<Value> = gantry_tests::eventually("the end is told", || {
        let said = gantry.docker(["events", "--since", &since, "--until", &now(), "--format", "{{json .}}"]);
        let events = said.lines().iter().map(|l| serde_json::from_str(l).unwrap()).collect::<Vec<_>>();
        (events.len() >= 3).then_some(events)
    });
    let actions: Vec<&str> = events.iter().map(|e| e["Action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["exec_create: sh -c exit 4", "exec_start: sh -c exit 4", "exec_die"]);
    assert_eq!(events[2]["Actor"]["Attributes"]["exitCode"], "4");
}

/// The actions of everything that happened to a container, from one time to now.
fn actions(gantry: &Daemon, name: &str, since: &str) -> Vec<String> {
    let filter = format!("container={name}");
    let args =
        ["events", "--since", since, "--until", &now(), "--filter", &filter, "--format", "{{.Action}}"];
    gantry.docker(args).lines().iter().map(|l| (*l).to_owned()).collect()
}

#[test]
fn every_action_on_a_container_is_told() {
    let gantry = Daemon::start();
    let since = now();
    gantry.docker(["create", "--name", "told", "--stop-timeout", "0", "busybox", "sleep", "1000"]).ok();
    for args in [&["start", "told"][..], &["top", "told"], &["pause", "told"], &["unpause", "told"]] {
        gantry.docker(args).ok();
    }
    gantry.api("POST", "/containers/told/resize?h=10&w=20", None);
    gantry.docker(["kill", "-s", "USR1", "told"]).ok();
    gantry.docker(["start", "told"]).ok();
    gantry.docker(["restart", "told"]).ok();
    gantry.docker(["stop", "told"]).ok();
    gantry.docker(["rm", "told"]).ok();
    let wanted = [
        "create", "start", "top", "pause", "unpause", "resize", "kill", "die", "start", "kill", "kill",
        "die", "stop", "start", "restart", "kill", "kill", "die", "stop", "destroy",
    ];
    // A process without a handler ends by USR1; its end may be told only after the start that found it running.
    let told = actions(&gantry, "told", &since);
    let sorted = |mut list: Vec<String>| {
        list.sort();
        list.dedup();
        list
    };
    assert_eq!(sorted(told), sorted(wanted.map(str::to_owned).into()));
}

#[test]
fn the_past_is_told_in_every_form_of_time() {
    let gantry = Daemon::start();
    let before = jiff::Timestamp::now();
    gantry.docker(["create", "--name", "told", "busybox"]).ok();
    let forms = [
        "10m".to_owned(),
        before.as_second().to_string(),
        format!("{}.{:09}", before.as_second(), before.subsec_nanosecond()),
        before.to_string(),
        before.strftime("%Y-%m-%d").to_string(),
    ];
    for since in &forms {
        assert_eq!(actions(&gantry, "told", since), ["create"], "{since}");
    }
    let until = ["events", "--until", &now(), "--filter", "container=told", "--format", "{{.Action}}"];
    assert_eq!(gantry.docker(until).ok(), "create", "an end in the past asks for the past");
    let reversed = gantry.docker(["events", "--since", "1s", "--until", "1h"]);
    assert!(reversed.fails(1).contains("cannot be after `until` time"), "{reversed}");
    let wrong = gantry.docker(["events", "--since", "0s", "--until", "0s", "--filter", "colour=red"]);
    assert!(wrong.fails(1).contains("invalid filter 'colour'"));
}

#[test]
fn leaving_by_the_detach_keys_is_told() {
    let gantry = Daemon::start();
    gantry.docker(["run", "-dit", "--name", "told", "busybox", "sh"]).ok();
    let since = now();
    let mut session = gantry.docker_pty(["attach", "told"]);
    // Its terminal is raw by the time that it shows what was typed.
    session.send("echo r$((1+1))\n");
    session.expect("r2");
    session.send("\x10\x11");
    gantry_tests::eventually("detach", || {
        actions(&gantry, "told", &since).contains(&"detach".to_owned()).then_some(())
    });
}

#[test]
fn a_prune_is_told_with_what_it_gave_back() {
    let gantry = Daemon::start();
    gantry.docker(["run", "busybox", "sh", "-c", "head -c 700 /dev/zero > /file"]).ok();
    let since = now();
    gantry.docker(["container", "prune", "-f"]).ok();
    let said = gantry.docker([
        "events",
        "--since",
        &since,
        "--until",
        &now(),
        "--filter",
        "event=prune",
        "--format",
        "{{json .}}",
    ]);
    let prune = said.json();
    assert_eq!(
        (&prune["Type"], &prune["Actor"]["Attributes"]["reclaimed"]),
        (&"container".into(), &"700".into())
    );
}
