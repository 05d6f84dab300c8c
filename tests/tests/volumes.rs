//! Volumes: named and anonymous, their first content, who uses them, and what becomes of them.

use gantry_tests::{Builder, Daemon, Output, eventually};
use serde_json::{Value, json};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::PathBuf;

fn words(text: &str) -> Vec<&str> {
    text.split(' ').collect()
}

fn docker(gantry: &Daemon, text: &str) -> Output {
    gantry.docker(words(text))
}

fn names(gantry: &Daemon) -> Vec<String> {
    docker(gantry, "volume ls -q").lines().iter().map(|l| (*l).to_owned()).collect()
}

fn data(gantry: &Daemon, name: &str) -> PathBuf {
    gantry.data().join("volumes").join(name).join("_data")
}

fn is_mounted(gantry: &Daemon, name: &str) -> bool {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    table.contains(&format!(" {} ", data(gantry, name).display()))
}

/// The image `stocked`: busybox, and a `/srv` that is declared a volume, with an owner, a mode, a link.
fn stocked(gantry: &Daemon) {
    let folder = gantry.place().path("image");
    std::fs::create_dir_all(folder.join("srv/sub")).unwrap();
    std::fs::write(folder.join("srv/sub/file"), "from the image").unwrap();
    symlink("sub/file", folder.join("srv/link")).unwrap();
    std::os::unix::fs::chown(folder.join("srv/sub/file"), Some(1000), Some(2000)).unwrap();
    gantry.place().run("chmod", ["1770", folder.join("srv").to_str().unwrap()]).ok();
    let busybox = gantry_tests::image::import_tar();
    let tar = gantry.place().path("stocked.tar");
    std::fs::copy(busybox, &tar).unwrap();
    gantry.place().run("tar", ["-C", folder.to_str().unwrap(), "-rf", tar.to_str().unwrap(), "srv"]).ok();
    gantry
        .docker(["import", "-c", "CMD [\"sh\"]", "-c", "VOLUME /srv", tar.to_str().unwrap(), "stocked"])
        .ok();
}

#[test]
fn a_volume_is_made_shown_and_removed() {
    let gantry = Daemon::start();
    assert_eq!(docker(&gantry, "volume create --label a=b data").ok(), "data");
    assert_eq!(docker(&gantry, "volume create data").ok(), "data", "it is there already");
    let shown = docker(&gantry, "volume inspect data").json()[0].take();
    let fields: Vec<&str> = shown.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, ["CreatedAt", "Driver", "Labels", "Mountpoint", "Name", "Options", "Scope"]);
    assert_eq!(
        (&shown["Driver"], &shown["Scope"], &shown["Labels"]),
        (&json!("local"), &json!("local"), &json!({"a": "b"}))
    );
    assert_eq!(shown["Mountpoint"], data(&gantry, "data").to_str().unwrap());
    assert!(data(&gantry, "data").is_dir());
    let unnamed = docker(&gantry, "volume create").ok().to_owned();
    assert_eq!(unnamed.len(), 64);
    let labels = gantry.inspect(&unnamed, "{{json .Labels}}");
    assert_eq!(labels, r#"{"com.docker.volume.anonymous":""}"#);
    assert_eq!(docker(&gantry, &format!("volume rm data {unnamed}")).lines().len(), 2);
    assert_eq!(names(&gantry), [""; 0]);
    assert!(!data(&gantry, "data").parent().unwrap().exists());
    let said = docker(&gantry, "volume rm data");
    assert!(said.fails(1).contains("get data: no such volume"), "{said}");
    docker(&gantry, "volume rm -f data").ok();
    assert_eq!(gantry.api("GET", "/volumes/data", None).error(404), "get data: no such volume");
}

#[test]
fn wrong_volumes_are_refused_in_dockers_words() {
    let gantry = Daemon::start();
    for (wish, status, wanted) in [
        (
            json!({"Name": "a"}),
            400,
            "create a: volume name is too short, names should be at least two alphanumeric characters",
        ),
        (
            json!({"Name": "../a"}),
            400,
            "create ../a: \"../a\" includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path",
        ),
        (
            json!({"Name": "vv", "Driver": "odd"}),
            404,
            "create vv: error looking up volume plugin odd: plugin \"odd\" not found",
        ),
        (
            json!({"Name": "vv", "DriverOpts": {"type": "tmpfs"}}),
            400,
            "create vv: missing required option: \"device\"",
        ),
        (
            json!({"Name": "vv", "DriverOpts": {"colour": "red"}}),
            400,
            "create vv: invalid option: \"colour\"",
        ),
        (
            json!({"Name": "vv", "DriverOpts": {"size": "1g"}}),
            400,
            "create vv: quota size requested but no quota support",
        ),
    ] {
        assert_eq!(gantry.api("POST", "/volumes/create", Some(&wish)).error(status), wanted);
    }
    let said = docker(&gantry, "run --rm --volume-driver odd -v vv:/data busybox true");
    assert!(
        said.fails(125).contains("error looking up volume plugin odd: plugin \"odd\" not found"),
        "{said}"
    );
    assert_eq!(names(&gantry), [""; 0]);
}

#[test]
fn a_named_volume_outlives_its_containers_and_is_shared() {
    let gantry = Daemon::start();
    docker(&gantry, "run --rm -v data:/data busybox touch /data/first").ok();
    docker(&gantry, "run -d --name one -v data:/one busybox sleep 1000").ok();
    docker(&gantry, "run -d --name two -v data:/two:ro busybox sleep 1000").ok();
    docker(&gantry, "exec one touch /one/second").ok();
    assert_eq!(docker(&gantry, "exec two ls /two").ok(), "first\nsecond");
    let said = docker(&gantry, "exec two touch /two/third");
    assert!(said.fails(1).contains("Read-only file system"), "{said}");
    docker(&gantry, "rm -f -v one two").ok();
    assert_eq!(names(&gantry), ["data"]);
    assert!(data(&gantry, "data").join("second").exists());
}

#[test]
fn a_volume_in_use_is_not_removed_not_even_one_of_a_stopped_container() {
    let gantry = Daemon::start();
    let id = docker(&gantry, "create -v data:/data busybox true").ok().to_owned();
    for force in ["false", "true"] {
        let said = gantry.api("DELETE", &format!("/volumes/data?force={force}"), None).error(409);
        assert_eq!(said, format!("remove data: volume is in use - [{id}]"));
    }
    docker(&gantry, "volume prune -af").ok();
    assert_eq!(names(&gantry), ["data"]);
    docker(&gantry, &format!("rm {id}")).ok();
    docker(&gantry, "volume rm data").ok();
}

#[test]
fn anonymous_volumes_go_with_rm_v_and_with_rm() {
    let gantry = Daemon::start();
    docker(&gantry, "run --name first -v /data busybox touch /data/x").ok();
    let name = gantry.inspect("first", "{{(index .Mounts 0).Name}}");
    assert_eq!(name.len(), 64);
    assert_eq!(gantry.inspect("first", "{{json .Config.Volumes}}"), r#"{"/data":{}}"#);
    docker(&gantry, "rm first").ok();
    assert_eq!(names(&gantry), [name.as_str()], "without -v it stays");
    docker(&gantry, &format!("run --name second -v /more -v {name}:/data busybox ls /data")).ok();
    docker(&gantry, "rm -v second").ok();
    assert_eq!(names(&gantry), [name.as_str()], "what has a name for this container is not anonymous to it");
    docker(&gantry, "run --rm -v /data --mount type=volume,dst=/other busybox true").ok();
    eventually("it is removed", || (names(&gantry) == [name.as_str()]).then_some(()));
    docker(&gantry, "run -d --rm --name third -v /data busybox sleep 1000").ok();
    docker(&gantry, "rm -f third").ok();
    assert_eq!(names(&gantry), [name.as_str()]);
    docker(&gantry, &format!("volume rm {name}")).ok();
}

#[test]
fn an_empty_volume_takes_the_images_content_with_owners_modes_and_links() {
    let gantry = Daemon::start();
    stocked(&gantry);
    docker(&gantry, "create --name kept -v data:/srv stocked").ok();
    let found = data(&gantry, "data");
    let file = std::fs::metadata(found.join("sub/file")).unwrap();
    assert_eq!((file.uid(), file.gid()), (1000, 2000), "it is filled when its container is made");
    assert_eq!(std::fs::metadata(&found).unwrap().mode() & 0o7777, 0o1770);
    assert_eq!(std::fs::read_link(found.join("link")).unwrap(), PathBuf::from("sub/file"));
    assert_eq!(docker(&gantry, "run --rm -v data:/srv stocked cat /srv/link").ok(), "from the image");
    std::fs::write(found.join("sub/file"), "changed").unwrap();
    assert_eq!(
        docker(&gantry, "run --rm -v data:/srv stocked cat /srv/link").ok(),
        "changed",
        "only an empty one"
    );
    docker(&gantry, "run --rm -v programs:/bin busybox ls /bin/sh").ok();
    assert_eq!(std::fs::read_link(data(&gantry, "programs").join("sh")).unwrap(), PathBuf::from("busybox"));
    for nothing in ["-v empty:/srv:nocopy", "--mount type=volume,src=bare,dst=/srv,volume-nocopy"] {
        assert_eq!(docker(&gantry, &format!("run --rm {nothing} stocked ls /srv")).ok(), "");
    }
    let said = docker(&gantry, "create -v bad:/etc/passwd busybox");
    assert!(
        said.fails(1).contains("cannot mount volume over existing file, file exists /etc/passwd"),
        "{said}"
    );
    assert!(!names(&gantry).contains(&"bad".to_owned()), "what was made for it goes");
}

#[test]
fn an_images_volumes_are_anonymous_unless_something_else_comes_there() {
    let gantry = Daemon::start();
    stocked(&gantry);
    docker(&gantry, "run --name one stocked touch /srv/x").ok();
    let mount = &gantry.inspected("one")["Mounts"][0];
    assert_eq!(
        (&mount["Type"], &mount["Destination"], &mount["RW"]),
        (&json!("volume"), &json!("/srv"), &json!(true))
    );
    let name = mount["Name"].as_str().unwrap();
    assert!(data(&gantry, name).join("x").exists() && data(&gantry, name).join("sub/file").exists());
    docker(&gantry, "rm -v one").ok();
    docker(&gantry, "create --name two --tmpfs /srv stocked").ok();
    docker(&gantry, "create --name three -v mine:/srv/ stocked").ok();
    assert_eq!(names(&gantry), ["mine"]);
    assert_eq!(gantry.inspect("three", "{{json .Config.Volumes}}"), r#"{"/srv":{}}"#);
}

#[test]
fn a_create_that_fails_leaves_no_volume() {
    let gantry = Daemon::start();
    docker(&gantry, "create --name taken busybox").ok();
    docker(&gantry, "create --name taken -v data:/data -v /other busybox").fails(1);
    let bad =
        "create -v data:/data -v /other --mount type=volume,src=x1,dst=/x,volume-opt=type=tmpfs busybox";
    assert!(docker(&gantry, bad).fails(1).contains("missing required option"));
    assert_eq!(names(&gantry), [""; 0]);
}

#[test]
fn options_of_the_local_driver_are_mounted_while_they_are_needed() {
    let gantry = Daemon::start();
    docker(&gantry, "volume create --opt type=tmpfs --opt device=tmpfs --opt o=size=1m,uid=1000 mem").ok();
    assert_eq!(
        gantry.inspect("mem", "{{json .Options}}"),
        r#"{"device":"tmpfs","o":"size=1m,uid=1000","type":"tmpfs"}"#
    );
    assert!(!is_mounted(&gantry, "mem"));
    docker(&gantry, "run -d --name one -v mem:/mem busybox sleep 1000").ok();
    docker(&gantry, "run -d --name two -v mem:/mem busybox sleep 1000").ok();
    docker(&gantry, "exec one touch /mem/x").ok();
    assert_eq!(docker(&gantry, "exec two stat -c %u /mem/.").ok(), "1000");
    assert!(docker(&gantry, "exec two df -k /mem").ok().contains(" 1024 "));
    assert_eq!(docker(&gantry, "exec two ls /mem").ok(), "x");
    docker(&gantry, "rm -f one").ok();
    assert!(is_mounted(&gantry, "mem"));
    docker(&gantry, "stop -t 0 two").ok();
    eventually("it is unmounted", || (!is_mounted(&gantry, "mem")).then_some(()));
    let folder = gantry.place().path("folder");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("kept"), "").unwrap();
    let device = format!("volume create -o type=none -o o=bind,ro -o device={} there", folder.display());
    docker(&gantry, &device).ok();
    let said = gantry.docker([
        "run",
        "--rm",
        "-v",
        "there:/there",
        "busybox",
        "sh",
        "-c",
        "ls /there; touch /there/x",
    ]);
    assert!(said.stdout.starts_with("kept") && said.stderr.contains("Read-only"), "{said}");
    docker(&gantry, "volume rm there").ok();
    assert!(folder.join("kept").exists(), "what it named is not its own");
    docker(&gantry, "volume create -o type=none -o o=bind -o device=/nosuch gone").ok();
    let said = docker(&gantry, "run --rm -v gone:/gone busybox true");
    let wanted = format!(
        "error while mounting volume '{0}': failed to mount local volume: mount /nosuch:{0}, flags: 0x1000: no such file or directory",
        data(&gantry, "gone").display()
    );
    assert!(said.fails(127).contains(&wanted), "{said}");
    assert_eq!(docker(&gantry, "ps -aq --filter volume=gone").ok(), "");
}

#[test]
fn mounts_of_volumes_take_all_of_dockers_options() {
    let gantry = Daemon::start();
    docker(&gantry, "run --rm -v data:/data busybox mkdir -p /data/deep/er").ok();
    let part = "--mount type=volume,src=data,dst=/part,volume-subpath=deep";
    assert_eq!(docker(&gantry, &format!("run --rm {part} busybox ls /part")).ok(), "er");
    let read = "--mount type=volume,src=data,dst=/part,readonly";
    let said = docker(&gantry, &format!("run --rm {read} busybox touch /part/x"));
    assert!(said.fails(1).contains("Read-only file system"), "{said}");
    symlink("/etc", data(&gantry, "data").join("out")).unwrap();
    symlink("deep/er", data(&gantry, "data").join("in")).unwrap();
    for (missing, code, wanted) in
        [("out", 125, "path concatenation escapes the base directory"), ("nosuch", 127, "cannot access path")]
    {
        let part = format!("--mount type=volume,src=data,dst=/part,volume-subpath={missing}");
        let said = docker(&gantry, &format!("run --rm {part} busybox ls /part"));
        assert!(said.fails(code).contains(wanted), "{said}");
    }
    let part = "--mount type=volume,src=data,dst=/part,volume-subpath=in";
    docker(&gantry, &format!("run --rm {part} busybox touch /part/x")).ok();
    assert!(data(&gantry, "data").join("deep/er/x").exists());
    let made = "type=volume,src=made,dst=/m,volume-label=a=b,volume-driver=local,volume-opt=type=tmpfs,volume-opt=device=tmpfs";
    gantry.docker(["run", "--rm", "--mount", made, "busybox", "true"]).ok();
    assert_eq!(gantry.inspect("made", "{{json .Labels}} {{.Options.type}}"), r#"{"a":"b"} tmpfs"#);
    let said = docker(&gantry, "run --rm --mount type=volume,dst=/x,volume-driver=odd busybox true");
    assert!(said.fails(125).contains("error looking up volume plugin odd"), "{said}");
}

#[test]
fn volumes_from_brings_all_mounts_of_the_other() {
    let gantry = Daemon::start();
    let folder = gantry.place().path("folder");
    std::fs::create_dir(&folder).unwrap();
    docker(
        &gantry,
        &format!("create --name store -v /anon -v data:/data:ro -v {}:/bind busybox", folder.display()),
    )
    .ok();
    let said = gantry.docker([
        "run",
        "--name",
        "user",
        "--volumes-from",
        "store",
        "busybox",
        "sh",
        "-c",
        "touch /anon/a /bind/b; touch /data/c",
    ]);
    assert!(said.fails(1).contains("Read-only file system"), "{said}");
    assert!(folder.join("b").exists());
    let name =
        gantry.inspect("store", "{{range .Mounts}}{{if eq .Destination \"/anon\"}}{{.Name}}{{end}}{{end}}");
    assert!(data(&gantry, &name).join("a").exists());
    let said = docker(&gantry, "run --rm --volumes-from store:ro busybox touch /anon/x");
    assert!(said.fails(1).contains("Read-only file system"), "{said}");
    docker(&gantry, "run -d --name running -v /more busybox sleep 1000").ok();
    docker(&gantry, "run --rm --volumes-from running --volumes-from store busybox ls /more /anon").ok();
    docker(&gantry, "rm -v store").ok();
    assert!(names(&gantry).contains(&name), "another container uses it");
    docker(&gantry, "rm -v user").ok();
    assert!(!names(&gantry).contains(&name));
    let said = docker(&gantry, "create --volumes-from nosuch busybox");
    assert!(said.fails(1).contains("No such container: nosuch"), "{said}");
}

#[test]
fn prune_takes_anonymous_ones_unless_all_are_wanted() {
    let gantry = Daemon::start();
    for label in ["keep", "go"] {
        docker(&gantry, &format!("volume create --label {label} {label}")).ok();
    }
    docker(&gantry, "volume create -o type=tmpfs -o device=tmpfs elsewhere").ok();
    let anonymous = docker(&gantry, "volume create").ok().to_owned();
    std::fs::write(data(&gantry, &anonymous).join("x"), [0; 2048]).unwrap();
    let said = docker(&gantry, "volume prune -f");
    assert!(said.ok().contains(&anonymous) && said.ok().contains("2.048kB"), "{said}");
    docker(&gantry, "volume prune -af --filter label!=keep").ok();
    assert_eq!(names(&gantry), ["elsewhere", "keep"]);
    let old = gantry.api("POST", "/v1.41/volumes/prune", None).json();
    assert_eq!(old, json!({"VolumesDeleted": ["keep"], "SpaceReclaimed": 0}));
    let odd = gantry.api("POST", "/volumes/prune?filters=%7B%22all%22%3A%5B%22x%22%5D%7D", None);
    assert_eq!(odd.error(400), "invalid filter 'all=[x]'");
}

#[test]
fn volumes_are_listed_by_filters() {
    let gantry = Daemon::start();
    docker(&gantry, "volume create --label app=web web_data").ok();
    docker(&gantry, "volume create --label app=db db_data").ok();
    docker(&gantry, "create -v web_data:/data busybox").ok();
    for (filter, wanted) in [
        ("name=web", vec!["web_data"]),
        ("name=_data$", vec!["db_data", "web_data"]),
        ("label=app", vec!["db_data", "web_data"]),
        ("label=app=db", vec!["db_data"]),
        ("dangling=true", vec!["db_data"]),
        ("dangling=0", vec!["web_data"]),
        ("driver=nfs", vec![]),
    ] {
        assert_eq!(docker(&gantry, &format!("volume ls -q --filter {filter}")).lines(), wanted, "{filter}");
    }
    let said = docker(&gantry, "volume ls --filter colour=red");
    assert!(said.fails(1).contains("invalid filter 'colour'"), "{said}");
}

#[test]
fn events_tell_what_happens_to_volumes() {
    let gantry = Daemon::start();
    let id = docker(&gantry, "run -d -v data:/data:ro busybox true").ok().to_owned();
    gantry.until_exited(&id);
    docker(&gantry, &format!("rm {id}")).ok();
    docker(&gantry, "volume rm data").ok();
    let now = gantry.place().run("date", ["+%s.%N"]).ok().to_owned();
    let events = gantry.docker(["events", "--since", "1", "--until", &now, "--format", "{{json .}}"]);
    let all: Vec<Value> = events.lines().iter().map(|l| serde_json::from_str(l).unwrap()).collect();
    let volumes: Vec<&Value> = all.iter().filter(|e| e["Type"] == "volume").collect();
    let actions: Vec<&str> = volumes.iter().map(|e| e["Action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["create", "mount", "unmount", "destroy"]);
    let mount = json!({"container": id, "destination": "/data", "driver": "local", "propagation": "", "read/write": "false"});
    assert_eq!(volumes[1]["Actor"], json!({"ID": "data", "Attributes": mount}));
    assert_eq!(volumes[2]["Actor"]["Attributes"], json!({"container": id, "driver": "local"}));
    assert_eq!(volumes[3]["Actor"]["Attributes"], json!({"driver": "local"}));
}

#[test]
fn a_killed_daemon_loses_no_volume_and_leaves_nothing_half_made() {
    let mut gantry = Builder::new().start();
    docker(&gantry, "volume create -o type=tmpfs -o device=tmpfs -o o=size=1m mem").ok();
    docker(&gantry, "run -d --name one -v mem:/mem -v data:/data busybox sleep 1000").ok();
    docker(&gantry, "run -d --name two -v mem:/mem busybox sleep 1000").ok();
    docker(&gantry, "exec one touch /mem/x /data/x").ok();
    let half = gantry.data().join("volumes/.making-0011/_data");
    std::fs::create_dir_all(&half).unwrap();
    gantry.crash();
    assert!(!half.exists());
    assert_eq!(names(&gantry), ["data", "mem"]);
    assert_eq!(docker(&gantry, "exec two ls /mem").ok(), "x");
    docker(&gantry, "rm -f two").ok();
    assert!(is_mounted(&gantry, "mem"), "the other still has it");
    assert!(docker(&gantry, "volume rm mem").fails(1).contains("volume is in use"));
    gantry.kill();
    // It ends while no daemon is there.
    let group = gantry.place().cgroup();
    gantry.place().sh(&format!("for f in $(find /sys/fs/cgroup -path '*{group}/*' -name cgroup.procs); do kill -9 $(cat $f); done 2>/dev/null; true"));
    gantry.start_again();
    eventually("it is unmounted", || (!is_mounted(&gantry, "mem")).then_some(()));
    docker(&gantry, "start one").ok();
    assert_eq!(docker(&gantry, "exec one ls /data").ok(), "x");
    assert_eq!(docker(&gantry, "exec one ls /mem").ok(), "");
}

#[test]
fn inspect_and_ps_show_volumes_as_docker_does() {
    let gantry = Daemon::start();
    let args = "create --name all -v data:/a -v data:/b:ro --mount type=volume,src=data,dst=/c --mount type=tmpfs,dst=/d busybox";
    docker(&gantry, args).ok();
    let source = data(&gantry, "data");
    let volume = |at: &str, mode: &str, writable: bool| {
        json!({
            "Type": "volume", "Name": "data", "Source": source, "Destination": at, "Driver": "local", "Mode": mode,
            "RW": writable, "Propagation": "",
        })
    };
    let memory = json!({"Type": "tmpfs", "Source": "", "Destination": "/d", "Mode": "", "RW": true, "Propagation": ""});
    let wanted = json!([volume("/a", "z", true), volume("/b", "ro", false), volume("/c", "z", true), memory]);
    let shown = gantry.inspected("all");
    assert_eq!(shown["Mounts"], wanted);
    // docker's command line sends them in any order.
    let mut binds = shown["HostConfig"]["Binds"].as_array().unwrap().clone();
    binds.sort_by_key(ToString::to_string);
    assert_eq!(binds, [json!("data:/a"), json!("data:/b:ro")]);
    assert_eq!(shown["Config"]["Volumes"], Value::Null);
    assert_eq!(docker(&gantry, "ps -a --no-trunc --format {{.Mounts}}").ok(), "data,data,data,");
    for (filter, found) in [("data", true), ("/b", true), ("other", false)] {
        let said = docker(&gantry, &format!("ps -aq --filter volume={filter}"));
        assert_eq!(!said.ok().is_empty(), found, "{filter}");
    }
}

#[test]
fn creates_that_a_kill_cuts_short_leave_no_volume_of_theirs() {
    let mut gantry = Daemon::start();
    stocked(&gantry);
    for round in 0..4 {
        let making: Vec<_> = (0..8)
            .map(|_| gantry.docker_running(["create", "-v", "/anonymous", "-v", "data:/srv", "stocked"]))
            .collect();
        std::thread::sleep(std::time::Duration::from_millis(40 + 60 * round));
        gantry.kill();
        drop(making);
        gantry.start_again();
        let made = docker(&gantry, "ps -aq").lines().len();
        let anonymous = names(&gantry).into_iter().filter(|name| name != "data").count();
        assert_eq!(anonymous, made, "each container that there is has its own");
        let content = docker(&gantry, "run --rm -v data:/srv stocked cat /srv/link");
        assert_eq!(content.ok(), "from the image", "what was cut short is begun anew");
        for id in docker(&gantry, "ps -aq").lines() {
            docker(&gantry, &format!("rm -v {id}")).ok();
        }
        docker(&gantry, "volume rm -f data").ok();
        assert_eq!(names(&gantry), [""; 0]);
    }
}

#[test]
fn many_at_once_share_a_volume_and_leave_nothing_else() {
    let gantry = Daemon::start();
    docker(&gantry, "volume create -o type=tmpfs -o device=tmpfs mem").ok();
    let runs: Vec<_> = (0..12)
        .map(|n| {
            let script = format!("touch /data/{n} /mem/x /own/x");
            let args = ["run", "--rm", "-v", "data:/data", "-v", "mem:/mem", "-v", "/own", "busybox"];
            gantry.docker_running(args.into_iter().chain(["sh", "-c", &script]))
        })
        .collect();
    for run in runs {
        run.finish().ok();
    }
    assert_eq!(std::fs::read_dir(data(&gantry, "data")).unwrap().count(), 12);
    eventually("only the named ones are left", || (names(&gantry) == ["data", "mem"]).then_some(()));
    eventually("it is unmounted", || (!is_mounted(&gantry, "mem")).then_some(()));
}
