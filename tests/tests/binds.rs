//! Folders and files of the host inside containers.

use gantry_tests::{Daemon, Output, Place};
use std::os::unix::fs::MetadataExt;

type Run = fn(&Daemon, Vec<String>) -> Output;
const BOTH: [Run; 2] = [Daemon::docker, Daemon::gantry];

fn folder(place: &Place, name: &str) -> String {
    let path = place.path(name);
    std::fs::create_dir(&path).unwrap();
    path.to_str().unwrap().to_owned()
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

#[test]
fn a_folder_is_shared_both_ways() {
    let gantry = Daemon::start();
    let shared = folder(gantry.place(), "shared");
    for (n, run) in BOTH.into_iter().enumerate() {
        std::fs::write(format!("{shared}/in"), "from the host").unwrap();
        let said =
            run(&gantry, words(&format!("run --rm -v {shared}:/data busybox cp /data/in /data/out{n}")));
        said.ok();
        assert_eq!(std::fs::read_to_string(format!("{shared}/out{n}")).unwrap(), "from the host");
    }
}

#[test]
fn read_only_means_it() {
    let gantry = Daemon::start();
    let shared = folder(gantry.place(), "shared");
    std::fs::write(format!("{shared}/in"), "kept").unwrap();
    for run in BOTH {
        let said = run(&gantry, words(&format!("run --rm -v {shared}:/data:ro busybox touch /data/new")));
        assert!(said.fails(1).contains("Read-only file system"), "{said}");
        let said = run(&gantry, words(&format!("run --rm -v {shared}:/data:ro busybox cat /data/in")));
        assert_eq!(said.ok(), "kept");
        let said = run(
            &gantry,
            words(&format!(
                "run --rm --mount type=bind,src={shared},dst=/data,readonly busybox touch /data/new"
            )),
        );
        assert!(said.fails(1).contains("Read-only file system"), "{said}");
    }
}

#[test]
fn a_missing_source_of_v_is_made_and_of_mount_refused() {
    let gantry = Daemon::start();
    for (n, run) in BOTH.into_iter().enumerate() {
        let missing = gantry.place().path(&format!("missing{n}/deep")).to_str().unwrap().to_owned();
        run(&gantry, words(&format!("run --rm -v {missing}:/data busybox touch /data/x"))).ok();
        let made = std::fs::metadata(&missing).unwrap();
        assert!(made.is_dir() && made.uid() == 0);
        assert!(std::fs::exists(format!("{missing}/x")).unwrap());
        let absent = gantry.place().path("absent").to_str().unwrap().to_owned();
        let said =
            run(&gantry, words(&format!("run --rm --mount type=bind,src={absent},dst=/data busybox true")));
        let wanted =
            format!("invalid mount config for type \"bind\": bind source path does not exist: {absent}");
        assert!(said.fails(125).contains(&wanted), "{said}");
        assert!(!std::fs::exists(&absent).unwrap());
    }
}

#[test]
fn a_single_file_is_shared() {
    let gantry = Daemon::start();
    let file = gantry.write("config", "setting = 1\n");
    let file = file.to_str().unwrap();
    let said =
        gantry.docker(words(&format!("run --rm -v {file}:/etc/deep/config:ro busybox cat /etc/deep/config")));
    assert_eq!(said.ok(), "setting = 1");
}

#[test]
fn several_folders_are_laid_over_each_other_by_depth() {
    let gantry = Daemon::start();
    let (outer, inner) = (folder(gantry.place(), "outer"), folder(gantry.place(), "inner"));
    std::fs::write(format!("{outer}/o"), "").unwrap();
    std::fs::write(format!("{inner}/i"), "").unwrap();
    let said = gantry.docker(words(&format!(
        "run --rm -v {inner}:/data/inner -v {outer}:/data busybox ls /data /data/inner"
    )));
    assert_eq!(said.ok(), "/data:\ninner\no\n\n/data/inner:\ni");
}

#[test]
fn inspect_lists_the_mounts() {
    let gantry = Daemon::start();
    let shared = folder(gantry.place(), "shared");
    gantry.docker(words(&format!("create --name mounted -v {shared}:/data:ro busybox"))).ok();
    let shown = gantry.inspected("mounted");
    assert_eq!(shown["HostConfig"]["Binds"], serde_json::json!([format!("{shared}:/data:ro")]));
    let mount = &shown["Mounts"][0];
    assert_eq!(
        (&mount["Type"], &mount["Source"], &mount["Destination"]),
        (&"bind".into(), &shared.as_str().into(), &"/data".into())
    );
    assert_eq!(
        (&mount["Mode"], &mount["RW"], &mount["Propagation"]),
        (&"ro".into(), &false.into(), &"rprivate".into())
    );
    assert_eq!(gantry.docker(["ps", "-a", "--no-trunc", "--format", "{{.Mounts}}"]).ok(), shared);
}

#[test]
fn wrong_specifications_are_refused() {
    let gantry = Daemon::start();
    let shared = folder(gantry.place(), "shared");
    for (spec, wanted) in [
        (format!("{shared}:relative"), "invalid volume specification"),
        (format!("{shared}:/"), "invalid volume specification"),
        (format!("{shared}:/data:nosuch"), "invalid mode: nosuch"),
    ] {
        let said = gantry.docker(["run", "--rm", "-v", &spec, "busybox", "true"]);
        assert!(said.fails(125).contains(wanted), "{said}");
    }
    let other = folder(gantry.place(), "other");
    let said = gantry.docker(words(&format!("run --rm -v {shared}:/data -v {other}:/data busybox true")));
    assert!(said.fails(125).contains("Duplicate mount point: /data"), "{said}");
}

#[test]
fn tmpfs_has_its_size_and_is_gone_after_a_restart() {
    let gantry = Daemon::start();
    let said = gantry.docker([
        "run",
        "--name",
        "mem",
        "--tmpfs",
        "/scratch:size=1m,mode=1777",
        "busybox",
        "sh",
        "-c",
        "ls /scratch; df -k /scratch | tail -1; touch /scratch/x",
    ]);
    assert!(said.ok().contains(" 1024 "), "{said}");
    let again = gantry.docker(["start", "-a", "mem"]);
    assert!(!again.ok().lines().any(|l| l == "x"), "{again}");
}

#[test]
fn removing_the_container_leaves_the_folder_alone() {
    let gantry = Daemon::start();
    let shared = folder(gantry.place(), "shared");
    gantry.docker(words(&format!("run --name user -v {shared}:/data busybox touch /data/x"))).ok();
    gantry.docker(["rm", "-v", "user"]).ok();
    assert!(std::fs::exists(format!("{shared}/x")).unwrap());
}
