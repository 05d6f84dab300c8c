//! `docker container prune`.

use gantry_tests::Daemon;

fn names(gantry: &Daemon) -> Vec<String> {
    let said = gantry.docker(["ps", "-a", "--format", "{{.Names}}"]);
    let mut names: Vec<String> = said.lines().iter().map(|l| (*l).to_owned()).collect();
    names.sort();
    names
}

#[test]
fn what_does_not_run_is_removed_and_its_space_told() {
    let gantry = Daemon::start();
    gantry.docker(["run", "-d", "--name", "up", "busybox", "sleep", "1000"]).ok();
    gantry.docker(["run", "-d", "--name", "frozen", "busybox", "sleep", "1000"]).ok();
    gantry.docker(["pause", "frozen"]).ok();
    gantry.docker(["create", "--name", "made", "busybox"]).ok();
    gantry.docker(["run", "--name", "over", "busybox", "sh", "-c", "head -c 5000 /dev/zero > /file"]).ok();
    let ids = ["made", "over"].map(|name| gantry.inspect(name, "{{.Id}}"));
    let said = gantry.docker(["container", "prune", "-f"]);
    for id in ids {
        assert!(said.lines().contains(&id.as_str()), "{said}");
    }
    assert!(said.stdout.contains("Total reclaimed space: 5kB"), "{said}");
    assert_eq!(names(&gantry), ["frozen", "up"]);
    let nothing = gantry.api("POST", "/containers/prune", None);
    assert_eq!(nothing.json()["ContainersDeleted"], serde_json::Value::Null);
    assert_eq!(nothing.json()["SpaceReclaimed"], 0);
    gantry.docker(["create", "--name", "made", "busybox"]).ok();
}

#[test]
fn filters_spare_the_others() {
    let gantry = Daemon::start();
    for (name, label) in [("aa", "kind=x"), ("bb", "kind=y"), ("cc", "other")] {
        gantry.docker(["create", "--name", name, "-l", label, "busybox"]).ok();
    }
    let prune = |filter: &str| gantry.docker(["container", "prune", "-f", "--filter", filter]);
    prune("until=1h").ok();
    prune("label=kind=z").ok();
    assert_eq!(names(&gantry), ["aa", "bb", "cc"]);
    prune("label=kind=x").ok();
    assert_eq!(names(&gantry), ["bb", "cc"]);
    prune("label!=other").ok();
    assert_eq!(names(&gantry), ["cc"]);
    prune("until=2200-01-01T00:00:00").ok();
    assert_eq!(names(&gantry), Vec::<String>::new());
    assert!(prune("status=exited").fails(1).contains("invalid filter 'status'"));
    assert!(prune("until=soon").fails(1).contains("soon"));
}
