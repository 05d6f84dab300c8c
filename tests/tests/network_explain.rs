//! `gantry network explain`: who holds what, and what is reached from where.

use gantry_tests::Daemon;
use serde_json::{Value, json};

fn explained(gantry: &Daemon, network: &str) -> Value {
    let said = gantry.gantry(["network", "explain", "--format", "json", network]);
    said.ok();
    said.json()["networks"][0].clone()
}

fn with_web() -> Daemon {
    let gantry = Daemon::start();
    let create =
        ["network", "create", "--subnet", "10.77.0.0/24", "--aux-address", "router=10.77.0.9", "own"];
    gantry.docker(create).ok();
    let run = [
        "run",
        "-d",
        "--name",
        "web",
        "--network",
        "own",
        "--network-alias",
        "www",
        "-p",
        "8080:80",
        "-p",
        "127.0.0.1:8081:81",
        "--expose",
        "9/udp",
        "busybox",
        "sleep",
        "1000",
    ];
    gantry.docker(run).ok();
    gantry
}

#[test]
fn holders_names_ports_and_rules_of_a_network_are_told() {
    let gantry = with_web();
    let own = explained(&gantry, "own");
    assert_eq!((&own["driver"], &own["internal"]), (&json!("bridge"), &json!(false)));
    let subnet = &own["subnets"][0];
    // All but the first and last address, the gateway, the router's and the container's.
    assert_eq!((&subnet["addresses"], &subnet["free"]), (&json!(252), &json!(251)));
    let holders: Vec<(&str, &str)> = subnet["holders"]
        .as_array()
        .unwrap()
        .iter()
        .map(|h| (h["address"].as_str().unwrap(), h["kind"].as_str().unwrap()))
        .collect();
    assert_eq!(holders, [("10.77.0.1", "gateway"), ("10.77.0.2", "container"), ("10.77.0.9", "reserved")]);
    let names = own["members"][0]["names"].as_array().unwrap().clone();
    assert!(names.contains(&json!("web")) && names.contains(&json!("www")), "{names:?}");
    let ports: Vec<(&Value, &Value)> =
        own["ports"].as_array().unwrap().iter().map(|p| (&p["port"], &p["reached_from"])).collect();
    assert!(ports.contains(&(&json!(80), &json!("any_host"))), "{ports:?}");
    assert!(ports.contains(&(&json!(81), &json!("this_host"))), "{ports:?}");
    assert!(ports.contains(&(&json!(9), &json!("network"))), "{ports:?}");
    assert_eq!((&own["kernel"]["missing"], &own["kernel"]["stray"]), (&json!([]), &json!([])), "{own:#}");
    // An address that is let go of is free again, and its ports are told no more.
    gantry.docker(["rm", "-f", "web"]).ok();
    let free = || explained(&gantry, "own")["subnets"][0]["free"].clone();
    gantry_tests::eventually("the address is free", || (free() == 252).then_some(()));
    assert_eq!(explained(&gantry, "own")["ports"], json!([]));
}

#[test]
fn the_text_says_so_in_words_and_pools_tell_what_is_left() {
    let gantry = with_web();
    gantry.docker(["network", "create", "chosen"]).ok();
    let said = gantry.gantry(["network", "explain"]);
    let text = said.ok();
    for line in [
        "172.17.0.0/16    /16       0 of 1     172.17.0.0/16 network bridge",
        "172.18.0.0/16    /16       0 of 1     172.18.0.0/16 network chosen",
        "172.19.0.0/16    /16       1 of 1",
        "10.77.0.9   set apart for router",
        "127.0.0.1:8081/tcp   web:81/tcp   this host",
        "Rules: as wanted",
        "Containers use this host's interfaces",
    ] {
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words(text).contains(&words(line)), "{line} in {text}");
    }
    let one = gantry.gantry(["network", "explain", "own"]);
    assert!(one.ok().starts_with("NETWORK own (bridge, br-") && !one.stdout.contains("POOL"), "{one}");
    let named = gantry.gantry(["network", "explain", "-f", "{{range .networks}}{{.name}} {{end}}"]);
    assert_eq!(named.ok().trim(), "bridge own chosen host none");
    let unknown = gantry.gantry(["network", "explain", "nosuch"]);
    assert!(unknown.fails(1).contains("network nosuch not found"), "{unknown}");
}

#[test]
fn internal_networks_are_reached_by_nobody_outside() {
    let gantry = Daemon::start();
    gantry.docker(["network", "create", "--internal", "inner"]).ok();
    gantry.docker(["run", "-d", "--network", "inner", "-p", "8080:80", "busybox", "sleep", "1000"]).ok();
    let inner = explained(&gantry, "inner");
    let reach: Vec<&str> = inner["reach"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(reach.contains(&"Other hosts and other networks reach nothing."), "{reach:?}");
    assert!(reach.contains(&"Containers reach nothing outside of this network."), "{reach:?}");
    assert!(inner["ports"].as_array().unwrap().iter().all(|p| p["reached_from"] != "any_host"), "{inner:#}");
}
