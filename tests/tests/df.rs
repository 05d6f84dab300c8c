//! What things take on the disk, and taking back what nobody uses.

use gantry_tests::Daemon;
use serde_json::json;

const MIB: u64 = 1 << 20;

fn written(gantry: &Daemon) {
    let run = "dd if=/dev/zero of=/big bs=1M count=3 2>/dev/null; ln /big /twin; sleep 1000";
    gantry.docker(["run", "-d", "--name", "web", "busybox", "sh", "-c", run]).ok();
    gantry_tests::eventually("it has written", || {
        (gantry.docker(["exec", "web", "ls", "/twin"]).code == 0).then_some(())
    });
}

#[test]
fn sizes_of_containers_are_those_of_their_own_layer_and_of_all() {
    let gantry = Daemon::start();
    written(&gantry);
    let image: u64 = gantry.inspect("busybox", "{{.Size}}").parse().unwrap();
    let shown = gantry.docker(["inspect", "-s", "-f", "{{.SizeRw}} {{.SizeRootFs}}", "web"]);
    assert_eq!(shown.ok(), format!("{} {}", 3 * MIB, 3 * MIB + image));
    let listed = gantry.docker(["ps", "-s", "--format", "{{.Size}}"]);
    assert!(listed.ok().starts_with("3.15MB (virtual "), "{listed}");
    assert!(gantry.inspected("web").get("SizeRw").is_none());
    gantry.docker(["create", "--name", "idle", "busybox"]).ok();
    assert_eq!(gantry.docker(["inspect", "-s", "-f", "{{.SizeRw}}", "idle"]).ok(), "0");
}

#[test]
fn df_adds_up_and_layers_of_several_images_count_once() {
    let gantry = Daemon::start();
    written(&gantry);
    let base: u64 = gantry.inspect("busybox", "{{.Size}}").parse().unwrap();
    gantry.docker(["commit", "web", "mine"]).ok();
    let all = gantry.api("GET", "/system/df", None).json();
    assert_eq!(all["LayersSize"], base + 3 * MIB);
    let image = |name: &str| {
        let named = |i: &&serde_json::Value| i["RepoTags"][0] == name;
        all["Images"].as_array().unwrap().iter().find(named).expect("it is listed").clone()
    };
    let mine = image("mine:latest");
    assert_eq!(
        (&mine["Size"], &mine["SharedSize"], &mine["Containers"]),
        (&json!(base + 3 * MIB), &json!(base), &json!(0))
    );
    assert_eq!(image("busybox:latest")["Containers"], 1);
    assert_eq!(all["Containers"][0]["SizeRw"], 3 * MIB);
    assert_eq!((&all["Volumes"], &all["BuildCache"]), (&json!([]), &json!([])));
    let some = gantry.api("GET", "/system/df?type=container&type=build-cache", None).json();
    assert_eq!(
        (&some["Images"], &some["Volumes"], &some["BuildCache"]),
        (&json!(null), &json!(null), &json!([]))
    );
    assert_eq!(some["Containers"].as_array().unwrap().len(), 1);
    assert_eq!(gantry.api("GET", "/system/df?type=x", None).error(400), "unknown object type: x");
    let table = gantry.docker(["system", "df", "--format", "{{.Type}} {{.TotalCount}} {{.Active}}"]);
    assert_eq!(table.lines(), ["Images 2 1", "Containers 1 1", "Local Volumes 0 0", "Build Cache 0 0"]);
    gantry.docker(["system", "df", "-v"]).ok();
}

#[test]
fn only_images_that_nobody_uses_are_pruned_and_by_default_only_nameless_ones() {
    let gantry = Daemon::start();
    written(&gantry);
    gantry.docker(["commit", "web"]).ok();
    gantry.docker(["commit", "-c", "LABEL keep=1", "web", "kept"]).ok();
    gantry.docker(["commit", "-c", "LABEL keep=0", "web", "named"]).ok();
    let pruned = gantry.docker(["image", "prune", "-f"]);
    assert_eq!(pruned.lines().iter().filter(|l| l.starts_with("deleted: ")).count(), 1, "{pruned}");
    assert_eq!(gantry.docker(["images", "-q"]).lines().len(), 3);
    let young = gantry.docker(["image", "prune", "-af", "--filter", "until=1h"]);
    assert_eq!(young.ok(), "Total reclaimed space: 0B");
    let pruned = gantry.docker(["image", "prune", "-af", "--filter", "label!=keep=1"]);
    assert!(pruned.ok().contains("untagged: named:latest"), "{pruned}");
    let names = gantry.docker(["images", "--format", "{{.Repository}}"]);
    let mut names = names.lines();
    names.sort_unstable();
    assert_eq!(names, ["busybox", "kept"]);
    let pruned = gantry.docker(["image", "prune", "-af"]);
    assert!(pruned.ok().contains("Total reclaimed space: 3.146MB"), "{pruned}");
    assert_eq!(gantry.docker(["images", "--format", "{{.Repository}}"]).ok(), "busybox");
    let wrong = gantry.api("POST", "/images/prune?filters=%7B%22x%22%3A%5B%22y%22%5D%7D", None);
    assert_eq!(wrong.error(400), "invalid filter 'x'");
    let builds = gantry.api("POST", "/build/prune", None).json();
    assert_eq!(builds, json!({ "CachesDeleted": null, "SpaceReclaimed": 0 }));
}
