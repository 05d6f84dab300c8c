//! `docker ps`: who is listed, and as what.

use gantry_tests::{Daemon, eventually};

fn names(gantry: &Daemon, options: &[&str]) -> Vec<String> {
    let said = gantry.docker([&["ps", "--format", "{{.Names}}"], options].concat());
    said.ok();
    said.lines().iter().map(|l| (*l).to_owned()).collect()
}

/// By one filter, of all containers.
fn by(gantry: &Daemon, filter: &str) -> Vec<String> {
    names(gantry, &["-a", "--filter", filter])
}

fn run(gantry: &Daemon, name: &str, options: &[&str], command: &[&str]) {
    gantry.docker([&["run", "-d", "--name", name], options, &["busybox"], command].concat()).ok();
}

const FOREVER: [&str; 2] = ["sleep", "1000"];

#[test]
fn every_filter_chooses_as_dockers_does() {
    let gantry = Daemon::start();
    gantry.docker(["tag", "busybox", "other"]).ok();
    gantry.docker(["create", "--name", "made", "other"]).ok();
    run(&gantry, "web", &["-l", "tier=front", "-p", "127.0.0.1:18080:80", "--expose", "90/udp"], &FOREVER);
    run(
        &gantry,
        "web-two",
        &["-l", "tier=back", "-l", "old", "--network", "none", "-v", "/tmp:/host"],
        &FOREVER,
    );
    gantry.docker(["run", "--name", "failed", "busybox", "sh", "-c", "exit 3"]).fails(3);
    gantry.docker(["run", "--name", "killed", "busybox", "sh", "-c", "exit 137"]).fails(137);
    let id = gantry.inspect("web", "{{.Id}}");
    for (filter, wanted) in [
        ("name=web", &["web-two", "web"][..]),
        ("name=^/web$", &["web"]),
        ("name=w.b-", &["web-two"]),
        ("name=nobody", &[]),
        (&format!("id={}", &id[..10]), &["web"]),
        ("label=tier", &["web-two", "web"]),
        ("label=tier=back", &["web-two"]),
        ("status=created", &["made"]),
        ("status=running", &["web-two", "web"]),
        ("status=exited", &["killed", "failed"]),
        ("status=dead", &[]),
        ("exited=3", &["failed"]),
        ("exited=137", &["killed"]),
        ("exited=0", &[]),
        ("ancestor=busybox", &["killed", "failed", "web-two", "web", "made"]),
        ("ancestor=other", &["killed", "failed", "web-two", "web", "made"]),
        ("ancestor=nosuch", &[]),
        ("before=failed", &["web-two", "web", "made"]),
        ("since=web-two", &["killed", "failed"]),
        ("volume=/host", &["web-two"]),
        ("volume=/tmp", &["web-two"]),
        ("network=none", &["web-two"]),
        ("network=bridge", &["killed", "failed", "web", "made"]),
        ("publish=18080", &["web"]),
        ("publish=18000-18100/tcp", &["web"]),
        ("publish=80", &[]),
        ("expose=80/tcp", &["web"]),
        ("expose=90/udp", &["web"]),
        ("expose=90", &[]),
        ("health=none", &["killed", "failed", "web-two", "web", "made"]),
        ("health=healthy", &[]),
        ("is-task=false", &["killed", "failed", "web-two", "web", "made"]),
        ("is-task=true", &[]),
        ("isolation=default", &["killed", "failed", "web-two", "web", "made"]),
    ] {
        assert_eq!(by(&gantry, filter), wanted, "{filter}");
    }
    let both =
        ["-a", "--filter", "status=exited", "--filter", "status=created", "--filter", "name=made|failed"];
    assert_eq!(names(&gantry, &both), ["failed", "made"]);
    let labels = ["--filter", "label=tier", "--filter", "label=old"];
    assert_eq!(names(&gantry, &labels), ["web-two"], "each label must be there");
    assert_eq!(names(&gantry, &["--filter", "status=exited"]), ["killed", "failed"], "a status needs no -a");
    assert_eq!(names(&gantry, &["--filter", "exited=3"]), Vec::<String>::new(), "an exit code does");
    assert_eq!(names(&gantry, &[]), ["web-two", "web"]);
}

#[test]
fn the_last_ones_are_listed_whatever_they_do() {
    let gantry = Daemon::start();
    run(&gantry, "one", &[], &FOREVER);
    gantry.docker(["create", "--name", "two", "busybox"]).ok();
    gantry.docker(["create", "--name", "three", "busybox"]).ok();
    assert_eq!(names(&gantry, &["--last", "2"]), ["three", "two"]);
    assert_eq!(names(&gantry, &["--latest"]), ["three"]);
    assert_eq!(names(&gantry, &["-n", "5"]), ["three", "two", "one"]);
    assert_eq!(names(&gantry, &["-n", "1", "--filter", "status=running"]), ["one"]);
}

#[test]
fn wrong_filters_are_refused_in_dockers_words() {
    let gantry = Daemon::start();
    for (filter, wanted) in [
        ("colour=red", "invalid filter 'colour'"),
        ("status=up", "invalid filter 'status=up'"),
        ("exited=x", "invalid filter 'exited=x'"),
        ("health=ill", "invalid filter 'health=ill'"),
        ("publish=80:80", "filter for 'publish' should not contain ':': 80:80"),
        ("since=nosuch", "No such container: nosuch"),
    ] {
        let said = gantry.docker(["ps", "--filter", filter]);
        assert!(said.fails(1).contains(wanted), "{said}");
    }
}

#[test]
fn every_state_is_worded_as_docker_words_it() {
    let gantry = Daemon::start();
    let shown = |name: &str| {
        let filter = format!("name=^{name}$");
        gantry
            .docker(["ps", "-a", "--filter", &filter, "--format", "{{.State}}: {{.Status}}"])
            .ok()
            .to_owned()
    };
    gantry.docker(["create", "--name", "made", "busybox"]).ok();
    run(&gantry, "up", &[], &FOREVER);
    run(&gantry, "frozen", &[], &FOREVER);
    gantry.docker(["pause", "frozen"]).ok();
    gantry.docker(["run", "--name", "over", "busybox", "sh", "-c", "exit 4"]).fails(4);
    gantry.docker(["run", "--name", "unfit", "busybox", "nosuch"]).fails(127);
    run(&gantry, "again", &["--restart", "always", "-l", "gantry.restart.min=1h"], &["false"]);
    assert_eq!(shown("made"), "created: Created");
    assert_eq!(shown("unfit"), "created: Created", "it has never run");
    let within = |name: &str, start: &str, end: &str| {
        eventually(start, || (shown(name).starts_with(start) && shown(name).ends_with(end)).then_some(()));
    };
    // That passes soon: it is begun anew until it was seen.
    eventually("a run of less than two seconds", || {
        gantry.docker(["restart", "-t", "0", "up"]).ok();
        let now = shown("up");
        (now.starts_with("running: Up ") && now.ends_with("second")).then_some(())
    });
    within("up", "running: Up ", "seconds");
    within("frozen", "paused: Up ", " (Paused)");
    within("over", "exited: Exited (4) ", " ago");
    within("again", "restarting: Restarting (1) ", " ago");
}
