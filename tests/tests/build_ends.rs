//! `docker build`: what ends a build takes all of it along and nothing else.

use gantry_tests::{Daemon, eventually};
use nix::sys::signal::Signal;
use std::path::PathBuf;

fn context(gantry: &Daemon, name: &str, dockerfile: &str) -> PathBuf {
    let folder = gantry.place().path(name);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("Dockerfile"), dockerfile).unwrap();
    folder
}

fn now() -> String {
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    format!("{}.{:09}", time.as_secs(), time.subsec_nanos())
}

const ENDLESS: &str = "FROM busybox\nRUN echo begun > /begun\nRUN echo at work; sleep 1000\n";

/// Goes on once somebody makes /go in its container.
const GOING: &str =
    "FROM busybox\nRUN echo at work; until [ -e /go ]; do sleep 0.1; done\nRUN echo done > /done\n";

#[test]
fn a_client_that_leaves_ends_its_build_and_no_other() {
    let gantry = Daemon::start();
    let folder = context(&gantry, "a", ENDLESS);
    let other = context(&gantry, "b", GOING);
    let leaving = gantry.docker_running(["build", "-t", "gone", folder.to_str().unwrap()]);
    let staying = gantry.docker_running(["build", "-t", "stays", other.to_str().unwrap()]);
    leaving.wait_for("at work");
    staying.wait_for("at work");
    let actors = gantry.gantry(["actors"]);
    assert_eq!(actors.ok().matches("build:").count(), 2, "{}", actors.stdout);
    leaving.signal(Signal::SIGINT);
    leaving.finish();
    let left = eventually("its container is gone", || {
        let left = gantry.docker(["ps", "-aq"]);
        (left.lines().len() == 1).then(|| left.ok().to_owned())
    });
    gantry.touch(&left, "/go");
    staying.finish().ok();
    assert_eq!(gantry.docker(["run", "--rm", "stays", "cat", "/done"]).ok(), "done");
    assert!(gantry.docker(["image", "inspect", "gone"]).fails(1).contains("No such image"));
    eventually("both builds are over", || (!gantry.gantry(["actors"]).ok().contains("build:")).then_some(()));
    assert_eq!(gantry.docker(["ps", "-aq"]).ok(), "");
    let files = || std::fs::read_dir(gantry.data().join("builds")).map_or(0, Iterator::count);
    eventually("their files are gone", || (files() == 0).then_some(()));
}

#[test]
fn a_build_is_cancelled_by_its_id() {
    let gantry = Daemon::start();
    let folder = context(&gantry, "a", ENDLESS);
    let archive = gantry.place().path("a.tar");
    let tar =
        std::process::Command::new("tar").arg("-C").arg(&folder).arg("-cf").arg(&archive).arg(".").status();
    assert!(tar.unwrap().success());
    let mut curl = std::process::Command::new("curl");
    curl.args(["-sN", "--unix-socket"]).arg(gantry.socket()).args(["-H", "Content-Type: application/x-tar"]);
    curl.arg("--data-binary").arg(format!("@{}", archive.display())).arg("http://d/build?buildid=mine");
    let running = gantry_tests::Running::spawn(curl);
    running.wait_for("at work");
    assert_eq!(gantry.api("POST", "/build/cancel?id=mine", None).status, 200);
    let told = running.finish();
    assert!(told.ok().lines().last().unwrap().contains("Build cancelled"), "{}", told.stdout);
    eventually("its container is gone", || gantry.docker(["ps", "-aq"]).ok().is_empty().then_some(()));
}

#[test]
fn a_daemon_killed_in_a_build_leaves_nothing_of_it() {
    let mut gantry = Daemon::start();
    gantry.docker(["run", "-d", "--name", "other", "busybox", "sleep", "1000"]).ok();
    let folder = context(&gantry, "a", ENDLESS);
    std::fs::write(folder.join("file"), vec![b'x'; 1 << 20]).unwrap();
    let running = gantry.docker_running(["build", "-t", "gone", folder.to_str().unwrap()]);
    running.wait_for("at work");
    gantry.crash();
    running.finish();
    assert_eq!(gantry.docker(["ps", "-a", "--format", "{{.Names}}"]).ok(), "other");
    assert_eq!(std::fs::read_dir(gantry.data().join("builds")).map_or(0, Iterator::count), 0);
    assert_eq!(std::fs::read_dir(gantry.data().join("containers")).unwrap().count(), 1);
    let again = context(&gantry, "a", "FROM busybox\nRUN echo begun > /begun\nRUN echo now\n");
    let built = gantry.docker(["build", "-t", "mine", again.to_str().unwrap()]);
    assert!(built.ok().contains("Using cache"), "{}", built.stdout);
}

#[test]
fn builds_run_side_by_side() {
    let gantry = Daemon::start();
    let builds: Vec<_> = (0..6)
        .map(|n| {
            let text = format!(
                "FROM busybox\nRUN echo {n} > /n\nCOPY Dockerfile /\nRUN cat /n\nCMD [\"cat\", \"/n\"]\n"
            );
            let folder = context(&gantry, &format!("c{n}"), &text);
            gantry.docker_running(["build", "-t", &format!("b{n}"), folder.to_str().unwrap()])
        })
        .collect();
    for build in builds {
        build.finish().ok();
    }
    for n in 0..6 {
        assert_eq!(gantry.docker(["run", "--rm", &format!("b{n}")]).ok(), n.to_string());
    }
    assert_eq!(gantry.docker(["ps", "-aq"]).ok(), "");
}

#[test]
fn a_builds_containers_are_told_of_as_any_others() {
    let gantry = Daemon::start();
    let since = now();
    let folder = context(&gantry, "a", "FROM busybox\nRUN true\n");
    gantry.docker(["build", "-t", "mine", folder.to_str().unwrap()]).ok();
    let format = "{{.Type}} {{.Action}}";
    let told = gantry.docker(["events", "--since", &since, "--until", &now(), "--format", format]);
    let told: Vec<&str> = told.ok().lines().filter(|l| !l.starts_with("network")).collect();
    let at = told.iter().position(|l| *l == "container create").expect("a container was made");
    let wanted = [
        "container create",
        "container attach",
        "container start",
        "container die",
        "image create",
        "container destroy",
        "image tag",
    ];
    assert_eq!(told[at..], wanted);
}
