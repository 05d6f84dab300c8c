//! Images pushed to a registry.

use gantry_tests::{Builder, Daemon, Place, Registry, eventually, image};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const APP: &str = "127.0.0.1:5000/team/app";

fn with_registry() -> (Arc<Place>, Registry, Daemon) {
    let place = Place::new();
    let registry = Registry::start(&place);
    let gantry = Builder::at(&place).start();
    (place, registry, gantry)
}

/// An image of two layers: the tests' own and one with a file of so many bytes that do not shrink.
fn commit(gantry: &Daemon, name: &str, bytes: u64) {
    let make = format!("head -c {bytes} /dev/urandom > /big");
    gantry.docker(["run", "--name", "made", "busybox", "sh", "-c", &make]).ok();
    gantry.docker(["commit", "made", name]).ok();
    gantry.docker(["rm", "made"]).ok();
}

/// Bytes of uploads that the registry has not finished.
fn unfinished(place: &Place) -> u64 {
    fn files(folder: &Path, out: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|t| t.is_dir()) {
                files(&entry.path(), out);
            } else {
                out.push(entry.path());
            }
        }
    }
    let mut all = Vec::new();
    files(&place.path("registry-5000"), &mut all);
    let data =
        all.iter().filter(|p| p.ends_with("data") && p.components().any(|c| c.as_os_str() == "_uploads"));
    data.filter_map(|p| p.metadata().ok()).map(|m| m.len()).sum()
}

fn count(said: &str, end: &str) -> usize {
    said.lines().filter(|l| l.ends_with(end)).count()
}

#[test]
fn images_of_every_origin_come_back_as_they_went() {
    let (_place, _registry, gantry) = with_registry();
    commit(&gantry, &format!("{APP}:committed"), 100_000);
    gantry.docker(["import", image::import_tar().to_str().unwrap(), &format!("{APP}:imported")]).ok();
    let loaded = gantry.docker(["load", "-q", "-i", image::docker_archive().to_str().unwrap()]);
    let loaded = loaded.ok().lines().last().unwrap().trim_start_matches("Loaded image: ").to_owned();
    gantry.docker(["tag", &loaded, &format!("{APP}:loaded")]).ok();
    for tag in ["committed", "imported", "loaded"] {
        let name = format!("{APP}:{tag}");
        let id = gantry.inspect(&name, "{{.Id}}");
        let said = gantry.docker(["push", &name]);
        let said = said.ok();
        assert!(said.starts_with(&format!("The push refers to repository [{APP}]")), "{said}");
        let last = said.lines().last().unwrap();
        let digest = last.strip_prefix(&format!("{tag}: digest: ")).unwrap_or_else(|| panic!("{said}"));
        let digest = digest.split(' ').next().unwrap();
        let by_digest = format!("{APP}@{digest}");
        assert!(gantry.inspect(&name, "{{json .RepoDigests}}").contains(&by_digest), "{said}");
        // Nothing of it goes up again.
        let again = gantry.docker(["push", &name]);
        assert_eq!(count(again.ok(), ": Pushed"), 0, "{again}");
        assert_eq!(again.ok().lines().last().unwrap(), last);
        gantry.docker(["rmi", &name]).ok();
        gantry.docker(["pull", "-q", &name]).ok();
        assert_eq!(gantry.inspect(&name, "{{.Id}}"), id);
        assert!(gantry.inspect(&name, "{{json .RepoDigests}}").contains(&by_digest));
        gantry.docker(["run", "--rm", &name, "true"]).ok();
    }
}

#[test]
fn what_was_pulled_is_taken_over_within_the_registry() {
    let (place, _registry, gantry) = with_registry();
    gantry.docker(["pull", "-q", "127.0.0.1:5000/layered:1"]).ok();
    gantry.docker(["tag", "127.0.0.1:5000/layered:1", &format!("{APP}:1")]).ok();
    let said = gantry.docker(["push", &format!("{APP}:1")]);
    assert_eq!(count(said.ok(), ": Mounted from layered"), 2, "{said}");
    assert_eq!(count(said.ok(), ": Pushed"), 0, "{said}");
    let links = place.path("registry-5000/docker/registry/v2/repositories/team/app/_layers/sha256");
    // Its two layers and its configuration.
    assert_eq!(std::fs::read_dir(links).unwrap().count(), 3);
    let again = gantry.docker(["push", &format!("{APP}:1")]);
    assert_eq!(count(again.ok(), ": Layer already exists"), 2, "{again}");
}

#[test]
fn a_push_without_a_tag_is_of_all_tags_if_that_is_said() {
    let (_place, _registry, gantry) = with_registry();
    for tag in ["1", "2", "latest"] {
        gantry.docker(["tag", "busybox", &format!("{APP}:{tag}")]).ok();
    }
    let said = gantry.docker(["push", APP]);
    assert!(said.ok().contains("latest: digest: sha256:") && !said.ok().contains("1: digest: "), "{said}");
    let said = gantry.docker(["push", "-a", APP]);
    for tag in ["1", "2", "latest"] {
        assert!(said.ok().contains(&format!("{tag}: digest: sha256:")), "{said}");
    }
    assert_eq!(gantry.docker(["push", "-q", &format!("{APP}:1")]).ok(), format!("{APP}:1"));
    let events = gantry.docker(["events", "--since", "1h", "--until", "-2s", "--filter", "event=push"]);
    let actors: Vec<&str> = events.ok().lines().filter_map(|l| l.split(' ').nth(3)).collect();
    assert_eq!(actors, [&*format!("{APP}:latest"), APP, &*format!("{APP}:1")], "{events}");
}

#[test]
fn what_cannot_be_pushed_is_refused_in_dockers_words() {
    let (_place, _registry, gantry) = with_registry();
    gantry.docker(["tag", "busybox", &format!("{APP}:1")]).ok();
    let says = |args: &[&str], text: &str| {
        let said = gantry.docker([&["push"], args].concat());
        said.fails(1);
        assert!(said.to_string().contains(text), "{text}: {said}");
    };
    says(&["127.0.0.1:5000/none"], "An image does not exist locally with the tag: 127.0.0.1:5000/none");
    says(&["127.0.0.1:5000/none"], "The push refers to repository [127.0.0.1:5000/none]");
    says(&[&format!("{APP}:2")], &format!("tag does not exist: {APP}:2"));
    says(
        &["--platform", "linux/s390x", &format!("{APP}:1")],
        "does not match the specified platform (linux/s390x)",
    );
    gantry.docker(["tag", "busybox", "127.0.0.1:1/x"]).ok();
    says(&["127.0.0.1:1/x"], "dial tcp 127.0.0.1:1: connect: connection refused");
    let answer = gantry.api("POST", "/images/A/push?tag=1", None);
    assert!(answer.error(400).contains("must be lowercase"));
}

#[test]
fn a_registry_that_goes_and_comes_again_gets_it_all() {
    let (place, registry, gantry) = with_registry();
    commit(&gantry, &format!("{APP}:big"), 120_000_000);
    let id = gantry.inspect(&format!("{APP}:big"), "{{.Id}}");
    let push = gantry.docker_running(["push", &format!("{APP}:big")]);
    eventually("some of it has arrived", || (unfinished(&place) > 5_000_000).then_some(()));
    drop(registry);
    let _registry = Registry::empty(&place);
    let said = push.finish();
    assert!(said.ok().contains("big: digest: sha256:"), "{said}");
    gantry.docker(["rmi", &format!("{APP}:big")]).ok();
    gantry.docker(["pull", "-q", &format!("{APP}:big")]).ok();
    assert_eq!(gantry.inspect(&format!("{APP}:big"), "{{.Id}}"), id);
}

#[test]
fn a_client_that_leaves_ends_its_push_and_nobody_elses() {
    let (place, _registry, gantry) = with_registry();
    commit(&gantry, &format!("{APP}:big"), 120_000_000);
    let one = gantry.docker_running(["push", &format!("{APP}:big")]);
    let other = gantry.docker_running(["push", &format!("{APP}:big")]);
    eventually("some of it has arrived", || (unfinished(&place) > 1_000_000).then_some(()));
    drop(one);
    assert!(other.finish().ok().contains("big: digest: sha256:"));
    let alone = format!("{APP}:alone");
    commit(&gantry, &alone, 120_000_000);
    let push = gantry.docker_running(["push", &alone]);
    eventually("some of it has arrived", || (unfinished(&place) > 1_000_000).then_some(()));
    drop(push);
    let pushing = |said: &str| said.contains(&format!("push:{alone}"));
    eventually("the push has ended", || {
        (!pushing(&gantry.api("GET", "/gantry/actors", None).text())).then_some(())
    });
}

#[test]
fn a_daemon_killed_in_the_middle_of_a_push_leaves_nothing() {
    let (place, _registry, mut gantry) = with_registry();
    commit(&gantry, &format!("{APP}:big"), 60_000_000);
    let push = gantry.docker_running(["push", &format!("{APP}:big")]);
    eventually("some of it has arrived", || (unfinished(&place) > 1_000_000).then_some(()));
    gantry.crash();
    drop(push);
    for folder in ["tmp", "images/partial"] {
        let left: Vec<_> = std::fs::read_dir(gantry.data().join(folder)).unwrap().flatten().collect();
        assert!(left.is_empty(), "{left:?}");
    }
    assert!(gantry.docker(["push", &format!("{APP}:big")]).ok().contains("big: digest: sha256:"));
}

#[test]
fn what_a_name_stands_for_is_told_without_a_pull() {
    let (_place, _registry, gantry) = with_registry();
    gantry.docker(["pull", "-q", "127.0.0.1:5000/layered:1"]).ok();
    let digest = gantry.inspect("127.0.0.1:5000/layered:1", "{{index .RepoDigests 0}}");
    let answer = gantry.api("GET", "/distribution/127.0.0.1:5000/layered:1/json", None);
    assert_eq!(answer.status, 200);
    let told = answer.json();
    assert!(digest.ends_with(told["Descriptor"]["digest"].as_str().unwrap()));
    assert_eq!(told["Platforms"][0]["os"], "linux");
    let missing = gantry.api("GET", "/distribution/127.0.0.1:5000/layered:none/json", None);
    assert_eq!((missing.status, missing.text().contains("manifest unknown")), (404, true));
    assert_eq!(gantry.api("GET", "/distribution/A/json", None).status, 400);
}
