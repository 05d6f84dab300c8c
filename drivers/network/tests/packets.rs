//! Real packets through bridges, published ports and masquerading, in namespaces that end with the test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod namespaces;

use contract::error::Kind;
use contract::network::{Endpoint, Networks, PortBinding, PortSpec, Protocol, Segment, Survey};
use namespaces::{Host, Ns, wait};
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

fn bridge() -> Segment {
    Segment {
        name: "gt0".into(),
        gateway: Some(Ipv4Addr::new(10, 99, 0, 1)),
        prefix: 16,
        ..Segment::default()
    }
}

fn endpoint(container: &str, last: u8, ports: Vec<PortBinding>) -> Endpoint {
    let address = Ipv4Addr::new(10, 99, 0, last);
    Endpoint {
        container: container.into(),
        segment: bridge(),
        address: Some(address),
        ports,
        network: "gt0".into(),
        network_name: "gt0".into(),
        default_route: true,
        ..Endpoint::default()
    }
}

fn port(protocol: Protocol, host_ip: &str, host_port: u16, container_port: u16) -> PortBinding {
    PortBinding { protocol, host_ip: host_ip.parse().unwrap(), host_port, container_port }
}

fn specs(ports: &[PortBinding]) -> Vec<PortSpec> {
    ports.iter().map(PortSpec::from).collect()
}

#[test]
fn published_ports_are_reached_from_everywhere_and_only_as_published() {
    let host = Host::new();
    let outside = host.neighbour();
    let (web, client) = (Ns::new(), Ns::new());
    let ports = vec![
        port(Protocol::Tcp, "0.0.0.0", 7777, 80),
        port(Protocol::Tcp, "127.0.0.1", 7778, 80),
        port(Protocol::Tcp, "192.0.2.1", 7779, 80),
    ];
    let one = endpoint("one", 2, ports.clone());
    wait(async {
        host.driver.ensure_segment(&bridge()).await.unwrap();
        host.driver.reserve_ports(&one, specs(&ports)).await.unwrap();
        host.driver.ensure_endpoint(&one, web.path()).await.unwrap();
        host.driver.ensure_endpoint(&endpoint("two", 3, vec![]), client.path()).await.unwrap();
    });
    web.serve(80);
    outside.serve(81);
    assert_eq!(host.ns.get("127.0.0.1:7777").unwrap(), "10.99.0.1");
    assert_eq!(host.ns.get("127.0.0.1:7778").unwrap(), "10.99.0.1");
    assert_eq!(host.ns.get("192.0.2.1:7777").unwrap(), "192.0.2.1");
    assert_eq!(host.ns.get("10.99.0.2:80").unwrap(), "10.99.0.1");
    assert_eq!(outside.get("192.0.2.1:7777").unwrap(), "192.0.2.9");
    assert_eq!(outside.get("192.0.2.1:7779").unwrap(), "192.0.2.9");
    assert_eq!(client.get("192.0.2.1:7777").unwrap(), "10.99.0.1");
    assert_eq!(web.get("192.0.2.1:7777").unwrap(), "10.99.0.1", "a container reaches itself");
    assert_eq!(client.get("10.99.0.2:80").unwrap(), "10.99.0.3");
    assert_eq!(client.get("192.0.2.9:81").unwrap(), "192.0.2.1", "outgoing traffic is masqueraded");
    assert!(outside.is_shut_out("192.0.2.1:7778"));
    outside.sh("ip route add 10.99.0.0/16 via 192.0.2.1");
    assert!(outside.is_shut_out("10.99.0.2:80"), "unpublished ways in stay closed");
    host.ns.serve(82);
    client.sh("ip route add 127.0.0.9 via 10.99.0.1; echo 1 >/proc/sys/net/ipv4/conf/eth0/route_localnet");
    assert!(client.is_shut_out("127.0.0.9:82"), "the host's loopback stays closed");
    wait(host.driver.remove_endpoint(&one)).unwrap();
    assert!(host.ns.is_shut_out("127.0.0.1:7777"));
}

#[test]
fn udp_ports_answer_through_loopback() {
    let host = Host::new();
    let inside = Ns::new();
    let one = endpoint("one", 2, vec![port(Protocol::Udp, "0.0.0.0", 5353, 53)]);
    wait(async {
        host.driver.ensure_segment(&bridge()).await.unwrap();
        host.driver.ensure_endpoint(&one, inside.path()).await.unwrap();
    });
    let server = inside.run(|| UdpSocket::bind("0.0.0.0:53").unwrap());
    std::thread::spawn(move || {
        let mut buffer = [0; 16];
        let (length, peer) = server.recv_from(&mut buffer).unwrap();
        server.send_to(&buffer[..length], peer).unwrap();
    });
    host.ns.run(|| {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        socket.send_to(b"ping", "127.0.0.1:5353").unwrap();
        let mut buffer = [0; 16];
        assert_eq!(socket.recv(&mut buffer).unwrap(), 4);
    });
}

#[test]
fn every_verb_may_be_repeated_and_leaves_nothing_behind() {
    let host = Host::new();
    let inside = Ns::new();
    let mut one = endpoint("one", 2, vec![]);
    let wanted = vec![port(Protocol::Tcp, "0.0.0.0", 0, 80), port(Protocol::Tcp, "127.0.0.1", 8080, 81)];
    wait(async {
        let driver = &host.driver;
        driver.ensure_segment(&bridge()).await.unwrap();
        one.ports = driver.reserve_ports(&one, specs(&wanted)).await.unwrap();
        assert_ne!(one.ports[0].host_port, 0);
        assert_eq!(driver.reserve_ports(&one, specs(&wanted)).await.unwrap(), one.ports);
        for _ in 0..2 {
            driver.ensure_endpoint(&one, inside.path()).await.unwrap();
            driver.ensure_segment(&bridge()).await.unwrap();
        }
        let held = one.ports[1].clone();
        let refused = driver.reserve_ports(&endpoint("two", 3, vec![]), specs(&[held])).await.unwrap_err();
        assert_eq!(refused.kind, Kind::Conflict);
        assert_eq!(refused.text, "Bind for 127.0.0.1:8080 failed: port is already allocated");
        let survey = driver.survey(&bridge()).await.unwrap();
        assert_eq!(survey.interfaces, [gantry_network::host_name("one", "gt0")]);
        let expected: Vec<_> = one.ports.iter().map(|p| (p.clone(), one.address.unwrap().into())).collect();
        assert_eq!(survey.ports, expected);
        for _ in 0..2 {
            driver.remove_endpoint(&one).await.unwrap();
            assert_eq!(driver.survey(&bridge()).await.unwrap(), Survey::default());
        }
        for _ in 0..2 {
            driver.remove_segment(&bridge()).await.unwrap();
        }
    });
    assert_eq!(host.ns.sh("nft list tables; ip -br link show type bridge"), "");
}

#[test]
fn a_repeated_removal_spares_the_port_and_address_another_container_took_over() {
    let host = Host::new();
    let (first, second) = (Ns::new(), Ns::new());
    let ports = vec![port(Protocol::Tcp, "0.0.0.0", 9000, 80)];
    let (one, two) = (endpoint("one", 2, ports.clone()), endpoint("two", 2, ports.clone()));
    wait(async {
        host.driver.ensure_segment(&bridge()).await.unwrap();
        for (endpoint, ns) in [(&one, &first), (&two, &second)] {
            host.driver.reserve_ports(endpoint, specs(&ports)).await.unwrap();
            host.driver.ensure_endpoint(endpoint, ns.path()).await.unwrap();
            host.driver.remove_endpoint(&one).await.unwrap();
        }
    });
    second.serve(80);
    assert_eq!(host.ns.get("127.0.0.1:9000").unwrap(), "10.99.0.1");
}
