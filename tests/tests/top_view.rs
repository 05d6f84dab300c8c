//! `gantry top` without a container: the live view of where lines go.

use gantry_tests::{Builder, Daemon, Place, Pty, eventually};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::Duration;

/// What a terminal is told when the view takes it, and when it is given back.
const TAKEN: &str = "\x1b[?1049h";
const BACK: &str = "\x1b[?1049l";
/// What comes before everything is drawn anew.
const CLEARED: &str = "\x1b[2J";

fn with_container() -> Daemon {
    let gantry = Builder::at(&Place::new()).start();
    gantry.docker(["run", "-d", "--name", "web", "busybox", "sh", "-c", "seq 1 9; exec sleep 1000"]).ok();
    gantry
}

fn view(gantry: &Daemon) -> Pty {
    let mut view = gantry.gantry_pty(["top"]);
    view.expect(TAKEN);
    view.expect("web");
    view.expect("json-file");
    view
}

/// Changes the terminal's size, which has everything drawn anew, until this is on it; answers what is.
fn shows(view: &mut Pty, text: &str) -> String {
    let mut columns = 140;
    eventually(&format!("{text} is shown"), || {
        columns += 1;
        let before = view.screen().len();
        view.resize(30, columns);
        (0..20).find_map(|_| {
            std::thread::sleep(Duration::from_millis(50));
            let screen = view.screen();
            let drawn = screen.get(before..)?.rsplit_once(CLEARED)?.1.to_owned();
            drawn.contains(text).then_some(drawn)
        })
    })
}

#[test]
fn it_shows_containers_sinks_and_actors_and_gives_the_terminal_back() {
    let gantry = with_container();
    let own = gantry.gantry_command(["top"]);
    let mut shell = std::process::Command::new("sh");
    let program = own.get_program().to_str().unwrap();
    shell.args(["-c", &format!("{program} top; echo code $?; stty -a; echo end")]);
    shell.envs(own.get_envs().filter_map(|(key, value)| Some((key, value?))));
    let mut view = Pty::spawn(&shell);
    view.expect(TAKEN);
    view.expect("json-file");
    // Rates are of the time between two looks.
    view.expect("lines/s");
    view.send("a");
    view.expect("router:");
    view.send("a/nosuch\r");
    let drawn = shows(&mut view, "/nosuch");
    assert!(!drawn.contains("json-file"), "{drawn:?}");
    view.send("\x1b");
    let drawn = shows(&mut view, "json-file");
    assert!(drawn.contains("ERROR"), "there is room for it now: {drawn:?}");
    view.send("q");
    view.expect(BACK);
    view.expect("code 0");
    let said = view.expect("end");
    assert!(said.contains("icanon"), "{said}");
    assert!(["-icanon", "-echo ", "-isig"].iter().all(|off| !said.contains(off)), "{said}");
    view.finish();
}

#[test]
fn a_signal_ends_it_and_gives_the_terminal_back() {
    let gantry = with_container();
    let mut view = view(&gantry);
    kill(Pid::from_raw(view.pid().try_into().unwrap()), Signal::SIGTERM).unwrap();
    view.expect(BACK);
    assert_eq!(view.finish(), 143);
}

#[test]
fn it_stays_while_a_daemon_is_away_and_goes_on_when_it_is_back() {
    let mut gantry = with_container();
    let mut view = view(&gantry);
    gantry.kill();
    view.expect("the daemon does not answer");
    gantry.start_again();
    view.expect("containers run");
    view.send("q");
    view.expect(BACK);
    assert_eq!(view.finish(), 0);
}

#[test]
fn colours_can_be_refused() {
    let gantry = with_container();
    let mut command = gantry.gantry_command(["top"]);
    command.env("NO_COLOR", "1");
    let mut view = Pty::spawn(&command);
    view.expect("json-file");
    view.send("q");
    view.expect(BACK);
    assert!(!view.screen().contains("\x1b[38;5;"), "{:?}", view.screen());
    assert_eq!(view.finish(), 0);
}

#[test]
fn without_a_terminal_it_shows_the_state_of_now_and_ends() {
    let gantry = with_container();
    eventually("all has arrived", || {
        let shown = gantry.gantry(["top", "--once"]);
        let sink: Vec<&str> = shown.lines().get(2).copied()?.split_whitespace().collect();
        sink.starts_with(&["json-file", "idle"]).then_some(())
    });
    for args in [&["top"][..], &["top", "--once"]] {
        let shown = gantry.gantry(args);
        let lines = shown.lines();
        let starts: Vec<Vec<&str>> = lines.iter().map(|l| l.split_whitespace().collect()).collect();
        assert_eq!(starts[0][..4], ["CONTAINER", "/", "SINK", "STATE"], "{shown}");
        assert_eq!(starts[1][..2], ["web", "running"], "{shown}");
        assert_eq!(starts[2][..2], ["json-file", "idle"], "{shown}");
        assert!(lines[2].starts_with("  json-file") && !shown.stdout.contains('\x1b'), "{shown}");
    }
    let told = gantry.gantry(["top", "--json"]).json();
    assert_eq!(told["Containers"][0]["Name"], "web");
    assert_eq!(told["Sinks"][0]["Driver"], "json-file");
    assert!(told["Actors"].as_array().unwrap().iter().any(|a| a["kind"] == "router"));
    // With a container it lists processes, as Docker's does.
    assert!(gantry.gantry(["top", "web"]).ok().contains("sleep 1000"));
    assert!(gantry.gantry(["top", "web", "-o", "pid,args"]).ok().contains("sleep 1000"));
    gantry.gantry(["top", "--once", "web"]).fails(1);
}

#[test]
fn the_status_of_logs_has_columns_for_all_that_is_counted() {
    let gantry = with_container();
    let format = "{{.Name}} {{.Sink}} {{.In}} {{.Acknowledged}} {{.Dropped}} {{.LagLines}} {{.LagSeconds}}";
    let shown = || gantry.gantry(["logs", "status", "--format", format]).ok().trim().to_owned();
    let wanted = "web json-file 9 (9B) 9 (9B) 0 0 0";
    eventually("all arrived", || (shown() == wanted).then_some(()));
    let table = gantry.gantry(["logs", "status"]);
    for heading in ["CONTAINER", "UP", "IN", "ACKNOWLEDGED", "DROPPED", "LAG", "SPOOL", "LAST ERROR"] {
        assert!(table.lines()[0].contains(heading), "{table}");
    }
    let told = gantry.gantry(["logs", "status", "--json"]).json();
    assert!(told[0]["CountingSince"].as_str().unwrap().starts_with("20"), "{told}");
    assert!(told[0]["Spool"]["Used"].as_u64() > Some(0) && told[0]["Spool"]["Budget"] == 64 << 20, "{told}");
}
