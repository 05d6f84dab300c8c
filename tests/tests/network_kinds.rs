//! Networks over an interface of the host: macvlan, ipvlan where the kernel has it, and networks of configuration alone.

use gantry_tests::{Builder, Daemon, OtherHost, Place, eventually};
use serde_json::json;
use std::sync::Arc;

/// The cable's subnet, whose second half is gantry's to give away.
const LAN: [&str; 6] =
    ["--subnet", "10.77.0.0/24", "--ip-range", "10.77.0.128/25", "--gateway", OtherHost::ADDRESS];

fn on_a_lan() -> (Arc<Place>, OtherHost, Daemon) {
    let place = Place::new();
    let other = OtherHost::new(&place);
    let gantry = Builder::at(&place).start();
    (place, other, gantry)
}

fn made(gantry: &Daemon, driver: &str, options: &[&str], name: &str) -> String {
    gantry.docker(["network", "create", "-d", driver].iter().chain(options).chain(&[name])).ok().to_owned()
}

fn sleeper(gantry: &Daemon, name: &str, options: &[&str]) {
    let args = ["run", "-d", "--name", name];
    gantry.docker(args.iter().chain(options).chain(&["busybox", "sleep", "1000"])).ok();
}

fn inside(gantry: &Daemon, name: &str, command: &str) -> String {
    gantry.docker(["exec", name, "sh", "-c", command]).ok().to_owned()
}

/// A busy machine takes its time over an answer.
fn reaches(gantry: &Daemon, from: &str, address: &str) -> bool {
    gantry.docker(["exec", from, "ping", "-c", "1", "-W", "20", address]).code == 0
}

/// No answer comes, for which nobody waits for long.
fn is_cut_off(gantry: &Daemon, from: &str, address: &str) -> bool {
    gantry.docker(["exec", from, "ping", "-c", "1", "-W", "1", address]).code != 0
}

fn links(place: &Place) -> String {
    place.sh("ip -br link | grep -v -e '^lo ' -e '^gantry0 ' -e '^cable'").stdout
}

#[test]
fn macvlan_containers_are_neighbours_of_another_host_and_not_of_their_own() {
    let (place, other, gantry) = on_a_lan();
    made(&gantry, "macvlan", &[&LAN[..], &["-o", "parent=cable"]].concat(), "lan");
    sleeper(&gantry, "aa", &["--network", "lan", "-p", "8080:80"]);
    sleeper(&gantry, "bb", &["--network", "lan", "--ip", "10.77.0.9", "--mac-address", "02:42:00:00:00:09"]);
    let route = inside(&gantry, "aa", "ip route");
    assert!(route.contains("default via 10.77.0.2 dev eth0"), "{route}");
    let mine = gantry.inspect("aa", "{{.NetworkSettings.Networks.lan.IPAddress}}");
    assert_eq!(mine, "10.77.0.128");
    assert!(reaches(&gantry, "aa", OtherHost::ADDRESS), "the other host");
    assert!(reaches(&gantry, "aa", "10.77.0.9") && reaches(&gantry, "aa", "bb"), "a neighbour, also by name");
    other.sh(&format!("busybox ping -c 1 -W 20 {mine}")).ok();
    assert!(other.sh("ip neigh show 10.77.0.9").stdout.is_empty());
    other.sh("busybox ping -c 1 -W 20 10.77.0.9").ok();
    assert!(other.sh("ip neigh show 10.77.0.9").stdout.contains("02:42:00:00:00:09"));
    assert!(
        is_cut_off(&gantry, "aa", OtherHost::HOST),
        "the host's own address is cut off, as macvlan has it"
    );
    // As with Docker, nothing is published.
    assert_eq!(gantry.inspect("aa", "{{json .NetworkSettings.Ports}}"), "{}");
    assert!(!place.listens(8080) && !place.sh("nft list ruleset").stdout.contains("8080"));
    let shown = gantry.docker(["network", "inspect", "lan"]).json()[0].clone();
    assert_eq!((&shown["Driver"], &shown["Options"]), (&json!("macvlan"), &json!({ "parent": "cable" })));
    assert_eq!(shown["Containers"].as_object().map(|c| c.len()), Some(2));
    // An interface that came back quickly must not find its own MAC taken.
    for _ in 0..3 {
        gantry.docker(["restart", "-t", "0", "bb"]).ok();
    }
    assert!(reaches(&gantry, "bb", OtherHost::ADDRESS));
    gantry.docker(["rm", "-f", "aa", "bb"]).ok();
    gantry.docker(["network", "rm", "lan"]).ok();
    assert!(place.sh("ip -br link show cable").ok().contains("cable"), "the parent is not ours");
    assert_eq!(links(&place), "");
}

#[test]
fn macvlan_modes_keep_containers_apart_or_give_one_the_whole_parent() {
    let (_place, _other, gantry) = on_a_lan();
    made(
        &gantry,
        "macvlan",
        &[&LAN[..], &["-o", "parent=cable", "-o", "macvlan_mode=private"]].concat(),
        "lan",
    );
    sleeper(&gantry, "aa", &["--network", "lan"]);
    sleeper(&gantry, "bb", &["--network", "lan"]);
    assert!(reaches(&gantry, "aa", OtherHost::ADDRESS) && is_cut_off(&gantry, "aa", "10.77.0.129"));
    let refused = |options: &[&str], text: &str| {
        let said = gantry.docker(["network", "create", "-d", "macvlan"].iter().chain(options).chain(&["n"]));
        assert!(said.fails(1).contains(text), "{text} in {said}");
    };
    refused(
        &["-o", "parent=cable", "-o", "macvlan_mode=passthru"],
        "cannot use mode passthru, macvlan network",
    );
    gantry.docker(["rm", "-f", "aa", "bb"]).ok();
    gantry.docker(["network", "rm", "lan"]).ok();
    made(
        &gantry,
        "macvlan",
        &[&LAN[..], &["-o", "parent=cable", "-o", "macvlan_mode=passthru"]].concat(),
        "lan",
    );
    refused(&["-o", "parent=cable"], "is already using parent interface cable in mode passthru");
    sleeper(&gantry, "aa", &["--network", "lan"]);
    assert!(reaches(&gantry, "aa", OtherHost::ADDRESS));
}

#[test]
fn what_no_macvlan_network_can_be_is_refused_before_anything_is_made() {
    let (place, _other, gantry) = on_a_lan();
    for (driver, options, text) in [
        (
            "macvlan",
            &["-o", "parent=eth7"][..],
            "invalid subinterface vlan name eth7, example formatting is eth0.10",
        ),
        ("macvlan", &["-o", "parent=eth7.10"], "-o parent interface was not found on the host: eth7"),
        ("macvlan", &["-o", "parent=cable.4095"], "vlan id must be between 1-4094, received: 4095"),
        ("macvlan", &["-o", "parent=lo"], "loopback interface is not a valid macvlan parent link"),
        ("macvlan", &["-o", "macvlan_mode=l2"], "requested macvlan mode 'l2' is not valid"),
        ("macvlan", &["-o", "com.docker.network.bridge.name=x"], "com.docker.network.bridge.name"),
        (
            "ipvlan",
            &["-o", "ipvlan_mode=l4"],
            "requested ipvlan mode 'l4' is not valid, 'l2' mode is the ipvlan",
        ),
        ("ipvlan", &["-o", "ipvlan_flag=x"], "requested ipvlan flag 'x' is not valid"),
    ] {
        let said = gantry.docker(["network", "create", "-d", driver].iter().chain(options).chain(&["n"]));
        assert!(said.fails(1).contains(text), "{text} in {said}");
    }
    assert_eq!(gantry.docker(["network", "ls", "-q", "--filter", "type=custom"]).ok(), "");
    assert_eq!(links(&place), "");
}

#[test]
fn macvlan_containers_and_their_network_outlive_the_daemon() {
    let (place, other, gantry) = on_a_lan();
    let mut gantry = gantry;
    made(&gantry, "macvlan", &[&LAN[..], &["-o", "parent=cable"]].concat(), "lan");
    sleeper(&gantry, "aa", &["--network", "lan"]);
    gantry.crash();
    assert_eq!(inside(&gantry, "aa", "ls /sys/class/net"), "eth0\nlo");
    other.sh("busybox ping -c 1 -W 20 10.77.0.128").ok();
    sleeper(&gantry, "bb", &["--network", "lan"]);
    assert!(reaches(&gantry, "bb", "aa"), "names are answered again, and the address is held");
    gantry.docker(["network", "create", "own"]).ok();
    gantry.docker(["network", "connect", "own", "aa"]).ok();
    gantry.docker(["network", "disconnect", "lan", "aa"]).ok();
    assert_eq!(inside(&gantry, "aa", "ls /sys/class/net"), "eth1\nlo");
    gantry.docker(["network", "connect", "lan", "aa"]).ok();
    assert!(reaches(&gantry, "bb", "aa"));
    // One that ended while no daemon was there has given its address back.
    gantry.docker(["kill", "bb"]).ok();
    gantry.docker(["rm", "-f", "aa", "bb"]).ok();
    gantry.docker(["network", "rm", "lan", "own"]).ok();
    assert_eq!(links(&place), "");
}

#[test]
fn a_network_without_a_parent_leads_nowhere_and_its_interface_goes_with_it() {
    let (place, _other, gantry) = on_a_lan();
    let id = made(&gantry, "macvlan", &["--subnet", "10.9.0.0/24"], "inner");
    assert!(links(&place).contains(&format!("dm-{}", &id[..12])));
    sleeper(&gantry, "aa", &["--network", "inner"]);
    sleeper(&gantry, "bb", &["--network", "inner"]);
    assert!(reaches(&gantry, "aa", "bb") && is_cut_off(&gantry, "aa", OtherHost::ADDRESS));
    // Nobody needs an address for a gateway.
    assert_eq!(gantry.inspect("aa", "{{.NetworkSettings.Networks.inner.IPAddress}}"), "10.9.0.1");
    assert!(!inside(&gantry, "aa", "ip route").contains("default"));
    gantry.docker(["rm", "-f", "aa", "bb"]).ok();
    gantry.docker(["network", "rm", "inner"]).ok();
    assert_eq!(links(&place), "");
}

#[test]
fn ipvlan_works_or_is_refused_with_the_kernel_s_reason() {
    let (place, other, gantry) = on_a_lan();
    let has = place.sh("ip link add probe link cable type ipvlan && ip link del probe").code == 0;
    let all = [&["network", "create", "-d", "ipvlan", "-o", "parent=cable"][..], &LAN, &["lan"]].concat();
    let said = gantry.docker(all);
    if !has {
        let text = "network driver ipvlan is not supported by this kernel: operation not supported";
        assert!(said.fails(1).contains(text), "{said}");
        assert_eq!(gantry.docker(["network", "ls", "-q", "--filter", "type=custom"]).ok(), "");
        return;
    }
    said.ok();
    sleeper(&gantry, "aa", &["--network", "lan"]);
    sleeper(&gantry, "bb", &["--network", "lan"]);
    assert!(reaches(&gantry, "aa", "bb") && reaches(&gantry, "aa", OtherHost::ADDRESS));
    other.sh("busybox ping -c 1 -W 20 10.77.0.128").ok();
    let said = gantry.docker([
        "run",
        "--rm",
        "--network",
        "lan",
        "--mac-address",
        "02:42:00:00:00:09",
        "busybox",
        "true",
    ]);
    assert!(
        said.fails(125).contains("ipvlan interfaces do not support custom mac address assignment"),
        "{said}"
    );
    gantry.docker(["rm", "-f", "aa", "bb"]).ok();
}

#[test]
fn a_configuration_is_no_network_but_others_are_made_of_it() {
    let (_place, _other, gantry) = on_a_lan();
    let conf = [
        &["network", "create", "--config-only", "-o", "parent=cable", "--label", "a=b"][..],
        &LAN,
        &["conf"],
    ];
    gantry.docker(conf.concat()).ok();
    let shown = gantry.docker(["network", "inspect", "conf"]).json()[0].clone();
    assert_eq!((&shown["ConfigOnly"], &shown["Driver"]), (&json!(true), &json!("null")));
    assert_eq!(shown["IPAM"]["Config"][0]["Subnet"], "10.77.0.0/24");
    gantry.docker(["network", "create", "-d", "macvlan", "--config-from", "conf", "lan"]).ok();
    let shown = gantry.docker(["network", "inspect", "lan"]).json()[0].clone();
    assert_eq!(shown["ConfigFrom"], json!({ "Network": "conf" }));
    assert_eq!((&shown["Driver"], &shown["Options"]["parent"]), (&json!("macvlan"), &json!("cable")));
    assert_eq!((&shown["Labels"], &shown["ConfigOnly"]), (&json!({ "a": "b" }), &json!(false)));
    sleeper(&gantry, "aa", &["--network", "lan"]);
    assert!(reaches(&gantry, "aa", OtherHost::ADDRESS));
    let fails = |args: &[&str], text: &str| {
        let said = gantry.docker(args);
        assert!(said.code != 0 && said.stderr.contains(text), "{text} in {said}");
    };
    fails(&["network", "rm", "conf"], "configuration network \"conf\" is in use");
    fails(&["network", "connect", "conf", "aa"], "cannot create endpoint on configuration-only network");
    let text = "cannot create endpoint on configuration-only network";
    fails(&["run", "--rm", "--network", "conf", "busybox", "true"], text);
    fails(
        &["network", "create", "--config-from", "none", "n"],
        "configuration network \"none\" does not exist",
    );
    fails(
        &["network", "create", "--config-from", "conf", "--subnet", "10.8.0.0/24", "n"],
        "user specified configurations are not supported if the network depends on a configuration network",
    );
    fails(
        &["network", "create", "--config-only", "--internal", "n"],
        "configuration network can only contain network",
    );
    fails(&["network", "create", "conf"], "network with name conf already exists");
    gantry.docker(["network", "prune", "-f"]).ok();
    gantry.docker(["rm", "-f", "aa"]).ok();
    gantry.docker(["network", "rm", "lan", "conf"]).ok();
}

#[test]
fn an_interface_has_the_name_the_settings_and_the_link_local_address_that_are_asked_for() {
    let (_place, _other, gantry) = on_a_lan();
    gantry.docker(["network", "create", "own"]).ok();
    let name = "driver-opt=com.docker.network.endpoint.ifname=wan0";
    let settings = "driver-opt=com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.log_martians=1";
    let network = format!("name=own,link-local-ip=169.254.8.8,{name},{settings}");
    sleeper(&gantry, "aa", &["--network", &network]);
    let shown = inside(&gantry, "aa", "ip addr show wan0; cat /proc/sys/net/ipv4/conf/wan0/log_martians");
    assert!(shown.contains("169.254.8.8/16") && shown.lines().last() == Some("1"), "{shown}");
    made(&gantry, "macvlan", &[&LAN[..], &["-o", "parent=cable"]].concat(), "lan");
    let option = "com.docker.network.endpoint.ifname=lan0";
    gantry.docker(["network", "connect", "--driver-opt", option, "lan", "aa"]).ok();
    assert_eq!(inside(&gantry, "aa", "ls /sys/class/net"), "lan0\nlo\nwan0");
    let fails = |option: &str, text: &str| {
        let said = gantry.docker([
            "run",
            "--rm",
            "--network",
            &format!("name=own,driver-opt={option}"),
            "busybox",
            "true",
        ]);
        assert!(said.fails(125).contains(text), "{text} in {said}");
    };
    fails(
        "com.docker.network.endpoint.sysctls=net.ipv4.conf.eth0.x=1",
        "unrecognised network interface sysctl",
    );
    fails(
        "com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.x=1",
        "/net/ipv4/conf/eth0/x is not a sysctl file",
    );
    fails("com.docker.network.endpoint.macaddress=x", "com.docker.network.endpoint.macaddress");
    fails("com.docker.network.endpoint.ifname=a/b", "invalid interface name");
    let said = gantry.docker(["network", "connect", "--link-local-ip", "10.1.1.1", "own", "aa"]);
    assert!(said.fails(1).contains("invalid link local IP address: 10.1.1.1"), "{said}");
    eventually("what failed has left no interface", || {
        (inside(&gantry, "aa", "ls /sys/class/net") == "lan0\nlo\nwan0").then_some(())
    });
}
