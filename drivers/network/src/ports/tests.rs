use super::*;

fn endpoint(container: &str) -> Endpoint {
    let address = Some(Ipv4Addr::new(172, 17, 0, 2));
    Endpoint { container: container.into(), address, ..Endpoint::default() }
}

fn tcp(host_port: u16) -> PortSpec {
    range(host_port, host_port)
}

fn range(host_port: u16, last_host_port: u16) -> PortSpec {
    let host_ip = Some(Ipv4Addr::LOCALHOST.into());
    PortSpec { protocol: Protocol::Tcp, host_ip, host_port, last_host_port, container_port: 80 }
}

/// Three ports in a row of which the first is in use, by the listener.
fn taken() -> (std::net::TcpListener, u16) {
    loop {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let free = |n| std::net::TcpListener::bind(("127.0.0.1", port + n)).is_ok();
        if port < 65000 && free(1) && free(2) {
            return (taken, port);
        }
    }
}

#[test]
fn a_taken_port_is_refused_in_dockers_words_and_nothing_stays_held() {
    let (_taken, port) = taken();
    let mut ports = Reservations::new();
    let error = ports.reserve(&endpoint("c"), vec![tcp(0), tcp(port)]).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("failed to bind host port for 127.0.0.1:{port}:172.17.0.2:80/tcp: address already in use")
    );
    assert!(ports.held.is_empty() && ports.containers.is_empty());
}

#[test]
fn reserving_again_gives_the_same_port_until_released() {
    let mut ports = Reservations::new();
    let (c, d) = (endpoint("c"), endpoint("d"));
    let first = ports.reserve(&c, vec![tcp(0)]).unwrap();
    assert_eq!(ports.reserve(&c, vec![tcp(0)]).unwrap(), first);
    let known: Vec<PortSpec> = first.iter().map(PortSpec::from).collect();
    assert_eq!(ports.reserve(&c, known.clone()).unwrap(), first);
    let refused = ports.reserve(&d, known).unwrap_err();
    let words = format!("Bind for 127.0.0.1:{} failed: port is already allocated", first[0].host_port);
    let target = c.address.unwrap().into();
    assert!(ports.held_by_other("d", &first[0], target) && refused.to_string() == words, "{refused}");
    ports.release(&c);
    // Another program may be quicker than "d": what counts is that nobody here has it.
    assert!(!ports.held_by_other("d", &first[0], target) && ports.held.is_empty());
}

#[test]
fn of_a_range_the_first_free_port_is_taken_and_an_exact_one_goes_before() {
    let (_taken, port) = taken();
    let mut ports = Reservations::new();
    let got = ports.reserve(&endpoint("c"), vec![range(port, port + 2), tcp(port + 1)]).unwrap();
    assert_eq!(got.iter().map(|b| b.host_port).collect::<Vec<_>>(), [port + 1, port + 2]);
    let refused = ports.reserve(&endpoint("d"), vec![range(port + 1, port + 2)]).unwrap_err();
    assert_eq!(
        refused.to_string(),
        format!("Bind for 127.0.0.1:{} failed: port is already allocated", port + 2)
    );
}

#[test]
fn one_container_cannot_have_a_port_twice() {
    let (_taken, port) = taken();
    let mut ports = Reservations::new();
    let mut twice = vec![tcp(port + 1), tcp(port + 1)];
    twice[1].container_port = 81;
    let refused = ports.reserve(&endpoint("c"), twice).unwrap_err();
    let words = format!("Bind for 127.0.0.1:{} failed: port is already allocated", port + 1);
    assert!(refused.to_string() == words && ports.held.is_empty(), "{refused}");
}

#[test]
fn without_an_address_both_families_get_the_same_port_where_the_container_has_both() {
    let mut ports = Reservations::new();
    let mut both = endpoint("c");
    both.address6 = Some("fd00::2".parse().unwrap());
    let got = ports.reserve(&both, vec![PortSpec { host_ip: None, ..tcp(0) }]).unwrap();
    let hosts: Vec<String> = got.iter().map(|b| b.host_ip.to_string()).collect();
    if bind::has_ipv6() {
        assert_eq!(hosts, ["0.0.0.0", "::"]);
        assert_eq!(got[0].host_port, got[1].host_port);
    }
    let got = ports.reserve(&endpoint("d"), vec![PortSpec { host_ip: None, ..tcp(0) }]).unwrap();
    assert_eq!(got.len(), 1, "nothing leads from IPv6 to a container with IPv4 alone");
    ports.release(&both);
    ports.release(&endpoint("d"));
    assert!(ports.held.is_empty());
}
