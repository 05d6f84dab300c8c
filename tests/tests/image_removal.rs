//! `rmi` and `image prune` where images have children, containers and digests.

use gantry_tests::{Daemon, eventually};

/// `busybox:latest` ← `middle` ← `top`, each with a layer of its own.
fn family(gantry: &Daemon) {
    for (from, to) in [("busybox", "middle"), ("middle", "top")] {
        let write = format!("dd if=/dev/zero of=/{to} bs=1k count=4 2>/dev/null");
        gantry.docker(["run", "--name", "maker", from, "sh", "-c", &write]).ok();
        gantry.docker(["commit", "maker", to]).ok();
        gantry.docker(["rm", "maker"]).ok();
    }
}

fn id(gantry: &Daemon, name: &str) -> String {
    gantry.inspect(name, "{{.Id}}")
}

fn short(id: &str) -> &str {
    &id[7..19]
}

fn layers(gantry: &Daemon) -> usize {
    std::fs::read_dir(gantry.data().join("layers")).expect("the layers").count()
}

#[test]
fn an_image_with_children_is_only_untagged_and_goes_with_the_last_of_them() {
    let gantry = Daemon::start();
    family(&gantry);
    let (middle, top) = (id(&gantry, "middle"), id(&gantry, "top"));
    let refused = gantry.docker(["rmi", "-f", &middle]);
    let text = format!(
        "Error response from daemon: conflict: unable to delete {} (cannot be forced) - image has dependent child images",
        short(&middle)
    );
    assert_eq!((refused.code, refused.stderr.trim_end()), (1, text.as_str()));
    assert_eq!(gantry.docker(["rmi", "middle"]).ok(), "Untagged: middle:latest");
    let shown = gantry.docker(["images", "-q", "--no-trunc"]);
    assert!(!shown.lines().contains(&middle.as_str()), "{shown}");
    assert!(gantry.docker(["images", "-aq", "--no-trunc"]).lines().contains(&middle.as_str()));
    assert_eq!(gantry.docker(["image", "prune", "-f"]).ok(), "Total reclaimed space: 0B");
    let history = gantry.docker(["history", "--no-trunc", "--format", "{{.ID}}", "top"]);
    assert_eq!(history.lines()[..2], [top.as_str(), middle.as_str()]);
    let removed = gantry.docker(["rmi", "top"]);
    let lines = removed.lines();
    let deleted =
        |id: &str| lines.iter().position(|l| *l == format!("Deleted: {id}")).expect("it is told of");
    assert_eq!((lines[0], lines.len()), ("Untagged: top:latest", 5), "{removed}");
    assert_eq!((deleted(&top), deleted(&middle)), (1, 3), "{removed}");
    assert_eq!(layers(&gantry), 1);
    gantry.docker(["run", "--rm", "busybox", "true"]).ok();
}

#[test]
fn parents_stay_when_that_is_asked_for() {
    let gantry = Daemon::start();
    family(&gantry);
    let middle = id(&gantry, "middle");
    gantry.docker(["rmi", "middle"]).ok();
    assert_eq!(gantry.docker(["rmi", "--no-prune", "top"]).lines().len(), 3);
    assert!(gantry.docker(["images", "-q", "--no-trunc"]).lines().contains(&middle.as_str()));
    let pruned = gantry.docker(["image", "prune", "-f"]);
    assert!(pruned.ok().ends_with("Total reclaimed space: 4.096kB"), "{pruned}");
}

#[test]
fn an_image_deleted_under_a_stopped_container_lives_on_in_it_alone() {
    let mut gantry = Daemon::start();
    family(&gantry);
    gantry.docker(["rmi", "middle"]).ok();
    let top = id(&gantry, "top");
    gantry.docker(["create", "--name", "user", "top", "ls", "/top"]).ok();
    let refused = gantry.docker(["rmi", "top"]);
    assert!(
        refused.stderr.contains("unable to remove repository reference \"top\" (must force)"),
        "{refused}"
    );
    let removed = gantry.docker(["rmi", "-f", "top"]);
    assert_eq!(removed.lines()[..2], ["Untagged: top:latest", &format!("Deleted: {top}")]);
    assert_eq!(gantry.docker(["inspect", &top]).code, 1);
    gantry.crash();
    assert_eq!(gantry.docker(["start", "-a", "user"]).ok(), "/top");
    assert_eq!(layers(&gantry), 3);
    gantry.docker(["rm", "user"]).ok();
    eventually("its layers are gone", || (layers(&gantry) == 1).then_some(()));
    let configs = || std::fs::read_dir(gantry.data().join("images/configs")).expect("the configurations");
    eventually("its configuration is gone", || (configs().count() == 1).then_some(()));
}

#[test]
fn a_running_container_keeps_its_image_without_a_name() {
    let gantry = Daemon::start();
    let image = id(&gantry, "busybox");
    gantry.docker(["run", "-d", "--name", "user", "busybox", "sleep", "1000"]).ok();
    let container = gantry.inspect("user", "{{.Id}}");
    let refused = gantry.docker(["rmi", "-f", short(&image)]);
    let text = format!(
        "Error response from daemon: conflict: unable to delete {} (cannot be forced) - image is being used by running container {}",
        short(&image),
        &container[..12]
    );
    assert_eq!(refused.stderr.trim_end(), text);
    assert_eq!(gantry.docker(["rmi", "-f", "busybox"]).ok(), "Untagged: busybox:latest");
    assert_eq!(gantry.docker(["images", "--no-trunc", "-q", "-f", "dangling=true"]).ok(), image);
    assert_eq!(gantry.docker(["image", "prune", "-f"]).ok(), "Total reclaimed space: 0B");
    gantry.docker(["rm", "-f", "user"]).ok();
    let pruned = gantry.docker(["image", "prune", "-f"]);
    assert!(pruned.ok().contains(&format!("deleted: {image}")), "{pruned}");
    assert_eq!(layers(&gantry), 0);
}

#[test]
fn several_tags_go_one_by_one_and_by_id_only_by_force() {
    let gantry = Daemon::start();
    let image = id(&gantry, "busybox");
    gantry.docker(["tag", "busybox", "other:1"]).ok();
    gantry.docker(["tag", short(&image), "other:2"]).ok();
    let refused = gantry.docker(["rmi", &image]);
    assert!(
        refused.stderr.contains("(must be forced) - image is referenced in multiple repositories"),
        "{refused}"
    );
    assert_eq!(gantry.docker(["rmi", "other:1"]).ok(), "Untagged: other:1");
    let missing = gantry.docker(["rmi", "other:1"]);
    assert_eq!(missing.stderr.trim_end(), "Error response from daemon: No such image: other:1");
    assert_eq!(gantry.docker(["rmi", "-f", &image]).lines().len(), 4);
    assert_eq!(gantry.docker(["images", "-aq"]).ok(), "");
    assert_eq!(gantry.api("DELETE", "/images/%20", None).error(400), "image name cannot be blank");
    let asked = gantry.api("DELETE", "/images/x?platforms=%7B%22os%22%3A%22linux%22%7D", None);
    assert!(asked.error(501).contains("platforms"));
}
