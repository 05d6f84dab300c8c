//! Mounts of every kind laid over each other: their order, their places, what they pass on.

use gantry_tests::{Daemon, Output, Place, eventually};
use std::os::unix::fs::symlink;

fn docker(gantry: &Daemon, text: &str) -> Output {
    gantry.docker(text.split(' '))
}

fn folder(place: &Place, name: &str) -> String {
    let path = place.path(name);
    std::fs::create_dir_all(&path).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A mount of the test's own that passes its mounts on to copies of itself; taken off when dropped.
struct Shared<'a>(&'a Place, String);

impl<'a> Shared<'a> {
    fn new(place: &'a Place) -> Self {
        let at = folder(place, "shared");
        place.run("mount", ["-t", "tmpfs", "shared", &at]).ok();
        let this = Self(place, at);
        place.run("mount", ["--make-shared", &this.1]).ok();
        this
    }
}

impl Drop for Shared<'_> {
    fn drop(&mut self) {
        // It may have mounts of the test below.
        let off = self.0.run("umount", ["-R", &self.1]);
        if !std::thread::panicking() {
            off.ok();
        }
    }
}

#[test]
fn mounts_of_all_kinds_are_laid_over_each_other_by_depth() {
    let gantry = Daemon::start();
    let bound = folder(gantry.place(), "bound");
    let script =
        "touch /a/one /a/b/two /a/b/c/three /a/b/c/d/four; ls /a /a/b /a/b/c /a/b/c/d | tr '\\n' ' '";
    let bind = format!("{bound}:/a/b");
    let memory = "type=tmpfs,dst=/a/b/c/d";
    let args =
        ["run", "--rm", "-v", "inner:/a/b/c", "--tmpfs", "/a", "-v", &bind, "--mount", memory, "busybox"];
    let said = gantry.docker(args.into_iter().chain(["sh", "-c", script]));
    assert_eq!(said.ok(), "/a: b one  /a/b: c two  /a/b/c: d three  /a/b/c/d: four ");
    assert!(std::fs::exists(format!("{bound}/two")).unwrap());
    assert!(gantry.data().join("volumes/inner/_data/three").exists());
    let etc = folder(gantry.place(), "etc");
    std::fs::write(format!("{etc}/own"), "").unwrap();
    let said = docker(&gantry, &format!("run --rm --hostname told -v {etc}:/etc busybox cat /etc/hostname"));
    assert_eq!(said.ok(), "told", "the engine's own files are not covered by what lies above them");
}

#[test]
fn what_the_user_mounts_takes_the_place_of_the_engines_own() {
    let gantry = Daemon::start();
    let file = gantry.write("hosts", "10.9.8.7 mine\n");
    let said = docker(&gantry, &format!("run --rm -v {}:/etc/hosts busybox cat /etc/hosts", file.display()));
    assert_eq!(said.ok(), "10.9.8.7 mine");
    let said = docker(&gantry, "run --rm --tmpfs /dev/shm:size=1m busybox df -k /dev/shm");
    assert!(said.ok().contains(" 1024 "), "{said}");
    let said = docker(&gantry, "run --rm -v shm:/dev/shm busybox sh -c mount|grep${IFS}/dev/shm|wc${IFS}-l");
    assert_eq!(said.ok(), "1");
    let said = docker(&gantry, "run --rm -v odd:/proc busybox true");
    assert!(said.fails(125).contains("\"/proc\" cannot be mounted"), "{said}");
}

#[test]
fn links_of_the_image_lead_mounts_nowhere_outside() {
    let gantry = Daemon::start();
    let folder = gantry.place().path("image");
    std::fs::create_dir_all(folder.join("etc")).unwrap();
    let outside = gantry.place().path("outside");
    std::fs::create_dir(&outside).unwrap();
    symlink(&outside, folder.join("out")).unwrap();
    symlink("../../../../../../..", folder.join("etc/up")).unwrap();
    let tar = gantry.place().path("image.tar");
    std::fs::copy(gantry_tests::image::import_tar(), &tar).unwrap();
    let (folder, tar) = (folder.to_str().unwrap(), tar.to_str().unwrap());
    gantry.place().run("tar", ["-C", folder, "-rf", tar, "out", "etc/up"]).ok();
    gantry.docker(["import", "-c", "CMD [\"sh\"]", tar, "linked"]).ok();
    let bound = self::folder(gantry.place(), "bound");
    for target in ["/out/deep", "/etc/up/other"] {
        let said = docker(&gantry, &format!("run --rm -v {bound}:{target} linked touch {target}/x"));
        said.ok();
    }
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
    assert!(!std::fs::exists("/other").unwrap());
}

#[test]
fn propagation_goes_as_far_as_it_was_asked_to() {
    let gantry = Daemon::start();
    let place = gantry.place();
    let shared = Shared::new(place);
    let at = &shared.1;
    for (name, mode) in [("private", ""), ("slave", ":rslave"), ("peer", ":rshared")] {
        let run = "run -d --cap-add SYS_ADMIN --security-opt seccomp=unconfined";
        docker(&gantry, &format!("{run} --name {name} -v {at}:/in{mode} busybox sleep 1000")).ok();
    }
    std::fs::create_dir(format!("{at}/host")).unwrap();
    place.run("mount", ["-t", "tmpfs", "host", &format!("{at}/host")]).ok();
    let sees = |name: &str, what: &str| {
        docker(&gantry, &format!("exec {name} cat /proc/mounts")).ok().contains(&format!(" /in/{what} "))
    };
    assert_eq!(["private", "slave", "peer"].map(|n| sees(n, "host")), [false, true, true]);
    for name in ["slave", "peer"] {
        docker(&gantry, &format!("exec {name} mkdir /in/{name}")).ok();
        docker(&gantry, &format!("exec {name} mount -t tmpfs {name} /in/{name}")).ok();
    }
    let table = std::fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(table.contains(&format!(" {at}/peer ")) && !table.contains(&format!(" {at}/slave ")));
    assert!(sees("slave", "peer") && !sees("private", "peer"));
    assert_eq!(gantry.inspect("peer", "{{(index .Mounts 0).Propagation}}"), "rshared");
    docker(&gantry, "rm -f private slave peer").ok();
}

#[test]
fn sharing_demands_a_source_that_is_shared() {
    let gantry = Daemon::start();
    let plain = folder(gantry.place(), "plain");
    let text = gantry.place().run("findmnt", ["-no", "TARGET", "-T", &plain]).ok().to_owned();
    for (mode, wanted) in [("rshared", "shared"), ("slave", "shared or slave")] {
        let said = docker(&gantry, &format!("run --rm -v {plain}:/in:{mode} busybox true"));
        let wanted = format!("path {plain} is mounted on {text} but it is not a {wanted} mount");
        assert!(said.fails(125).contains(&wanted), "{said}");
    }
    let said =
        docker(&gantry, "run --rm --mount type=bind,src=/,dst=/in,bind-propagation=rprivate busybox true");
    assert!(said.fails(125).contains("must use either propagation mode \"rslave\" or \"rshared\""), "{said}");
    docker(&gantry, "create --name host -v /:/host:ro busybox").ok();
    assert_eq!(gantry.inspect("host", "{{(index .Mounts 0).Propagation}}"), "rslave");
    docker(&gantry, "start -a host").ok();
}

#[test]
fn a_bind_brings_what_lies_below_it_as_it_was_asked_to() {
    let gantry = Daemon::start();
    let place = gantry.place();
    let top = Shared::new(place);
    let at = &top.1;
    std::fs::create_dir(format!("{at}/below")).unwrap();
    place.run("mount", ["-t", "tmpfs", "below", &format!("{at}/below")]).ok();
    std::fs::write(format!("{at}/below/file"), "").unwrap();
    let run = |options: &str, command: &str| {
        let mount = format!("type=bind,src={at},dst=/in{options}");
        gantry.docker(["run", "--rm", "--mount", &mount, "busybox", "sh", "-c", command])
    };
    assert_eq!(run("", "ls /in/below").ok(), "file");
    assert_eq!(run(",bind-recursive=disabled", "ls /in/below").ok(), "");
    assert_eq!(run(",bind-nonrecursive", "ls /in/below").ok(), "");
    for (options, writable) in [
        (",ro", false),
        (",ro,bind-recursive=writable", true),
        (",ro,bind-recursive=readonly,bind-propagation=rprivate", false),
    ] {
        assert_eq!(run(options, "touch /in/below/x").code == 0, writable, "{options}");
        assert_ne!(run(options, "touch /in/x").code, 0, "{options}");
    }
}

#[test]
fn file_systems_in_memory_have_dockers_options() {
    let gantry = Daemon::start();
    let said = gantry.docker([
        "run",
        "--rm",
        "--tmpfs",
        "/x:size=2m,mode=0700,uid=1000,gid=2000,exec,nr_inodes=99",
        "busybox",
        "sh",
        "-c",
        "grep ' /x ' /proc/mounts; stat -c '%a %u %g' /x",
    ]);
    let words: Vec<&str> = said.ok().split([',', ' ', '\n']).collect();
    for wanted in ["size=2048k", "mode=700", "uid=1000", "gid=2000", "nr_inodes=99", "nosuid", "nodev", "700"]
    {
        assert!(words.contains(&wanted), "{wanted}: {said}");
    }
    assert!(!words.contains(&"noexec"), "{said}");
    let mount = "type=tmpfs,dst=/x,tmpfs-size=1m,tmpfs-mode=1770,ro";
    let said = gantry.docker(["run", "--rm", "--mount", mount, "busybox", "grep", " /x ", "/proc/mounts"]);
    let words: Vec<&str> = said.ok().split([',', ' ']).collect();
    assert!(["ro", "noexec", "size=1024k", "mode=1770"].iter().all(|w| words.contains(w)), "{said}");
    for (tmpfs, wanted) in [
        ("/x:odd", "invalid tmpfs option [\"odd\"]"),
        ("x", "invalid mount path: 'x' mount path must be absolute"),
        ("/", "invalid specification: destination can't be '/'"),
    ] {
        assert!(
            gantry.docker(["run", "--rm", "--tmpfs", tmpfs, "busybox", "true"]).fails(125).contains(wanted)
        );
    }
}

#[test]
fn wrong_mounts_are_refused_and_leave_nothing() {
    let gantry = Daemon::start();
    for (mount, wanted) in [
        ("type=bind,src=/tmp,dst=relative", "invalid mount path: 'relative' mount path must be absolute"),
        ("type=volume,src=vv,dst=/", "invalid specification: destination can't be '/'"),
        ("type=tmpfs,src=x,dst=/x", "field Source must not be specified"),
        ("type=npipe,src=x,dst=/x", "invalid mount config for type \"npipe\": mount type unknown"),
        ("type=image,src=busybox,dst=/x", "gantry does not support mounts of type image yet"),
        (
            "type=volume,src=vv,dst=/x,volume-subpath=../y",
            "subpath must be a relative path within the volume",
        ),
    ] {
        let said = gantry.docker(["create", "--mount", mount, "busybox"]);
        assert!(said.fails(1).contains(wanted), "{said}");
    }
    let twice = docker(&gantry, "create --tmpfs /x -v vv:/x busybox");
    assert!(twice.fails(1).contains("Duplicate mount point: /x"), "{twice}");
    assert_eq!(docker(&gantry, "ps -aq").ok(), "");
    assert_eq!(docker(&gantry, "volume ls -q").ok(), "");
}

#[test]
fn a_missing_source_is_made_when_that_is_asked_for() {
    let gantry = Daemon::start();
    let missing = gantry.place().path("made/deep");
    let body = serde_json::json!({"Image": "busybox", "Cmd": ["touch", "/x/y"], "HostConfig": {"Mounts": [{
        "Type": "bind", "Source": missing, "Target": "/x", "BindOptions": {"CreateMountpoint": true}, "Consistency": "cached",
    }]}});
    let id = gantry.api("POST", "/containers/create", Some(&body)).json()["Id"].as_str().unwrap().to_owned();
    docker(&gantry, &format!("start {id}")).ok();
    eventually("it is written", || missing.join("y").exists().then_some(()));
    gantry.until_exited(&id);
    let file = gantry.write("file", "");
    let blocked = file.join("below");
    let said = docker(&gantry, &format!("run --rm -v {}:/x busybox true", blocked.display()));
    assert!(said.fails(125).contains("error while creating mount source path"), "{said}");
}

#[test]
fn older_clients_keep_what_is_below_a_read_only_bind_writable() {
    let gantry = Daemon::start();
    let place = gantry.place();
    let top = Shared::new(place);
    std::fs::create_dir(format!("{}/below", top.1)).unwrap();
    place.run("mount", ["-t", "tmpfs", "below", &format!("{}/below", top.1)]).ok();
    for (version, code) in [("v1.43", 0), ("v1.44", 1)] {
        let body = serde_json::json!({
            "Image": "busybox", "Cmd": ["touch", "/in/below/x"], "HostConfig": {"Binds": [format!("{}:/in:ro", top.1)]},
        });
        let made = gantry.api("POST", &format!("/{version}/containers/create"), Some(&body)).json();
        let id = made["Id"].as_str().unwrap();
        docker(&gantry, &format!("start {id}")).ok();
        gantry.until_exited(id);
        assert_eq!(gantry.inspect(id, "{{.State.ExitCode}}"), code.to_string(), "{version}");
        docker(&gantry, &format!("rm {id}")).ok();
    }
}
