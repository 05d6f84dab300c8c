//! IPv6: networks of both families and of IPv6 alone, their addresses, routes and how they are shown.

use gantry_tests::{Builder, Daemon, OtherHost, Place, eventually};
use serde_json::{Value, json};
use std::sync::Arc;

/// The other host's address, and the place's on the cable between them.
const BEYOND: &str = "fd00:77::2";
const NEAR: &str = "fd00:77::1";

fn sleeper(gantry: &Daemon, name: &str, options: &[&str]) {
    let mut args = vec!["run", "-d", "--name", name];
    args.extend(options);
    args.extend(["busybox", "sleep", "1000"]);
    gantry.docker(args).ok();
}

fn create(gantry: &Daemon, options: &[&str]) -> String {
    let args: Vec<&str> = ["network", "create"].iter().chain(options).copied().collect();
    gantry.docker(args).ok().to_owned()
}

fn network(gantry: &Daemon, name: &str) -> Value {
    gantry.docker(["network", "inspect", name]).json()[0].take()
}

/// What is told of a container on one network.
fn endpoint(gantry: &Daemon, container: &str, network: &str) -> Value {
    gantry.docker(["inspect", container]).json()[0]["NetworkSettings"]["Networks"][network].take()
}

fn pings(gantry: &Daemon, from: &str, address: &str) -> bool {
    gantry.docker(["exec", from, "ping", "-6", "-c", "1", "-W", "2", address]).code == 0
}

fn inside(gantry: &Daemon, container: &str, script: &str) -> String {
    gantry.docker(["exec", container, "sh", "-c", script]).stdout.trim().to_owned()
}

fn host(gantry: &Daemon, script: &str) -> String {
    gantry.place().sh(script).stdout.trim().to_owned()
}

fn with_other_host() -> (Arc<Place>, OtherHost, Daemon) {
    let place = Place::new();
    let other = OtherHost::new(&place);
    place.sh(&format!("ip addr add {NEAR}/64 dev cable nodad")).ok();
    other.sh(&format!("ip addr add {BEYOND}/64 dev cable nodad")).ok();
    let gantry = Builder::at(&place).start();
    (place, other, gantry)
}

#[test]
fn a_dual_stack_network_reaches_neighbours_the_host_and_the_world_and_is_closed_from_outside() {
    let (place, other, gantry) = with_other_host();
    create(&gantry, &["--ipv6", "--subnet", "fd00:5::/64", "dual"]);
    sleeper(&gantry, "aa", &["--network", "dual"]);
    sleeper(&gantry, "bb", &["--network", "dual"]);
    let told = endpoint(&gantry, "aa", "dual");
    assert_eq!(
        (&told["GlobalIPv6Address"], &told["GlobalIPv6PrefixLen"], &told["IPv6Gateway"]),
        (&json!("fd00:5::2"), &json!(64), &json!("fd00:5::1"))
    );
    assert_eq!(told["IPAddress"], "172.18.0.2");
    let shown = network(&gantry, "dual");
    assert_eq!((&shown["EnableIPv4"], &shown["EnableIPv6"]), (&json!(true), &json!(true)));
    let pools = json!([{ "Subnet": "fd00:5::/64" }, { "Subnet": "172.18.0.0/16", "Gateway": "172.18.0.1" }]);
    assert_eq!(shown["IPAM"]["Config"], pools);
    let members = shown["Containers"].as_object().unwrap().values();
    let mut addresses: Vec<&str> = members.filter_map(|m| m["IPv6Address"].as_str()).collect();
    addresses.sort_unstable();
    assert_eq!(addresses, ["fd00:5::2/64", "fd00:5::3/64"]);

    assert!(pings(&gantry, "aa", "fd00:5::3"), "a neighbour");
    assert!(pings(&gantry, "aa", "fd00:5::1"), "the host");
    assert!(pings(&gantry, "aa", BEYOND), "another host, which knows no way back but to the host");
    assert_eq!(place.sh("busybox ping -6 -c 1 -W 2 fd00:5::3").code, 0, "the host reaches a container");
    assert_eq!(gantry.docker(["exec", "aa", "ping", "-c", "1", "-W", "2", "172.18.0.3"]).code, 0);
    other.sh(&format!("ip route add fd00:5::/64 via {NEAR}")).ok();
    assert_ne!(other.sh("busybox ping -6 -c 1 -W 1 fd00:5::3").code, 0, "nothing is published");

    let route = inside(&gantry, "aa", "ip -6 route");
    assert!(route.contains("default via fd00:5::1 dev eth0"), "{route}");
    let hosts = inside(&gantry, "aa", "cat /etc/hosts");
    assert!(hosts.contains("::1\tlocalhost ip6-localhost ip6-loopback"), "{hosts}");
    assert!(hosts.contains("\nfd00:5::2\t"), "{hosts}");
    let settings = inside(&gantry, "aa", "cat /proc/sys/net/ipv6/conf/eth0/disable_ipv6");
    assert_eq!(settings, "0");
}

#[test]
fn a_container_without_ipv6_networks_has_it_on_loopback_alone_and_connecting_gives_it_ipv6() {
    let gantry = Daemon::start();
    create(&gantry, &["--ipv6", "--subnet", "fd00:5::/64", "six"]);
    sleeper(&gantry, "aa", &[]);
    let addresses = inside(&gantry, "aa", "ip -6 -o addr");
    assert!(addresses.contains("::1/128") && addresses.lines().count() == 1, "{addresses}");
    assert_eq!(inside(&gantry, "aa", "cat /proc/sys/net/ipv6/conf/eth0/disable_ipv6"), "1");
    gantry.docker(["network", "connect", "--ip6", "fd00:5::77", "six", "aa"]).ok();
    assert_eq!(endpoint(&gantry, "aa", "six")["GlobalIPv6Address"], "fd00:5::77");
    assert!(pings(&gantry, "aa", "fd00:5::1"));
    assert_eq!(host(&gantry, "busybox ping -6 -c 1 -W 2 fd00:5::77 >/dev/null; echo $?"), "0");
    assert_eq!(inside(&gantry, "aa", "cat /proc/sys/net/ipv6/conf/eth0/disable_ipv6"), "1");
    gantry.docker(["network", "disconnect", "six", "aa"]).ok();
    let routes = inside(&gantry, "aa", "ip -6 route show default");
    assert_eq!(routes, "");
    gantry.docker(["network", "rm", "six"]).ok();
}

#[test]
fn subnets_of_ipv6_are_chosen_in_order_from_the_daemon_s_own_prefix_and_used_again() {
    let mut gantry = Daemon::start();
    let subnet = |gantry: &Daemon, name: &str| {
        let config = network(gantry, name)["IPAM"]["Config"].take();
        let six = config.as_array().unwrap().iter().find(|c| c["Subnet"].as_str().unwrap().contains(':'));
        six.unwrap()["Subnet"].as_str().unwrap().to_owned()
    };
    for name in ["one", "two"] {
        create(&gantry, &["--ipv6", name]);
    }
    let (one, two) = (subnet(&gantry, "one"), subnet(&gantry, "two"));
    assert!(one.starts_with("fd") && one.ends_with("::/64") && one != two, "{one} {two}");
    assert_eq!(two, one.replace("::/64", ":1::/64"));
    gantry.docker(["network", "rm", "one"]).ok();
    gantry.kill();
    gantry.start_again();
    create(&gantry, &["--ipv6", "again"]);
    assert_eq!(subnet(&gantry, "again"), one, "the prefix is the daemon's, over restarts too");
    let said = gantry.docker(["network", "create", "--ipv6", "--subnet", &two, "taken"]);
    assert!(said.fails(1).contains("Pool overlaps with other one on this address space"), "{said}");
}

#[test]
fn pools_of_ipv6_are_configured_and_run_out() {
    let pools = json!([{ "base": "fd00:9::/63", "size": 64 }, { "base": "10.60.0.0/16", "size": 24 }]);
    let gantry = Builder::new().config(&json!({ "default-address-pools": pools })).start();
    create(&gantry, &["--ipv6", "one"]);
    let config = network(&gantry, "one")["IPAM"]["Config"].take();
    let pool = |subnet: &str, gateway: &str| json!({ "Subnet": subnet, "Gateway": gateway });
    assert_eq!(config, json!([pool("10.60.0.0/24", "10.60.0.1"), pool("fd00:9::/64", "fd00:9::1")]));
    create(&gantry, &["--ipv6", "two"]);
    let said = gantry.docker(["network", "create", "--ipv6", "three"]);
    assert!(said.fails(1).contains("all predefined address pools have been fully subnetted"), "{said}");
    create(&gantry, &["three"]);
    gantry.docker(["network", "rm", "one"]).ok();
    create(&gantry, &["--ipv6", "four"]);
}

#[test]
fn a_network_does_without_ipv4() {
    let (place, _other, gantry) = with_other_host();
    create(&gantry, &["--ipv4=false", "--ipv6", "--subnet", "fd00:6::/64", "--gateway", "fd00:6::9", "six"]);
    let shown = network(&gantry, "six");
    assert_eq!((&shown["EnableIPv4"], &shown["EnableIPv6"]), (&json!(false), &json!(true)));
    assert_eq!(shown["IPAM"]["Config"], json!([{ "Subnet": "fd00:6::/64", "Gateway": "fd00:6::9" }]));
    sleeper(&gantry, "aa", &["--network", "six"]);
    sleeper(&gantry, "bb", &["--network", "six"]);
    let told = endpoint(&gantry, "aa", "six");
    assert_eq!((&told["IPAddress"], &told["Gateway"]), (&json!(""), &json!("")));
    assert_eq!(told["GlobalIPv6Address"], "fd00:6::1");
    assert!(told["MacAddress"].as_str().unwrap().starts_with("02:42:"));
    assert!(pings(&gantry, "aa", "fd00:6::2") && pings(&gantry, "aa", BEYOND));
    assert_eq!(inside(&gantry, "aa", "ip -4 -o addr show eth0; ip -4 route"), "");
    assert_eq!(place.sh("busybox ping -6 -c 1 -W 2 fd00:6::1").code, 0);
    let said = gantry.docker(["network", "create", "--ipv4=false", "neither"]);
    assert!(said.fails(1).contains("IPv4 or IPv6 must be enabled"), "{said}");
    gantry.docker(["rm", "-f", "aa", "bb"]).ok();
    gantry.docker(["network", "rm", "six"]).ok();
    assert_eq!(host(&gantry, "ip -br link show type bridge | grep -v gantry0"), "");
}

#[test]
fn the_default_bridge_has_ipv6_where_it_is_asked_for() {
    let place = Place::new();
    let other = OtherHost::new(&place);
    place.sh("ip -6 addr flush dev cable; echo 1 > /proc/sys/net/ipv6/conf/cable/accept_ra").ok();
    place.sh(&format!("ip addr add {NEAR}/64 dev cable nodad")).ok();
    other.sh(&format!("ip addr add {BEYOND}/64 dev cable nodad")).ok();
    let config = json!({ "ipv6": true, "bip6": "fd00:8::5/64", "fixed-cidr-v6": "fd00:8::100/120" });
    let gantry = Builder::at(&place).config(&config).start();
    sleeper(&gantry, "aa", &[]);
    let settings = gantry.docker(["inspect", "aa"]).json()[0]["NetworkSettings"].take();
    assert_eq!(
        (&settings["GlobalIPv6Address"], &settings["IPv6Gateway"], &settings["GlobalIPv6PrefixLen"]),
        (&json!("fd00:8::100"), &json!("fd00:8::5"), &json!(64))
    );
    let shown = network(&gantry, "bridge");
    assert_eq!(shown["EnableIPv6"], true);
    let six = json!({ "Subnet": "fd00:8::/64", "IPRange": "fd00:8::100/120", "Gateway": "fd00:8::5" });
    assert_eq!(shown["IPAM"]["Config"][1], six);
    assert!(pings(&gantry, "aa", BEYOND));
    assert_eq!(host(&gantry, "cat /proc/sys/net/ipv6/conf/all/forwarding"), "1");
    let accepts = host(&gantry, "cat /proc/sys/net/ipv6/conf/cable/accept_ra");
    assert_eq!(accepts, "2", "routers are still listened to");
}

#[test]
fn addresses_are_fixed_reserved_and_kept_within_ranges() {
    let gantry = Daemon::start();
    let range = ["--ip-range", "fd00:5::10/126", "--aux-address", "router=fd00:5::11"];
    let mut args = vec!["--ipv6", "--subnet", "fd00:5::/64", "--gateway", "fd00:5::1"];
    args.extend(range);
    args.extend(["--subnet", "10.50.0.0/24", "--ip-range", "10.50.0.128/25", "six"]);
    create(&gantry, &args);
    let shown = network(&gantry, "six")["IPAM"]["Config"].take();
    let four = json!({ "Subnet": "10.50.0.0/24", "IPRange": "10.50.0.128/25" });
    let six = json!({
        "Subnet": "fd00:5::/64", "IPRange": "fd00:5::10/126", "Gateway": "fd00:5::1",
        "AuxiliaryAddresses": { "router": "fd00:5::11" },
    });
    assert_eq!(shown, json!([four, six]));
    for (name, wanted) in [("aa", "fd00:5::10"), ("bb", "fd00:5::12"), ("cc", "fd00:5::13")] {
        sleeper(&gantry, name, &["--network", "six"]);
        assert_eq!(endpoint(&gantry, name, "six")["GlobalIPv6Address"], wanted);
    }
    let failing = |options: &[&str], text: &str| {
        let mut args = vec!["run", "--rm", "--network", "six"];
        args.extend(options);
        args.extend(["busybox", "true"]);
        let said = gantry.docker(args);
        assert!(said.code != 0 && said.stderr.contains(text), "{text} in {said}");
    };
    failing(&[], "no available IPv6 addresses on this network's address pools: six");
    failing(&["--ip6", "fd00:5::12"], "Address already in use");
    failing(&["--ip6", "fd00:5::11"], "Address already in use");
    failing(&["--ip6", "fd00:5::1"], "Address already in use");
    failing(&["--ip6", "fd00:6::2"], "no configured subnet or ip-range contain the IP address fd00:6::2");
    failing(&["--ip6", "fd00:5::99", "--ip", "10.50.0.129"], "Address already in use");
    let fixed = [
        "--network",
        "six",
        "--ip6",
        "fd00:5::99",
        "--ip",
        "10.50.0.9",
        "--mac-address",
        "02:42:00:00:00:99",
    ];
    sleeper(&gantry, "dd", &fixed);
    let told = endpoint(&gantry, "dd", "six");
    assert_eq!(told["IPAMConfig"], json!({ "IPv4Address": "10.50.0.9", "IPv6Address": "fd00:5::99" }));
    assert_eq!(
        (&told["GlobalIPv6Address"], &told["MacAddress"]),
        (&json!("fd00:5::99"), &json!("02:42:00:00:00:99"))
    );
    assert!(pings(&gantry, "aa", "fd00:5::99"));
    gantry.docker(["network", "disconnect", "six", "cc"]).ok();
    let said = gantry.docker(["network", "connect", "--ip6", "fd00:5::99", "six", "cc"]);
    assert!(said.fails(1).contains("Address already in use"), "{said}");
    gantry.docker(["network", "connect", "six", "cc"]).ok();
    assert_eq!(endpoint(&gantry, "cc", "six")["GlobalIPv6Address"], "fd00:5::13");
    create(&gantry, &["--ipv6", "chosen"]);
    let said = gantry.docker(["network", "connect", "--ip6", "fd00::2", "chosen", "cc"]);
    let text = "user specified IP address is supported only when connecting to networks with user configured subnets";
    assert!(said.fails(1).contains(text), "{said}");
    let said = gantry.docker(["run", "--rm", "--ip6", "fd00::2", "busybox", "true"]);
    assert!(
        said.stderr.contains("user specified IP address is supported on user defined networks only"),
        "{said}"
    );
}

#[test]
fn the_daemon_knows_ipv6_addresses_again_after_it_was_killed() {
    let mut gantry = Daemon::start();
    create(&gantry, &["--ipv6", "--subnet", "fd00:5::/64", "six"]);
    sleeper(&gantry, "aa", &["--network", "six"]);
    sleeper(&gantry, "bb", &["--network", "six"]);
    gantry.docker(["rm", "-f", "aa"]).ok();
    gantry.kill();
    gantry.start_again();
    assert_eq!(endpoint(&gantry, "bb", "six")["GlobalIPv6Address"], "fd00:5::3");
    for (name, wanted) in [("cc", "fd00:5::2"), ("dd", "fd00:5::4")] {
        sleeper(&gantry, name, &["--network", "six"]);
        assert_eq!(endpoint(&gantry, name, "six")["GlobalIPv6Address"], wanted);
    }
    assert!(pings(&gantry, "bb", "fd00:5::4"));
}

#[test]
fn each_family_s_default_route_is_given_by_the_highest_priority_and_never_by_an_internal_network() {
    let gantry = Daemon::start();
    create(&gantry, &["--subnet", "10.51.0.0/24", "afour"]);
    create(&gantry, &["--ipv6", "--subnet", "fd00:5::/64", "--subnet", "10.52.0.0/24", "both"]);
    create(&gantry, &["--ipv6", "--subnet", "fd00:6::/64", "--subnet", "10.53.0.0/24", "other"]);
    create(&gantry, &["--internal", "--ipv6", "--subnet", "fd00:7::/64", "inner"]);
    let gateways = |options: &[&str]| {
        let mut args = vec!["run", "--rm"];
        args.extend(options.iter().flat_map(|n| ["--network", n]));
        args.extend(["busybox", "sh", "-c", "(ip route; ip -6 route) | grep ^default || true"]);
        let out = gantry.docker(args).ok().to_owned();
        let hops: Vec<String> =
            out.lines().map(|l| l.split_whitespace().nth(2).unwrap_or_default().to_owned()).collect();
        hops.join(" ")
    };
    assert_eq!(gateways(&["afour", "both"]), "10.52.0.1 fd00:5::1", "one that has both goes first");
    assert_eq!(gateways(&["both", "other"]), "10.52.0.1 fd00:5::1");
    assert_eq!(gateways(&["both", "name=other,gw-priority=1"]), "10.53.0.1 fd00:6::1");
    assert_eq!(gateways(&["name=afour,gw-priority=1", "both"]), "10.51.0.1 fd00:5::1");
    assert_eq!(gateways(&["inner"]), "");
    assert_eq!(gateways(&["inner", "other"]), "10.53.0.1 fd00:6::1");
    // A network that goes takes its route along to the next.
    sleeper(&gantry, "aa", &["--network", "both"]);
    gantry.docker(["network", "connect", "--gw-priority", "5", "other", "aa"]).ok();
    let default = |gantry: &Daemon| inside(gantry, "aa", "ip -6 route show default");
    assert!(default(&gantry).contains("via fd00:6::1 dev eth1"), "{}", default(&gantry));
    gantry.docker(["network", "disconnect", "other", "aa"]).ok();
    assert!(default(&gantry).contains("via fd00:5::1 dev eth0"), "{}", default(&gantry));
}

#[test]
fn subnets_that_cannot_be_are_refused_in_docker_s_words() {
    let gantry = Daemon::start();
    let refused = |args: &[&str], text: &str| {
        let said = gantry.docker(["network", "create"].iter().chain(args));
        assert!(said.code == 1 && said.stderr.contains(text), "{text} in {said}");
    };
    refused(&["--ipv6", "--subnet", "fd00::1/64", "n"], "invalid subnet fd00::1/64: it should be fd00::/64");
    refused(&["--ipv6", "--subnet", "ff02::/16", "n"], "multicast subnet 'ff02::/16' is not allowed");
    refused(&["--ipv6", "--subnet", "fe80::/80", "n"], "clashes with the Link-Local prefix 'fe80::/64'");
    refused(
        &["--ipv6", "--subnet", "fd00:1::/64", "--subnet", "fd00:2::/64", "n"],
        "bridge driver doesn't support multiple subnets",
    );
    let taken =
        ["--ipv6", "--subnet", "fd00::/64", "--gateway", "fd00::1", "--aux-address", "x=fd00::1", "n"];
    refused(&taken, "failed to allocate secondary ip address (x:fd00::1): Address already in use");
    refused(&["-o", "com.docker.network.bridge.gateway_mode_ipv6=x", "n"], "(unknown gateway mode x)");
    refused(
        &["-o", "com.docker.network.bridge.gateway_mode_ipv4=isolated", "n"],
        "gateway mode 'isolated' can only be used for an internal network",
    );
    let said = gantry.gantry(["network", "create", "--subnet", "fd00:1::/64", "warned"]);
    assert!(said.stderr.contains("IPv6 is not enabled: fd00:1::/64 is not used"), "{said}");
    assert_eq!(network(&gantry, "warned")["EnableIPv6"], false);
    assert_eq!(gantry.docker(["network", "ls", "-q", "--filter", "type=custom"]).lines().len(), 1);
}

#[test]
fn new_networks_get_options_that_the_daemon_was_given_and_interfaces_other_names() {
    let options = json!({ "bridge": { "com.docker.network.enable_ipv6": "true", "com.docker.network.driver.mtu": "1400" } });
    let gantry = Builder::new().config(&json!({ "default-network-opts": options })).start();
    create(&gantry, &["-o", "com.docker.network.container_iface_prefix=lan", "one"]);
    let shown = network(&gantry, "one");
    assert_eq!(
        (&shown["EnableIPv6"], &shown["Options"]["com.docker.network.driver.mtu"]),
        (&json!(true), &json!("1400"))
    );
    let link =
        gantry.docker(["run", "--rm", "--network", "one", "busybox", "ip", "-o", "link", "show", "lan0"]);
    assert!(link.ok().contains("mtu 1400"), "{link}");
    create(&gantry, &["--ipv6=false", "two"]);
    assert_eq!(network(&gantry, "two")["EnableIPv6"], false);
}

#[test]
fn an_isolated_bridge_has_no_address_and_its_containers_reach_each_other_alone() {
    let gantry = Daemon::start();
    let mode = |version: &str| format!("com.docker.network.bridge.gateway_mode_{version}=isolated");
    let (four, six) = (mode("ipv4"), mode("ipv6"));
    create(&gantry, &["--internal", "--ipv6", "--subnet", "fd00:5::/64", "-o", &four, "-o", &six, "alone"]);
    sleeper(&gantry, "aa", &["--network", "alone"]);
    sleeper(&gantry, "bb", &["--network", "alone"]);
    let bridge = format!("br-{}", &network(&gantry, "alone")["Id"].as_str().unwrap()[..12]);
    assert_eq!(host(&gantry, &format!("ip -o addr show dev {bridge}")), "");
    let other = endpoint(&gantry, "bb", "alone")["GlobalIPv6Address"].as_str().unwrap().to_owned();
    assert!(pings(&gantry, "aa", &other));
    assert!(!pings(&gantry, "aa", "fd00:5::1"));
    assert_eq!(endpoint(&gantry, "aa", "alone")["Gateway"], "");
}

#[test]
fn an_address_that_changes_hands_is_reached_at_once() {
    let gantry = Daemon::start();
    create(&gantry, &["--ipv6", "--subnet", "fd00:5::/64", "--subnet", "10.55.0.0/24", "six"]);
    sleeper(&gantry, "aa", &["--network", "six"]);
    for mac in ["02:42:aa:aa:aa:01", "02:42:aa:aa:aa:02"] {
        let fixed = ["--network", "six", "--ip6", "fd00:5::50", "--ip", "10.55.0.50", "--mac-address", mac];
        sleeper(&gantry, "bb", &fixed);
        eventually("the neighbour knows its hardware address", || {
            pings(&gantry, "aa", "fd00:5::50");
            let known = inside(&gantry, "aa", "ip -6 neigh show fd00:5::50");
            known.contains(mac).then_some(())
        });
        // Neighbours forget an address that does not answer after half a minute at the soonest.
        assert!(pings(&gantry, "aa", "fd00:5::50"));
        assert_eq!(gantry.docker(["exec", "aa", "ping", "-c", "1", "-W", "2", "10.55.0.50"]).code, 0);
        gantry.docker(["rm", "-f", "bb"]).ok();
    }
}

#[test]
fn routed_containers_are_reached_at_their_own_addresses_where_ports_are_published() {
    let (_place, other, gantry) = with_other_host();
    let routed = "com.docker.network.bridge.gateway_mode_ipv6=routed";
    create(&gantry, &["--ipv6", "--subnet", "fd00:5::/64", "-o", routed, "net"]);
    let serve = "mkdir /www; echo page > /www/index.html; httpd -p '[::]:81' -h /www; exec httpd -f -p '[::]:80' -h /www";
    gantry
        .docker([
            "run",
            "-d",
            "--name",
            "web",
            "--network",
            "net",
            "-p",
            "8080:80",
            "busybox",
            "sh",
            "-c",
            serve,
        ])
        .ok();
    other.sh(&format!("ip route add fd00:5::/64 via {NEAR}")).ok();
    let get = |address: &str| other.sh(&format!("timeout 2 busybox wget -qO- http://{address}/")).stdout;
    eventually("the published port answers at the container's own address", || {
        (get("[fd00:5::2]:80") == "page\n").then_some(())
    });
    assert_eq!(get("[fd00:5::2]:81"), "", "what is not published stays closed");
    assert_eq!(get(&format!("[{NEAR}]:8080")), "", "and the host's port is IPv4's alone");
    eventually("the host's port answers", || {
        (get(&format!("{}:8080", OtherHost::HOST)) == "page\n").then_some(())
    });
    assert!(pings(&gantry, "web", BEYOND), "the other host has a route back");
    other.sh("ip route del fd00:5::/64").ok();
    assert!(!pings(&gantry, "web", BEYOND), "no address is rewritten on the way out");
}

#[test]
fn ports_are_published_over_ipv6_on_loopback_and_every_address() {
    let (place, other, gantry) = with_other_host();
    create(&gantry, &["--ipv6", "--subnet", "fd00:5::/64", "net"]);
    let serve = "mkdir /www; echo page > /www/index.html; exec httpd -f -p '[::]:80' -h /www";
    gantry
        .docker([
            "run",
            "-d",
            "--name",
            "web",
            "--network",
            "net",
            "-p",
            "8080:80",
            "busybox",
            "sh",
            "-c",
            serve,
        ])
        .ok();
    let page = "page\n";
    let get = |address: &str| format!("timeout 20 busybox wget -qO- http://{address}/");
    let near = format!("[{NEAR}]:8080");
    eventually("the web server answers", || (place.sh(&get(&near)).stdout == page).then_some(()));
    assert_eq!(other.sh(&get(&near)).stdout, page);
    assert_eq!(other.sh(&get(&format!("{}:8080", OtherHost::HOST))).stdout, page);
    assert_eq!(gantry.docker(["exec", "web", "wget", "-qO-", &format!("http://{near}/")]).ok(), "page");
    let shown = gantry.docker(["port", "web", "80"]);
    assert_eq!(shown.lines(), ["0.0.0.0:8080", "[::]:8080"]);
}
