//! What gantry's commands do, seen with docker and in the file system.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use gantry_tests::{Daemon, eventually};

fn sleeper(gantry: &Daemon, name: &str) {
    gantry.gantry(["run", "-d", "--name", name, "busybox", "sleep", "1000"]).ok();
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn files_go_in_and_out_by_dockers_rules() {
    let gantry = Daemon::start();
    sleeper(&gantry, "box");
    let here = gantry.write("file", "content").parent().unwrap().to_owned();
    let path = |name: &str| here.join(name).to_string_lossy().into_owned();
    std::fs::create_dir_all(here.join("tree/deep")).unwrap();
    std::fs::write(here.join("tree/deep/leaf"), "leaf").unwrap();
    std::fs::set_permissions(here.join("tree/deep/leaf"), std::fs::Permissions::from_mode(0o751)).unwrap();
    symlink("deep/leaf", here.join("tree/link")).unwrap();
    let inside = |command: &str| gantry.docker(["exec", "box", "sh", "-c", command]).ok().to_owned();

    gantry.gantry(["cp", &path("file"), "box:/root"]).ok();
    gantry.gantry(["cp", &path("file"), "box:/root/renamed"]).ok();
    assert_eq!(inside("cat /root/file /root/renamed"), "contentcontent");
    gantry.gantry(["cp", &path("tree"), "box:/root"]).ok();
    gantry.gantry(["cp", &path("tree"), "box:/root/new"]).ok();
    gantry.gantry(["cp", &path("tree/."), "box:/tmp"]).ok();
    assert_eq!(
        inside("cat /root/tree/deep/leaf /root/new/link /tmp/deep/leaf; readlink /tmp/link"),
        "leafleafleafdeep/leaf"
    );
    assert_eq!(inside("stat -c %a /root/tree/deep/leaf"), "751");
    gantry.gantry(["cp", "-L", &path("tree/link"), "box:/root/followed"]).ok();
    assert_eq!(inside("test -L /root/followed || cat /root/followed"), "leaf");
    assert!(gantry.gantry(["cp", &path("file"), "box:/root/no/such"]).code != 0);
    assert!(
        gantry.gantry(["cp", &path("tree"), "box:/root/file"]).fails(1).contains("cannot copy directory")
    );
    assert!(gantry.gantry(["cp", &path("file"), "box:/root/none/"]).fails(1).contains("no such directory"));
    assert!(
        gantry.gantry(["cp", &path("nosuch"), "box:/root"]).fails(1).contains("no such file or directory")
    );

    let out = |name: &str| here.join("out").join(name);
    std::fs::create_dir(here.join("out")).unwrap();
    gantry.gantry(["cp", "box:/root/tree", &path("out")]).ok();
    assert_eq!(read(&out("tree/deep/leaf")), "leaf");
    assert_eq!(std::fs::read_link(out("tree/link")).unwrap(), Path::new("deep/leaf"));
    assert_eq!(out("tree/deep/leaf").metadata().unwrap().permissions().mode() & 0o777, 0o751);
    gantry.gantry(["cp", "box:/root/tree", &path("out/new")]).ok();
    assert_eq!(read(&out("new/deep/leaf")), "leaf");
    gantry.gantry(["cp", "box:/root/tree/.", &path("out")]).ok();
    assert_eq!(read(&out("deep/leaf")), "leaf");
    gantry.gantry(["cp", "box:/root/file", &path("out/named")]).ok();
    gantry.gantry(["cp", "box:/root/renamed", &path("out/named")]).ok();
    assert_eq!(read(&out("named")), "content");
    gantry.gantry(["cp", "-L", "box:/root/tree/link", &path("out/followed")]).ok();
    assert_eq!(read(&out("followed")), "leaf");
    assert!(gantry.gantry(["cp", "box:/nosuch", &path("out")]).fails(1).contains("/nosuch"));
    assert!(
        gantry.gantry(["cp", "box:/root/tree", &path("file")]).fails(1).contains("cannot copy directory")
    );

    let archive = gantry.gantry_command(["cp", "box:/root/tree", "-"]).output().unwrap().stdout;
    assert_eq!(archive, gantry.docker_command(["cp", "box:/root/tree", "-"]).output().unwrap().stdout);
    gantry.gantry(["exec", "box", "mkdir", "/again"]).ok();
    let mut fed = gantry.gantry_command(["cp", "-", "box:/again"]);
    let mut fed = fed.stdin(std::process::Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut fed.stdin.take().unwrap(), &archive).unwrap();
    assert!(fed.wait().unwrap().success());
    assert_eq!(inside("cat /again/tree/deep/leaf"), "leaf");
    assert_eq!(
        gantry.gantry(["cp", "box:/a", "box:/b"]).fails(1),
        "copying between containers is not supported"
    );
}

#[test]
fn a_container_can_be_changed_looked_into_and_kept() {
    let gantry = Daemon::start();
    sleeper(&gantry, "box");
    gantry.gantry(["exec", "box", "sh", "-c", "echo new > /added; rm /etc/group"]).ok();
    let diff = gantry.gantry(["diff", "box"]);
    assert!(diff.ok().contains("A /added") && diff.ok().contains("D /etc/group"), "{diff}");
    let id = gantry.gantry(["commit", "-c", "CMD [\"cat\", \"/added\"]", "-m", "why", "box", "kept:1"]);
    assert!(id.ok().starts_with("sha256:"), "{id}");
    assert_eq!(gantry.gantry(["run", "--rm", "kept:1"]).ok(), "new");
    assert!(gantry.gantry(["history", "--format", "{{.Comment}}", "kept:1"]).ok().starts_with("why"));

    gantry.gantry(["rm", "-f", "box"]).ok();
    gantry.gantry(["rmi", "kept:1"]).ok();
}

#[test]
fn a_container_is_exported_whole_or_not_at_all() {
    let gantry = Daemon::start();
    sleeper(&gantry, "box");
    gantry.gantry(["exec", "box", "sh", "-c", "echo new > /added"]).ok();
    let tar = gantry.write("box.tar", "");
    gantry.gantry(["export", "-o", tar.to_str().unwrap(), "box"]).ok();
    let mut names = tar::Archive::new(std::fs::File::open(&tar).unwrap());
    assert!(names.entries().unwrap().any(|entry| entry.unwrap().path().unwrap().ends_with("added")));
    let said = gantry.gantry(["export", "-o", "/no/such/folder/box.tar", "box"]);
    assert!(said.fails(1).contains("/no/such/folder"), "{said}");
    let missing = tar.with_file_name("missing.tar");
    gantry.gantry(["export", "-o", missing.to_str().unwrap(), "nosuch"]).fails(1);
    assert!(!missing.exists());
}

#[test]
fn limits_change_while_a_container_runs_and_figures_follow() {
    let gantry = Daemon::start();
    sleeper(&gantry, "box");
    assert_eq!(
        gantry
            .gantry(["update", "-m", "64m", "--memory-swap", "64m", "--restart", "on-failure:2", "box"])
            .ok(),
        "box"
    );
    assert_eq!(
        gantry.inspect("box", "{{.HostConfig.Memory}} {{.HostConfig.RestartPolicy.MaximumRetryCount}}"),
        "67108864 2"
    );
    // As docker's, it does without figures that do not come within two seconds.
    eventually("figures with the new limit", || {
        let stats =
            gantry.gantry(["stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}} {{.PIDs}}", "box"]);
        (stats.ok().starts_with("box ") && stats.ok().ends_with(" / 64MiB 1")).then_some(())
    });
    assert_eq!(gantry.gantry(["pause", "box"]).ok(), "box");
    assert_eq!(gantry.inspect("box", "{{.State.Status}}"), "paused");
    assert_eq!(gantry.gantry(["unpause", "box"]).ok(), "box");
}

#[test]
fn live_figures_are_drawn_over_and_over() {
    let gantry = Daemon::start();
    sleeper(&gantry, "box");
    let mut watching = gantry.gantry_running(["stats"]);
    watching.wait_for("\x1b[HCONTAINER ID");
    watching.wait_for("box");
    sleeper(&gantry, "late");
    watching.wait_for("late");
    watching.signal(nix::sys::signal::Signal::SIGINT);
    eventually("stats ends", || watching.ended().then_some(()));
}

#[test]
fn what_is_no_longer_used_is_removed_after_a_question() {
    let gantry = Daemon::start();
    gantry.gantry(["run", "--name", "done", "busybox", "true"]).ok();
    sleeper(&gantry, "on");
    let asked = gantry.gantry_with_input(["container", "prune"], b"n\n");
    assert!(
        asked.stdout.starts_with("WARNING! This will remove all stopped containers.\nAre you sure"),
        "{asked}"
    );
    assert_eq!(asked.fails(1), "container prune has been cancelled");
    let id = gantry.inspect("done", "{{.Id}}");
    let pruned = gantry.gantry_with_input(["container", "prune"], b"y\n");
    assert!(
        pruned.ok().contains(&format!("Deleted Containers:\n{id}\n\nTotal reclaimed space: ")),
        "{pruned}"
    );
    assert_eq!(gantry.gantry(["ps", "-a", "--format", "{{.Names}}"]).ok(), "on");
}

#[test]
fn the_whole_system_is_cleared_of_what_nobody_uses() {
    let gantry = Daemon::start();
    gantry.gantry(["run", "--name", "done", "busybox", "true"]).ok();
    let pruned = gantry.gantry(["system", "prune", "-f"]);
    assert!(pruned.ok().starts_with("Deleted Containers:\n"), "{pruned}");
    let pruned = gantry.gantry(["system", "prune", "-f"]);
    assert!(pruned.ok().ends_with("Total reclaimed space: 0B"), "{pruned}");
}

#[test]
fn the_shell_completes_names_the_daemon_has() {
    let gantry = Daemon::start();
    sleeper(&gantry, "web-one");
    gantry.gantry(["create", "--name", "web-two", "busybox"]).ok();
    let complete = |words: &[&str]| {
        let mut command = gantry.gantry_command(["--"].iter().chain(words));
        command.env("COMPLETE", "fish");
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let names = complete(&["gantry", "stop", "web-"]);
    assert!(names.lines().count() == 2 && names.contains("web-one") && names.contains("web-two"), "{names}");
    assert!(complete(&["gantry", "run", "busy"]).contains("busybox"));
    assert!(complete(&["gantry", "vol"]).starts_with("volume"));
    assert!(complete(&["gantry", "container", "pr"]).starts_with("prune"));
    assert!(complete(&["gantry", "run", "--memory-s"]).contains("--memory-swappiness"));
    for shell in ["bash", "zsh", "fish"] {
        assert!(gantry.gantry(["completion", shell]).ok().contains("COMPLETE"), "{shell}");
    }
}

#[test]
fn the_users_configuration_chooses_formats_and_keys() {
    let gantry = Daemon::start();
    sleeper(&gantry, "box");
    let folder = gantry.write("config.json", r#"{"psFormat": "{{.Names}}!", "detachKeys": "ctrl-x"}"#);
    let folder = folder.parent().unwrap().to_str().unwrap().to_owned();
    assert_eq!(gantry.gantry(["--config", &folder, "ps"]).ok(), "box!");
    assert_ne!(gantry.gantry(["ps"]).ok(), "box!");
    let said = gantry.gantry(["-H", "ssh://box", "ps"]);
    assert!(said.fails(1).contains("ssh:// is not supported"), "{said}");
    let said = gantry.gantry(["--context", "other", "ps"]);
    assert!(said.fails(1).contains("contexts are not supported"), "{said}");
}
