//! What is told of images and of what they take: lists, inspection, history, the disk; and images from URLs.

use gantry_tests::{Daemon, Running, eventually, image};
use serde_json::json;
use std::collections::BTreeSet;

fn commit(gantry: &Daemon, from: &str, to: &str) -> String {
    let write = format!("dd if=/dev/zero of=/{to} bs=1k count=8 2>/dev/null");
    gantry.docker(["run", "--name", "maker", from, "sh", "-c", &write]).ok();
    let id = gantry.docker(["commit", "-m", "more", "maker", to]).ok().to_owned();
    gantry.docker(["rm", "maker"]).ok();
    id
}

fn names(gantry: &Daemon, filters: &[&str]) -> Vec<String> {
    let mut args = vec!["images", "--format", "{{.Repository}}:{{.Tag}}"];
    args.extend(filters.iter().flat_map(|f| ["-f", f]));
    let mut names: Vec<String> = gantry.docker(args).lines().into_iter().map(str::to_owned).collect();
    names.sort();
    names
}

#[test]
fn images_are_chosen_by_age_name_and_label() {
    let gantry = Daemon::start();
    commit(&gantry, "busybox", "first:1");
    std::thread::sleep(std::time::Duration::from_millis(20));
    commit(&gantry, "busybox", "second:1");
    assert_eq!(names(&gantry, &["since=first:1"]), ["second:1"]);
    assert_eq!(names(&gantry, &["before=second:1"]), ["busybox:latest", "first:1"]);
    assert_eq!(names(&gantry, &["since=busybox", "before=second:1"]), ["first:1"]);
    assert_eq!(names(&gantry, &["until=2h"]), [""; 0]);
    assert_eq!(names(&gantry, &["until=2100-01-01"]).len(), 3);
    assert_eq!(names(&gantry, &["reference=*:1"]), ["first:1", "second:1"]);
    assert_eq!(names(&gantry, &["reference=first", "reference=busy*"]), ["busybox:latest", "first:1"]);
    assert_eq!(names(&gantry, &["dangling=true"]), [""; 0]);
    let wrong = gantry.docker(["images", "-f", "colour=red"]);
    assert!(wrong.stderr.contains("invalid filter 'colour'"), "{wrong}");
    gantry.docker(["images", "--tree"]).ok();
    gantry.docker(["images", "--digests", "--no-trunc"]).ok();
}

#[test]
fn inspection_and_history_name_the_images_below() {
    let gantry = Daemon::start();
    let base = gantry.inspect("busybox", "{{.Id}}");
    let first = commit(&gantry, "busybox", "first:1");
    let second = commit(&gantry, "first:1", "second:1");
    assert_eq!(gantry.inspect("second:1", "{{.Parent}} {{.Comment}}"), format!("{first} more"));
    let format = "{{.ID}} {{.Size}} {{.Comment}}";
    let history = gantry.docker(["history", "--no-trunc", "-H=false", "--format", format, "second:1"]);
    let size = gantry.inspect("busybox", "{{.Size}}");
    assert_eq!(
        history.lines(),
        [
            format!("{second} 8192 more").as_str(),
            format!("{first} 8192 more").as_str(),
            format!("{base} {size} Imported from -").as_str()
        ]
    );
    gantry.docker(["rmi", "-f", "first:1"]).ok();
    let tags = gantry.api("GET", "/images/second:1/history", None).json();
    assert_eq!((&tags[0]["Tags"], &tags[1]["Tags"]), (&json!(["second:1"]), &json!(null)));
    let shown = gantry.inspected("second:1");
    assert!(shown.get("Descriptor").is_none());
    assert_eq!(shown["GraphDriver"]["Name"], "overlay2");
    for part in ["UpperDir", "LowerDir"] {
        for folder in shown["GraphDriver"]["Data"][part].as_str().expect("a path").split(':') {
            assert!(std::path::Path::new(folder).is_dir(), "{folder}");
        }
    }
    gantry.docker(["image", "inspect", "--platform", "linux/amd64", "busybox"]).ok();
    let other = gantry.docker(["image", "inspect", "--platform", "linux/arm64", "busybox"]);
    let text = "image with reference busybox was found but its platform (linux/amd64) does not match the specified platform (linux/arm64)";
    assert!(other.stderr.contains(text), "{other}");
    let other = gantry.docker(["history", "--platform", "linux/arm64", "busybox"]);
    assert!(other.stderr.contains(text), "{other}");
    let platform = "platform=%7B%22os%22%3A%22linux%22%2C%22architecture%22%3A%22amd64%22%7D";
    gantry.api("GET", "/images/busybox/json?manifests=1", None).json();
    gantry.api("GET", "/images/json?manifests=1", None).json();
    gantry.api("GET", &format!("/images/busybox/json?manifests=1&{platform}"), None).error(400);
}

#[test]
fn a_container_tells_where_its_layers_are() {
    let gantry = Daemon::start();
    gantry.docker(["run", "--name", "web", "busybox", "sh", "-c", "echo x > /mine"]).ok();
    let data = gantry.inspected("web")["GraphDriver"]["Data"].clone();
    assert_eq!(data["ID"], gantry.inspect("web", "{{.Id}}"));
    let folder = |part: &str| std::path::PathBuf::from(data[part].as_str().expect("a path"));
    assert_eq!(std::fs::read(folder("UpperDir").join("mine")).expect("its file"), b"x\n");
    assert!(folder("LowerDir").join("bin/busybox").exists());
    assert!(folder("WorkDir").is_dir() && folder("MergedDir").is_dir());
}

/// Bytes of what lies below a folder.
fn apparent(gantry: &Daemon, folder: &str) -> u64 {
    let sum = gantry.place().sh(&format!("find {folder} -type f -printf '%i %s\\n' | sort -u"));
    sum.lines().iter().filter_map(|l| l.split(' ').nth(1)?.parse::<u64>().ok()).sum()
}

#[test]
fn what_images_take_on_the_disk_is_what_df_tells_and_a_little() {
    let gantry = Daemon::start();
    commit(&gantry, "busybox", "first:1");
    commit(&gantry, "first:1", "second:1");
    gantry.docker(["import", image::import_tar().to_str().expect("a plain path"), "again:1"]).ok();
    let all = gantry.api("GET", "/system/df", None).json();
    let told = all["LayersSize"].as_u64().expect("a number");
    let unique: BTreeSet<String> = all["Images"]
        .as_array()
        .expect("images")
        .iter()
        .map(|i| format!("{} {}", i["Size"], i["SharedSize"]))
        .collect();
    let base: u64 = gantry.inspect("busybox", "{{.Size}}").parse().expect("a number");
    assert_eq!(told, base + 2 * 8192);
    let shown = |size: u64, shared: u64| format!("{size} {shared}");
    assert_eq!(
        unique,
        BTreeSet::from([
            shown(base, base),
            shown(base + 8192, base + 8192),
            shown(base + 2 * 8192, base + 8192)
        ])
    );
    let data = gantry.data();
    let taken = apparent(&gantry, &format!("{0}/layers {0}/images {0}/tmp", data.display()));
    // Names, configurations, the records of layers' streams, and room kept for removing.
    assert!(taken >= told && taken < told + told / 20 + (600 << 10), "{taken} bytes for {told}");
    // What a container alone still needs is counted too.
    gantry.docker(["create", "--name", "user", "second:1"]).ok();
    gantry.docker(["rmi", "-f", "second:1"]).ok();
    assert_eq!(gantry.api("GET", "/system/df?type=image", None).json()["LayersSize"], told);
    gantry.docker(["rm", "user"]).ok();
    let size = || gantry.api("GET", "/system/df?type=image", None).json()["LayersSize"].as_u64();
    eventually("its layer is gone", || (size() == Some(told - 8192)).then_some(()));
    gantry.docker(["system", "df", "-v"]).ok();
}

fn served(gantry: &Daemon) -> Running {
    let folder = gantry.place().path("www");
    std::fs::create_dir(&folder).expect("make a folder");
    std::fs::copy(image::import_tar(), folder.join("root.tar")).expect("copy the tar");
    let folder = folder.to_str().expect("a plain path").to_owned();
    let running =
        gantry.place().spawn("busybox", ["httpd", "-f", "-p", "127.0.0.1:8000", "-h", folder.as_str()]);
    eventually("it answers", || {
        (gantry.place().run("busybox", ["wget", "-qO", "/dev/null", "http://127.0.0.1:8000/root.tar"]).code
            == 0)
            .then_some(())
    });
    running
}

#[test]
fn images_are_imported_from_urls_and_for_other_machines() {
    let gantry = Daemon::start();
    let _server = served(&gantry);
    let said =
        gantry.docker(["import", "-c", "CMD [\"ls\", \"/etc\"]", "http://127.0.0.1:8000/root.tar", "far:1"]);
    assert!(said.ok().starts_with("Downloading from http://127.0.0.1:8000/root.tar"), "{said}");
    let id = gantry.inspect("far:1", "{{.Id}}");
    assert_eq!(said.lines().last().map(|l| (*l).to_owned()), Some(id));
    assert_eq!(gantry.inspect("far:1", "{{.Comment}}"), "Imported from http://127.0.0.1:8000/root.tar");
    assert!(gantry.docker(["run", "--rm", "far:1"]).ok().contains("passwd"));
    let bare = gantry.api("POST", "/images/create?fromSrc=127.0.0.1:8000/root.tar&repo=far&tag=2", None);
    assert_eq!(bare.status, 200);
    gantry.inspect("far:2", "{{.Id}}");
    let missing = gantry.docker(["import", "http://127.0.0.1:8000/none.tar", "far:3"]);
    assert!(
        missing.stderr.contains("failed to GET http://127.0.0.1:8000/none.tar with status 404"),
        "{missing}"
    );
    let tar = image::import_tar();
    let tar = tar.to_str().expect("a plain path");
    gantry.docker(["import", "--platform", "linux/arm/v6", "-m", "mine", tar, "arm:1"]).ok();
    assert_eq!(
        gantry.inspect("arm:1", "{{.Os}} {{.Architecture}} {{.Variant}} {{.Comment}}"),
        "linux arm v6 mine"
    );
    let wrong = gantry.docker(["import", "--platform", "foobar", tar, "wrong:1"]);
    assert!(wrong.stderr.contains("unknown operating system or architecture"), "{wrong}");
    let wrong = gantry.docker(["import", "--platform", "windows/amd64", tar, "wrong:1"]);
    assert!(wrong.stderr.contains("operating system is not supported"), "{wrong}");
    assert_eq!(std::fs::read_dir(gantry.data().join("tmp")).expect("the folder").count(), 0);
}
