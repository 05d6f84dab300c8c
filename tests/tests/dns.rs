//! Names on networks that users made.

use gantry_tests::{Daemon, eventually, image};

fn sleeper(gantry: &Daemon, name: &str, options: &[&str]) {
    let mut args = vec!["run", "-d", "--name", name, "--network", "own"];
    args.extend(options);
    args.extend(["busybox", "sleep", "1000"]);
    gantry.docker(args).ok();
}

fn with_network() -> Daemon {
    let gantry = Daemon::start();
    gantry.docker(["network", "create", "own"]).ok();
    gantry
}

/// What a container is answered for a name.
fn lookup(gantry: &Daemon, from: &str, name: &str) -> String {
    let said = gantry.docker(["exec", from, "nslookup", name]);
    format!("{}{}", said.stdout, said.stderr)
}

fn addresses(gantry: &Daemon, from: &str, name: &str) -> Vec<String> {
    let told = lookup(gantry, from, name);
    let lines = told.lines().skip_while(|l| !l.starts_with("Name:"));
    lines.filter_map(|l| l.strip_prefix("Address: ")).map(str::to_owned).collect()
}

#[test]
fn containers_know_each_other_by_name_alias_host_name_and_short_id() {
    let gantry = with_network();
    sleeper(&gantry, "my_db", &["--network-alias", "mysql", "-h", "dbhost"]);
    sleeper(&gantry, "web", &["--link", "my_db:linked"]);
    gantry.docker(["run", "-d", "--name", "stranger", "busybox", "sleep", "1000"]).ok();
    let id = gantry.inspect("my_db", "{{.Id}}");
    for name in ["my_db", "mysql", "dbhost", &id[..12], "linked", "my_db.own", "MYSQL"] {
        assert_eq!(addresses(&gantry, "web", name), ["172.18.0.2"], "{name}");
    }
    let resolv = gantry.docker(["exec", "web", "cat", "/etc/resolv.conf"]);
    assert!(
        resolv.ok().starts_with("nameserver 127.0.0.11\n") && resolv.stdout.contains("ndots:0"),
        "{resolv}"
    );
    // By way of the C library, too.
    gantry.docker(["exec", "web", "ping", "-c", "1", "my_db"]).ok();
    let back = lookup(&gantry, "web", "172.18.0.2");
    assert!(back.contains("name = my_db.own"), "{back}");
    assert_eq!(addresses(&gantry, "web", "stranger"), [""; 0]);
    let resolv = gantry.docker(["exec", "stranger", "cat", "/etc/resolv.conf"]);
    assert!(!resolv.ok().contains("127.0.0.11"), "{resolv}");
    gantry.docker(["rename", "my_db", "renamed"]).ok();
    assert_eq!(addresses(&gantry, "web", "renamed"), ["172.18.0.2"]);
    gantry.docker(["rm", "-f", "renamed"]).ok();
    assert_eq!(addresses(&gantry, "web", "mysql"), [""; 0]);
}

#[test]
fn an_alias_stands_for_all_who_bear_it_each_first_in_turn() {
    let gantry = with_network();
    for name in ["one", "two", "three"] {
        sleeper(&gantry, name, &["--network-alias", "all"]);
    }
    let mut first: Vec<String> = Vec::new();
    for _ in 0..6 {
        let found = addresses(&gantry, "one", "all");
        assert_eq!(found.len(), 3, "{found:?}");
        first.push(found[0].clone());
    }
    first.sort();
    first.dedup();
    assert!(first.len() > 1, "{first:?}");
}

#[test]
fn other_names_are_asked_of_the_servers_that_were_given() {
    let gantry = with_network();
    gantry.place().sh("ip addr add 10.53.0.1/32 dev lo").ok();
    let guest = image::guest();
    let server =
        gantry.place().spawn(guest.to_str().unwrap(), ["dns", "10.53.0.1:53", "far.example", "192.0.2.77"]);
    server.wait_for("listening");
    sleeper(&gantry, "web", &["--dns", "10.53.0.1"]);
    assert_eq!(addresses(&gantry, "web", "far.example"), ["192.0.2.77"]);
    assert_eq!(addresses(&gantry, "web", "web"), ["172.18.0.2"]);
    for (name, address) in [("far.example", "192.0.2.77"), ("web", "172.18.0.2")] {
        let said = gantry.docker(["exec", "web", "guest", "dns-ask", "127.0.0.11:53", name]);
        assert_eq!(said.ok(), address, "over a connection");
    }
}

#[test]
fn a_container_that_is_connected_later_knows_its_neighbours() {
    let gantry = with_network();
    sleeper(&gantry, "db", &[]);
    gantry.docker(["run", "-d", "--name", "late", "busybox", "sleep", "1000"]).ok();
    assert_eq!(addresses(&gantry, "late", "db"), [""; 0]);
    gantry.docker(["network", "connect", "own", "late"]).ok();
    assert_eq!(addresses(&gantry, "late", "db"), ["172.18.0.2"]);
    assert_eq!(addresses(&gantry, "db", "late"), ["172.18.0.3"]);
    gantry.docker(["network", "disconnect", "own", "late"]).ok();
    assert_eq!(addresses(&gantry, "db", "late"), [""; 0]);
}

#[test]
fn a_container_may_have_a_name_server_of_its_own() {
    // Port 53 was taken by the engine's.
    let gantry = with_network();
    let serve = ["guest", "dns", "0.0.0.0:53", "inner.example", "192.0.2.1"];
    gantry.docker(["run", "-d", "--name", "dns", "--network", "own", "busybox"].iter().chain(&serve)).ok();
    sleeper(&gantry, "web", &[]);
    eventually("its own server answers", || {
        let said = gantry.docker(["exec", "web", "nslookup", "inner.example", "172.18.0.2"]);
        said.stdout.contains("192.0.2.1").then_some(())
    });
    assert_eq!(addresses(&gantry, "dns", "web"), ["172.18.0.3"]);
}
