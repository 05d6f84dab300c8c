//! Actors of builds panic while builds are under way. Needs the build of `make fault`.

use gantry_tests::{Builder, Daemon, Running, eventually, run};
use std::path::PathBuf;
use std::process::Command;

/// The files of a build whose second step lasts until somebody makes /go in its container.
fn archive(gantry: &Daemon, name: &str) -> PathBuf {
    let folder = gantry.place().path(name);
    std::fs::create_dir_all(&folder).unwrap();
    let dockerfile = format!(
        "FROM busybox\nRUN echo {name} > /begun\nRUN echo at work; until [ -e /go ]; do sleep 0.1; done\n"
    );
    std::fs::write(folder.join("Dockerfile"), dockerfile).unwrap();
    let archive = gantry.place().path(&format!("{name}.tar"));
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(&folder).arg("-cf").arg(&archive).arg(".");
    run(tar).ok();
    archive
}

/// A build under way that can be cancelled by this name.
fn begin(gantry: &Daemon, name: &str) -> Running {
    let mut curl = Command::new("curl");
    curl.args(["-sN", "--unix-socket"]).arg(gantry.socket()).args(["-H", "Content-Type: application/x-tar"]);
    curl.arg("--data-binary").arg(format!("@{}", archive(gantry, name).display()));
    curl.arg(format!("http://d/build?buildid={name}&t={name}"));
    let running = Running::spawn(curl);
    running.wait_for("at work");
    running
}

fn arm(gantry: &Daemon, target: &str) {
    let armed = gantry.api("POST", &format!("/gantry/fault?target={target}&nth=1"), None);
    assert_eq!(armed.json()["Armed"], 1, "{target}");
}

fn containers(gantry: &Daemon) -> Vec<String> {
    gantry.docker(["ps", "-aq"]).ok().lines().map(str::to_owned).collect()
}

/// Lets the one build that is left go on to its end.
fn let_go(gantry: &Daemon, building: Running) {
    let ids = containers(gantry);
    assert_eq!(ids.len(), 1);
    gantry.touch(&ids[0], "/go");
    let told = building.finish();
    assert!(told.ok().contains("Successfully tagged"), "{}", told.stdout);
    assert!(containers(gantry).is_empty());
}

#[test]
fn a_build_that_panics_takes_its_containers_along_and_no_other_build() {
    let gantry = Builder::new().faulty().start();
    let ending = begin(&gantry, "ending");
    let staying = begin(&gantry, "staying");
    assert_eq!(containers(&gantry).len(), 2);
    // Builds are numbered as they come; what panics is the handling of its end.
    arm(&gantry, "build:1");
    assert_eq!(gantry.api("POST", "/build/cancel?id=ending", None).status, 200);
    let told = ending.finish();
    assert!(told.stdout.contains("Build cancelled"), "{}", told.stdout);
    eventually("its container is gone", || (containers(&gantry).len() == 1).then_some(()));
    gantry.until_logged("injected fault");
    eventually("its actor is gone", || (!gantry.gantry(["actors"]).ok().contains("build:1")).then_some(()));
    let_go(&gantry, staying);
    assert!(gantry.docker(["image", "inspect", "ending"]).fails(1).contains("No such image"));
}

#[test]
fn builds_outlive_the_panic_of_the_actor_that_finds_them() {
    let gantry = Builder::new().faulty().start();
    let staying = begin(&gantry, "staying");
    arm(&gantry, "builds");
    let next = begin(&gantry, "next");
    let actors = gantry.api("GET", "/gantry/actors", None).json();
    let those = |name: &str| actors.as_array().unwrap().iter().find(|a| a["name"] == name).cloned();
    assert_eq!(those("builds").unwrap()["respawns"], 1, "{actors}");
    assert_eq!(those("containers").unwrap()["respawns"], 0, "{actors}");
    // The fresh one still knows the builds of the old.
    assert_eq!(gantry.api("POST", "/build/cancel?id=next", None).status, 200);
    next.finish();
    eventually("its container is gone", || (containers(&gantry).len() == 1).then_some(()));
    let_go(&gantry, staying);
}
