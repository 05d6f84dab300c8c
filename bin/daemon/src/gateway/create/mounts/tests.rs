use super::*;
use actors::Status;
use contract::Kind;
use contract::record::ContainerState;
use serde_json::json;

fn other() -> Arc<Snapshot> {
    let volume = VolumeUse { name: "data".into(), target: "/data".into(), ..VolumeUse::default() };
    let bind = Bind { source: "/src".into(), target: "/dst".into(), mode: "z".into(), ..Bind::default() };
    let spec = ContainerSpec { volumes: vec![volume], binds: vec![bind], ..ContainerSpec::default() };
    Arc::new(Snapshot {
        spec: Arc::new(spec),
        state: ContainerState::default(),
        status: Status::Exited,
        pid: 0,
        execs: Vec::new(),
        generation: 0,
    })
}

fn filled(request: Value) -> Result<ContainerSpec, PortError> {
    let image = json!({"config": {"Volumes": {"/from/image": {}}}});
    let find = |name: &str| match name {
        "other" => Ok(other()),
        _ => Err(PortError::new(Kind::NotFound, format!("No such container: {name}"))),
    };
    let sources =
        Sources { image: &image, find: &find, data_root: Path::new("/var/lib/gantry"), api: ApiMinor(51) };
    let mut spec = ContainerSpec { request, ..ContainerSpec::default() };
    fill(&mut spec, &sources).map(|_| spec)
}

fn of_host(host: Value) -> Result<ContainerSpec, PortError> {
    filled(json!({ "HostConfig": host }))
}

fn refusal(host: Value) -> String {
    of_host(host).map_or_else(|e| e.text, |spec| panic!("{spec:?}"))
}

#[test]
fn an_images_volume_is_anonymous_unless_something_else_comes_there() {
    let volume = of_host(Value::Null).unwrap().volumes.remove(0);
    assert_eq!((volume.anonymous, volume.target.as_str()), (true, "/from/image"));
    for host in [
        json!({"Binds": ["/src:/from/image/"]}),
        json!({"Tmpfs": {"/from/image": ""}}),
        json!({"Mounts": [{"Type": "tmpfs", "Target": "/from/image"}]}),
    ] {
        assert_eq!(of_host(host).unwrap().volumes, []);
    }
    let named = of_host(json!({"Binds": ["name:/from/image:ro,nocopy"]})).unwrap().volumes.remove(0);
    assert_eq!((named.name.as_str(), named.anonymous, named.read_only), ("name", false, true));
    assert!(named.no_copy);
}

#[test]
fn texts_are_refused_in_dockers_words() {
    let refused = |text: &str| refusal(json!({ "Binds": [text] }));
    let spec = "invalid volume specification: ";
    for (text, wanted) in [
        ("/a:/b:nosuch", "invalid mode: nosuch".to_owned()),
        ("/a:/b:ro,rw", "invalid mode: ro,rw".into()),
        ("/a:/b:z,Z", "invalid mode: z,Z".into()),
        ("/a:rw", format!("{spec}'/a:rw'")),
        ("/a:/b:ro:x", format!("{spec}'/a:/b:ro:x'")),
        (":/b", format!("{spec}':/b'")),
        (
            "/a:b",
            format!(
                "{spec}'/a:b': invalid mount config for type \"bind\": invalid mount path: 'b' mount path must be absolute"
            ),
        ),
        (
            "a1:/",
            format!(
                "{spec}'a1:/': invalid mount config for type \"volume\": invalid specification: destination can't be '/'"
            ),
        ),
        (
            "a1:/b:rshared",
            format!(
                "{spec}'a1:/b:rshared': invalid mount config for type \"volume\": field BindOptions must not be specified"
            ),
        ),
        (
            "/a:/b:nocopy",
            format!(
                "{spec}'/a:/b:nocopy': invalid mount config for type \"bind\": field VolumeOptions must not be specified"
            ),
        ),
    ] {
        assert_eq!(refused(text), wanted);
    }
}

#[test]
fn objects_are_refused_in_dockers_words() {
    let of = |kind: &str, why: &str| format!("invalid mount config for type \"{kind}\": {why}");
    for (mount, wanted) in [
        (json!({"Type": "bind", "Source": "/"}), of("bind", "field Target must not be empty")),
        (json!({"Type": "bind", "Target": "/b"}), of("bind", "field Source must not be empty")),
        (
            json!({"Type": "bind", "Source": "a", "Target": "/b"}),
            of("bind", "invalid mount path: 'a' mount path must be absolute"),
        ),
        (
            json!({"Type": "bind", "Source": "/", "Target": "/b", "BindOptions": {"Propagation": "odd"}}),
            of("bind", "invalid propagation mode: odd"),
        ),
        (
            json!({"Type": "bind", "Source": "/nosuch", "Target": "/b"}),
            of("bind", "bind source path does not exist: /nosuch"),
        ),
        (
            json!({"Type": "volume", "Target": "/b", "VolumeOptions": {"Subpath": "x"}}),
            of("volume", "must not set Subpath when using anonymous volumes"),
        ),
        (
            json!({"Type": "volume", "Source": "v1", "Target": "/b", "VolumeOptions": {"Subpath": "x/../../y"}}),
            of("volume", "subpath must be a relative path within the volume"),
        ),
        (
            json!({"Type": "volume", "Target": "/b", "ReadOnly": true}),
            of("volume", "must not set ReadOnly mode when using anonymous volumes"),
        ),
        (
            json!({"Type": "tmpfs", "Source": "x", "Target": "/b"}),
            of("tmpfs", "field Source must not be specified"),
        ),
        (json!({"Type": "npipe", "Target": "/b"}), of("npipe", "mount type unknown")),
        (json!({"Type": "floppy", "Target": "/b"}), of("floppy", "mount type unknown")),
    ] {
        assert_eq!(refusal(json!({ "Mounts": [mount] })), wanted);
    }
    let conflict =
        json!({"Type": "bind", "Source": "/", "Target": "/b", "BindOptions": {"ReadOnlyNonRecursive": true}});
    assert_eq!(
        refusal(json!({ "Mounts": [conflict] })),
        "mount options conflict: !ReadOnly && BindOptions.ReadOnlyNonRecursive"
    );
}

#[test]
fn two_mounts_at_one_place_are_refused() {
    for host in [
        json!({"Binds": ["/a:/x", "v1:/x/"]}),
        json!({"Binds": ["/a:/x"], "Tmpfs": {"/x": ""}}),
        json!({"Binds": ["/a:/x"], "Mounts": [{"Type": "tmpfs", "Target": "/x"}]}),
    ] {
        assert_eq!(refusal(host), "Duplicate mount point: /x");
    }
}

#[test]
fn another_containers_mounts_come_along_and_give_way() {
    let spec = of_host(json!({"VolumesFrom": ["other:ro"], "Binds": ["/mine:/dst"]})).unwrap();
    let volume = spec.volumes.iter().find(|v| v.target == "/data").unwrap();
    assert!(volume.read_only && volume.borrowed && volume.no_copy);
    assert_eq!((spec.binds.len(), spec.binds[0].source.as_str()), (1, "/mine"));
    assert_eq!(refusal(json!({"VolumesFrom": ["nosuch"]})), "No such container: nosuch");
    assert_eq!(refusal(json!({"VolumesFrom": ["other:rshared"]})), "invalid mode: rshared");
    let empty = "volumes-from specification cannot be an empty string";
    assert_eq!(refusal(json!({"VolumesFrom": [""]})), empty);
}

#[test]
fn the_daemons_own_data_is_not_shared_for_good() {
    let spec = of_host(json!({"Binds": ["/:/host"]})).unwrap();
    assert_eq!(spec.binds[0].effective_propagation(), "rslave");
    let text = refusal(json!({"Binds": ["/var/lib/gantry/x:/host:rprivate"]}));
    assert!(text.starts_with("invalid mount config: must use either propagation mode"), "{text}");
    let spec = of_host(json!({"Binds": ["/srv:/srv"]})).unwrap();
    assert_eq!(spec.binds[0].effective_propagation(), "rprivate");
}

#[test]
fn options_of_file_systems_in_memory_are_dockers() {
    let tmpfs = |options: &str| of_host(json!({ "Tmpfs": {"/x": options} }));
    assert_eq!(
        tmpfs("size=1m,mode=1777,exec,uid=1,rprivate").unwrap().tmpfs["/x"],
        "size=1m,mode=1777,exec,uid=1,rprivate"
    );
    assert_eq!(tmpfs("colour=red").unwrap_err().text, "invalid tmpfs option [\"colour\" \"red\"]");
    assert_eq!(tmpfs("odd").unwrap_err().text, "invalid tmpfs option [\"odd\"]");
    let mount = json!({"Type": "tmpfs", "Target": "/x", "TmpfsOptions": {"SizeBytes": 1048576, "Mode": 448}});
    let spec = of_host(json!({ "Mounts": [mount] })).unwrap();
    assert_eq!(spec.tmpfs["/x"], "mode=700,size=1048576");
}

#[test]
fn paths_are_cleaned_as_go_does() {
    for (path, wanted) in
        [("/a//b/./c/../d/", "/a/b/d"), ("/..", "/"), ("", "."), ("a/../..", ".."), ("/", "/")]
    {
        assert_eq!(clean(path), wanted);
    }
}
