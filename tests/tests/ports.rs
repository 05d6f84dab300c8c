//! Published ports: how they are asked for, and that they always answer.

use gantry_tests::{Builder, Daemon, OtherHost, Place, eventually};
use std::sync::Arc;

const WEB: &str = "mkdir /www; echo page > /www/index.html; exec httpd -f -p 80 -h /www";

fn web(gantry: &Daemon, name: &str, publish: &[&str]) {
    let mut args = vec!["run", "-d", "--name", name];
    args.extend(publish.iter().flat_map(|p| ["-p", p]));
    args.extend(["busybox", "sh", "-c", WEB]);
    gantry.docker(args).ok();
    let address = gantry.inspect(name, "{{.NetworkSettings.Networks.bridge.IPAddress}}");
    answers(gantry.place(), &format!("{address}:80"));
}

fn wget(address: &str, seconds: u32) -> String {
    format!("timeout {seconds} busybox wget -qO- http://{address}/")
}

/// From the place's host. A busy machine takes its time; who is refused hears of it at once.
fn fetch(place: &Place, address: &str) -> bool {
    place.sh(&wget(address, 20)).stdout == "page\n"
}

fn answers(place: &Place, address: &str) {
    eventually(&format!("{address} answers"), || {
        (place.sh(&wget(address, 5)).stdout == "page\n").then_some(())
    });
}

fn sleeper<'a>(options: &[&'a str]) -> Vec<&'a str> {
    [&["run", "-d"], options, &["busybox", "sleep", "1000"]].concat()
}

#[test]
fn of_a_range_for_one_port_the_first_free_one_is_taken() {
    let gantry = Daemon::start();
    for (name, port) in [("one", "0.0.0.0:7100"), ("two", "0.0.0.0:7101")] {
        gantry.docker(sleeper(&["--name", name, "-p", "7100-7101:80"])).ok();
        assert_eq!(gantry.docker(["port", name, "80"]).lines(), [port]);
    }
    let said = gantry.docker(sleeper(&["--name", "three", "-p", "7100-7101:80"]));
    assert!(said.fails(125).contains("failed: port is already allocated"), "{said}");
    gantry.docker(["rm", "-f", "one"]).ok();
    gantry.docker(["start", "three"]).ok();
    assert_eq!(gantry.docker(["port", "three", "80"]).lines(), ["0.0.0.0:7100"]);
}

#[test]
fn sctp_is_published_like_the_others() {
    let gantry = Daemon::start();
    gantry.docker(sleeper(&["--name", "many", "-p", "7132:132/sctp", "-P", "--expose", "9/sctp"])).ok();
    let ports = gantry.docker(["port", "many"]);
    assert!(
        ports.ok().contains("132/sctp -> 0.0.0.0:7132") && ports.stdout.contains("9/sctp -> "),
        "{ports}"
    );
    let map = gantry.place().sh("nft list map inet gantry ports_any4");
    assert!(map.ok().contains("sctp . 7132 : 172.17.0.2 . 132"), "{map}");
    let said = gantry.docker(sleeper(&["-p", "7132:1/sctp"]));
    assert!(said.fails(125).contains("Bind for 0.0.0.0:7132 failed: port is already allocated"), "{said}");
    gantry.docker(sleeper(&["-p", "7132:1/tcp"])).ok();
}

#[test]
fn what_cannot_be_published_leaves_nothing_made() {
    let gantry = Daemon::start();
    gantry.docker(sleeper(&["--name", "has", "-p", "7200:80"])).ok();
    let links = || gantry.place().sh("ip -br link | wc -l").stdout;
    let before = links();
    for (publish, words) in [
        (vec!["-p", "7201:80", "-p", "7200:81"], "Bind for 0.0.0.0:7200 failed: port is already allocated"),
        (vec!["-p", "7202:80", "-p", "7202:81"], "Bind for 0.0.0.0:7202 failed: port is already allocated"),
        (vec!["-p", "192.0.2.77:7203:80"], "cannot assign requested address"),
    ] {
        let said = gantry.docker(sleeper(&[&["--name", "wants"], &publish[..]].concat()));
        assert!(said.fails(125).contains(words), "{said}");
        eventually("what failed has left no interface", || (links() == before).then_some(()));
        gantry.docker(["rm", "wants"]).ok();
    }
    let said = gantry.api(
        "POST",
        "/containers/create",
        Some(&serde_json::json!({
            "Image": "busybox", "HostConfig": {"PortBindings": {"0/tcp": [{"HostPort": "80"}]}}
        })),
    );
    assert_eq!(said.status, 400);
    gantry.docker(sleeper(&["-p", "7201-7202:80-81"])).ok();
}

#[test]
fn all_exposed_ports_are_on_the_daemons_address() {
    let gantry = Builder::new().args(["--ip=127.0.0.1"]).start();
    gantry.docker(sleeper(&["-P", "--expose", "80", "--name", "all"])).ok();
    let port = gantry.docker(["port", "all", "80"]);
    assert!(port.lines().len() == 1 && port.ok().starts_with("127.0.0.1:"), "{port}");
}

#[test]
fn what_another_tool_flushes_is_put_back_and_told() {
    let gantry = Daemon::start();
    let place = gantry.place();
    let other = OtherHost::new(place);
    web(&gantry, "web", &["7300:80"]);
    gantry.docker(["network", "create", "own"]).ok();
    let began = gantry.docker(["info", "--format", "{{.SystemTime}}"]).ok().to_owned();
    for change in [
        "flush ruleset",
        "flush map inet gantry ports_any4",
        "flush chain inet gantry forward; delete chain inet gantry forward",
    ] {
        place.run("nft", [change]).ok();
        answers(place, "127.0.0.1:7300");
        eventually("another host is answered", || {
            let said = other.sh(&wget(&format!("{}:7300", OtherHost::HOST), 5));
            (said.stdout == "page\n").then_some(())
        });
        eventually("nothing is missing", || {
            let chains = place.sh("nft list table inet gantry").stdout;
            ["chain forward", "chain nat_br-", "chain into_gantry0"]
                .iter()
                .all(|c| chains.contains(c))
                .then_some(())
        });
    }
    gantry.until_logged("rules of published ports and networks were lost and are put back");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let until = (now + 2).to_string();
    let events = gantry.docker(["events", "--since", &began, "--until", &until, "--filter", "type=network"]);
    let line = events.lines().into_iter().find(|l| l.contains("network restore") && l.contains("name=own"));
    assert!(
        line.is_some_and(|l| l.contains("by=nft (") && l.contains("reason=the table was deleted")),
        "{events}"
    );
}

#[test]
fn a_deleted_bridge_is_made_again_with_its_containers_on_it() {
    let gantry = Daemon::start();
    let place = gantry.place();
    web(&gantry, "web", &["7310:80"]);
    place.sh("ip link del gantry0").ok();
    answers(place, "127.0.0.1:7310");
    gantry.docker(["run", "--rm", "busybox", "wget", "-qO-", "http://172.17.0.2/"]).ok();
}

#[test]
fn ports_answer_while_no_daemon_runs_and_what_was_flushed_then_is_back_with_the_next() {
    let mut gantry = Daemon::start();
    web(&gantry, "web", &["7320:80"]);
    gantry.kill();
    assert!(fetch(gantry.place(), "127.0.0.1:7320"), "while the daemon is down");
    gantry.place().sh("nft flush ruleset").ok();
    assert!(!fetch(gantry.place(), "127.0.0.1:7320"));
    gantry.start_again();
    answers(gantry.place(), "127.0.0.1:7320");
}

#[test]
fn an_entry_that_a_killed_daemon_left_goes_with_the_next() {
    let mut gantry = Daemon::start();
    web(&gantry, "web", &["7330:80"]);
    gantry.kill();
    gantry.place().sh("nft add element inet gantry ports_any4 '{ udp . 32768 : 172.17.0.9 . 80 }'").ok();
    gantry.start_again();
    eventually("it is gone", || {
        let map = gantry.place().sh("nft list map inet gantry ports_any4").stdout;
        (map.contains("tcp . 7330") && !map.contains("udp . 32768")).then_some(())
    });
    assert!(fetch(gantry.place(), "127.0.0.1:7330"));
}

#[test]
fn a_port_that_another_program_took_while_no_daemon_ran_still_leads_to_its_container() {
    let mut gantry = Daemon::start();
    web(&gantry, "web", &["7340:80"]);
    gantry.kill();
    let _server = gantry.place().spawn("busybox", ["nc", "-l", "-p", "7340"]);
    eventually("it listens", || gantry.place().listens(7340).then_some(()));
    gantry.start_again();
    assert!(fetch(gantry.place(), "172.17.0.1:7340"));
    gantry.place().sh("nft flush ruleset").ok();
    answers(gantry.place(), "172.17.0.1:7340");
    gantry.docker(["rm", "-f", "web"]).ok();
}

/// A place whose host has IPv6 beside another one, with a network of both families.
fn of_both_families(options: &[&str]) -> (Arc<Place>, OtherHost, Daemon) {
    let place = Place::new();
    let other = OtherHost::new(&place);
    place.sh("ip addr add fd00:77::1/64 dev cable nodad").ok();
    other.sh("ip addr add fd00:77::2/64 dev cable nodad; ip route add fd00:5::/64 via fd00:77::1").ok();
    // Otherwise connections to ::1 are refused.
    place.sh("echo 0 >/proc/sys/net/bridge/bridge-nf-call-ip6tables || true").ok();
    let gantry = Builder::at(&place).start();
    let create = ["network", "create", "--ipv6", "--subnet", "fd00:5::/64"];
    gantry.docker([&create[..], options, &["both"]].concat()).ok();
    (place, other, gantry)
}

fn reaches(other: &OtherHost, address: &str) -> bool {
    other.sh(&wget(address, 20)).stdout == "page\n"
}

/// What is dropped is not waited for for long.
fn is_cut_off(other: &OtherHost, address: &str) -> bool {
    other.sh(&wget(address, 3)).stdout.is_empty()
}

#[test]
fn without_an_address_a_port_is_published_over_both_families() {
    let (place, other, gantry) = of_both_families(&[]);
    let run = ["run", "-d", "--name", "web", "--network", "both", "-p", "7400:80", "-p", "[::1]:7401:80"];
    gantry.docker([&run[..], &["busybox", "sh", "-c", WEB]].concat()).ok();
    answers(&place, "172.18.0.2:80");
    for address in ["127.0.0.1:7400", "[::1]:7400", "[fd00:77::1]:7400", "[fd00:5::1]:7400", "[::1]:7401"] {
        assert!(fetch(&place, address), "from the host at {address}");
    }
    assert!(reaches(&other, "[fd00:77::1]:7400") && reaches(&other, &format!("{}:7400", OtherHost::HOST)));
    assert!(is_cut_off(&other, "[fd00:77::1]:7401") && is_cut_off(&other, "[fd00:5::2]:80"));
    let itself = gantry.docker(["exec", "web", "wget", "-qO-", "http://[fd00:77::1]:7400/"]);
    assert_eq!(itself.ok(), "page", "and from the container itself");
    assert_eq!(gantry.docker(["port", "web", "80"]).lines(), ["0.0.0.0:7400", "[::1]:7401", "[::]:7400"]);
    let ports = gantry.docker(["ps", "--format", "{{.Ports}}"]);
    assert!(ports.ok().contains("[::]:7400->80/tcp"), "{ports}");
    let said = gantry.docker(sleeper(&["--network", "both", "-p", "[::]:7400:80"]));
    assert!(said.fails(125).contains("Bind for [::]:7400 failed: port is already allocated"), "{said}");
    gantry.docker(["rm", "-f", "web"]).ok();
    gantry.docker(sleeper(&["--name", "four", "-p", "7400:80"])).ok();
    let port = gantry.docker(["port", "four", "80"]);
    assert_eq!(port.lines(), ["0.0.0.0:7400"], "nothing leads from IPv6 to a container with IPv4 alone");
}

#[test]
fn on_a_routed_network_published_ports_are_open_at_the_containers_own_address() {
    let (place, other, gantry) =
        of_both_families(&["-o", "com.docker.network.bridge.gateway_mode_ipv6=routed"]);
    let run = ["run", "-d", "--name", "web", "--network", "both", "-p", "7410:80", "-p", "7411:90"];
    gantry.docker([&run[..], &["busybox", "sh", "-c", WEB]].concat()).ok();
    answers(&place, "172.18.0.2:80");
    assert!(reaches(&other, "[fd00:5::2]:80") && is_cut_off(&other, "[fd00:77::1]:7410"));
    assert!(reaches(&other, &format!("{}:7410", OtherHost::HOST)), "IPv4 is as ever");
    assert_eq!(gantry.docker(["port", "web", "80"]).lines(), ["0.0.0.0:7410"]);
    gantry.docker(["stop", "-t", "0", "web"]).ok();
    // Its end is answered before it has left its networks.
    eventually("none is open any more", || {
        (!place.sh("nft list set inet gantry open6").ok().contains("elements")).then_some(())
    });
}
