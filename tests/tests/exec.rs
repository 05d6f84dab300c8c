//! `docker exec`.

use gantry_tests::{Daemon, Output, eventually};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

type Run = fn(&Daemon, Vec<&'static str>) -> Output;
const BOTH: [Run; 2] = [Daemon::docker, Daemon::gantry];

fn base() -> Daemon {
    let gantry = Daemon::start();
    gantry
        .docker([
            "run",
            "-d",
            "--name",
            "base",
            "-e",
            "FROM=container",
            "-w",
            "/tmp",
            "busybox",
            "sleep",
            "1000",
        ])
        .ok();
    gantry
}

#[test]
fn a_second_command_runs_beside_the_first_with_its_streams_apart() {
    let gantry = base();
    for run in BOTH {
        let said = run(
            &gantry,
            vec!["exec", "base", "sh", "-c", "echo out; echo err >&2; pwd; echo $FROM; hostname"],
        );
        let hostname = gantry.inspect("base", "{{.Config.Hostname}}");
        assert_eq!(said.stderr, "err\n");
        assert_eq!(said.lines(), ["out", "/tmp", "container", hostname.as_str()]);
    }
}

#[test]
fn the_exit_code_is_the_commands() {
    let gantry = base();
    for run in BOTH {
        assert_eq!(run(&gantry, vec!["exec", "base", "sh", "-c", "exit 42"]).code, 42);
        assert_eq!(run(&gantry, vec!["exec", "base", "sh", "-c", "kill -KILL $$"]).code, 137);
        assert_eq!(run(&gantry, vec!["exec", "base", "true"]).code, 0);
    }
}

#[test]
fn what_cannot_be_run_ends_with_126_and_127() {
    let gantry = base();
    for run in BOTH {
        let said = run(&gantry, vec!["exec", "base", "nosuch"]);
        assert_eq!(said.code, 127, "{said}");
        let text = format!("{}{}", said.stdout, said.stderr);
        assert!(text.contains(r#"exec: "nosuch": executable file not found in $PATH"#), "{said}");
        let said = run(&gantry, vec!["exec", "base", "/etc/passwd"]);
        assert_eq!(said.code, 126, "{said}");
        let text = format!("{}{}", said.stdout, said.stderr);
        assert!(text.contains(r#"exec: "/etc/passwd": permission denied"#), "{said}");
    }
    assert_eq!(gantry.inspect("base", "{{.State.Running}}"), "true");
}

#[test]
fn environment_folder_and_user_can_be_set() {
    let gantry = base();
    for run in BOTH {
        let said = run(
            &gantry,
            vec![
                "exec",
                "-e",
                "A=1",
                "-e",
                "FROM=exec",
                "-w",
                "/etc",
                "-u",
                "app",
                "base",
                "sh",
                "-c",
                "echo $A $FROM; pwd; id -u; id -g; echo $HOME",
            ],
        );
        assert_eq!(said.lines(), ["1 exec", "/etc", "1000", "1000", "/home"]);
        let said = run(&gantry, vec!["exec", "-u", "4242:77", "base", "sh", "-c", "id -u; id -g"]);
        assert_eq!(said.lines(), ["4242", "77"]);
        let said = run(&gantry, vec!["exec", "-u", "nosuch", "base", "id"]);
        let text = format!("{}{}", said.stdout, said.stderr);
        assert!(
            said.code != 0 && text.contains("unable to find user nosuch: no matching entries in passwd file"),
            "{said}"
        );
    }
}

#[test]
fn piped_input_reaches_it_and_its_end_closes_it() {
    let gantry = base();
    assert_eq!(gantry.docker_with_input(["exec", "-i", "base", "cat"], b"hello").stdout, "hello");
    assert_eq!(gantry.gantry_with_input(["exec", "-i", "base", "cat"], b"hello").stdout, "hello");
    let bytes = vec![b'x'; 3_000_000];
    assert_eq!(gantry.docker_with_input(["exec", "-i", "base", "wc", "-c"], &bytes).ok(), "3000000");
    assert_eq!(gantry.docker(["exec", "base", "wc", "-c"]).ok(), "0");
}

#[test]
fn a_lot_of_output_comes_whole() {
    let gantry = base();
    let said = gantry.docker(["exec", "base", "guest", "lines", "20000", "100"]);
    assert_eq!(said.code, 0);
    let evens: Vec<u64> = said.stdout.lines().map(|l| l.parse().unwrap()).collect();
    let odds: Vec<u64> = said.stderr.lines().map(|l| l.parse().unwrap()).collect();
    assert!(
        evens.iter().copied().eq((0..20000).step_by(2)) && odds.iter().copied().eq((1..20000).step_by(2))
    );
}

#[test]
fn detached_it_goes_on_by_itself() {
    let gantry = base();
    for (n, run) in BOTH.into_iter().enumerate() {
        let said = run(&gantry, vec!["exec", "-d", "base", "sh", "-c", "sleep 0.2; echo done >> /tmp/mark"]);
        assert_eq!((said.code, said.stdout.as_str()), (0, ""));
        eventually("it did its work", || {
            let mark = gantry.docker(["exec", "base", "cat", "/tmp/mark"]);
            (mark.stdout.lines().count() == n + 1).then_some(())
        });
    }
}

#[test]
fn it_needs_a_running_container() {
    let gantry = base();
    gantry.docker(["kill", "base"]).ok();
    gantry.until_exited("base");
    let id = gantry.inspect("base", "{{.Id}}");
    for run in BOTH {
        let said = run(&gantry, vec!["exec", "base", "true"]);
        assert!(said.fails(1).contains(&format!("container {id} is not running")), "{said}");
        let said = run(&gantry, vec!["exec", "nosuch", "true"]);
        assert!(said.fails(1).contains("No such container: nosuch"), "{said}");
    }
}

#[test]
fn it_ends_with_its_container() {
    let gantry = base();
    let run = gantry.docker_running(["exec", "base", "sh", "-c", "echo up; sleep 1000"]);
    run.wait_for("up");
    gantry.docker(["kill", "base"]).ok();
    assert_eq!(run.finish().code, 137);
}

#[test]
fn its_output_is_not_in_the_containers_log() {
    let gantry = base();
    gantry.docker(["exec", "base", "echo", "not logged"]).ok();
    assert_eq!(gantry.docker(["logs", "base"]).ok(), "");
}

#[test]
fn many_at_once_each_get_their_own_answer() {
    let gantry = base();
    let runs: Vec<_> =
        (0..10).map(|n| gantry.docker_running(["exec", "base", "echo", &n.to_string()])).collect();
    for (n, run) in runs.into_iter().enumerate() {
        assert_eq!(run.finish().ok(), n.to_string());
    }
}

#[test]
fn it_has_the_containers_confinement() {
    let gantry = base();
    let said = gantry.docker(["exec", "base", "sh", "-c", "grep -E 'CapEff|Seccomp:' /proc/self/status"]);
    assert_eq!(said.lines(), ["CapEff:\t00000000a80425fb", "Seccomp:\t2"]);
    let said = gantry.docker(["exec", "-u", "app", "base", "grep", "CapEff", "/proc/self/status"]);
    assert_eq!(said.ok(), "CapEff:\t0000000000000000");
}

#[test]
fn inspect_of_an_exec_tells_how_it_went() {
    let gantry = base();
    let body = serde_json::json!({"Cmd": ["sh", "-c", "exit 5"], "AttachStdout": true});
    let id =
        gantry.api("POST", "/containers/base/exec", Some(&body)).json()["Id"].as_str().unwrap().to_owned();
    let before = gantry.api("GET", &format!("/exec/{id}/json"), None).json();
    assert_eq!((&before["Running"], &before["ExitCode"]), (&false.into(), &serde_json::Value::Null));
    let start = serde_json::json!({"Detach": true});
    assert_eq!(gantry.api("POST", &format!("/exec/{id}/start"), Some(&start)).status, 200);
    let after = eventually("it ends", || {
        let now = gantry.api("GET", &format!("/exec/{id}/json"), None).json();
        (now["ExitCode"] == 5).then_some(now)
    });
    assert_eq!(after["Running"], false);
    assert_eq!(after["ProcessConfig"]["entrypoint"], "sh");
    assert_eq!(after["ContainerID"].as_str().unwrap(), gantry.inspect("base", "{{.Id}}"));
    assert_eq!(gantry.api("GET", "/exec/nosuch/json", None).error(404), "No such exec instance: nosuch");
}

#[test]
fn output_comes_only_after_the_client_has_read_the_answers_head() {
    // docker-py reads the head through a buffer that it throws away, and lost the output of quick programs with it.
    let gantry = base();
    let body = serde_json::json!({"Cmd": ["echo", "quick"], "AttachStdout": true});
    let (mut client, head) = eventually("a client reads in time", || {
        let made = gantry.api("POST", "/containers/base/exec", Some(&body)).json();
        let id = made["Id"].as_str().unwrap();
        let mut client = UnixStream::connect(gantry.socket()).unwrap();
        let start = format!(
            "POST /exec/{id}/start HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\
             Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}"
        );
        let begin = Instant::now();
        client.write_all(start.as_bytes()).unwrap();
        eventually("the program has ended", || {
            let now = gantry.api("GET", &format!("/exec/{id}/json"), None).json();
            (now["ExitCode"] == 0).then_some(())
        });
        let mut buffer = vec![0; 8192];
        let read = client.read(&mut buffer).unwrap();
        let head = String::from_utf8_lossy(&buffer[..read]).into_owned();
        // One that does not read for a second is not waited for.
        let late = begin.elapsed() >= Duration::from_secs(1);
        (!late || head.ends_with("\r\n\r\n")).then_some((client, head))
    });
    assert!(head.starts_with("HTTP/1.1 101") && head.ends_with("\r\n\r\n"), "{head:?}");
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"\x01\0\0\0\0\0\0\x06quick\n");
}

#[test]
fn a_session_is_left_by_its_own_keys_and_shows_the_streams_asked_for() {
    let gantry = base();
    let mut shell = gantry.docker_pty(["exec", "-it", "--detach-keys", "ctrl-e,x", "base", "sh"]);
    shell.expect("# ");
    shell.send("\x05x");
    shell.finish();
    let body = serde_json::json!({"Cmd": ["sh", "-c", "echo out; echo err >&2"], "AttachStderr": true});
    let id =
        gantry.api("POST", "/containers/base/exec", Some(&body)).json()["Id"].as_str().unwrap().to_owned();
    let said = gantry.api("POST", &format!("/exec/{id}/start"), Some(&serde_json::json!({})));
    assert_eq!(said.text(), "\x02\0\0\0\0\0\0\x04err\n");
}
