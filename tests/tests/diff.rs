//! `docker diff`: what a container changed of its image.

use gantry_tests::Daemon;
use serde_json::json;

#[test]
fn additions_changes_and_deletions_are_listed_and_what_the_engine_made_is_not() {
    let gantry = Daemon::start();
    let change = "echo more >> /etc/passwd; rm /etc/group; mkdir -p /new/folder; touch /new/folder/file; chmod 750 /home; \
                  echo x > '/with
newline'; echo gone > /tmp/gone; rm /tmp/gone; ln -s /etc /link; cat /bin/busybox > /dev/null; cat /etc/hosts > /dev/null";
    gantry.docker(["run", "--name", "web", "busybox", "sh", "-c", change]).ok();
    let expected = [
        "C /etc",
        "D /etc/group",
        "C /etc/passwd",
        "C /home",
        "A /link",
        "A /new",
        "A /new/folder",
        "A /new/folder/file",
        "A /with",
        "newline",
    ];
    assert_eq!(gantry.docker(["diff", "web"]).lines(), expected);
    gantry.docker(["commit", "web", "changed"]).ok();
    gantry.docker(["run", "-d", "--name", "second", "changed", "sleep", "1000"]).ok();
    assert_eq!(gantry.docker(["diff", "second"]).ok(), "");
    assert_eq!(gantry.api("GET", "/containers/second/changes", None).text(), "null\n");
    gantry.docker(["exec", "second", "rm", "-r", "/new"]).ok();
    let answer = gantry.api("GET", "/containers/second/changes", None);
    assert_eq!(answer.json(), json!([{ "Path": "/new", "Kind": 2 }]));
    let gone = gantry.api("GET", "/containers/no/changes", None);
    assert_eq!(gone.error(404), "No such container: no");
}

#[test]
fn a_folder_made_anew_shows_what_it_lacks_and_a_changed_kind_is_a_change() {
    let gantry = Daemon::start();
    gantry
        .docker([
            "run",
            "--name",
            "base",
            "busybox",
            "sh",
            "-c",
            "mkdir -p /d/sub /f; echo 1 > /d/a; echo 1 > /d/b; echo 1 > /f/x",
        ])
        .ok();
    gantry.docker(["commit", "base", "base"]).ok();
    let change = "rm -r /d; mkdir /d; echo 2 > /d/a; rm -r /f; echo file > /f; rm /etc/group; mkdir /etc/group; echo x > /etc/group/x";
    gantry.docker(["run", "--name", "web", "base", "sh", "-c", change]).ok();
    let expected =
        ["C /d", "C /d/a", "D /d/b", "D /d/sub", "C /etc", "C /etc/group", "A /etc/group/x", "C /f"];
    assert_eq!(gantry.docker(["diff", "web"]).lines(), expected);
    gantry.docker(["commit", "web", "changed"]).ok();
    let list = "find /d /f /etc/group | sort; cat /d/a";
    let shown = gantry.docker(["run", "--rm", "changed", "sh", "-c", list]);
    assert_eq!(shown.lines(), ["/d", "/d/a", "/etc/group", "/etc/group/x", "/f", "2"]);
}

#[test]
fn a_tree_without_end_is_refused_and_harms_nobody() {
    let gantry = Daemon::start();
    let deep = "cd /; for i in $(seq 3000); do mkdir d; cd d; done; echo done; sleep 1000";
    gantry.docker(["run", "-d", "--name", "web", "busybox", "sh", "-c", deep]).ok();
    gantry_tests::eventually("the tree is made", || {
        gantry.docker(["logs", "web"]).stdout.contains("done").then_some(())
    });
    gantry.docker(["ps", "-s"]).ok();
    for command in [&["diff", "web"][..], &["commit", "web", "deep"]] {
        let said = gantry.docker(command);
        assert_ne!(said.code, 0, "{said}");
    }
    assert_eq!(gantry.docker(["exec", "web", "echo", "fine"]).ok(), "fine");
    assert_eq!(gantry.inspect("web", "{{.State.Status}}"), "running");
}
