use super::*;
use serde_json::json;

fn image() -> ImageSummary {
    ImageSummary {
        id: "sha256:aa".into(),
        config: json!({"config": {"Entrypoint": ["/entry"], "Cmd": ["serve"], "Env": ["A=1", "B=2"], "WorkingDir": "/srv"}}),
        ..ImageSummary::default()
    }
}

fn create(body: Value) -> Result<ContainerSpec, PortError> {
    let defaults = Defaults {
        log_driver: "json-file".into(),
        log_sinks: Vec::new(),
        log_opts: BTreeMap::new(),
        shm_size: 1 << 26,
        hostname: "box".into(),
        publish: std::net::Ipv4Addr::UNSPECIFIED,
        limits: Default::default(),
        storage_size: None,
        runtimes: Runtimes::default(),
        ipc: "private".into(),
        cgroupns: "private".into(),
        init: false,
    };
    resolve(serde_json::from_value(body.clone()).unwrap(), body, &image(), &defaults)
}

#[test]
fn the_image_supplies_what_the_request_leaves_out() {
    let spec = create(
        json!({"Image": "x", "Env": null, "Cmd": null, "ExposedPorts": null, "HostConfig": {"Binds": null}}),
    )
    .unwrap();
    assert_eq!(spec.args, ["/entry", "serve"]);
    assert_eq!(spec.working_dir, "/srv");
    assert_eq!(spec.log_driver, "json-file");
}

#[test]
fn a_new_entrypoint_drops_the_images_command() {
    let spec = create(json!({"Image": "x", "Entrypoint": ["/other"]})).unwrap();
    assert_eq!(spec.args, ["/other"]);
}

#[test]
fn the_users_variables_replace_the_images() {
    let spec = create(json!({"Image": "x", "Env": ["A=9", "C=3"]})).unwrap();
    assert_eq!(spec.env, ["A=9", "B=2", "C=3"]);
}

#[test]
fn a_memory_limit_below_six_megabytes_is_refused() {
    let error = create(json!({"Image": "x", "HostConfig": {"Memory": 4194304}})).unwrap_err();
    assert_eq!(error.text, "Minimum memory limit allowed is 6MB");
}

#[test]
fn an_option_that_is_not_built_is_refused_by_name() {
    let error = create(json!({"Image": "x", "HostConfig": {"CpuCount": 5}})).unwrap_err();
    assert!(error.text.contains("CpuCount"), "{}", error.text);
}

#[test]
fn what_sets_a_container_apart_is_checked_in_dockers_words() {
    let refused = |host: Value| create(json!({"Image": "x", "HostConfig": host})).unwrap_err().text;
    for (host, text) in [
        (json!({"PidMode": "container:"}), "invalid PID mode: container:"),
        (json!({"IpcMode": "mine"}), "invalid IPC mode: mine"),
        (json!({"UTSMode": "container:x"}), "invalid UTS mode: container:x"),
        (json!({"CapAdd": ["fly"]}), "invalid CapAdd: unknown capability: \"CAP_FLY\""),
        (json!({"CapDrop": ["CAP_X"]}), "invalid CapDrop: unknown capability: \"CAP_X\""),
        (json!({"ShmSize": -1}), "SHM size can not be less than 0"),
        (json!({"OomScoreAdj": 1001}), "Invalid value 1001, range for oom score adj is [-1000, 1000]"),
        (json!({"Runtime": "kata"}), "unknown or invalid runtime name: kata"),
        (json!({"SecurityOpt": ["x"]}), "invalid --security-opt 1: \"x\""),
        (json!({"DeviceCgroupRules": ["c 1"]}), "invalid device cgroup rule format: 'c 1'"),
        (
            json!({"DeviceRequests": [{"Count": -1, "Capabilities": [["gpu", "nvidia"]]}]}),
            "could not select device driver \"\" with capabilities: [[gpu nvidia]]",
        ),
        (json!({"Isolation": "hyperv"}), "invalid isolation (hyperv): linux only supports 'default'"),
    ] {
        assert_eq!(refused(host), text);
    }
    let both = json!({"Image": "x", "Hostname": "h", "HostConfig": {"UTSMode": "host"}});
    assert_eq!(create(both).unwrap_err().text, "conflicting options: hostname and the UTS mode");
}

#[test]
fn ports_are_read_in_all_their_forms() {
    let spec = create(json!({"Image": "x", "ExposedPorts": {"80/tcp": {}, "9/sctp": {}}, "HostConfig": {
        "PublishAllPorts": true,
        "PortBindings": {
            "80/tcp": [{"HostIp": "", "HostPort": "7777"}, {"HostIp": "::1", "HostPort": "8000-8010"}],
            "53/udp": [{"HostIp": "127.0.0.1", "HostPort": ""}],
        }
    }}))
    .unwrap();
    let shown = |p: &contract::network::PortSpec| {
        let host = p.host_ip.map_or("any".to_owned(), |ip| ip.to_string());
        format!("{host} {}-{} {}/{}", p.host_port, p.last_host_port, p.container_port, p.protocol.name())
    };
    assert_eq!(
        spec.ports.iter().map(shown).collect::<Vec<_>>(),
        ["any 0-0 9/sctp", "127.0.0.1 0-0 53/udp", "any 7777-7777 80/tcp", "::1 8000-8010 80/tcp"]
    );
}

#[test]
fn ports_that_are_none_are_refused() {
    for (port, host) in
        [("0/tcp", "80"), ("80/tcp", "8010-8000"), ("80/tcp", "65536"), ("80/tcp", "80-"), ("80/tcp", "x")]
    {
        let body = json!({"Image": "x", "HostConfig": {"PortBindings": {port: [{"HostPort": host}]}}});
        let text = create(body).unwrap_err().text;
        assert!(text.starts_with("invalid port specification: \""), "{text}");
    }
}
