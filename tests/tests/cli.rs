//! gantry's own command line, where it is not tested beside docker's.

use gantry_tests::{Daemon, eventually};

#[test]
fn actors_are_shown_as_a_tree() {
    let gantry = Daemon::start();
    gantry
        .docker([
            "run",
            "-d",
            "--name",
            "on",
            "busybox",
            "sh",
            "-c",
            "while true; do echo x; sleep 0.1; done",
        ])
        .ok();
    let id = gantry.inspect("on", "{{.Id}}");
    let tree = eventually("the container's actors are up", || {
        let said = gantry.gantry(["actors"]);
        let text = said.ok().to_owned();
        text.contains(&format!("container:{}", &id[..12])).then_some(text)
    });
    let head: Vec<&str> =
        tree.lines().next().unwrap().split("  ").map(str::trim).filter(|c| !c.is_empty()).collect();
    assert_eq!(head, ["NAME", "KIND", "STATE", "RESPAWNS", "MAILBOX", "UPTIME", "LAST PANIC"]);
    for kind in ["containers", "container", "events", "images", "logs", "router", "sink", "network"] {
        assert!(tree.lines().any(|l| l.split_whitespace().any(|w| w == kind)), "{kind}: {tree}");
    }
    for line in tree.lines().skip(1) {
        assert!(line.contains("running"), "{line}");
    }
}

#[test]
fn help_and_mistakes() {
    let gantry = Daemon::start();
    let help = gantry.gantry(["--help"]);
    for command in [
        "run", "create", "start", "stop", "kill", "rm", "ps", "logs", "exec", "attach", "inspect", "wait",
        "pull", "load", "images", "rmi", "info", "version", "events", "actors",
    ] {
        assert!(
            help.ok().lines().any(|l| l.trim_start().starts_with(&format!("{command} "))),
            "{command}: {help}"
        );
        let said = gantry.gantry([command, "--help"]);
        assert!(said.ok().contains("Usage: gantry "), "{said}");
    }
    let said = gantry.gantry(["nosuch"]);
    assert!(said.code != 0 && said.stderr.contains("nosuch"), "{said}");
    let said = gantry.gantry(["-H", "unix:///nosuch.sock", "ps"]);
    assert!(said.fails(1).contains("/nosuch.sock"), "{said}");
}

#[test]
fn several_objects_at_once_go_on_after_a_mistake() {
    let gantry = Daemon::start();
    for name in ["first", "second"] {
        gantry.gantry(["run", "-d", "--name", name, "busybox", "sleep", "1000"]).ok();
    }
    let said = gantry.gantry(["kill", "first", "nosuch", "second"]);
    assert_eq!((said.code, said.stdout.as_str()), (1, "first\nsecond\n"));
    assert!(said.stderr.contains("No such container: nosuch"), "{said}");
    let said = gantry.gantry(["rm", "first", "nosuch", "second"]);
    assert_eq!((said.code, said.stdout.as_str()), (1, "first\nsecond\n"));
}

#[test]
fn formats_are_dockers() {
    let gantry = Daemon::start();
    gantry.gantry(["run", "-d", "--name", "told", "-l", "a=b", "busybox", "sleep", "1000"]).ok();
    for format in
        ["{{.Names}} {{.Image}} {{.State}}", "{{.ID}}\t{{.Command}}", "table {{.Names}}\t{{.Image}}"]
    {
        assert_eq!(
            gantry.gantry(["ps", "--format", format]).ok(),
            gantry.docker(["ps", "--format", format]).ok(),
            "{format}"
        );
    }
    for format in ["{{.Repository}}:{{.Tag}} {{.ID}}", "table {{.Repository}}\t{{.Tag}}"] {
        assert_eq!(
            gantry.gantry(["images", "--format", format]).ok(),
            gantry.docker(["images", "--format", format]).ok(),
            "{format}"
        );
    }
    for format in [
        "{{.Id}} {{.State.Running}}",
        "{{json .Config.Cmd}}",
        "{{range .Config.Cmd}}[{{.}}]{{end}}",
        "{{if .State.Running}}up{{else}}down{{end}}",
    ] {
        assert_eq!(
            gantry.gantry(["inspect", "-f", format, "told"]).ok(),
            gantry.inspect("told", format),
            "{format}"
        );
    }
}

#[test]
fn stop_and_start_over_gantry() {
    let gantry = Daemon::start();
    gantry.gantry(["run", "-d", "--name", "on", "busybox", "sleep", "1000"]).ok();
    assert_eq!(gantry.gantry(["stop", "-t", "0", "on"]).ok(), "on");
    assert_eq!(gantry.gantry(["start", "on"]).ok(), "on");
    assert_eq!(gantry.gantry(["kill", "-s", "KILL", "on"]).ok(), "on");
    assert_eq!(gantry.gantry(["wait", "on"]).ok(), "137");
    assert_eq!(gantry.gantry(["ps", "-q"]).ok(), "");
    assert_eq!(
        gantry.gantry(["ps", "-aq", "-f", "status=exited", "--no-trunc"]).ok(),
        gantry.inspect("on", "{{.Id}}")
    );
}
