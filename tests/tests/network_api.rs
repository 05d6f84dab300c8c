//! What the API says of networks: to older clients, in events, and to filters.

use gantry_tests::Daemon;
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn names(gantry: &Daemon, options: &[&str]) -> Vec<String> {
    let said = gantry.docker([&["network", "ls", "--format", "{{.Name}}"], options].concat());
    said.ok();
    said.lines().iter().map(|l| (*l).to_owned()).collect()
}

#[test]
fn lists_told_to_older_clients_name_the_containers() {
    let gantry = Daemon::start();
    gantry.docker(["network", "create", "own"]).ok();
    gantry
        .docker(["run", "-d", "--name", "web", "--network", "own", "-h", "host", "busybox", "sleep", "1000"])
        .ok();
    let id = gantry.inspect("web", "{{.Id}}");
    let members = |version: &str| {
        let listed = gantry.api("GET", &format!("/{version}/networks"), None).json();
        let own = listed.as_array().unwrap().iter().find(|n| n["Name"] == "own").unwrap();
        own["Containers"].as_object().unwrap().keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(members("v1.27"), std::slice::from_ref(&id));
    assert_eq!(members("v1.28"), [""; 0]);
    let aliases = |version: &str| {
        let shown = gantry.api("GET", &format!("/{version}/containers/web/json"), None).json();
        shown["NetworkSettings"]["Networks"]["own"]["Aliases"].clone()
    };
    assert_eq!(aliases("v1.44"), json!([&id[..12], "host"]));
    assert_eq!(aliases("v1.45"), Value::Null);
    // A word that older API versions have no meaning for.
    let body = json!({ "Name": "old", "EnableIPv4": false });
    assert_eq!(gantry.api("POST", "/v1.47/networks/create", Some(&body)).status, 201);
    assert_eq!(gantry.api("GET", "/networks/old", None).json()["EnableIPv4"], true);
}

#[test]
fn an_inspection_may_be_verbose_and_of_one_scope() {
    let gantry = Daemon::start();
    gantry.docker(["network", "create", "own"]).ok();
    let shown = gantry.docker(["network", "inspect", "--verbose", "own"]).json();
    assert_eq!((&shown[0]["Name"], &shown[0]["Scope"]), (&json!("own"), &json!("local")));
    let ours = gantry.gantry(["network", "inspect", "-v", "own"]).json();
    assert_eq!(ours, shown);
    assert_eq!(gantry.api("GET", "/networks/own?scope=local", None).status, 200);
    let refused = gantry.api("GET", "/networks/own?scope=swarm", None);
    assert_eq!(refused.error(404), "network own not found");
    let refused = gantry.api("GET", "/networks/own?verbose=x", None);
    let text = "invalid value for verbose: x: strconv.ParseBool: parsing \"x\": invalid syntax";
    assert_eq!(refused.error(400), text);
}

#[test]
fn lists_are_filtered_by_expression_label_driver_scope_type_and_use() {
    let gantry = Daemon::start();
    for (name, label) in [("web", "tier=front"), ("web-two", "tier=back"), ("db", "old")] {
        gantry.docker(["network", "create", "--label", label, name]).ok();
    }
    gantry.docker(["run", "-d", "--network", "web", "busybox", "sleep", "1000"]).ok();
    let id = gantry.docker(["network", "inspect", "-f", "{{.Id}}", "db"]).ok().trim().to_owned();
    let by_id = format!("id={}", &id[..10]);
    for (filters, wanted) in [
        (&["name=web"][..], &["web", "web-two"][..]),
        (&["name=^web$"], &["web"]),
        (&["name=^db$", "name=two"], &["db", "web-two"]),
        (&[by_id.as_str()], &["db"]),
        (&["label=tier"], &["web", "web-two"]),
        (&["label=tier=back"], &["web-two"]),
        (&["driver=null"], &["none"]),
        (&["driver=bridge", "type=custom"], &["db", "web", "web-two"]),
        (&["type=builtin"], &["bridge", "host", "none"]),
        (&["scope=swarm"], &[]),
        (&["dangling=true"], &["db", "web-two"]),
        (&["dangling=false"], &["bridge", "host", "none", "web"]),
    ] {
        let options: Vec<&str> = filters.iter().flat_map(|f| ["--filter", f]).collect();
        assert_eq!(names(&gantry, &options), wanted, "{filters:?}");
        let ours = gantry.gantry([&["network", "ls", "--format", "{{.Name}}"], options.as_slice()].concat());
        assert_eq!(ours.lines(), wanted, "{filters:?}");
    }
    let refused = gantry.docker(["network", "ls", "--filter", "type=x"]);
    assert!(refused.fails(1).contains("invalid filter: 'type'='x'"), "{refused}");
}

#[test]
fn pruning_goes_by_label_and_age_and_leaves_what_is_in_use() {
    let gantry = Daemon::start();
    for (name, label) in [("kept", "keep=1"), ("gone", "keep=0"), ("used", "keep=0")] {
        gantry.docker(["network", "create", "--label", label, name]).ok();
    }
    gantry.docker(["run", "-d", "--network", "used", "busybox", "sleep", "1000"]).ok();
    gantry.docker(["network", "prune", "-f", "--filter", "until=1h"]).ok();
    assert_eq!(names(&gantry, &["-f", "type=custom"]), ["gone", "kept", "used"]);
    let pruned = gantry.docker(["network", "prune", "-f", "--filter", "label!=keep=1"]);
    assert_eq!(pruned.ok().trim(), "Deleted Networks:\ngone");
    let pruned = gantry.gantry(["network", "prune", "-f", "--filter", "label=keep=1"]);
    assert_eq!(pruned.ok().trim(), "Deleted Networks:\nkept");
    assert_eq!(names(&gantry, &["-f", "type=custom"]), ["used"]);
}

#[test]
fn what_happens_to_networks_is_told_with_dockers_attributes() {
    let gantry = Daemon::start();
    let network = gantry.docker(["network", "create", "own"]).ok().trim().to_owned();
    let container =
        gantry.docker(["run", "-d", "--name", "web", "busybox", "sleep", "1000"]).ok().trim().to_owned();
    gantry.docker(["network", "connect", "own", "web"]).ok();
    gantry.docker(["network", "disconnect", "own", "web"]).ok();
    gantry.docker(["network", "rm", "own"]).ok();
    gantry.docker(["network", "prune", "-f"]).ok();
    let until = gantry.place().sh("date +%s.%N").stdout.trim().to_owned();
    let said = gantry.docker([
        "events",
        "--since",
        "1",
        "--until",
        &until,
        "--filter",
        "type=network",
        "--format",
        "json",
    ]);
    let events: Vec<Value> = said.lines().iter().map(|l| serde_json::from_str(l).unwrap()).collect();
    let of = |action: &str, id: &str| -> Vec<BTreeMap<String, String>> {
        let wanted = |e: &&Value| e["Action"] == action && e["Actor"]["ID"] == id;
        events
            .iter()
            .filter(wanted)
            .map(|e| serde_json::from_value(e["Actor"]["Attributes"].clone()).unwrap())
            .collect()
    };
    let attributes = |list: &[(&str, &str)]| -> Vec<BTreeMap<String, String>> {
        vec![list.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()]
    };
    let (made, joined) = (
        attributes(&[("name", "own"), ("type", "bridge")]),
        attributes(&[("container", &container), ("name", "own"), ("type", "bridge")]),
    );
    assert_eq!(of("create", &network), made, "{said}");
    assert_eq!(of("connect", &network), joined, "{said}");
    assert_eq!(of("disconnect", &network), joined, "{said}");
    assert_eq!(of("destroy", &network), made, "{said}");
    assert_eq!(of("prune", ""), attributes(&[("reclaimed", "0")]), "{said}");
    assert!(events.iter().all(|e| e["scope"] == "local"), "{said}");
}

#[test]
fn ranges_and_both_protocols_are_told_as_docker_tells_them() {
    let gantry = Daemon::start();
    let run = [
        "run",
        "-d",
        "--name",
        "web",
        "-p",
        "8000-8002:8000-8002",
        "-p",
        "127.0.0.1:53:53/udp",
        "--expose",
        "9-10",
        "busybox",
        "sleep",
        "1000",
    ];
    gantry.docker(run).ok();
    let shown = gantry.docker(["ps", "--format", "{{.Ports}}"]);
    let ours = gantry.gantry(["ps", "--format", "{{.Ports}}"]);
    assert_eq!(shown.ok(), ours.ok());
    for piece in ["9-10/tcp", "0.0.0.0:8000-8002->8000-8002/tcp", "127.0.0.1:53->53/udp"] {
        assert!(shown.stdout.contains(piece), "{piece} in {shown}");
    }
    let ports = gantry.docker(["port", "web"]);
    assert_eq!(ports.ok(), gantry.gantry(["port", "web"]).ok());
    assert_eq!(gantry.docker(["port", "web", "53/udp"]).ok().trim(), "127.0.0.1:53");
    assert!(ports.stdout.contains("8001/tcp -> 0.0.0.0:8001"), "{ports}");
    let none = gantry.gantry(["port", "web", "99"]);
    assert_eq!(none.fails(1).trim(), gantry.docker(["port", "web", "99"]).fails(1).trim());
}
