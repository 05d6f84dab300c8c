//! A real terminal on both ends.

use gantry_tests::{Daemon, Pty, eventually};

type OnPty = fn(&Daemon, Vec<&'static str>) -> Pty;
const BOTH: [(&str, OnPty); 2] = [("docker", Daemon::docker_pty), ("gantry", Daemon::gantry_pty)];

/// Starts a shell and gives it a prompt that its echo does not contain.
fn shell(start: OnPty, gantry: &Daemon, name: &'static str) -> Pty {
    let mut pty = start(gantry, vec!["run", "-it", "--name", name, "busybox", "sh"]);
    pty.expect("# ");
    pty.send("PS1='re''ady> '\n");
    pty.expect("\nready> ");
    pty
}

#[test]
fn what_is_typed_is_run_and_the_exit_code_comes_back() {
    let gantry = Daemon::start();
    for (name, start) in BOTH {
        let mut pty = shell(start, &gantry, name);
        pty.send("echo to''gether; tty\n");
        pty.expect("together\r\n");
        pty.expect("/dev/pts/0\r\n");
        pty.send("echo $TERM\n");
        pty.expect("\r\nxterm\r\n");
        pty.send("exit 7\n");
        assert_eq!(pty.finish(), 7, "{name}");
        assert_eq!(gantry.inspect(name, "{{.State.ExitCode}}"), "7");
    }
}

#[test]
fn the_containers_terminal_has_the_users_size_and_follows_it() {
    let gantry = Daemon::start();
    for (name, start) in BOTH {
        let mut pty = shell(start, &gantry, name);
        let sized = |pty: &mut Pty, wanted: &str| {
            // The size is set by a request of its own, after the start.
            eventually(wanted, || {
                pty.send("stty size\n");
                pty.expect("\nready> ").contains(wanted).then_some(())
            });
        };
        sized(&mut pty, "24 80");
        pty.resize(50, 132);
        sized(&mut pty, "50 132");
        pty.send("exit\n");
        assert_eq!(pty.finish(), 0, "{name}");
    }
}

#[test]
fn ctrl_c_interrupts_what_runs_and_not_the_shell() {
    let gantry = Daemon::start();
    for (name, start) in BOTH {
        let mut pty = shell(start, &gantry, name);
        pty.send("echo be''gun; sleep 1000\n");
        pty.expect("begun\r\n");
        pty.send("\x03");
        pty.expect("ready> ");
        pty.send("echo $?\n");
        pty.expect("\r\n130\r\n");
        pty.send("\x04");
        pty.finish();
    }
}

#[test]
fn ctrl_p_ctrl_q_leaves_the_container_running_and_attach_comes_back_to_it() {
    let gantry = Daemon::start();
    for (name, start) in BOTH {
        let mut pty = shell(start, &gantry, name);
        pty.send("X=kept\n");
        pty.expect("ready> ");
        pty.send("\x10\x11");
        pty.finish();
        assert_eq!(gantry.inspect(name, "{{.State.Status}}"), "running");
        let mut again = start(&gantry, vec!["attach", name]);
        eventually("the shell answers", || {
            again.send("\n");
            again.screen().contains("ready> ").then_some(())
        });
        again.send("echo $X and se''en\n");
        again.expect("kept and seen");
        again.send("exit 3\n");
        assert_eq!(again.finish(), 3, "{name}");
    }
}

#[test]
fn a_lone_ctrl_p_is_passed_on() {
    let gantry = Daemon::start();
    let mut pty = gantry.docker_pty([
        "run",
        "-it",
        "--name",
        "keys",
        "busybox",
        "sh",
        "-c",
        "stty raw -echo; echo on; head -c 2 | od -An -tx1",
    ]);
    pty.expect("on");
    pty.send("\x10x");
    pty.expect("10 78");
    assert_eq!(pty.finish(), 0);
}

#[test]
fn the_detach_keys_can_be_chosen() {
    let gantry = Daemon::start();
    for (name, start) in BOTH {
        let mut pty =
            start(&gantry, vec!["run", "-it", "--detach-keys", "ctrl-x,q", "--name", name, "busybox", "sh"]);
        pty.expect("# ");
        pty.send("\x18q");
        pty.finish();
        assert_eq!(gantry.inspect(name, "{{.State.Running}}"), "true");
    }
}

#[test]
fn what_the_container_writes_at_its_end_is_shown_whole() {
    let gantry = Daemon::start();
    let mut pty =
        gantry.docker_pty(["run", "-it", "--rm", "busybox", "sh", "-c", "seq 1 3000; echo the end"]);
    let shown = pty.expect("the end\r\n");
    assert_eq!(shown.lines().count(), 3001);
    assert_eq!(pty.finish(), 0);
}

#[test]
fn the_terminals_output_is_in_the_logs_as_one_stream() {
    let gantry = Daemon::start();
    let mut pty = gantry.docker_pty([
        "run",
        "-it",
        "--name",
        "logged",
        "busybox",
        "sh",
        "-c",
        "echo out; echo err >&2",
    ]);
    pty.expect("out\r\nerr\r\n");
    assert_eq!(pty.finish(), 0);
    let logs = gantry.docker(["logs", "logged"]);
    assert_eq!((logs.stdout.as_str(), logs.stderr.as_str()), ("out\r\nerr\r\n", ""));
}

#[test]
fn two_terminals_on_one_container_see_the_same() {
    let gantry = Daemon::start();
    let mut first = shell(Daemon::docker_pty, &gantry, "shared");
    let mut second = gantry.docker_pty(["attach", "shared"]);
    eventually("the second one is attached", || {
        second.send("\n");
        second.screen().contains("ready> ").then_some(())
    });
    second.send("echo from se''cond\n");
    first.expect("from second");
    first.send("echo from fi''rst\n");
    second.expect("from first");
    first.send("exit\n");
    assert_eq!((first.finish(), second.finish()), (0, 0));
}

#[test]
fn exec_gets_a_terminal_of_its_own() {
    let gantry = Daemon::start();
    gantry.docker(["run", "-d", "--name", "base", "busybox", "sleep", "1000"]).ok();
    for (name, start) in BOTH {
        let mut pty = start(&gantry, vec!["exec", "-it", "base", "sh"]);
        pty.expect("# ");
        pty.send("PS1='re''ady> '\n");
        pty.expect("\nready> ");
        eventually("the size arrives", || {
            pty.send("stty size\n");
            pty.expect("\nready> ").contains("24 80").then_some(())
        });
        pty.resize(30, 100);
        eventually("the new size arrives", || {
            pty.send("stty size\n");
            pty.expect("\nready> ").contains("30 100").then_some(())
        });
        pty.send("echo be''gun; sleep 1000\n");
        pty.expect("begun\r\n");
        pty.send("\x03");
        pty.expect("ready> ");
        pty.send("exit 9\n");
        assert_eq!(pty.finish(), 9, "{name}");
    }
}

#[test]
fn a_terminal_is_refused_where_input_is_none() {
    let gantry = Daemon::start();
    let said = gantry.docker(["run", "--rm", "-it", "busybox", "true"]);
    assert!(said.fails(1).contains("the input device is not a TTY"), "{said}");
    let said = gantry.gantry(["run", "--rm", "-it", "busybox", "true"]);
    assert!(said.fails(1).contains("the input device is not a TTY"), "{said}");
    assert_eq!(
        gantry.docker(["run", "--rm", "-t", "busybox", "sh", "-c", "test -t 1 && echo yes"]).ok(),
        "yes\r"
    );
}
