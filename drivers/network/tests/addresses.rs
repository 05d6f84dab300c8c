//! Addresses and routes of both families: what a container has, and what its neighbours know of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod namespaces;

use contract::network::{Endpoint, Gateway6, GatewayMode, Networks, Segment};
use namespaces::{Host, Ns, wait};
use std::net::Ipv4Addr;

fn segment(name: &str, third: u8) -> Segment {
    let six = Some(Gateway6 { address: format!("fd99:{third}::1").parse().unwrap(), prefix: 64 });
    let gateway = Some(Ipv4Addr::new(10, 99, third, 1));
    Segment { name: name.into(), gateway, prefix: 24, six, ..Segment::default() }
}

fn endpoint(segment: &Segment, container: &str, third: u8, last: u8) -> Endpoint {
    Endpoint {
        container: container.into(),
        segment: segment.clone(),
        address: Some(Ipv4Addr::new(10, 99, third, last)),
        address6: Some(format!("fd99:{third}::{last}").parse().unwrap()),
        network: segment.name.clone(),
        network_name: segment.name.clone(),
        ..Endpoint::default()
    }
}

fn join(host: &Host, endpoint: &Endpoint, inside: &Ns) {
    wait(async {
        host.driver.ensure_segment(&endpoint.segment).await.unwrap();
        host.driver.ensure_endpoint(endpoint, inside.path()).await.unwrap();
    });
}

fn defaults(ns: &Ns) -> Vec<String> {
    let shown = ns.sh("ip route show default; ip -6 route show default");
    shown.lines().map(|l| l.split_whitespace().take(5).collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn default_routes_of_each_family_move_between_networks() {
    let host = Host::new();
    let inside = Ns::new();
    let (first, second) = (segment("gt0", 1), segment("gt1", 2));
    let mut one = Endpoint { default_route: true, default_route6: true, ..endpoint(&first, "one", 1, 2) };
    let mut two = endpoint(&second, "one", 2, 2);
    join(&host, &one, &inside);
    join(&host, &two, &inside);
    assert_eq!(defaults(&inside), ["default via 10.99.1.1 dev eth0", "default via fd99:1::1 dev eth0"]);
    (one.default_route6, two.default_route6) = (false, true);
    join(&host, &one, &inside);
    join(&host, &two, &inside);
    assert_eq!(defaults(&inside), ["default via 10.99.1.1 dev eth0", "default via fd99:2::1 dev eth1"]);
    wait(host.driver.remove_endpoint(&two)).unwrap();
    one.default_route6 = true;
    join(&host, &one, &inside);
    assert_eq!(defaults(&inside), ["default via 10.99.1.1 dev eth0", "default via fd99:1::1 dev eth0"]);
    let mut other = first.clone();
    other.via = [Some([10, 99, 1, 9].into()), None];
    join(&host, &Endpoint { segment: other, ..one.clone() }, &inside);
    assert_eq!(defaults(&inside)[0], "default via 10.99.1.9 dev eth0");
}

#[test]
fn two_interfaces_of_one_hardware_address_are_told_apart() {
    let host = Host::new();
    let inside = Ns::new();
    let mac = "02:42:00:00:00:07".to_owned();
    let one = Endpoint { mac: mac.clone(), ..endpoint(&segment("gt0", 1), "one", 1, 2) };
    let two = Endpoint { mac, ..endpoint(&segment("gt1", 2), "one", 2, 2) };
    for _ in 0..2 {
        join(&host, &one, &inside);
        join(&host, &two, &inside);
    }
    let shown = inside.sh("ip -o -4 addr show dev eth1");
    assert!(shown.contains("10.99.2.2/24") && shown.lines().count() == 1, "{shown}");
    assert!(inside.sh("ip -o -4 addr show dev eth0").contains("10.99.1.2/24"));
}

#[test]
fn a_network_of_one_family_leaves_the_other_alone() {
    let host = Host::new();
    let (six, four) = (Ns::new(), Ns::new());
    let only_six = Segment { gateway: None, prefix: 0, ..segment("gt0", 1) };
    let one = Endpoint { address: None, ..endpoint(&only_six, "one", 1, 2) };
    join(&host, &Endpoint { default_route6: true, ..one }, &six);
    assert_eq!(six.sh("ip -o -4 addr show dev eth0"), "");
    six.sh("busybox ping -6 -c 1 -W 20 fd99:1::1");
    let only_four = Segment { six: None, ..segment("gt1", 2) };
    let two = Endpoint { address6: None, ..endpoint(&only_four, "two", 2, 2) };
    join(&host, &Endpoint { default_route: true, ..two }, &four);
    assert_eq!(four.sh("ip -o -6 addr show dev eth0"), "");
    four.sh("busybox ping -c 1 -W 20 10.99.2.1");
}

#[test]
fn an_isolated_bridge_and_an_inhibited_one_have_no_address() {
    let host = Host::new();
    let mut alone = segment("gt0", 1);
    alone.policy.internal = true;
    (alone.policy.mode4, alone.policy.mode6) = (GatewayMode::Isolated, GatewayMode::Isolated);
    let (one, two) = (Ns::new(), Ns::new());
    join(&host, &endpoint(&alone, "one", 1, 2), &one);
    join(&host, &endpoint(&alone, "two", 1, 3), &two);
    assert_eq!(host.ns.sh("ip -o addr show dev gt0"), "");
    one.sh("busybox ping -6 -c 1 -W 20 fd99:1::3; busybox ping -c 1 -W 20 10.99.1.3");
    let mut inhibited = segment("gt1", 2);
    inhibited.policy.inhibit4 = true;
    wait(host.driver.ensure_segment(&inhibited)).unwrap();
    assert_eq!(host.ns.sh("ip -o -4 addr show dev gt1"), "");
    assert!(host.ns.sh("ip -o -6 addr show dev gt1").contains("fd99:2::1/64"));
}

#[test]
fn neighbours_are_told_of_an_address_that_changed_hands() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let host = Host::new();
    let (watcher, first, second) = (Ns::new(), Ns::new(), Ns::new());
    let network = segment("gt0", 1);
    let knows = |mac: &str| {
        let known = watcher.sh("ip neigh show dev eth0");
        ["10.99.1.50 ", "fd99:1::50 "]
            .iter()
            .all(|address| known.lines().any(|l| l.starts_with(address) && l.contains(mac)))
    };
    join(&host, &endpoint(&network, "watcher", 1, 2), &watcher);
    for (container, ns, mac) in [("one", &first, "02:42:aa:aa:aa:01"), ("two", &second, "02:42:aa:aa:aa:02")]
    {
        let shared = Endpoint { mac: mac.into(), ..endpoint(&network, container, 1, 50) };
        runtime.block_on(async {
            host.driver.ensure_endpoint(&shared, ns.path()).await.unwrap();
            // Told in the background: the first holder is asked for, the second one makes itself known.
            if container == "one" {
                watcher.sh("busybox ping -6 -c 1 -W 20 fd99:1::50; busybox ping -c 1 -W 20 10.99.1.50");
            }
            for _ in 0..400 {
                if knows(mac) {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
            assert!(knows(mac), "{}", watcher.sh("ip neigh"));
            host.driver.remove_endpoint(&shared).await.unwrap();
        });
    }
}
