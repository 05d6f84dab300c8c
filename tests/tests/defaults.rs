//! What of the daemon's configuration reaches containers, their network and registries.

use gantry_tests::{Builder, Place, eventually};
use serde_json::json;

const NETFILTER: &str = "/proc/sys/net/bridge/bridge-nf-call-iptables";

#[test]
fn the_daemons_defaults_reach_containers_that_say_nothing() {
    let config = json!({
        "default-ulimits": {"nofile": {"Name": "nofile", "Soft": 100, "Hard": 200}},
        "default-shm-size": "8m", "dns": ["10.0.0.53"], "dns-search": ["lan"], "dns-opts": ["ndots:3"],
        "no-new-privileges": true, "host-gateway-ip": "10.7.7.7", "log-opts": {"max-size": "1m"},
    });
    let daemon = Builder::new().config(&config).start();
    let look = "ulimit -Sn; ulimit -Hn; grep ^[a-z] /etc/resolv.conf; df -k /dev/shm | tail -1; grep NoNewPrivs /proc/self/status; grep up /etc/hosts; true";
    let said = daemon.docker(["run", "--rm", "--add-host", "up:host-gateway", "busybox", "sh", "-c", look]);
    let lines = said.lines();
    assert_eq!(lines[..5], ["100", "200", "nameserver 10.0.0.53", "search lan", "options ndots:3"], "{said}");
    assert!(lines[5].contains("8192") && lines[6].ends_with('1') && lines[7] == "10.7.7.7\tup", "{said}");
    let own = [
        "run",
        "--rm",
        "--ulimit",
        "nofile=50",
        "--dns",
        "10.0.0.54",
        "--dns-search",
        ".",
        "--shm-size",
        "4m",
    ];
    let said = daemon.docker(own.iter().chain(&["busybox", "sh", "-c", look]));
    let lines = said.lines();
    assert_eq!(lines[..3], ["50", "50", "nameserver 10.0.0.54"], "{said}");
    assert!(said.ok().contains("4096") && !said.ok().contains("search lan"), "{said}");
    daemon.docker(["create", "--name", "cc", "busybox"]).ok();
    assert_eq!(
        daemon.inspect("cc", "{{.HostConfig.ShmSize}} {{.HostConfig.LogConfig.Config}}"),
        "8388608 map[max-size:1m]"
    );
}

#[test]
fn a_seccomp_profile_of_none_lets_every_call_through() {
    let daemon = Builder::new().args(["--seccomp-profile=unconfined"]).start();
    let calls = ["busybox", "grep", "Seccomp:", "/proc/self/status"];
    assert_eq!(daemon.docker(["run", "--rm"].iter().chain(&calls)).ok(), "Seccomp:\t0");
    let own = ["run", "--rm", "--security-opt", "seccomp=builtin"];
    assert_eq!(daemon.docker(own.iter().chain(&calls)).ok(), "Seccomp:\t2");
    let warnings = daemon.api("GET", "/info", None).json()["Warnings"].to_string();
    assert!(warnings.contains("WARNING: daemon is not using the default seccomp profile"), "{warnings}");
}

#[test]
fn ports_are_published_on_the_daemons_address_unless_another_is_named() {
    let daemon = Builder::new().args(["--ip=127.0.0.1"]).start();
    daemon
        .docker([
            "run",
            "-d",
            "--name",
            "web",
            "-p",
            "8080:80",
            "-p",
            "0.0.0.0:8081:80",
            "busybox",
            "sleep",
            "1000",
        ])
        .ok();
    let ports = daemon.docker(["port", "web"]);
    assert_eq!(ports.lines(), ["80/tcp -> 0.0.0.0:8081", "80/tcp -> 127.0.0.1:8080"]);
}

#[test]
fn without_icc_containers_reach_what_is_published_but_not_each_other() {
    apart("1");
}

#[test]
fn without_icc_they_do_not_either_where_the_bridge_does_not_pass_frames_through_netfilter() {
    apart("0");
}

fn apart(netfilter: &str) {
    let place = Place::new();
    // Missing where the module is not loaded, which is as good as 0.
    place.sh(&format!("! test -e {NETFILTER} || echo {netfilter} > {NETFILTER}")).ok();
    let daemon = Builder::at(&place).args(["--icc=false"]).start();
    daemon
        .docker([
            "run",
            "-d",
            "--name",
            "web",
            "-p",
            "8080:80",
            "busybox",
            "sh",
            "-c",
            "echo hi >/index.html; httpd -f -h /",
        ])
        .ok();
    let address = daemon.inspect("web", "{{.NetworkSettings.IPAddress}}");
    // The shell is process 1, which no signal from inside ends.
    let fetch = |url: &str| {
        let script = format!("timeout 2 wget -q -O- {url}; exit $?");
        daemon.docker(["run", "--rm", "busybox", "sh", "-c", &script])
    };
    eventually("what is published is reached", || {
        (fetch("http://172.17.0.1:8080/").stdout == "hi\n").then_some(())
    });
    assert_ne!(fetch(&format!("http://{address}/")).code, 0);
    let linked = daemon.docker(["run", "--rm", "--link", "web", "busybox", "true"]);
    assert!(linked.stderr.contains("does not support Links on a daemon with icc=false"), "{linked}");
    // By way of the bridge's own address.
    let around = format!(
        "ip route add {address}/32 via 172.17.0.1 && timeout 2 wget -q -O- http://{address}/; exit $?"
    );
    let around = daemon.docker(["run", "--rm", "--cap-add", "NET_ADMIN", "busybox", "sh", "-c", &around]);
    assert!(around.code != 0 && !around.stdout.contains("hi"), "{around}");
}

#[test]
fn masquerading_and_forwarding_can_be_left_to_the_administrator() {
    let place = Place::new();
    place.sh("echo 0 > /proc/sys/net/ipv4/ip_forward").ok();
    let daemon = Builder::at(&place).args(["--ip-masq=false", "--ip-forward=false"]).start();
    assert_eq!(place.sh("cat /proc/sys/net/ipv4/ip_forward").ok(), "0");
    let rules = place.sh("nft list chain inet gantry nat_gantry0");
    assert!(!rules.ok().contains("oifname != \"gantry0\" masquerade"), "{rules}");
    let info = daemon.docker(["info"]);
    assert!(info.stderr.contains("WARNING: IPv4 forwarding is disabled"), "{info}");
}

/// Tells what it is asked for, and has nothing.
const PROXY: &str = r#"
    my $s = IO::Socket::INET->new(LocalAddr => "127.0.0.1:3128", Listen => 5) or die $!;
    while (my $c = $s->accept) {
        syswrite STDOUT, scalar <$c>;
        while (<$c>) { last if /^\r\n$/ }
        print $c "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        close $c;
    }"#;

#[test]
fn registries_are_reached_through_the_proxy_that_is_configured() {
    let config = json!({
        "proxies": {"http-proxy": "http://127.0.0.1:3128", "no-proxy": "near.lan"},
        "insecure-registries": ["reg.lan:5000", "near.lan:5000"],
    });
    let daemon = Builder::new().config(&config).without_image().start();
    let proxy = daemon.place().spawn("perl", ["-MIO::Socket::INET", "-e", PROXY]);
    eventually("the proxy listens", || daemon.place().listens(3128).then_some(()));
    assert_ne!(daemon.docker(["pull", "reg.lan:5000/some/image"]).code, 0);
    eventually("the proxy is asked", || {
        proxy.stdout().contains("GET http://reg.lan:5000/v2/ HTTP/1.1").then_some(())
    });
    assert_ne!(daemon.docker(["pull", "near.lan:5000/some/image"]).code, 0);
    assert!(!proxy.stdout().contains("near.lan"), "{}", proxy.stdout());
}

#[test]
fn namespaces_init_and_a_policy_of_calls_come_from_the_daemon_too() {
    let place = Place::new();
    let profile = place.path("profile.json");
    let policy = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["sethostname"], "action": "SCMP_ACT_ERRNO"}]});
    std::fs::write(&profile, policy.to_string()).expect("write the policy");
    let config = json!({
        "init": true, "default-ipc-mode": "shareable", "default-cgroupns-mode": "host", "seccomp-profile": profile,
    });
    let daemon = Builder::at(&place).config(&config).start();
    daemon.docker(["run", "-d", "--name", "first", "busybox", "sleep", "1000"]).ok();
    assert_ne!(daemon.docker(["exec", "first", "cat", "/proc/1/comm"]).ok(), "sleep");
    let modes = "{{.HostConfig.IpcMode}} {{.HostConfig.CgroupnsMode}}";
    assert_eq!(daemon.inspect("first", modes), "shareable host");
    let ipc = daemon.docker([
        "run",
        "--rm",
        "--ipc",
        "container:first",
        "busybox",
        "readlink",
        "/proc/self/ns/ipc",
    ]);
    assert_eq!(ipc.ok(), daemon.docker(["exec", "first", "readlink", "/proc/self/ns/ipc"]).ok());
    let renamed = daemon.docker([
        "run",
        "--rm",
        "--privileged=false",
        "--cap-add",
        "SYS_ADMIN",
        "busybox",
        "hostname",
        "x",
    ]);
    assert!(renamed.code != 0 && renamed.stderr.contains("sethostname"), "{renamed}");
    let own = daemon.docker(["run", "--rm", "--init=false", "busybox", "cat", "/proc/1/comm"]);
    assert_eq!(own.ok(), "cat");
    assert!(daemon.docker(["info"]).ok().contains(&format!("Profile: {}", profile.display())));
}
