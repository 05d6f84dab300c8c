use super::*;
use std::net::Ipv4Addr;

fn load(args: &[&str], file: &str) -> Result<Config, String> {
    let args = std::iter::once("gantryd").chain(args.iter().copied());
    let matches = command::command(&SECTIONS).try_get_matches_from(args).map_err(|e| e.to_string())?;
    let flags = command::given(&SECTIONS, &matches);
    let path = PathBuf::from("/f.json");
    let told = |error: ConfigError| {
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(inner) = source {
            text = format!("{text}: {inner}");
            source = inner.source();
        }
        text
    };
    let keys = file::parse(file.as_bytes())
        .map_err(|source| told(ConfigError::File { path: path.clone(), source }))?;
    Config::merge(flags, keys, path).map_err(told)
}

fn refused(args: &[&str], file: &str) -> String {
    load(args, file).expect_err("a configuration that is wrong")
}

const PREFIX: &str = "unable to configure the gantry daemon with file /f.json: ";

#[test]
fn flags_and_file_complete_each_other() {
    let config =
        load(&["--log-driver", "syslog"], r#"{"data-root": "/d", "log-opts": {"tag": "x"}}"#).unwrap();
    assert_eq!(config.defaults.log_driver, "syslog");
    assert_eq!(config.daemon.data_root, PathBuf::from("/d"));
    assert_eq!(config.defaults.log_opts["tag"], "x");
    assert_eq!(config.bridge.four.bridge, Some((Ipv4Addr::new(172, 17, 0, 1).into(), 16)));
    assert_eq!(config.bridge.six, None);
    assert!(config.daemon.live_restore);
}

#[test]
fn a_relative_data_root_is_below_the_working_directory() {
    // Shims took it as below their own: no container started.
    let config = load(&["--data-root", "data"], "").unwrap();
    assert_eq!(config.daemon.data_root, std::env::current_dir().unwrap().join("data"));
}

#[test]
fn a_key_in_both_places_is_refused_in_dockers_words() {
    let twice = "the following directives are specified both as a flag and in the configuration file: ";
    for (args, file, wanted) in [
        (
            ["--log-driver", "syslog"],
            r#"{"log-driver": "local"}"#,
            "log-driver: (from flag: syslog, from file: local)",
        ),
        (["--label", "a=b"], r#"{"labels": ["c=d"]}"#, "labels: (from flag: [a=b], from file: [c=d])"),
        (["--debug", "--tls"], r#"{"debug": false}"#, "debug: (from flag: true, from file: false)"),
        (
            ["--http-proxy", "http://u:p@h"],
            r#"{"proxies": {"http-proxy": "http://a:b@c"}}"#,
            "http-proxy: (from flag: http://xxxxx:xxxxx@h, from file: http://xxxxx:xxxxx@c)",
        ),
    ] {
        assert_eq!(refused(&args, file), format!("{PREFIX}{twice}{wanted}"));
    }
}

#[test]
fn an_unknown_key_is_refused_by_name() {
    let wanted = "the following directives don't match any configuration option: colour, shape";
    assert_eq!(refused(&[], r#"{"colour": "red", "mtu": 1400, "shape": 1}"#), format!("{PREFIX}{wanted}"));
}

#[test]
fn a_file_that_is_no_object_is_refused_and_an_empty_one_is_fine() {
    assert!(refused(&[], "{\"a\": ").starts_with(&format!("{PREFIX}invalid JSON: EOF")));
    assert!(refused(&[], "[]").starts_with(&format!("{PREFIX}invalid JSON: it must hold one object")));
    for fine in ["", " \n", "{}", "\u{feff}{}"] {
        load(&[], fine).unwrap();
    }
}

#[test]
fn a_wrong_value_names_its_key_and_who_gave_it() {
    for (file, wanted) in [
        (r#"{"mtu": "big"}"#, r#"invalid value for the key "mtu": must be a whole number, not "big""#),
        (r#"{"debug": "yes"}"#, r#"invalid value for the key "debug": must be true or false, not "yes""#),
        (
            r#"{"hosts": "unix:///s"}"#,
            r#"invalid value for the key "hosts": must be a list of strings, not "unix:///s""#,
        ),
        (
            r#"{"default-ulimits": {"nofile": 1}}"#,
            r#"invalid value for the key "default-ulimits": invalid type: integer `1`"#,
        ),
    ] {
        let told = refused(&[], file);
        assert!(told.starts_with(&format!("{PREFIX}{wanted}")), "{told}");
    }
    let told = refused(&["--bip", "nowhere"], "");
    assert_eq!(told, "invalid value for the flag --bip: invalid CIDR address: nowhere");
    let told = refused(&["--default-ulimit", "nofile=2:1"], "");
    let wanted =
        "the flag --default-ulimit: ulimit soft limit must be less than or equal to hard limit: 2 > 1";
    assert_eq!(told, format!("invalid value for {wanted}"));
}

#[test]
fn dockers_own_texts_are_kept() {
    for (args, wanted) in [
        (["--log-level", "loud"], "invalid logging level: loud"),
        (["--log-format", "xml"], "invalid log format: xml"),
        (["--label", "=x"], "invalid label '=x': empty name"),
        (
            ["--registry-mirror", "a.b"],
            "invalid mirror: no scheme specified for \"a.b\": must use either 'https://' or 'http://'",
        ),
        (["--insecure-registry", "ftp://a"], "insecure registry ftp://a should not contain '://'"),
        (["--max-concurrent-downloads", "-1"], "invalid max concurrent downloads: -1"),
        (
            ["--default-ipc-mode", "host"],
            "IPC mode \"host\" is not supported as default value; use \"shareable\" or \"private\"",
        ),
        (["--default-runtime", "kata"], "specified default runtime 'kata' does not exist"),
        (["--add-runtime", "runc=/x"], "runtime name 'runc' is reserved"),
        (["--host", "ssh://a"], "invalid bind address (ssh://a): unsupported proto 'ssh'"),
        (["--dns-search", "-a"], "-a is not a valid domain"),
    ] {
        // A hyphen in front of a value is pflag's to take.
        let joined = format!("{}={}", args[0], args[1]);
        assert_eq!(refused(&[&joined], ""), wanted);
    }
    assert_eq!(refused(&["--label=a=1", "--label=a=2"], ""), "conflict labels for a=2 and a=1");
    let two = ["--host-gateway-ip=10.0.0.1", "--host-gateway-ip=10.0.0.2"];
    assert_eq!(refused(&two, ""), "only one IPv4 host gateway IP address can be specified");
    let merged = "merged configuration validation from file and command line flags failed: ";
    assert_eq!(
        refused(&[], r#"{"log-level": "loud"}"#),
        format!("{PREFIX}{merged}invalid logging level: loud")
    );
}

#[test]
fn what_docker_has_and_gantry_has_not_is_refused_by_name_unless_it_is_off() {
    let told = refused(&["--userns-remap", "default"], "");
    assert_eq!(told, "gantry does not support the flag --userns-remap: containers have the host's user ids");
    let told = refused(&[], r#"{"selinux-enabled": true}"#);
    assert_eq!(
        told,
        format!("{PREFIX}gantry does not support the key \"selinux-enabled\": it sets no SELinux labels")
    );
    let off = r#"{"selinux-enabled": false, "userns-remap": "", "authorization-plugins": [], "builder": {}, "ipv6": false,
        "storage-driver": "overlay2", "exec-opts": ["native.cgroupdriver=cgroupfs"], "metrics-addr": "", "features": {"x": false}}"#;
    load(&[], off).unwrap();
    for key in refused::SECTION.keys.iter().filter(|k| !matches!(k.name, "restart" | "exec-opts")) {
        let value = if key.kind == Kind::List {
            "[\"x\"]"
        } else if key.kind == Kind::Switch {
            "true"
        } else {
            "\"x\""
        };
        let told = refused(&[], &format!("{{\"{}\": {value}}}", key.name));
        assert!(told.contains(&format!("gantry does not support the key \"{}\": ", key.name)), "{told}");
    }
}

#[test]
fn the_default_bridge_has_addresses_of_both_families_parts_of_them_and_other_gateways() {
    let bridge = |file: &str| load(&[], file).unwrap().bridge;
    let block = |text: &str, prefix| Some((text.parse().unwrap(), prefix));
    let own = bridge(r#"{"fixed-cidr": "10.1.2.0/25"}"#).four;
    assert_eq!((own.bridge, own.fixed), (block("10.1.2.1", 25), block("10.1.2.0", 25)));
    let own =
        bridge(r#"{"bip": "10.1.0.7/16", "fixed-cidr": "10.1.2.0/24", "default-gateway": "10.1.0.9"}"#).four;
    assert_eq!((own.bridge, own.fixed), (block("10.1.0.7", 16), block("10.1.2.0", 24)));
    assert_eq!(own.gateway.unwrap().to_string(), "10.1.0.9");
    assert_eq!(bridge(r#"{"ipv6": true}"#).six, Some(Addresses::default()));
    let own = bridge(r#"{"ipv6": true, "fixed-cidr-v6": "fd00:5::/64"}"#).six.unwrap();
    assert_eq!(own.bridge, block("fd00:5::1", 64));
    let own =
        bridge(r#"{"ipv6": true, "bip6": "fd00:5::9/64", "default-gateway-v6": "fd00:5::1"}"#).six.unwrap();
    assert_eq!(own.bridge, block("fd00:5::9", 64));
    for (file, told) in [
        (
            r#"{"bip": "10.1.0.1/16", "fixed-cidr": "10.2.0.0/24"}"#,
            "is not a part of the bridge's subnet: 10.1.0.1/16",
        ),
        (r#"{"bip": "10.1.0.0/16"}"#, "is a network's address"),
        (r#"{"default-gateway": "10.1.0.9"}"#, "is not an address of the bridge's subnet: set bip too"),
        (r#"{"ipv6": true, "default-gateway-v6": "fd00::1"}"#, "set bip6 too"),
        (r#"{"ipv6": true, "bip6": "10.0.0.1/8"}"#, "invalid CIDR address: 10.0.0.1/8"),
        (r#"{"bip6": "fd00::1/64"}"#, "set ipv6 to true"),
    ] {
        let error = refused(&[], file);
        assert!(error.contains(told), "{file}: {error}");
    }
}

#[test]
fn options_of_new_networks_are_given_by_driver() {
    let file = r#"{"default-network-opts": {"bridge": {"com.docker.network.driver.mtu": "1400"}}}"#;
    let flag = ["--default-network-opt", "bridge=com.docker.network.driver.mtu=1400"];
    for options in [load(&[], file).unwrap().bridge.options, load(&flag, "").unwrap().bridge.options] {
        assert_eq!(options["bridge"]["com.docker.network.driver.mtu"], "1400");
    }
    assert!(refused(&["--default-network-opt", "bridge"], "").contains("is not driver=key=value"));
}

#[test]
fn tls_is_meant_by_either_flag_and_verifies_unless_told_not_to() {
    let encryption = |args: &[&str]| load(args, "").unwrap().sockets.encryption;
    assert_eq!(encryption(&[]), Encryption::Unsaid);
    assert_eq!(encryption(&["--tls=false"]), Encryption::Declined);
    let clients = |args: &[&str]| match encryption(args) {
        Encryption::Tls(tls) => tls.clients.is_some(),
        other => panic!("{other:?}"),
    };
    assert!(clients(&["--tls"]) && clients(&["--tlsverify"]));
    assert!(!clients(&["--tlsverify=false"]));
    let hosts = load(&["--tlsverify"], "").unwrap().sockets.hosts;
    assert_eq!(hosts, [Host::Tcp("localhost".into(), 2376)]);
}

#[test]
fn ulimits_and_runtimes_are_read_from_flag_and_file() {
    let file = r#"{"default-ulimits": {"nofile": {"Name": "nofile", "Hard": 20, "Soft": 10}},
        "runtimes": {"r": {"path": "/usr/bin/runc", "runtimeArgs": ["--debug"]}}, "default-runtime": "r"}"#;
    let config = load(&["--add-runtime=c=/usr/bin/crun"], file).unwrap();
    assert_eq!(config.defaults.ulimits, [Ulimit { name: "nofile".into(), soft: 10, hard: 20 }]);
    assert_eq!(config.defaults.runtimes["r"].args, ["--debug"]);
    assert_eq!(config.defaults.runtimes["c"].path, "/usr/bin/crun");
    let config = load(&["--default-ulimit", "nproc=5"], "").unwrap();
    assert_eq!(config.defaults.ulimits, [Ulimit { name: "nproc".into(), soft: 5, hard: 5 }]);
}

#[test]
fn a_reload_takes_over_what_it_can_and_names_the_rest() {
    let old = load(&["--mtu=1400"], r#"{"debug": true, "labels": ["a=b"], "bip": "10.0.0.1/24"}"#).unwrap();
    let file = r#"{"labels": ["c"], "bip": "10.0.1.1/24", "icc": false, "registry-mirrors": ["http://m"], "live-restore": false}"#;
    let Reloaded { config, kept } = old.reload(load(&["--mtu=1400"], file).unwrap());
    assert_eq!(kept, ["bip", "icc"]);
    assert_eq!((config.bridge.four, config.bridge.icc), (old.bridge.four, true));
    assert_eq!(config.daemon.labels, ["c"]);
    assert_eq!(config.registries.mirrors, ["http://m/"]);
    assert!(!config.daemon.live_restore && !config.logging.debug && config.logging.level == "info");
}

#[test]
fn every_option_has_one_name_and_a_line_of_help() {
    let mut names: Vec<&str> = SECTIONS.iter().flat_map(|s| s.keys).map(|k| k.name).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    command::command(&SECTIONS).debug_assert();
}

#[test]
fn options_of_the_storage_driver_are_read_and_unknown_ones_named() {
    let config = load(&[], r#"{"storage-opts": ["overlay2.size=10G"]}"#).unwrap();
    assert_eq!(config.daemon.storage_size, Some(10 << 30));
    let text = refused(&["--storage-opt", "overlay2.colour=red"], "{}");
    assert!(text.ends_with("overlay2: unknown option overlay2.colour"), "{text}");
    assert!(refused(&["--storage-opt", "overlay2.size=big"], "{}").ends_with("invalid size: 'big'"));
}
