//! Names on networks that users made.

use gantry_tests::{Builder, Daemon, eventually};

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
        resolv.ok().contains("\n\nnameserver 127.0.0.11\n") && resolv.stdout.contains("ndots:0"),
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
    for _ in 0..24 {
        let found = addresses(&gantry, "one", "all");
        assert_eq!(found.len(), 3, "{found:?}");
        first.push(found[0].clone());
    }
    first.sort();
    first.dedup();
    assert!(first.len() > 1, "{first:?}");
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

/// What `guest dns-query` prints for questions that a container asks at once.
fn ask(gantry: &Daemon, from: &str, questions: &[&str]) -> Vec<String> {
    let head = ["exec", from, "guest", "dns-query", "udp", "127.0.0.11:53"];
    gantry.docker(head.iter().chain(questions)).lines().into_iter().map(str::to_owned).collect()
}

#[test]
fn a_known_name_has_nothing_but_its_addresses_and_is_never_denied() {
    let gantry = with_network();
    sleeper(&gantry, "my_db", &[]);
    for kind in [28, 15, 16, 33, 65, 255] {
        assert_eq!(ask(&gantry, "my_db", &[&format!("my_db/{kind}")]), ["my_db 0"], "type {kind}");
    }
    assert_eq!(ask(&gantry, "my_db", &["MY_db.", "My_Db.OWN"]).len(), 2);
    assert_eq!(ask(&gantry, "my_db", &["MY_db.+edns"]), ["MY_db 0 172.18.0.2"]);
}

#[test]
fn paused_containers_are_known_and_stopped_ones_are_not() {
    let gantry = with_network();
    sleeper(&gantry, "web", &[]);
    sleeper(&gantry, "db", &["--network-alias", "data"]);
    gantry.docker(["pause", "db"]).ok();
    assert_eq!(ask(&gantry, "web", &["data"]), ["data 0 172.18.0.3"]);
    gantry.docker(["unpause", "db"]).ok();
    gantry.docker(["stop", "-t", "0", "db"]).ok();
    // It leaves its networks a moment after its end.
    eventually("it is not known any more", || addresses(&gantry, "web", "data").is_empty().then_some(()));
    gantry.docker(["start", "db"]).ok();
    assert_eq!(addresses(&gantry, "web", "data").len(), 1);
}

#[test]
fn names_are_answered_again_once_a_killed_daemon_is_back() {
    let mut gantry = with_network();
    sleeper(&gantry, "web", &["--link", "db:linked"]);
    gantry.docker(["rename", "web", "site"]).ok();
    sleeper(&gantry, "db", &["--network-alias", "data"]);
    for crash in [true, false] {
        if crash {
            gantry.kill();
        } else {
            gantry.stop();
        }
        gantry.start_again();
        for (from, name) in
            [("site", "db"), ("site", "data"), ("site", "linked"), ("db", "site"), ("db", "db.own")]
        {
            let address = if name == "site" { "172.18.0.2" } else { "172.18.0.3" };
            assert_eq!(addresses(&gantry, from, name), [address], "{from} asks for {name}");
        }
        assert_eq!(addresses(&gantry, "db", "web"), [""; 0]);
    }
}

#[test]
fn a_network_with_both_families_answers_for_both() {
    let gantry = Daemon::start();
    gantry.docker(["network", "create", "--ipv6", "--subnet", "fd00:53::/64", "own"]).ok();
    sleeper(&gantry, "web", &[]);
    sleeper(&gantry, "db", &["--network-alias", "data"]);
    let address = gantry.inspect("db", "{{.NetworkSettings.Networks.own.GlobalIPv6Address}}");
    assert!(address.starts_with("fd00:53::"), "{address}");
    for name in ["db", "data", "db.own"] {
        assert_eq!(ask(&gantry, "web", &[&format!("{name}/28")]), [format!("{name} 0 {address}")]);
    }
    let back = lookup(&gantry, "web", &address);
    assert!(back.contains("name = db.own"), "{back}");
    let hosts = gantry.docker(["exec", "db", "cat", "/etc/hosts"]);
    assert!(hosts.lines().iter().any(|l| l.starts_with(&format!("{address}\t"))), "{hosts}");
}

/// Needs the build of `make fault`.
#[test]
fn a_panic_in_answering_costs_one_question_its_answer() {
    let gantry = Builder::new().faulty().start();
    gantry.docker(["network", "create", "own"]).ok();
    sleeper(&gantry, "web", &[]);
    sleeper(&gantry, "db", &[]);
    for _ in 0..20 {
        assert_eq!(gantry.api("POST", "/gantry/fault?target=names&nth=2", None).json()["Armed"], 1);
        let mut told = ask(&gantry, "web", &["db", "db", "db"]);
        told.sort();
        assert_eq!(told, ["db 0 172.18.0.3", "db 0 172.18.0.3", "db 2"]);
    }
    gantry.until_logged("injected fault");
    // Nothing that holds the names has suffered.
    sleeper(&gantry, "late", &["--network-alias", "db"]);
    assert_eq!(addresses(&gantry, "web", "db").len(), 2);
    gantry.docker(["rm", "-f", "db"]).ok();
    assert_eq!(addresses(&gantry, "web", "db"), ["172.18.0.4"]);
}
