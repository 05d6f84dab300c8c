//! Networks that users make, and containers on them.

use gantry_tests::{Builder, Daemon, eventually};
use serde_json::json;

fn sleeper(gantry: &Daemon, name: &str, options: &[&str]) {
    let mut args = vec!["run", "-d", "--name", name];
    args.extend(options);
    args.extend(["busybox", "sleep", "1000"]);
    gantry.docker(args).ok();
}

fn address(gantry: &Daemon, container: &str, network: &str) -> String {
    gantry.inspect(container, &format!("{{{{(index .NetworkSettings.Networks \"{network}\").IPAddress}}}}"))
}

/// A busy machine takes its time over an answer.
fn reaches(gantry: &Daemon, from: &str, address: &str) -> bool {
    gantry.docker(["exec", from, "ping", "-c", "1", "-W", "20", address]).code == 0
}

/// No answer comes, for which nobody waits for long.
fn is_cut_off(gantry: &Daemon, from: &str, address: &str) -> bool {
    gantry.docker(["exec", from, "ping", "-c", "1", "-W", "1", address]).code != 0
}

fn host(gantry: &Daemon, script: &str) -> String {
    gantry.place().sh(script).stdout
}

/// What the host has of networks, but for the default one.
fn leftovers(gantry: &Daemon) -> String {
    host(gantry, "ip -br link | grep -v -e '^lo ' -e '^gantry0 '; nft list tables | grep -v 'gantry$'")
}

#[test]
fn networks_are_made_in_docker_s_order_listed_inspected_and_removed() {
    let gantry = Daemon::start();
    let one = gantry.docker(["network", "create", "--label", "tier=front", "one"]).ok().to_owned();
    assert_eq!(one.len(), 64);
    gantry.docker(["network", "create", "two"]).ok();
    let shown = gantry.docker(["network", "inspect", "one", "two"]).json();
    assert_eq!(shown[0]["IPAM"]["Config"], json!([{ "Subnet": "172.18.0.0/16", "Gateway": "172.18.0.1" }]));
    assert_eq!(shown[1]["IPAM"]["Config"][0]["Subnet"], "172.19.0.0/16");
    assert_eq!((&shown[0]["Id"], &shown[0]["Driver"]), (&json!(one), &json!("bridge")));
    assert_eq!(shown[0]["Labels"], json!({ "tier": "front" }));
    let listed = gantry.docker(["network", "ls", "--filter", "type=custom", "--format", "{{.Name}}"]);
    assert_eq!(listed.lines(), ["one", "two"]);
    for (filter, wanted) in [
        ("label=tier=front", &["one"][..]),
        ("name=tw", &["two"]),
        ("driver=host", &["host"]),
        ("dangling=true", &["one", "two"]),
    ] {
        let listed = gantry.docker(["network", "ls", "--filter", filter, "--format", "{{.Name}}"]);
        assert_eq!(listed.lines(), wanted, "{filter}");
    }
    assert!(host(&gantry, "ip -br addr").contains(&format!("br-{}", &one[..12])));
    assert_eq!(gantry.docker(["network", "rm", "one", "two"]).lines(), ["one", "two"]);
    assert_eq!(leftovers(&gantry), "");
    let said = gantry.docker(["network", "rm", "one"]);
    assert!(said.fails(1).contains("network one not found"), "{said}");
}

#[test]
fn what_cannot_be_is_refused_in_docker_s_words_and_leaves_nothing() {
    let gantry = Daemon::start();
    gantry.docker(["network", "create", "--subnet", "10.9.0.0/16", "taken"]).ok();
    let refused = |args: &[&str], text: &str| {
        let said = gantry.docker(["network", "create"].iter().chain(args));
        assert_eq!(said.code, 1, "{said}");
        assert!(said.stderr.contains(text), "{text} in {said}");
    };
    refused(&["taken"], "network with name taken already exists");
    refused(&["--subnet", "10.9.5.0/24", "n"], "Pool overlaps with other one on this address space");
    refused(&["--subnet", "10.8.0.1/16", "n"], "invalid subnet 10.8.0.1/16: it should be 10.8.0.0/16");
    refused(&["-d", "overlay", "n"], "This node is not a swarm manager");
    refused(&["-d", "host", "n"], "only one instance of \"host\" network is allowed");
    refused(&["-d", "nosuch", "n"], "plugin not found");
    refused(&["-o", "com.docker.network.bridge.name=gantry0", "n"], "networks have same bridge name");
    refused(&["-o", "com.docker.network.bridge.name=lo", "n"], "lo exists already");
    refused(&["bridge"], "operation is not permitted on predefined bridge network");
    let said = gantry.docker(["network", "rm", "bridge"]);
    assert!(said.fails(1).contains("bridge is a pre-defined network and cannot be removed"), "{said}");
    let left = gantry.docker(["network", "ls", "-q", "--filter", "type=custom"]);
    assert_eq!(left.lines().len(), 1);
    sleeper(&gantry, "web", &["--network", "taken"]);
    let said = gantry.docker(["network", "rm", "taken"]);
    assert!(said.fails(1).contains("network taken has active endpoints (name:\"web\""), "{said}");
    gantry.docker(["rm", "-f", "web"]).ok();
    gantry.docker(["network", "rm", "taken"]).ok();
    assert_eq!(leftovers(&gantry), "");
}

#[test]
fn networks_do_not_reach_each_other_but_the_world_and_what_is_published() {
    let gantry = Daemon::start();
    for network in ["one", "two"] {
        gantry.docker(["network", "create", network]).ok();
    }
    gantry.docker(["network", "create", "--internal", "inner"]).ok();
    sleeper(&gantry, "aa", &["--network", "one"]);
    sleeper(&gantry, "bb", &["--network", "one"]);
    sleeper(&gantry, "dd", &["--network", "inner"]);
    sleeper(&gantry, "ee", &["--network", "inner"]);
    let serve = "mkdir /www; echo page > /www/index.html; exec httpd -f -p 80 -h /www";
    gantry
        .docker([
            "run",
            "-d",
            "--name",
            "cc",
            "--network",
            "two",
            "-p",
            "8080:80",
            "busybox",
            "sh",
            "-c",
            serve,
        ])
        .ok();
    let (b, c) = (address(&gantry, "bb", "one"), address(&gantry, "cc", "two"));
    assert_eq!((b.as_str(), c.as_str()), ("172.18.0.3", "172.19.0.2"));
    assert!(reaches(&gantry, "aa", &b), "on one network");
    assert!(is_cut_off(&gantry, "aa", &c), "from one network to another");
    assert!(reaches(&gantry, "aa", "172.18.0.1"), "the host");
    let fetch = ["exec", "aa", "timeout", "5", "wget", "-qO-", "http://172.19.0.1:8080/"];
    eventually("what is published is reached from another network", || {
        (gantry.docker(fetch).stdout == "page\n").then_some(())
    });
    assert!(reaches(&gantry, "dd", &address(&gantry, "ee", "inner")), "inside an internal network");
    assert!(is_cut_off(&gantry, "dd", &b), "out of an internal network");
    let route = gantry.docker(["exec", "dd", "ip", "route"]);
    assert!(!route.ok().contains("default"), "{route}");
    assert_eq!(gantry.inspect("dd", "{{.NetworkSettings.Networks.inner.Gateway}}"), "");
}

#[test]
fn a_container_has_the_address_and_the_mac_it_asks_for() {
    let gantry = Daemon::start();
    let subnet = [
        "--subnet",
        "10.5.0.0/16",
        "--ip-range",
        "10.5.7.0/24",
        "--gateway",
        "10.5.0.254",
        "--aux-address",
        "router=10.5.7.1",
    ];
    gantry.docker(["network", "create"].iter().chain(&subnet).chain(&["own"])).ok();
    gantry.docker(["network", "create", "chosen"]).ok();
    sleeper(
        &gantry,
        "fixed",
        &["--network", "own", "--ip", "10.5.1.2", "--mac-address", "02:42:AC:00:00:09"],
    );
    sleeper(&gantry, "any", &["--network", "own"]);
    assert_eq!(address(&gantry, "fixed", "own"), "10.5.1.2");
    assert_eq!(address(&gantry, "any", "own"), "10.5.7.0");
    let link = gantry.docker(["exec", "fixed", "ip", "addr", "show", "eth0"]);
    assert!(link.ok().contains("02:42:ac:00:00:09") && link.stdout.contains("10.5.1.2/16"), "{link}");
    let route = gantry.docker(["exec", "fixed", "ip", "route"]);
    assert!(route.ok().contains("default via 10.5.0.254"), "{route}");
    assert_eq!(
        gantry.inspected("fixed")["NetworkSettings"]["Networks"]["own"]["IPAMConfig"],
        json!({ "IPv4Address": "10.5.1.2" })
    );
    let refused = |args: &[&str], text: &str| {
        let said = gantry.docker(["run", "--rm"].iter().chain(args).chain(&["busybox", "true"]));
        assert_eq!(said.code, 125, "{said}");
        assert!(said.stderr.contains(text), "{text} in {said}");
    };
    refused(&["--network", "own", "--ip", "10.5.1.2"], "Address already in use");
    refused(
        &["--network", "own", "--ip", "10.6.0.1"],
        "no configured subnet or ip-range contain the IP address 10.6.0.1",
    );
    refused(
        &["--network", "chosen", "--ip", "172.18.0.9"],
        "supported only when connecting to networks with user configured subnets",
    );
    refused(&["--ip", "172.17.0.9"], "user specified IP address is supported on user defined networks only");
    refused(&["--network", "nosuch"], "network nosuch not found");
    gantry.docker(["restart", "-t", "0", "fixed"]).ok();
    assert_eq!(address(&gantry, "fixed", "own"), "10.5.1.2");
}

#[test]
fn a_running_container_is_connected_and_disconnected() {
    let gantry = Daemon::start();
    gantry.docker(["network", "create", "aaa"]).ok();
    gantry.docker(["network", "create", "inner", "--internal"]).ok();
    let serve = "mkdir /www; echo page > /www/index.html; exec httpd -f -p 80 -h /www";
    gantry.docker(["run", "-d", "--name", "web", "-p", "8080:80", "busybox", "sh", "-c", serve]).ok();
    sleeper(&gantry, "other", &["--network", "aaa"]);
    gantry.docker(["network", "connect", "--alias", "www", "aaa", "web"]).ok();
    gantry.docker(["network", "connect", "inner", "web"]).ok();
    assert!(reaches(&gantry, "other", &address(&gantry, "web", "aaa")));
    let names = gantry.docker(["exec", "web", "sh", "-c", "ls /sys/class/net; ip route show default"]);
    // Among equals the first name has the default route.
    assert!(names.ok().contains("default via 172.18.0.1 dev eth1"), "{names}");
    assert!(names.stdout.contains("eth0") && names.stdout.contains("eth2"), "{names}");
    let fetch =
        || gantry.place().sh("timeout 20 busybox wget -qO- http://127.0.0.1:8080/").stdout == "page\n";
    eventually("it is reached where it is published", || fetch().then_some(()));
    let members = gantry.docker(["network", "inspect", "aaa"]).json()[0]["Containers"].clone();
    assert_eq!(members.as_object().map(|m| m.len()), Some(2), "{members}");
    let said = gantry.docker(["network", "connect", "aaa", "web"]);
    assert!(said.fails(1).contains("endpoint with name web already exists in network aaa"), "{said}");
    gantry.docker(["network", "disconnect", "aaa", "web"]).ok();
    let route = gantry.docker(["exec", "web", "ip", "route", "show", "default"]);
    assert!(route.ok().contains("default via 172.17.0.1 dev eth0"), "{route}");
    assert!(fetch(), "its port is published by way of the network it has left");
    let said = gantry.docker(["network", "disconnect", "aaa", "web"]);
    assert!(said.fails(1).contains("is not connected to"), "{said}");
    assert_eq!(gantry.docker(["ps", "-q", "--filter", "network=inner"]).lines().len(), 1);
    assert_eq!(gantry.docker(["ps", "-q", "--filter", "network=aaa"]).lines().len(), 1);
}

#[test]
fn a_stopped_container_keeps_the_networks_it_was_given() {
    let gantry = Daemon::start();
    gantry.docker(["network", "create", "aaa"]).ok();
    gantry.docker(["create", "--name", "box", "busybox", "sleep", "1000"]).ok();
    gantry.docker(["network", "connect", "aaa", "box"]).ok();
    gantry.docker(["network", "disconnect", "bridge", "box"]).ok();
    gantry.docker(["start", "box"]).ok();
    let networks = gantry.inspected("box")["NetworkSettings"]["Networks"].clone();
    assert_eq!(networks.as_object().unwrap().keys().collect::<Vec<_>>(), ["aaa"]);
    assert_eq!(networks["aaa"]["IPAddress"], "172.18.0.2");
    for said in [
        gantry.docker(["network", "connect", "host", "box"]),
        gantry.docker(["network", "connect", "none", "box"]),
    ] {
        assert_eq!(said.code, 1, "{said}");
    }
}

#[test]
fn several_networks_are_given_at_once_and_the_highest_priority_gives_the_route() {
    let gantry = Daemon::start();
    for network in ["aaa", "bbb"] {
        gantry.docker(["network", "create", network]).ok();
    }
    sleeper(&gantry, "box", &["--network", "name=bbb,gw-priority=1,alias=x", "--network", "aaa"]);
    let route = gantry.docker(["exec", "box", "ip", "route", "show", "default"]);
    assert!(route.ok().contains("default via 172.19.0.1"), "{route}");
    let shown = gantry.inspected("box")["NetworkSettings"]["Networks"]["bbb"].clone();
    assert_eq!((&shown["Aliases"], &shown["GwPriority"]), (&json!(["x"]), &json!(1)));
    let id = gantry.inspect("box", "{{.Id}}");
    assert_eq!(shown["DNSNames"], json!(["box", "x", &id[..12]]));
}

#[test]
fn networks_and_attachments_outlive_the_daemon() {
    let mut gantry = Daemon::start();
    gantry.docker(["network", "create", "own"]).ok();
    sleeper(&gantry, "aa", &["--network", "own"]);
    sleeper(&gantry, "bb", &["--network", "own"]);
    gantry.docker(["network", "connect", "bridge", "bb"]).ok();
    gantry.crash();
    assert!(reaches(&gantry, "aa", &address(&gantry, "bb", "own")));
    assert!(reaches(&gantry, "aa", "bb"), "names are answered again");
    sleeper(&gantry, "cc", &["--network", "own"]);
    assert_eq!(address(&gantry, "cc", "own"), "172.18.0.4");
    // Rules and bridge are made again, too.
    gantry.docker(["rm", "-f", "aa", "bb", "cc"]).ok();
    gantry.stop();
    host(&gantry, "ip link del $(ip -br link | grep -o '^br-[0-9a-f]*'); nft flush ruleset");
    gantry.start_again();
    sleeper(&gantry, "dd", &["--network", "own"]);
    assert!(reaches(&gantry, "dd", "172.18.0.1"));
    gantry.docker(["rm", "-f", "dd"]).ok();
    gantry.docker(["network", "rm", "own"]).ok();
    assert_eq!(leftovers(&gantry), "");
}

#[test]
fn prune_takes_what_nobody_uses() {
    let gantry = Daemon::start();
    for (network, label) in [("used", "a=1"), ("free", "a=1"), ("kept", "b=1")] {
        gantry.docker(["network", "create", "--label", label, network]).ok();
    }
    sleeper(&gantry, "box", &["--network", "used"]);
    let said = gantry.docker(["network", "prune", "-f", "--filter", "label=a=1"]);
    assert!(said.ok().contains("free") && !said.stdout.contains("used"), "{said}");
    let said = gantry.docker(["network", "prune", "-f"]);
    assert!(said.ok().contains("kept"), "{said}");
    let left = gantry.docker(["network", "ls", "--filter", "type=custom", "--format", "{{.Name}}"]);
    assert_eq!(left.ok(), "used");
}

#[test]
fn events_tell_of_networks() {
    let gantry = Daemon::start();
    let now = || gantry.place().sh("date +%s.%N").ok().to_owned();
    let since = now();
    gantry.docker(["network", "create", "own"]).ok();
    sleeper(&gantry, "box", &["--network", "own"]);
    gantry.docker(["network", "disconnect", "own", "box"]).ok();
    gantry.docker(["network", "rm", "own"]).ok();
    let until = now();
    let said = gantry.docker([
        "events",
        "--since",
        &since,
        "--until",
        &until,
        "--filter",
        "type=network",
        "--format",
        "{{.Action}} {{.Actor.Attributes.name}} {{.Actor.Attributes.type}}",
    ]);
    let own: Vec<&str> = said.ok().lines().filter(|l| l.contains(" own ")).collect();
    assert_eq!(
        own,
        ["create own bridge", "connect own bridge", "disconnect own bridge", "destroy own bridge"]
    );
}

#[test]
fn containers_of_one_network_are_kept_apart_where_that_is_asked_for() {
    let gantry = Daemon::start();
    gantry
        .docker([
            "network",
            "create",
            "-o",
            "com.docker.network.bridge.enable_icc=false",
            "-o",
            "com.docker.network.driver.mtu=1400",
            "-o",
            "com.docker.network.bridge.name=apart0",
            "apart",
        ])
        .ok();
    sleeper(&gantry, "aa", &["--network", "apart"]);
    sleeper(&gantry, "bb", &["--network", "apart"]);
    assert!(is_cut_off(&gantry, "aa", &address(&gantry, "bb", "apart")));
    assert!(reaches(&gantry, "aa", "172.18.0.1"));
    assert!(gantry.docker(["exec", "aa", "ip", "link", "show", "eth0"]).ok().contains("mtu 1400"));
    assert!(host(&gantry, "ip -br link").contains("apart0"));
}

#[test]
fn a_container_shares_anothers_network() {
    let gantry = Daemon::start();
    sleeper(&gantry, "owner", &["-h", "shared", "--add-host", "extra:10.1.2.3"]);
    sleeper(&gantry, "guest", &["--network", "container:owner"]);
    let of = |name: &str, what: &[&str]| gantry.docker(["exec", name].iter().chain(what)).ok().to_owned();
    for what in
        [&["ip", "-o", "addr"][..], &["hostname"], &["cat", "/etc/hosts"], &["cat", "/etc/resolv.conf"]]
    {
        assert_eq!(of("owner", what), of("guest", what), "{what:?}");
    }
    let id = gantry.inspect("owner", "{{.Id}}");
    assert_eq!(gantry.inspect("guest", "{{.HostConfig.NetworkMode}}"), format!("container:{id}"));
    assert_eq!(gantry.inspect("guest", "{{json .NetworkSettings.Networks}}"), "{}");
    let refused = |args: &[&str], text: &str| {
        let all = ["run", "--rm", "--network", "container:owner"];
        let said = gantry.docker(all.iter().chain(args).chain(&["busybox", "true"]));
        assert_eq!(said.code, 125, "{said}");
        assert!(said.stderr.contains(text), "{text} in {said}");
    };
    refused(&["-h", "x"], "conflicting options: hostname and the network mode");
    refused(&["-p", "80"], "conflicting options: port publishing and the container type network mode");
    refused(&["--dns", "1.1.1.1"], "conflicting options: dns and the network mode");
    refused(
        &["--add-host", "a:1.1.1.1"],
        "conflicting options: custom host-to-IP mapping and the network mode",
    );
    refused(&["--expose", "80"], "conflicting options: port exposing and the container type network mode");
    refused(&["--link", "owner"], "conflicting options: container type network can't be used with links");
    let said = gantry.docker(["network", "connect", "bridge", "guest"]);
    assert!(
        said.fails(1).contains("container sharing network namespace with another container or host"),
        "{said}"
    );
    gantry.docker(["stop", "-t", "0", "guest"]).ok();
    assert_eq!(of("owner", &["hostname"]), "shared");
    gantry.docker(["stop", "-t", "0", "owner"]).ok();
    let said = gantry.docker(["start", "guest"]);
    let text = "cannot join network namespace of a non running container: container owner is exited";
    assert!(said.fails(1).contains(text), "{said}");
    let said = gantry.docker(["run", "--network", "container:nosuch", "busybox", "true"]);
    assert!(said.fails(125).contains("No such container: nosuch"), "{said}");
}

#[test]
fn subnets_come_from_the_pools_that_are_configured_until_they_are_used_up() {
    let pool = ["--default-address-pool", "base=10.40.0.0/23,size=24"];
    let gantry = Builder::new().args(pool).start();
    for (name, wanted) in [("one", "10.40.0.0/24"), ("two", "10.40.1.0/24")] {
        gantry.docker(["network", "create", name]).ok();
        assert_eq!(gantry.inspect(name, "{{(index .IPAM.Config 0).Subnet}}"), wanted);
    }
    let said = gantry.docker(["network", "create", "three"]);
    assert!(said.fails(1).contains("all predefined address pools have been fully subnetted"), "{said}");
}

#[test]
fn a_burst_of_containers_leaves_its_network_free() {
    let gantry = Daemon::start();
    gantry.docker(["network", "create", "own"]).ok();
    let running: Vec<_> = (0..20)
        .map(|_| gantry.docker_running(["run", "--rm", "--network", "own", "busybox", "true"]))
        .collect();
    for one in running {
        one.finish().ok();
    }
    gantry.docker(["network", "rm", "own"]).ok();
    assert_eq!(leftovers(&gantry), "");
}

/// The attachment stood in memory alone: a daemon killed in the middle of it left an interface that nobody knew.
#[test]
fn a_connection_cut_off_by_a_kill_is_there_or_leaves_nothing() {
    let mut gantry = Daemon::start();
    gantry.docker(["network", "create", "own"]).ok();
    sleeper(&gantry, "box", &[]);
    for pause in ["0.02", "0.04", "0.06", "0.09"] {
        let connecting = gantry.docker_running(["network", "connect", "own", "box"]);
        host(&gantry, &format!("sleep {pause}"));
        gantry.crash();
        let _either_way = connecting.finish();
        let known = eventually("it has the interfaces of the networks it is on", || {
            let shown = gantry.inspected("box")["NetworkSettings"]["Networks"].take();
            let known = shown.as_object().map_or(0, |n| n.len());
            let there = gantry.docker(["exec", "box", "ls", "/sys/class/net"]);
            (there.lines().len() == known + 1).then_some(known)
        });
        if known == 2 {
            gantry.docker(["network", "disconnect", "own", "box"]).ok();
        }
    }
    gantry.docker(["network", "connect", "own", "box"]).ok();
    assert!(reaches(&gantry, "box", "172.18.0.1"));
}

#[test]
fn containers_join_and_leave_networks_in_whatever_state_they_are() {
    let gantry = Daemon::start();
    for network in ["aaa", "bbb"] {
        gantry.docker(["network", "create", network]).ok();
    }
    sleeper(&gantry, "box", &["--network", "aaa"]);
    gantry.docker(["pause", "box"]).ok();
    gantry.docker(["network", "connect", "bbb", "box"]).ok();
    gantry.docker(["network", "disconnect", "aaa", "box"]).ok();
    gantry.docker(["unpause", "box"]).ok();
    let route = gantry.docker(["exec", "box", "ip", "route", "show", "default"]);
    assert!(route.ok().contains("default via 172.19.0.1"), "{route}");
    gantry.docker(["stop", "-t", "0", "box"]).ok();
    gantry.docker(["network", "disconnect", "bbb", "box"]).ok();
    let said = gantry.docker(["network", "disconnect", "bbb", "box"]);
    assert!(said.fails(1).contains("is not connected to the network bbb"), "{said}");
    gantry.docker(["start", "box"]).ok();
    assert_eq!(gantry.docker(["exec", "box", "ls", "/sys/class/net"]).ok(), "lo", "on no network at all");
    gantry.docker(["network", "connect", "aaa", "box"]).ok();
    assert!(reaches(&gantry, "box", "172.18.0.1"));
    for (mode, text) in [
        (
            "none",
            "container cannot be connected to multiple networks with one of the networks in private (none) mode",
        ),
        (
            "host",
            "container sharing network namespace with another container or host cannot be connected to any other",
        ),
        (
            "container:box",
            "container sharing network namespace with another container or host cannot be connected",
        ),
    ] {
        sleeper(&gantry, "other", &["--network", mode]);
        let said = gantry.docker(["network", "connect", "aaa", "other"]);
        assert!(said.fails(1).contains(text), "{mode}: {said}");
        gantry.docker(["rm", "-f", "other"]).ok();
    }
    sleeper(&gantry, "other", &["--network", "host"]);
    let said = gantry.docker(["network", "disconnect", "host", "other"]);
    assert!(said.fails(1).contains("cannot disconnect container from host network"), "{said}");
    let said = gantry.docker(["network", "connect", "nosuch", "box"]);
    assert!(said.fails(1).contains("network nosuch not found"), "{said}");
    let said = gantry.docker(["network", "connect", "aaa", "nosuch"]);
    assert!(said.fails(1).contains("No such container: nosuch"), "{said}");
}
