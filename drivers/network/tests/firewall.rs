//! The firewall: IPv6, gateway modes, what other programs do to it, and how it grows.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod namespaces;

use contract::network::{
    Disturbance, Endpoint, Gateway6, GatewayMode, Networks, PortBinding, PortSpec, Protocol, Segment,
};
use namespaces::{Host, Ns, wait};
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

fn segment() -> Segment {
    let six = Some(Gateway6 { address: "fd99::1".parse().unwrap(), prefix: 64 });
    let gateway = Some(Ipv4Addr::new(10, 99, 0, 1));
    Segment { name: "gt0".into(), gateway, prefix: 16, six, ..Segment::default() }
}

fn endpoint(segment: &Segment, container: &str, last: u8) -> Endpoint {
    Endpoint {
        container: container.into(),
        segment: segment.clone(),
        address: Some(Ipv4Addr::new(10, 99, 0, last)),
        address6: Some(format!("fd99::{last}").parse().unwrap()),
        network: "gt0".into(),
        network_name: "gt0".into(),
        default_route: true,
        default_route6: true,
        ..Endpoint::default()
    }
}

fn spec(protocol: Protocol, host_ip: Option<&str>, host_port: u16, container_port: u16) -> PortSpec {
    let host_ip = host_ip.map(|ip| ip.parse().unwrap());
    PortSpec { protocol, host_ip, host_port, last_host_port: host_port, container_port }
}

/// A container on the network, with these ports, answering at port 80 over both families.
fn container(host: &Host, segment: &Segment, name: &str, last: u8, ports: Vec<PortSpec>) -> (Ns, Endpoint) {
    let inside = Ns::new();
    let mut endpoint = endpoint(segment, name, last);
    wait(async {
        host.driver.ensure_segment(segment).await.unwrap();
        endpoint.ports = host.driver.reserve_ports(&endpoint, ports).await.unwrap();
        host.driver.ensure_endpoint(&endpoint, inside.path()).await.unwrap();
    });
    inside.serve(80);
    (inside, endpoint)
}

/// A neighbour at 192.0.2.9 and 2001:db8::9, with a route to the containers' own addresses.
fn neighbour(host: &Host) -> Ns {
    let outside = host.neighbour();
    host.ns.sh("ip addr add 2001:db8::1/64 dev out nodad");
    outside.sh("ip addr add 2001:db8::9/64 dev in nodad; ip route add 10.99.0.0/16 via 192.0.2.1
        ip -6 route add fd99::/64 via 2001:db8::1");
    outside
}

#[test]
fn ports_are_published_over_ipv6_as_strictly_as_over_ipv4() {
    let host = Host::new();
    let outside = neighbour(&host);
    host.ns.sh("echo 0 >/proc/sys/net/bridge/bridge-nf-call-ip6tables");
    let ports = vec![
        spec(Protocol::Tcp, None, 7777, 80),
        spec(Protocol::Tcp, Some("::1"), 7778, 80),
        spec(Protocol::Tcp, Some("2001:db8::1"), 7779, 80),
    ];
    let (web, one) = container(&host, &segment(), "one", 2, ports);
    let (client, _) = container(&host, &segment(), "two", 3, vec![]);
    outside.serve(81);
    let listed: Vec<String> = one.ports.iter().map(|p| format!("{} {}", p.host_ip, p.host_port)).collect();
    assert_eq!(listed, ["0.0.0.0 7777", ":: 7777", "::1 7778", "2001:db8::1 7779"]);
    assert_eq!(outside.get("[2001:db8::1]:7777").unwrap(), "2001:db8::9");
    assert_eq!(outside.get("192.0.2.1:7777").unwrap(), "192.0.2.9");
    assert_eq!(outside.get("[2001:db8::1]:7779").unwrap(), "2001:db8::9");
    assert!(outside.is_shut_out("[2001:db8::1]:7778"), "published on the loopback address alone");
    assert!(outside.is_shut_out("[fd99::2]:80"), "unpublished ways in stay closed");
    assert_eq!(host.ns.get("[fd99::2]:80").unwrap(), "fd99::1");
    assert_eq!(host.ns.get("[2001:db8::1]:7777").unwrap(), "2001:db8::1");
    assert_eq!(host.ns.get("[::1]:7777").unwrap(), "fd99::1");
    assert_eq!(host.ns.get("[::1]:7778").unwrap(), "fd99::1");
    assert_eq!(client.get("[2001:db8::1]:7777").unwrap(), "fd99::1");
    assert_eq!(web.get("[2001:db8::1]:7777").unwrap(), "fd99::1", "a container reaches itself");
    assert_eq!(client.get("[2001:db8::9]:81").unwrap(), "2001:db8::1", "outgoing traffic is masqueraded");
    wait(host.driver.remove_endpoint(&one)).unwrap();
    assert!(outside.is_shut_out("[2001:db8::1]:7777"));
}

#[test]
fn where_bridged_frames_pass_netfilter_the_loopback_address_of_ipv6_refuses_at_once() {
    let host = Host::new();
    host.ns.sh("echo 1 >/proc/sys/net/bridge/bridge-nf-call-ip6tables");
    let (_web, _) = container(&host, &segment(), "one", 2, vec![spec(Protocol::Tcp, None, 7777, 80)]);
    let refused = host.ns.get("[::1]:7777").unwrap_err();
    assert!(refused.contains("refused"), "{refused}: a client goes on with 127.0.0.1");
    assert_eq!(host.ns.get("127.0.0.1:7777").unwrap(), "10.99.0.1");
}

#[test]
fn gateway_modes_decide_what_of_a_container_is_reached_at_its_own_address() {
    let host = Host::new();
    let outside = neighbour(&host);
    let mut routed = segment();
    routed.policy.mode6 = GatewayMode::Routed;
    let (web, one) = container(&host, &routed, "one", 2, vec![spec(Protocol::Tcp, None, 7777, 80)]);
    web.serve(90);
    outside.serve(81);
    let listed: Vec<String> = one.ports.iter().map(|p| format!("{} {}", p.host_ip, p.host_port)).collect();
    assert_eq!(listed, ["0.0.0.0 7777", ":: 0"]);
    assert_eq!(outside.get("[fd99::2]:80").unwrap(), "2001:db8::9");
    assert!(outside.is_shut_out("[fd99::2]:90") && outside.is_shut_out("[2001:db8::1]:7777"));
    assert!(outside.is_shut_out("10.99.0.2:80") && outside.get("192.0.2.1:7777").is_ok());
    outside.sh("busybox ping -c 1 -W 20 fd99::2");
    assert_eq!(web.get("[2001:db8::9]:81").unwrap(), "fd99::2", "no address is rewritten");
    wait(host.driver.remove_ports(&one)).unwrap();
    assert!(outside.is_shut_out("[fd99::2]:80"));

    let mut open = segment();
    open.policy.mode4 = GatewayMode::NatUnprotected;
    wait(host.driver.ensure_segment(&open)).unwrap();
    assert_eq!(outside.get("10.99.0.2:90").unwrap(), "192.0.2.9");
    assert!(outside.is_shut_out("[fd99::2]:90"));

    let mut trusting = segment();
    trusting.trusted = vec!["out".into()];
    let (_web, _) = container(&host, &trusting, "three", 4, vec![spec(Protocol::Tcp, None, 7780, 80)]);
    assert_eq!(outside.get("10.99.0.4:80").unwrap(), "192.0.2.9");
    assert!(outside.is_shut_out("10.99.0.2:90"));
}

#[test]
fn what_others_take_away_is_told_and_put_back() {
    let host = Host::new();
    let (web, one) = container(&host, &segment(), "one", 2, vec![spec(Protocol::Tcp, None, 7777, 80)]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().unwrap();
    let told = |what: &str| {
        runtime.block_on(async {
            tokio::time::timeout(Duration::from_secs(20), host.driver.disturbed()).await.expect(what)
        })
    };
    let missing = || wait(host.driver.missing(vec![segment()], vec![one.clone()])).unwrap();
    assert_eq!(missing(), [""; 0]);
    let quiet = runtime.block_on(async {
        tokio::time::timeout(Duration::from_millis(300), host.driver.disturbed()).await.is_err()
    });
    assert!(quiet, "its own changes do not disturb");
    for (what, expected) in [
        ("flush ruleset", "the table was deleted"),
        ("delete table inet gantry_gt0", "the table was deleted"),
        ("flush chain inet gantry_gt0 forward", "a rule was deleted"),
        ("delete element inet gantry_gt0 ports_any4 { tcp . 7777 }", "an entry was deleted"),
    ] {
        host.ns.sh(&format!("nft '{what}'"));
        let Disturbance { by, what } = told(what);
        assert_eq!((by.unwrap().0, &*what), ("nft".to_owned(), expected));
        assert_ne!(missing(), [""; 0]);
        assert_eq!(wait(host.driver.restore(vec![segment()])).unwrap(), [""; 0]);
        assert_eq!(missing(), [""; 0]);
        assert_eq!(host.ns.get("127.0.0.1:7777").unwrap(), "10.99.0.1");
    }
    host.ns.sh("ip link del gt0");
    assert_eq!(told("the bridge").what, "the bridge gt0 was set down");
    assert_eq!(missing(), ["the bridge gt0"]);
    assert_eq!(wait(host.driver.restore(vec![segment()])).unwrap(), ["gt0"]);
    wait(host.driver.ensure_endpoint(&one, web.path())).unwrap();
    assert_eq!(host.ns.get("127.0.0.1:7777").unwrap(), "10.99.0.1");
    wait(host.driver.remove_segment(&segment())).unwrap();
    assert_eq!(wait(host.driver.restore(vec![segment()])).unwrap(), [""; 0]);
    assert_eq!(host.ns.sh("nft list tables; ip -br link show type bridge"), "", "what is removed stays so");
}

#[test]
fn a_network_with_other_options_takes_the_place_of_what_was_there() {
    let host = Host::new();
    let (_web, one) = container(&host, &segment(), "one", 2, vec![spec(Protocol::Tcp, None, 7777, 80)]);
    let mut apart = segment();
    apart.policy.icc = false;
    wait(host.driver.ensure_segment(&apart)).unwrap();
    let within = host.ns.sh("nft list map inet gantry_gt0 within");
    assert!(within.contains("goto invited"), "{within}");
    assert_eq!(wait(host.driver.missing(vec![apart], vec![one])).unwrap(), [""; 0]);
    assert_eq!(host.ns.get("127.0.0.1:7777").unwrap(), "10.99.0.1", "ports stay");
}

#[test]
fn the_table_of_an_older_version_is_replaced() {
    let host = Host::new();
    for leftover in [
        // Another type under a name of ours.
        "add table inet gantry_gt0; add map inet gantry_gt0 ports_any4 { type inet_service : ipv4_addr; }",
        // A network without all of its chains.
        "add table inet gantry_gt0; add chain inet gantry_gt0 nat_gt0; add map inet gantry_gt0 within { type ifname . ifname : verdict; }; add element inet gantry_gt0 within { \"gt0\" . \"gt0\" : drop }; add map inet gantry_gt0 nat { type ifname : verdict; }; add element inet gantry_gt0 nat { \"gt0\" : jump nat_gt0 }",
    ] {
        host.ns.sh(&format!("nft '{leftover}'"));
        let driver = host.ns.run(|| gantry_network::Bridges::start("gt0").unwrap());
        wait(driver.ensure_segment(&segment())).unwrap();
        assert_eq!(wait(driver.missing(vec![segment()], vec![])).unwrap(), [""; 0]);
        wait(driver.remove_segment(&segment())).unwrap();
    }
}

#[test]
fn a_port_that_is_only_held_is_not_missing() {
    let host = Host::new();
    wait(async {
        host.driver.ensure_segment(&segment()).await.unwrap();
        let starting = endpoint(&segment(), "one", 2);
        host.driver.reserve_ports(&starting, vec![spec(Protocol::Tcp, None, 7777, 80)]).await.unwrap();
        assert_eq!(host.driver.missing(vec![segment()], vec![]).await.unwrap(), [""; 0]);
    });
}

#[test]
fn entries_that_nobody_has_are_taken_away() {
    let host = Host::new();
    let (_web, one) = container(&host, &segment(), "one", 2, vec![spec(Protocol::Tcp, None, 7777, 80)]);
    host.ns.sh("nft add element inet gantry_gt0 ports_any4 { udp . 32768 : 10.99.0.2 . 80 }");
    let missing = wait(host.driver.missing(vec![segment()], vec![])).unwrap();
    let survey = wait(host.driver.survey(&segment())).unwrap();
    let ports: Vec<PortBinding> = survey.ports.into_iter().map(|(port, _)| port).collect();
    assert_eq!((missing, survey.missing, ports.len()), (vec![], vec![], one.ports.len()));
}

/// Sends a word and tells who answers within the time.
fn ask(socket: &UdpSocket, to: &str) -> Option<String> {
    let mut buffer = [0; 16];
    socket.send_to(b"who", to).unwrap();
    let (length, _) = socket.recv_from(&mut buffer).ok()?;
    Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

fn answers(ns: &Ns, name: &'static str) {
    let server = ns.run(|| UdpSocket::bind("0.0.0.0:53").unwrap());
    std::thread::spawn(move || {
        let mut buffer = [0; 16];
        while let Ok((_, peer)) = server.recv_from(&mut buffer) {
            let _ = server.send_to(name.as_bytes(), peer);
        }
    });
}

#[test]
fn datagrams_of_one_client_follow_a_port_to_its_next_container() {
    let host = Host::new();
    let outside = host.neighbour();
    // One socket, so that the kernel has a connection to remember.
    let client = outside.run(|| UdpSocket::bind("192.0.2.9:4000").unwrap());
    client.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    assert_eq!(ask(&client, "192.0.2.1:5353"), None, "nobody is there yet");
    client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let port = || vec![spec(Protocol::Udp, None, 5353, 53)];
    let (first, one) = container(&host, &segment(), "one", 2, port());
    answers(&first, "one");
    assert_eq!(ask(&client, "192.0.2.1:5353").as_deref(), Some("one"));
    wait(host.driver.remove_endpoint(&one)).unwrap();
    let (second, _) = container(&host, &segment(), "two", 3, port());
    answers(&second, "two");
    assert_eq!(ask(&client, "192.0.2.1:5353").as_deref(), Some("two"));
}

#[test]
fn another_firewall_that_drops_by_default_lets_containers_through() {
    let host = Host::new();
    let outside = host.neighbour();
    host.ns.sh(
        "iptables-nft -P FORWARD DROP; iptables-nft -N DOCKER-USER; iptables-nft -A FORWARD -j DOCKER-USER",
    );
    let (web, _) = container(&host, &segment(), "one", 2, vec![spec(Protocol::Tcp, None, 7777, 80)]);
    outside.serve(81);
    assert_eq!(outside.get("192.0.2.1:7777").unwrap(), "192.0.2.9");
    assert_eq!(web.get("192.0.2.9:81").unwrap(), "192.0.2.1");
    host.ns
        .sh("ip link add docker0 type bridge; ip addr add 10.98.0.1/24 dev docker0; ip link set docker0 up");
    assert!(web.is_shut_out("10.98.0.2:80"));
    let rules = host.ns.sh("iptables-nft -S");
    assert!(rules.contains("-A FORWARD -j gantry_gt0") && !rules.contains("-o docker0"), "{rules}");
    wait(host.driver.ensure_segment(&segment())).unwrap();
    assert_eq!(host.ns.sh("iptables-nft -S"), rules, "repeating adds nothing");
    host.ns.sh("iptables-nft -F FORWARD");
    wait(host.driver.missing(vec![segment()], vec![])).unwrap();
    assert_eq!(outside.get("192.0.2.1:7777").unwrap(), "192.0.2.9");
}
