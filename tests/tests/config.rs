//! The daemon's configuration: what is refused, and what the daemon takes hold of.

use gantry_tests::{Builder, Daemon, Place};
use serde_json::json;

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
fn a_pidfile_of_a_living_daemon_is_refused_and_a_stale_one_replaced() {
    let place = Place::new();
    let file = place.path("pid");
    let flag = format!("--pidfile={}", file.display());
    let other = Daemon::start();
    std::fs::write(&file, other.pid().to_string()).expect("write the pidfile");
    let told = Builder::at(&place).args([flag.as_str()]).refused();
    let living = format!(
        "ensure gantryd is not running or delete {}: process with PID {} is still running",
        file.display(),
        other.pid()
    );
    assert!(told.fails(1).contains(&living), "{told}");
    drop(other);
    // The number may be another program's since.
    std::fs::write(&file, std::process::id().to_string()).expect("write the pidfile");
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
    let log = daemon.log();
    // Whole lines alone: it may be writing another one.
    let whole = log.rfind('\n').map_or("", |end| &log[..end]);
    for line in whole.lines() {
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

#[test]
fn what_the_daemon_makes_is_for_containers_and_not_for_the_machines_users() {
    use std::os::unix::fs::MetadataExt;
    let strict = ["sh", "-c", "umask 077; exec \"$@\"", "sh"];
    let daemon = Builder::new().through(&strict).start();
    let said =
        daemon.docker(["run", "--rm", "-u", "1000", "busybox", "cat", "/etc/hosts", "/etc/resolv.conf"]);
    assert!(said.ok().contains("localhost"), "{said}");
    let mode = |name: &str| std::fs::metadata(daemon.place().path(name)).expect("a folder").mode() & 0o777;
    assert_eq!((mode("data"), mode("run")), (0o710, 0o700));
}

#[test]
fn the_daemon_may_open_many_files_and_containers_as_many_as_it_was_started_with() {
    let few = ["sh", "-c", "ulimit -Sn 100; ulimit -Hn 2000; exec \"$@\"", "sh"];
    let daemon = Builder::new().through(&few).start();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", daemon.pid())).expect("a process");
    let files = limits.lines().find(|l| l.starts_with("Max open files")).expect("a line");
    assert_eq!(files.split_whitespace().skip(3).take(2).collect::<Vec<_>>(), ["2000", "2000"]);
    let look = "ulimit -Sn; ulimit -Hn";
    assert_eq!(daemon.docker(["run", "--rm", "busybox", "sh", "-c", look]).lines(), ["100", "2000"]);
    let own = daemon.docker(["run", "--rm", "--ulimit", "nofile=200:300", "busybox", "sh", "-c", look]);
    assert_eq!(own.lines(), ["200", "300"]);
}
