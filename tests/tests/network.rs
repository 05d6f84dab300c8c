//! Addresses, published ports, other network modes.

use gantry_tests::{Builder, Daemon, OtherHost, Place, eventually, image};
use std::sync::Arc;

const WEB: &str = "mkdir /www; echo page > /www/index.html; exec httpd -f -p 80 -h /www";

fn web(gantry: &Daemon, name: &str, publish: &[&str]) {
    let mut args = vec!["run", "-d", "--name", name];
    args.extend(publish.iter().flat_map(|p| ["-p", p]));
    args.extend(["busybox", "sh", "-c", WEB]);
    gantry.docker(args).ok();
    let address = gantry.inspect(name, "{{.NetworkSettings.Networks.bridge.IPAddress}}");
    eventually("the web server listens", || fetch(gantry.place(), &format!("{address}:80")).then_some(()));
}

fn wget(address: &str) -> String {
    // Its own `-T` crashes busybox-static. A busy machine takes its time; who is refused hears of it at once.
    format!("timeout 20 busybox wget -qO- http://{address}/")
}

/// From the place's host.
fn fetch(place: &Place, address: &str) -> bool {
    place.sh(&wget(address)).stdout == "page\n"
}

fn with_other_host() -> (Arc<Place>, OtherHost, Daemon) {
    let place = Place::new();
    let other = OtherHost::new(&place);
    let gantry = Builder::at(&place).start();
    (place, other, gantry)
}

#[test]
fn addresses_are_handed_out_in_order() {
    let gantry = Daemon::start();
    for n in 2..6 {
        let name = format!("box{n}");
        gantry.docker(["run", "-d", "--name", &name, "busybox", "sleep", "1000"]).ok();
        assert_eq!(gantry.inspect(&name, "{{.NetworkSettings.IPAddress}}"), format!("172.17.0.{n}"));
        let inside = gantry.docker(["exec", &name, "ip", "-o", "-4", "addr", "show", "eth0"]);
        assert!(inside.ok().contains(&format!("inet 172.17.0.{n}/16 ")), "{inside}");
    }
    let route = gantry.docker(["exec", "box2", "ip", "route"]);
    assert!(route.ok().contains("default via 172.17.0.1 dev eth0"), "{route}");
    let said = gantry.docker(["exec", "box2", "ping", "-c", "1", "-W", "20", "172.17.0.3"]);
    assert_eq!(said.code, 0, "containers reach each other: {said}");
    let said = gantry.docker(["exec", "box2", "ping", "-c", "1", "-W", "20", "172.17.0.1"]);
    assert_eq!(said.code, 0, "and the host: {said}");
    let mac = gantry.inspect("box2", "{{.NetworkSettings.Networks.bridge.MacAddress}}");
    assert!(gantry.docker(["exec", "box2", "ip", "link", "show", "eth0"]).ok().contains(&mac), "{mac}");
}

#[test]
fn a_stopped_container_gives_its_address_back() {
    let gantry = Daemon::start();
    gantry.docker(["run", "-d", "--name", "first", "busybox", "sleep", "1000"]).ok();
    gantry.docker(["stop", "-t", "0", "first"]).ok();
    assert_eq!(gantry.inspect("first", "{{.NetworkSettings.IPAddress}}"), "");
    for _ in 0..3 {
        gantry.docker(["run", "--rm", "busybox", "true"]).ok();
    }
    gantry.docker(["start", "first"]).ok();
    assert!(gantry.inspect("first", "{{.NetworkSettings.IPAddress}}").starts_with("172.17.0."));
}

#[test]
fn a_published_port_is_reached_from_everywhere() {
    let (place, other, gantry) = with_other_host();
    web(&gantry, "web", &["7777:80"]);
    for address in ["127.0.0.1:7777", "172.17.0.1:7777", &format!("{}:7777", OtherHost::HOST)] {
        assert!(fetch(&place, address), "from the host at {address}");
    }
    assert_eq!(other.sh(&wget(&format!("{}:7777", OtherHost::HOST))).ok(), "page", "from another host");
    let itself = gantry.docker(["exec", "web", "wget", "-qO-", "http://172.17.0.1:7777/"]);
    assert_eq!(itself.ok(), "page", "and from the container itself");
    let ports = gantry.docker(["ps", "--format", "{{.Ports}}"]);
    assert!(ports.ok().contains("0.0.0.0:7777->80/tcp"), "{ports}");
    assert!(gantry.docker(["port", "web"]).ok().contains("80/tcp -> 0.0.0.0:7777"));
    assert!(gantry.docker(["port", "web", "80"]).lines().contains(&"0.0.0.0:7777"));
    assert!(gantry.gantry(["port", "web"]).ok().contains("80/tcp -> 0.0.0.0:7777"));
    assert!(gantry.gantry(["ps"]).ok().contains("0.0.0.0:7777->80/tcp"));
    gantry.docker(["stop", "-t", "0", "web"]).ok();
    assert!(!fetch(&place, "127.0.0.1:7777"), "no longer");
    gantry.docker(["start", "web"]).ok();
    eventually("again after a new start", || fetch(&place, "127.0.0.1:7777").then_some(()));
}

#[test]
fn a_port_can_be_published_on_one_address_only() {
    let (place, other, gantry) = with_other_host();
    web(&gantry, "web", &["127.0.0.1:7001:80", &format!("{}:7002:80", OtherHost::HOST)]);
    assert!(fetch(&place, "127.0.0.1:7001"));
    assert!(!fetch(&place, &format!("{}:7001", OtherHost::HOST)));
    assert!(fetch(&place, &format!("{}:7002", OtherHost::HOST)));
    assert!(!fetch(&place, "127.0.0.1:7002"));
    assert_eq!(other.sh(&wget(&format!("{}:7002", OtherHost::HOST))).ok(), "page");
    assert_ne!(other.sh(&wget(&format!("{}:7001", OtherHost::HOST))).code, 0);
    assert_eq!(gantry.docker(["port", "web", "80/tcp"]).lines().len(), 2);
}

#[test]
fn without_a_host_port_a_free_one_is_taken() {
    let gantry = Daemon::start();
    web(&gantry, "web", &["80"]);
    let port = gantry.docker(["port", "web", "80"]).lines()[0].to_owned();
    let number: u16 = port.strip_prefix("0.0.0.0:").unwrap().parse().unwrap();
    assert!(number >= 32768, "{port}");
    assert!(fetch(gantry.place(), &format!("127.0.0.1:{number}")));
    web(&gantry, "other", &["80"]);
    assert_ne!(gantry.docker(["port", "other", "80"]).lines()[0], port);
}

#[test]
fn exposed_ports_are_all_published_on_demand() {
    let gantry = Daemon::start();
    gantry
        .docker([
            "run", "-d", "-P", "--expose", "80", "--expose", "90/udp", "--name", "all", "busybox", "sleep",
            "1000",
        ])
        .ok();
    let ports = gantry.docker(["port", "all"]);
    assert!(
        ports.ok().contains("80/tcp -> 0.0.0.0:") && ports.stdout.contains("90/udp -> 0.0.0.0:"),
        "{ports}"
    );
    gantry.docker(["run", "-d", "--expose", "80", "--name", "none", "busybox", "sleep", "1000"]).ok();
    assert_eq!(gantry.docker(["port", "none"]).ok(), "");
    assert_eq!(gantry.docker(["ps", "-l", "--format", "{{.Ports}}"]).ok(), "80/tcp");
}

#[test]
fn ranges_of_ports_are_published_in_order() {
    let gantry = Daemon::start();
    gantry.docker(["run", "-d", "-p", "7100-7102:80-82", "--name", "range", "busybox", "sleep", "1000"]).ok();
    for n in 0..3 {
        let port = gantry.docker(["port", "range", &format!("{}/tcp", 80 + n)]);
        assert_eq!(port.lines()[0], format!("0.0.0.0:{}", 7100 + n));
    }
}

#[test]
fn datagrams_go_there_and_back() {
    let (place, other, gantry) = with_other_host();
    gantry
        .docker(["run", "-d", "--name", "echo", "-p", "5300:53/udp", "busybox", "guest", "udp-echo", "53"])
        .ok();
    eventually("it listens", || gantry.docker(["logs", "echo"]).ok().contains("listening").then_some(()));
    let guest = image::guest();
    let guest = guest.to_str().unwrap();
    for address in ["127.0.0.1", "172.17.0.1", OtherHost::HOST] {
        let said = place.run(guest, ["udp-ask", &format!("{address}:5300"), "hello"]);
        assert!(said.ok().ends_with(" sent hello"), "{address}: {said}");
    }
    let said = other.sh(&format!("{guest} udp-ask {}:5300 hello", OtherHost::HOST));
    assert!(
        said.ok().starts_with(&format!("{}:", OtherHost::ADDRESS)),
        "the container sees who asks: {said}"
    );
    assert!(gantry.docker(["port", "echo"]).ok().contains("53/udp -> 0.0.0.0:5300"));
    gantry.docker(["run", "-d", "--name", "tcp", "-p", "5300:53", "busybox", "sleep", "1000"]).ok();
}

#[test]
fn a_port_is_given_to_one_container_only() {
    let gantry = Daemon::start();
    gantry.docker(["run", "-d", "--name", "has", "-p", "7200:80", "busybox", "sleep", "1000"]).ok();
    let said = gantry.docker(["run", "-d", "--name", "wants", "-p", "7200:81", "busybox", "sleep", "1000"]);
    let id = gantry.inspect("wants", "{{.Id}}");
    assert_eq!(gantry.inspect("wants", "{{.State.Status}}"), "created");
    let text = said.fails(125);
    assert!(text.contains("failed to set up container networking: driver failed programming external connectivity on endpoint wants ("), "{said}");
    assert!(text.contains("): Bind for 0.0.0.0:7200 failed: port is already allocated"), "{said} {id}");
    let said = gantry.docker(["run", "-d", "-p", "127.0.0.1:7200:81", "busybox", "sleep", "1000"]);
    assert!(said.fails(125).contains("Bind for 127.0.0.1:7200 failed: port is already allocated"), "{said}");
    gantry.docker(["rm", "-f", "has"]).ok();
    gantry.docker(["start", "wants"]).ok();
}

#[test]
fn a_port_that_the_host_uses_is_refused() {
    let gantry = Daemon::start();
    let place = gantry.place();
    let _server = place.spawn("busybox", ["nc", "-l", "-p", "7300"]);
    eventually("it listens", || place.listens(7300).then_some(()));
    let said = gantry.docker(["run", "-d", "-p", "7300:80", "busybox", "sleep", "1000"]);
    assert!(said.fails(125).contains("address already in use"), "{said}");
}

#[test]
fn what_goes_out_has_the_hosts_address() {
    let (_place, other, gantry) = with_other_host();
    let guest = image::guest();
    let echo = other.spawn(&format!("{} udp-echo 9000", guest.to_str().unwrap()));
    echo.wait_for("listening");
    let said = gantry.docker([
        "run",
        "--rm",
        "busybox",
        "guest",
        "udp-ask",
        &format!("{}:9000", OtherHost::ADDRESS),
        "hi",
    ]);
    assert!(said.ok().starts_with(&format!("{}:", OtherHost::HOST)), "{said}");
    let said = gantry.docker(["run", "--rm", "busybox", "ping", "-c", "1", "-W", "20", OtherHost::ADDRESS]);
    assert_eq!(said.code, 0, "{said}");
    let said = gantry.docker([
        "run",
        "--rm",
        "--net",
        "none",
        "busybox",
        "ping",
        "-c",
        "1",
        "-W",
        "1",
        OtherHost::ADDRESS,
    ]);
    assert_ne!(said.code, 0, "{said}");
}

#[test]
fn without_a_network_there_is_only_loopback() {
    let gantry = Daemon::start();
    let said = gantry.docker([
        "run",
        "--rm",
        "--net",
        "none",
        "busybox",
        "sh",
        "-c",
        "ls /sys/class/net; ping -c 1 127.0.0.1 > /dev/null && echo loopback",
    ]);
    assert_eq!(said.lines(), ["lo", "loopback"]);
    assert_eq!(gantry.gantry(["run", "--rm", "--net", "none", "busybox", "ls", "/sys/class/net"]).ok(), "lo");
    gantry.docker(["run", "-d", "--name", "alone", "--net", "none", "busybox", "sleep", "1000"]).ok();
    assert_eq!(
        gantry.inspect("alone", "{{.HostConfig.NetworkMode}} {{.NetworkSettings.IPAddress}}"),
        "none "
    );
    assert_eq!(gantry.docker(["ps", "--format", "{{.Networks}}"]).ok(), "none");
}

#[test]
fn with_the_hosts_network_the_container_is_on_the_host() {
    let gantry = Daemon::start();
    gantry.docker(["run", "-d", "--name", "web", "--net", "host", "busybox", "sh", "-c", WEB]).ok();
    eventually("the web server listens on the host", || fetch(gantry.place(), "127.0.0.1:80").then_some(()));
    let said = gantry.docker(["exec", "web", "sh", "-c", "ip -o link; hostname"]);
    let host = gantry.place().sh("hostname");
    assert!(said.ok().contains("gantry0") && said.ok().ends_with(host.ok()), "{said}");
    assert_eq!(gantry.inspect("web", "{{.HostConfig.NetworkMode}}"), "host");
    assert_eq!(gantry.gantry(["run", "--rm", "--net", "host", "busybox", "hostname"]).ok(), host.ok());
    let said = gantry.docker(["run", "--rm", "--net", "host", "-p", "7000:80", "busybox", "true"]);
    assert!(said.fails(0).contains("Published ports are discarded when using host network mode"), "{said}");
}

#[test]
fn networks_are_listed_and_described() {
    let gantry = Daemon::start();
    let said = gantry.docker(["network", "ls", "--format", "{{.Name}} {{.Driver}} {{.Scope}}"]);
    assert_eq!(said.lines(), ["bridge bridge local", "host host local", "none null local"]);
    let id = gantry.docker(["run", "-d", "--name", "member", "busybox", "sleep", "1000"]).ok().to_owned();
    let shown = gantry.docker(["network", "inspect", "bridge"]).json()[0].take();
    assert_eq!(
        shown["IPAM"]["Config"][0],
        serde_json::json!({"Subnet": "172.17.0.0/16", "Gateway": "172.17.0.1"})
    );
    assert_eq!(shown["Containers"][&id]["Name"], "member");
    assert_eq!(shown["Containers"][&id]["IPv4Address"], "172.17.0.2/16");
    let said = gantry.docker(["run", "--rm", "--net", "nosuch", "busybox", "true"]);
    assert!(said.fails(125).contains("network nosuch not found"), "{said}");
}

#[test]
fn the_bridges_address_can_be_chosen() {
    let gantry = Builder::new().args(["--bip", "10.88.0.1/24", "--mtu", "1400"]).start();
    let said = gantry.docker([
        "run",
        "--rm",
        "busybox",
        "sh",
        "-c",
        "ip -o -4 addr show eth0; cat /sys/class/net/eth0/mtu",
    ]);
    assert!(said.ok().contains("inet 10.88.0.2/24") && said.ok().ends_with("1400"), "{said}");
}

#[test]
fn connections_go_on_while_the_daemon_is_down() {
    let (place, other, mut gantry) = with_other_host();
    web(&gantry, "web", &["7400:80"]);
    gantry.kill();
    assert!(fetch(&place, "127.0.0.1:7400"));
    assert_eq!(other.sh(&wget(&format!("{}:7400", OtherHost::HOST))).ok(), "page");
    gantry.start_again();
    assert!(fetch(&place, "127.0.0.1:7400"));
    gantry.docker(["run", "-d", "--name", "next", "busybox", "sleep", "1000"]).ok();
    assert_eq!(
        gantry.inspect("next", "{{.NetworkSettings.IPAddress}}"),
        "172.17.0.3",
        "the taken address is known"
    );
    let said = gantry.docker(["run", "-d", "-p", "7400:80", "busybox", "true"]);
    assert!(said.fails(125).contains("port is already allocated"), "{said}");
    gantry.docker(["rm", "-f", "web"]).ok();
    assert!(!fetch(&place, "127.0.0.1:7400"));
}

#[test]
fn a_name_server_is_taken_from_the_host_or_the_flag() {
    let gantry = Daemon::start();
    let said = gantry.docker([
        "run",
        "--rm",
        "--dns",
        "10.9.9.9",
        "--dns-option",
        "ndots:3",
        "busybox",
        "cat",
        "/etc/resolv.conf",
    ]);
    assert!(
        said.lines().contains(&"nameserver 10.9.9.9") && said.lines().contains(&"options ndots:3"),
        "{said}"
    );
    let said = gantry.docker(["run", "--rm", "busybox", "grep", "-c", "^nameserver", "/etc/resolv.conf"]);
    assert_ne!(said.ok(), "0");
}
