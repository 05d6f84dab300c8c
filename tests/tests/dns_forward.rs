//! Names that are nobody's on a container's networks: who is asked for them, from where, and what comes back.

use gantry_tests::{Daemon, Place, Running, eventually, serve_dns, set_resolv_conf, with_resolv_conf};
use std::sync::Arc;

const ENGINE: &str = "127.0.0.11:53";

fn run(gantry: &Daemon, name: &str, options: &[&str], command: &[&str]) {
    let head = ["run", "-d", "--name", name];
    gantry.docker(head.iter().chain(options).chain(&["busybox"]).chain(command)).ok();
}

fn sleeper(gantry: &Daemon, name: &str, options: &[&str]) {
    run(gantry, name, options, &["sleep", "1000"]);
}

/// What `guest dns-query` prints for questions that a container asks at once.
fn ask(gantry: &Daemon, from: &str, transport: &str, questions: &[&str]) -> Vec<String> {
    let head = ["exec", from, "guest", "dns-query", transport, ENGINE];
    gantry.docker(head.iter().chain(questions)).lines().into_iter().map(str::to_owned).collect()
}

/// A place whose resolver names these servers, and a daemon there with a network `own`.
fn with_host(resolv: &str) -> (Arc<Place>, Daemon) {
    let place = Place::new();
    let gantry = with_resolv_conf(&place, resolv).start();
    gantry.docker(["network", "create", "own"]).ok();
    (place, gantry)
}

fn questions(server: &Running) -> usize {
    server.stdout().lines().filter(|l| l.contains(" from ")).count()
}

/// Waits until a server has told of all questions that it has answered.
#[track_caller]
fn was_asked(server: &Running, times: usize) {
    eventually("the server tells what it was asked", || (questions(server) >= times).then_some(()));
    assert_eq!(questions(server), times, "{}", server.stdout());
}

#[test]
fn the_hosts_loopback_resolver_is_asked_from_the_host_whichever_way_the_question_came() {
    let (place, gantry) = with_host("nameserver 127.0.0.53\n");
    let rules = "far.example 192.0.2.7,2001:db8::7 cut.example long forged.example forged edns.example edns";
    let server = serve_dns(&place, "127.0.0.53:53", rules);
    sleeper(&gantry, "web", &["--network", "own"]);
    for transport in ["udp", "tcp"] {
        assert_eq!(ask(&gantry, "web", transport, &["far.example"]), ["far.example 0 192.0.2.7"]);
        assert_eq!(ask(&gantry, "web", transport, &["far.example/28"]), ["far.example 0 2001:db8::7"]);
        assert_eq!(ask(&gantry, "web", transport, &["none.example"]), ["none.example 3"]);
        assert_eq!(ask(&gantry, "web", transport, &["web"]), ["web 0 172.18.0.2"]);
        assert_eq!(ask(&gantry, "web", transport, &["forged.example"]), ["forged.example 0 192.0.2.60"]);
        // Extensions reach the server, and their want does, too.
        assert_eq!(ask(&gantry, "web", transport, &["edns.example+edns"]), ["edns.example 0 192.0.2.70"]);
        assert_eq!(ask(&gantry, "web", transport, &["edns.example"]), ["edns.example 3"]);
        server.wait_for(&format!("{transport} far.example 1 from 127.0.0.1"));
    }
    // What does not fit is told, and fetched over a connection.
    assert_eq!(ask(&gantry, "web", "udp", &["cut.example"]), ["cut.example 0 cut"]);
    let whole = ask(&gantry, "web", "tcp", &["cut.example"]).concat();
    assert_eq!((whole.split(' ').count(), whole.ends_with("192.0.2.199")), (202, true), "{whole}");
    gantry.docker(["exec", "web", "nslookup", "far.example"]).ok();
}

#[test]
fn servers_of_a_containers_own_are_asked_from_inside_it() {
    let (place, gantry) = with_host("nameserver 127.0.0.53\n");
    place.sh("ip addr add 10.53.0.1/32 dev lo").ok();
    let host = serve_dns(&place, "127.0.0.53:53", "far.example 192.0.2.1");
    let server = serve_dns(&place, "10.53.0.1:53", "far.example 192.0.2.77");
    sleeper(&gantry, "web", &["--network", "own", "--dns", "10.53.0.1"]);
    for transport in ["udp", "tcp"] {
        assert_eq!(ask(&gantry, "web", transport, &["far.example"]), ["far.example 0 192.0.2.77"]);
        server.wait_for(&format!("{transport} far.example 1 from 172.18.0.2"));
    }
    assert_eq!(questions(&host), 0, "{}", host.stdout());
    // A server on its own loopback, too, and none that is the engine itself.
    let serve = ["guest", "dns", "127.0.0.1:53", "self.example", "192.0.2.9"];
    run(&gantry, "self", &["--network", "own", "--dns", "127.0.0.11", "--dns", "127.0.0.1"], &serve);
    eventually("it serves", || gantry.docker(["logs", "self"]).stdout.contains("listening").then_some(()));
    assert_eq!(ask(&gantry, "self", "udp", &["self.example"]), ["self.example 0 192.0.2.9"]);
    eventually("it tells who asked", || {
        gantry.docker(["logs", "self"]).stdout.contains("from 127.0.0.1").then_some(())
    });
}

#[test]
fn a_container_without_a_way_out_asks_only_those_it_can_reach() {
    let (place, gantry) = with_host("nameserver 127.0.0.53\n");
    place.sh("ip addr add 10.53.0.1/32 dev lo").ok();
    let rules = "far.example 192.0.2.1 inner.example 192.0.2.66";
    let host = serve_dns(&place, "127.0.0.53:53", rules);
    let outside = serve_dns(&place, "10.53.0.1:53", rules);
    gantry.docker(["network", "create", "--internal", "shut"]).ok();
    run(
        &gantry,
        "names",
        &["--network", "shut"],
        &["guest", "dns", "0.0.0.0:53", "inner.example", "192.0.2.2"],
    );
    let address = gantry.inspect("names", "{{.NetworkSettings.Networks.shut.IPAddress}}");
    sleeper(&gantry, "plain", &["--network", "shut"]);
    sleeper(&gantry, "served", &["--network", "shut", "--dns", "10.53.0.1", "--dns", &address]);
    for transport in ["udp", "tcp"] {
        assert_eq!(ask(&gantry, "plain", transport, &["far.example", "nobody"]).len(), 2);
        assert_eq!(ask(&gantry, "plain", transport, &["far.example"]), ["far.example 2"]);
        assert_eq!(ask(&gantry, "served", transport, &["inner.example"]), ["inner.example 0 192.0.2.2"]);
        assert_eq!(ask(&gantry, "plain", transport, &["served"]).len(), 1);
    }
    assert_eq!((questions(&host), questions(&outside)), (0, 0));
    // The way out opens and closes with its networks.
    gantry.docker(["network", "connect", "own", "plain"]).ok();
    assert_eq!(ask(&gantry, "plain", "udp", &["far.example"]), ["far.example 0 192.0.2.1"]);
    gantry.docker(["network", "disconnect", "own", "plain"]).ok();
    assert_eq!(ask(&gantry, "plain", "udp", &["far.example"]), ["far.example 2"]);
    gantry.docker(["network", "disconnect", "shut", "plain"]).ok();
    assert_eq!(ask(&gantry, "plain", "udp", &["far.example", "served"]).len(), 2);
    was_asked(&host, 1);
}

#[test]
fn a_server_that_fails_refuses_or_is_not_there_leaves_the_answer_to_the_next() {
    let (place, gantry) = with_host("nameserver 127.0.0.53\nnameserver 127.0.0.54\nnameserver 127.0.0.55\n");
    let first = serve_dns(&place, "127.0.0.53:53", "a.example servfail b.example refused c.example servfail");
    let _last =
        serve_dns(&place, "127.0.0.55:53", "a.example 192.0.2.1 b.example 192.0.2.2 c.example servfail");
    sleeper(&gantry, "web", &["--network", "own"]);
    for transport in ["udp", "tcp"] {
        assert_eq!(ask(&gantry, "web", transport, &["a.example"]), ["a.example 0 192.0.2.1"]);
        assert_eq!(ask(&gantry, "web", transport, &["b.example"]), ["b.example 0 192.0.2.2"]);
        assert_eq!(ask(&gantry, "web", transport, &["c.example"]), ["c.example 2"]);
        // That there is no such name is an answer.
        assert_eq!(ask(&gantry, "web", transport, &["d.example"]), ["d.example 3"]);
    }
    drop(first);
    assert_eq!(ask(&gantry, "web", "udp", &["a.example"]), ["a.example 0 192.0.2.1"]);
}

#[test]
fn a_slow_or_silent_server_holds_up_no_other_question_and_is_given_up_on() {
    let (place, gantry) = with_host("nameserver 127.0.0.53\n");
    let rules = "slow.example slow:1500 fast.example 192.0.2.1 mute.example silent";
    let _server = serve_dns(&place, "127.0.0.53:53", rules);
    sleeper(&gantry, "web", &["--network", "own"]);
    let wanted = ["fast.example 0 192.0.2.1", "slow.example 0 192.0.2.50", "mute.example 2"];
    for transport in ["udp", "tcp"] {
        let told = ask(&gantry, "web", transport, &["mute.example", "slow.example", "fast.example"]);
        assert_eq!(told, wanted, "{transport}");
    }
}

#[test]
fn thousands_of_questions_at_once_are_answered_and_those_for_neighbours_before_all_others() {
    let (place, gantry) = with_host("nameserver 127.0.0.53\n");
    let server = serve_dns(&place, "127.0.0.53:53", "*.mute.example silent");
    sleeper(&gantry, "web", &["--network", "own"]);
    sleeper(&gantry, "db", &["--network", "own"]);
    let burst =
        |domain: &str| ["exec", "web", "guest", "dns-burst", ENGINE, "1500", domain].map(str::to_owned);
    let said = gantry.docker(burst("quick.example"));
    // The test's own server may lose some of a thousand at once, which then fail.
    let of_code =
        |code: &str| said.lines().iter().filter(|l| l.starts_with(code)).map(|l| number(l)).sum::<usize>();
    assert_eq!(of_code("3 ") + of_code("2 "), 1500, "{said}");
    assert!(of_code("3 ") > 100, "{said}");
    // Who asks amid the burst stands ready: it is over in seconds.
    let ready = |from: &str, name: &str| {
        let script =
            format!("echo ready; until [ -e /go ]; do sleep 0.05; done; guest dns-query udp {ENGINE} {name}");
        let asking = gantry.docker_running(["exec", from, "sh", "-c", &script]);
        asking.wait_for("ready\n");
        let root = format!("/proc/{}/root", gantry.inspect(from, "{{.State.Pid}}"));
        (asking, root)
    };
    let asking = [ready("web", "db"), ready("db", "none.example")];
    let before = questions(&server);
    // More than may be under way, none of them ever answered.
    let mut mute = gantry.docker_running(burst("mute.example"));
    eventually("the server is asked", || (questions(&server) > before + 100).then_some(()));
    for (_, root) in &asking {
        std::fs::write(format!("{root}/go"), "").expect("let it ask");
    }
    let told = asking.map(|(asking, _)| asking.finish());
    assert!(!mute.ended(), "the burst was to be under way meanwhile");
    assert_eq!(told[0].lines(), ["ready", "db 0 172.18.0.3"]);
    assert_eq!(told[1].lines(), ["ready", "none.example 3"], "others are not held up");
    let told = mute.finish();
    let counted: usize = told.lines().iter().filter(|l| !l.ends_with(" ms")).map(|l| number(l)).sum();
    assert_eq!(counted, 1500, "{told}");
}

fn number(line: &str) -> usize {
    line.split(' ').nth(1).and_then(|n| n.parse().ok()).expect("a code and a number")
}

#[test]
fn names_without_a_dot_are_asked_of_others_unless_ndots_is_set() {
    let (place, gantry) = with_host("nameserver 127.0.0.53\n");
    let server = serve_dns(&place, "127.0.0.53:53", "printer 192.0.2.1 printer.lan 192.0.2.2");
    sleeper(&gantry, "plain", &["--network", "own"]);
    sleeper(&gantry, "dotted", &["--network", "own", "--dns-option", "ndots:1", "--dns-search", "lan"]);
    assert_eq!(ask(&gantry, "plain", "udp", &["printer"]), ["printer 0 192.0.2.1"]);
    was_asked(&server, 1);
    assert_eq!(ask(&gantry, "dotted", "udp", &["printer"]), ["printer 0"]);
    was_asked(&server, 1);
    // A C library goes on to the domain.
    let said = gantry.docker(["exec", "dotted", "ping", "-c", "1", "-W", "1", "printer"]);
    assert!(said.stdout.contains("192.0.2.2"), "{said}");
}

#[test]
fn a_host_that_moves_to_another_network_takes_its_containers_along() {
    let (place, gantry) = with_host("nameserver 127.0.0.53\n");
    let _first = serve_dns(&place, "127.0.0.53:53", "far.example 192.0.2.1");
    let _second = serve_dns(&place, "127.0.0.54:53", "far.example 192.0.2.2");
    sleeper(&gantry, "web", &["--network", "own"]);
    assert_eq!(ask(&gantry, "web", "udp", &["far.example"]), ["far.example 0 192.0.2.1"]);
    set_resolv_conf(&place, "nameserver 127.0.0.54\n");
    assert_eq!(ask(&gantry, "web", "udp", &["far.example"]), ["far.example 0 192.0.2.2"]);
}
