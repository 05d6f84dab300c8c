//! The daemon's configuration: what is refused, and what reaches containers.

use gantry_tests::{Builder, Daemon, Place, eventually};
use serde_json::json;

const NETFILTER: &str = "/proc/sys/net/bridge/bridge-nf-call-iptables";

#[test]
fn a_wrong_configuration_is_refused_with_its_key_and_its_file() {
    for (config, wanted) in [
        (json!({"colour": "red"}), "the following directives don't match any configuration option: colour"),
        (json!({"debug": "yes"}), "invalid value for the key \"debug\": must be true or false, not \"yes\""),
        (
            json!({"selinux-enabled": true}),
            "gantry does not support the key \"selinux-enabled\": it sets no SELinux labels",
        ),
        (
            json!({"data-root": "/x"}),
            "the following directives are specified both as a flag and in the configuration file: data-root: (from flag: ",
        ),
    ] {
        let builder = Builder::new().config(&config);
        let file = builder.place().path("daemon.json");
        let told = builder.refused();
        let prefix =
            format!("gantryd: unable to configure the gantry daemon with file {}: {wanted}", file.display());
        assert!(told.fails(1).starts_with(&prefix), "{told}");
    }
    let told = Builder::new().args(["--config-file=/nowhere/daemon.json"]).refused();
    assert!(told.fails(1).contains("with file /nowhere/daemon.json: reading it: No such file"), "{told}");
    let told = Builder::new().args(["--log-driver=nosuch"]).refused();
    assert!(told.fails(1).contains("nosuch"), "{told}");
    let told = Builder::new().args(["--no-such-flag"]).refused();
    assert!(told.fails(1).contains("--no-such-flag"), "{told}");
}

#[test]
fn validate_says_what_it_thinks_and_touches_nothing() {
    let builder =
        Builder::new().config(&json!({"debug": true, "proxies": {"no-proxy": "a"}})).args(["--validate"]);
    let place = builder.place().clone();
    let told = builder.run();
    assert_eq!(
        (told.code, told.stderr.as_str(), told.stdout.as_str()),
        (0, "configuration OK\n", ""),
        "{told}"
    );
    assert!(!place.path("data").exists() && !place.path("run").exists());
    let told = Builder::new().config(&json!({"mtu": -1})).args(["--validate"]).refused();
    assert!(told.fails(1).contains("invalid value for the key \"mtu\": -1 is less than 0"), "{told}");
    let told = Builder::new()
        .args(["--validate", "--tlsverify", "--tlscert=/no/cert.pem", "--tlskey=/no/key.pem"])
        .refused();
    let pair = "invalid TLS configuration: could not load X509 key pair (cert: \"/no/cert.pem\", key: \"/no/key.pem\")";
    assert!(told.fails(1).contains(pair), "{told}");
}

#[test]
fn help_and_version_are_told_without_a_daemon() {
    let help = Builder::new().args(["--help"]).run();
    for text in ["--live-restore", "SIGHUP reads daemon.json again", "Examples:", "Registries:"] {
        assert!(help.ok().contains(text), "{help}");
    }
    assert!(!help.ok().contains("--userns-remap"));
    assert!(Builder::new().args(["--version"]).run().ok().starts_with("gantryd "));
}

#[test]
fn the_daemons_defaults_reach_containers_that_say_nothing() {
    let config = json!({
        "default-ulimits": {"nofile": {"Name": "nofile", "Soft": 100, "Hard": 200}},
        "default-shm-size": "8m", "dns": ["10.0.0.53"], "dns-search": ["lan"], "dns-opts": ["ndots:3"],
        "no-new-privileges": true, "host-gateway-ip": "10.7.7.7", "log-opts": {"max-size": "1m"},
    });
    let daemon = Builder::new().config(&config).start();
    let look = "ulimit -Sn; ulimit -Hn; cat /etc/resolv.conf; df -k /dev/shm | tail -1; grep NoNewPrivs /proc/self/status; grep up /etc/hosts; true";
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
    let rules = place.sh("nft list chain inet gantry_gantry0 postrouting");
    assert!(!rules.ok().contains("oifname != \"gantry0\" masquerade"), "{rules}");
    let info = daemon.docker(["info"]);
    assert!(info.stderr.contains("WARNING: IPv4 forwarding is disabled"), "{info}");
}

#[test]
fn a_data_root_or_a_socket_of_another_daemon_is_not_taken_over() {
    let daemon = Daemon::start();
    let place = daemon.place();
    let told = Builder::at(place).args([format!("-H=unix://{}", place.path("other").display())]).refused();
    let holder =
        format!("in use by another gantryd, process {}: give this one its own --data-root", daemon.pid());
    assert!(told.fails(1).contains(&holder), "{told}");
    let other = place.path("d2").display().to_string();
    let apart =
        [format!("--data-root={other}"), format!("--exec-root={other}"), "--bridge=gantry1".to_owned()];
    let told = Builder::at(place).args(apart.clone()).refused();
    let socket = place.path("s").display().to_string();
    let taken =
        format!("can't create unix socket {socket}: listen unix {socket}: bind: address already in use");
    assert!(told.fails(1).contains(&taken), "{told}");
    assert!(!place.path("d2/gantryd.pid").exists(), "a daemon that was refused left its pidfile");
    daemon.docker(["version"]).ok();
}

#[test]
fn a_pidfile_of_a_living_process_is_refused_and_a_stale_one_replaced() {
    let place = Place::new();
    let file = place.path("pid");
    let flag = format!("--pidfile={}", file.display());
    std::fs::write(&file, std::process::id().to_string()).expect("write the pidfile");
    let told = Builder::at(&place).args([flag.as_str()]).refused();
    let living = format!(
        "ensure gantryd is not running or delete {}: process with PID {} is still running",
        file.display(),
        std::process::id()
    );
    assert!(told.fails(1).contains(&living), "{told}");
    std::fs::write(&file, "4194305").expect("write the pidfile");
    let mut daemon = Builder::at(&place).args([flag.as_str()]).start();
    assert_eq!(std::fs::read_to_string(&file).expect("a pidfile"), daemon.pid().to_string());
    daemon.crash();
    assert_eq!(std::fs::read_to_string(&file).expect("a pidfile"), daemon.pid().to_string());
    daemon.stop();
    assert!(!file.exists() && !daemon.socket().exists());
}

#[test]
fn the_socket_belongs_to_the_group_that_is_named_and_one_that_is_missing_is_refused() {
    use std::os::unix::fs::MetadataExt;
    for (group, gid) in [("4321", 4321), ("daemon", 1), ("", 0)] {
        let daemon = Builder::new().without_image().args([format!("--group={group}")]).start();
        let socket = std::fs::metadata(daemon.socket()).expect("a socket");
        assert_eq!((socket.gid(), socket.mode() & 0o777), (gid, 0o660), "{group}");
    }
    let told = Builder::new().args(["-G", "nosuchgroup"]).refused();
    assert!(told.fails(1).ends_with(": group nosuchgroup not found"), "{told}");
    Builder::new().without_image().args(["-G", "docker"]).start();
}

#[test]
fn the_daemons_own_score_is_set_and_its_log_is_json_when_asked() {
    let flags = ["--oom-score-adjust=321", "--log-format=json", "--log-level=debug"];
    let daemon = Builder::new().without_image().args(flags).start();
    let score = std::fs::read_to_string(format!("/proc/{}/oom_score_adj", daemon.pid())).expect("a process");
    assert_eq!(score.trim(), "321");
    daemon.until_logged("completed initialization");
    for line in daemon.log().lines() {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert!(entry["timestamp"].is_string() && entry["level"].is_string(), "{line}");
    }
}

#[test]
fn a_record_that_cannot_be_read_is_told_and_kept_and_the_others_live() {
    let mut daemon = Daemon::start();
    let bad = daemon.docker(["create", "busybox"]).ok().to_owned();
    daemon.docker(["run", "-d", "--name", "good", "busybox", "sleep", "1000"]).ok();
    daemon.stop();
    let folder = daemon.data().join("containers").join(&bad);
    std::fs::write(folder.join("spec.json"), "{\"id\":").expect("spoil a record");
    daemon.start_again();
    assert!(
        daemon.log().contains("a container's record is set aside") && daemon.log().contains(&bad),
        "{}",
        daemon.log()
    );
    assert_eq!(daemon.docker(["ps", "-a", "--format", "{{.Names}} {{.State}}"]).ok(), "good running");
    let aside = folder.with_extension("broken");
    assert!(aside.join("spec.json").exists());
    std::fs::remove_dir_all(aside).expect("remove what was set aside");
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
