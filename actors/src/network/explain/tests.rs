use super::*;
use crate::Status;
use crate::network::default_spec;
use crate::network::plan::default_pools;
use contract::network::{PortBinding, Protocol, Segment, Subnet};
use contract::record::{Attachment, ContainerSpec, ContainerState};
use std::net::{IpAddr, Ipv4Addr};

fn network(name: &str, third: u8) -> NetworkSpec {
    let segment = Segment {
        name: format!("br-{name}"),
        gateway: Some(Ipv4Addr::new(172, third, 0, 1)),
        prefix: 16,
        ..Segment::default()
    };
    NetworkSpec { id: format!("{name}-id"), name: name.into(), ..default_spec(&segment) }
}

fn port(host_ip: &str, host_port: u16) -> PortBinding {
    PortBinding { protocol: Protocol::Tcp, host_ip: host_ip.parse().unwrap(), host_port, container_port: 80 }
}

fn container(name: &str, on: &NetworkSpec, last: u8, ports: &[PortBinding]) -> Arc<Snapshot> {
    let [a, b, c, _] = on.segment.gateway.unwrap().octets();
    let endpoint = Endpoint {
        container: format!("{name}-container"),
        segment: on.segment.clone(),
        address: Some(Ipv4Addr::new(a, b, c, last)),
        ports: ports.to_vec(),
        network: on.id.clone(),
        network_name: on.name.clone(),
        default_route: true,
        ..Endpoint::default()
    };
    let attachment = Attachment { aliases: vec!["alias".into()], ..Attachment::default() };
    let spec = ContainerSpec {
        id: endpoint.container.clone(),
        exposed: vec!["80/tcp".into(), "9/udp".into()],
        ..Default::default()
    };
    let networks = BTreeMap::from([(on.name.clone(), attachment)]);
    let state =
        ContainerState { name: name.into(), endpoints: vec![endpoint], networks, ..Default::default() };
    Arc::new(Snapshot {
        spec: Arc::new(spec),
        state,
        status: Status::Running,
        pid: 1,
        execs: vec![],
        generation: 0,
    })
}

fn lease(spec: &NetworkSpec, last: u8) -> Lease {
    let [a, b, c, _] = spec.segment.gateway.unwrap().octets();
    Lease { four: Some(Ipv4Addr::new(a, b, c, last)), six: None }
}

fn facts(spec: NetworkSpec, containers: Vec<Arc<Snapshot>>, survey: Survey) -> Facts {
    let leases =
        containers.iter().zip(2..).map(|(c, last)| (c.spec.id.clone(), lease(&spec, last))).collect();
    let network = NetworkFacts { spec: Arc::new(spec), leases, survey: Ok(survey) };
    Facts { pools: Arc::new(default_pools()), taken: Taken::default(), networks: vec![network], containers }
}

#[test]
fn pools_tell_what_is_left_of_them_and_who_has_the_rest() {
    let mut facts = facts(network("web", 20), vec![], Survey::default());
    let route = |text: &str| Subnet::parse(text).unwrap().1;
    // Its own bridge's route, one that touches two places, and one larger than a pool.
    facts.taken.subnets =
        ["172.20.0.0/16", "172.21.0.0/16", "172.22.9.0/24", "172.24.0.0/13"].map(route).into();
    let pools = explain(&facts, None).pools;
    let left: Vec<(u64, u64)> = pools.iter().map(|p| (p.left, p.networks)).collect();
    assert_eq!(left, [(1, 1), (1, 1), (1, 1), (1, 4), (0, 4), (0, 4), (16, 16)]);
    let held: Vec<(&str, &str)> = pools[3].held.iter().map(|h| (h.subnet.as_str(), h.by.as_str())).collect();
    let host = "a route of this host";
    assert_eq!(held, [("172.20.0.0/16", "network web"), ("172.21.0.0/16", host), ("172.22.9.0/24", host)]);
}

#[test]
fn each_address_has_its_holder_and_the_rest_is_free() {
    let mut spec = network("web", 18);
    spec.range = Some(Subnet::around(Ipv4Addr::new(172, 18, 0, 0), 29));
    spec.auxiliary.insert("router".into(), Ipv4Addr::new(172, 18, 0, 7).into());
    let mut facts = facts(spec.clone(), vec![container("db", &spec, 2, &[])], Survey::default());
    facts.networks[0].leases.insert("departing-container".into(), lease(&spec, 3));
    let network = &explain(&facts, None).networks[0];
    let subnet = &network.subnets[0];
    // Of eight addresses the first, the gateway and the router's are nobody's.
    assert_eq!((subnet.addresses, subnet.free, subnet.range.as_deref()), (5, 3, Some("172.18.0.0/29")));
    let holders: Vec<(String, HolderKind, &str)> =
        subnet.holders.iter().map(|h| (h.address.to_string(), h.kind, h.name.as_str())).collect();
    let wanted = [
        ("172.18.0.1".to_owned(), HolderKind::Gateway, "br-web"),
        ("172.18.0.2".to_owned(), HolderKind::Container, "db"),
        ("172.18.0.3".to_owned(), HolderKind::Container, "departing-co"),
        ("172.18.0.7".to_owned(), HolderKind::Reserved, "router"),
    ];
    assert_eq!(holders, wanted);
    let member = &network.members[0];
    assert_eq!(
        (member.names.as_slice(), member.default_route),
        (["db", "alias", "db-container"].map(str::to_owned).as_slice(), true)
    );
}

#[test]
fn ports_are_reached_as_far_as_address_and_rules_let_them() {
    let spec = network("web", 18);
    let wanted =
        [port("0.0.0.0", 8080), port("127.0.0.1", 8081), port("172.18.0.1", 8082), port("10.9.9.9", 8083)];
    let target: IpAddr = Ipv4Addr::new(172, 18, 0, 2).into();
    let installed = |ports: &[PortBinding]| Survey {
        ports: ports.iter().map(|p| (p.clone(), target)).collect(),
        ..Survey::default()
    };
    let web = container("web", &spec, 2, &wanted);
    let reached = |spec: &NetworkSpec, survey: Survey| {
        let explained = explain(&facts(spec.clone(), vec![Arc::clone(&web)], survey), None);
        let ports = &explained.networks[0].ports;
        ports.iter().map(|p| (p.host.map_or(0, |h| h.port()), p.reached_from)).collect::<Vec<_>>()
    };
    let open = reached(&spec, installed(&wanted));
    let expected = [
        (8080, Reach::AnyHost),
        (8083, Reach::AnyHost),
        (8081, Reach::ThisHost),
        (8082, Reach::Network),
        (0, Reach::Network),
    ];
    assert_eq!(open, expected);
    let mut closed = spec.clone();
    closed.segment.policy.internal = true;
    closed.segment.policy.icc = false;
    let inside = reached(&closed, installed(&wanted));
    assert_eq!(inside.iter().filter(|(_, reach)| *reach == Reach::AnyHost).count(), 0);
    assert_eq!(inside.last(), Some(&(0, Reach::ThisHost)));
    let mut routed = spec.clone();
    routed.segment.policy.mode4 = contract::network::GatewayMode::Routed;
    assert_eq!(reached(&routed, installed(&wanted))[2], (8081, Reach::AnyHost));
    let direct = container("web", &routed, 2, &[port("0.0.0.0", 0)]);
    let explained =
        explain(&facts(routed.clone(), vec![direct], Survey::default()), None).networks[0].clone();
    let told = &explained.ports[0];
    assert_eq!((told.host.unwrap().to_string(), told.reached_from), ("172.18.0.2:80".into(), Reach::AnyHost));
    assert!(explained.kernel.unwrap().missing.is_empty());
    routed.segment.policy.mode4 = contract::network::GatewayMode::Isolated;
    assert!(reached(&routed, installed(&wanted)).iter().all(|(_, reach)| *reach == Reach::Containers));
    let flushed = reached(&spec, Survey::default());
    assert!(flushed.iter().take(4).all(|(_, reach)| *reach == Reach::Nobody), "{flushed:?}");
}

#[test]
fn what_the_kernel_lacks_and_what_is_nobodys_is_told() {
    let spec = network("web", 18);
    let web = container("web", &spec, 2, &[port("0.0.0.0", 8080), port("127.0.0.1", 8081)]);
    let (here, gone): (IpAddr, IpAddr) =
        (Ipv4Addr::new(172, 18, 0, 2).into(), Ipv4Addr::new(172, 18, 0, 9).into());
    let survey = Survey {
        interfaces: vec!["veth1".into()],
        ports: vec![(port("0.0.0.0", 8080), here), (port("0.0.0.0", 9090), gone)],
        missing: vec!["1 of 4 rules of chain forward".into()],
    };
    let mut facts = facts(spec, vec![web], survey);
    let kernel = |facts: &Facts| explain(facts, None).networks[0].kernel.clone().unwrap();
    let found = kernel(&facts);
    assert_eq!(found.missing, ["1 of 4 rules of chain forward", "published port 127.0.0.1:8081/tcp of web"]);
    assert_eq!(found.stray, ["published port 0.0.0.0:9090/tcp to 172.18.0.9"]);
    assert_eq!((found.interfaces, found.ports), (1, 2));
    facts.networks[0].survey = Err("no netlink".into());
    assert_eq!(kernel(&facts).unknown.as_deref(), Some("no netlink"));
}

#[test]
fn one_network_is_chosen_by_its_id_and_those_without_addresses_are_known_too() {
    let facts = facts(network("web", 18), vec![], Survey::default());
    let names =
        |only: Option<&str>| explain(&facts, only).networks.into_iter().map(|n| n.name).collect::<Vec<_>>();
    assert_eq!(names(None), ["web", "host", "none"]);
    assert_eq!(names(Some("web-id")), ["web"]);
    assert_eq!(names(Some(&crate::network::id("host"))), ["host"]);
}

#[test]
fn sentences_are_told_by_family_only_where_the_families_differ() {
    let mut spec = network("web", 18);
    let told = reach::sentences(&spec);
    assert_eq!(told.len(), 4);
    let address = "fd00::1".parse().unwrap();
    spec.segment.six = Some(contract::network::Gateway6 { address, prefix: 64 });
    assert_eq!(reach::sentences(&spec), told);
    spec.segment.policy.mode6 = contract::network::GatewayMode::Routed;
    let apart = reach::sentences(&spec);
    assert_eq!(apart.len(), 7);
    assert_eq!(
        apart[3],
        "IPv6: Other hosts that have a route reach published ports, at the containers' own addresses."
    );
}
