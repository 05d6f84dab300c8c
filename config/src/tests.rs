use super::*;

fn load(args: &[&str], file: &str) -> Result<Config, ConfigError> {
    let flags = Flags::try_parse_from(std::iter::once("gantryd").chain(args.iter().copied())).unwrap();
    Config::merge(flags, serde_json::from_str(file).unwrap())
}

#[test]
fn flags_and_file_complete_each_other() {
    let config =
        load(&["--log-driver", "syslog"], r#"{"data-root": "/d", "log-opts": {"tag": "x"}}"#).unwrap();
    assert_eq!(config.log_driver, "syslog");
    assert_eq!(config.data_root, PathBuf::from("/d"));
    assert_eq!(config.log_opts["tag"], "x");
    assert_eq!(config.bip, (Ipv4Addr::new(172, 17, 0, 1), 16));
}

#[test]
fn a_key_in_both_places_is_refused_in_dockers_words() {
    let error = load(&["--log-driver", "syslog"], r#"{"log-driver": "local"}"#).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the following directives are specified both as a flag and in the configuration file: \
         log-driver: (from flag: syslog, from file: local)"
    );
}

#[test]
fn an_unknown_key_is_refused_by_name() {
    let error = load(&[], r#"{"colour": "red"}"#).unwrap_err();
    assert_eq!(error.to_string(), "the following directives don't match any configuration option: colour");
}

#[test]
fn a_wrong_type_names_its_key() {
    assert!(load(&[], r#"{"mtu": "big"}"#).unwrap_err().to_string().contains("mtu"));
    assert!(load(&["--bip", "nowhere"], "{}").unwrap_err().to_string().contains("bip"));
}

#[test]
fn options_of_the_storage_driver_are_read_and_unknown_ones_named() {
    let config = load(&[], r#"{"storage-opts": ["overlay2.size=10G"]}"#).unwrap();
    assert_eq!(config.storage_size, Some(10 << 30));
    let error = load(&["--storage-opt", "overlay2.colour=red"], "{}").unwrap_err();
    assert_eq!(error.to_string(), "invalid value for storage-opts: overlay2: unknown option overlay2.colour");
}
