//! `docker top`, with `ps`'s own options.

use gantry_tests::Daemon;

#[test]
fn the_options_of_ps_choose_the_columns() {
    let gantry = Daemon::start();
    gantry
        .docker(["run", "-d", "--name", "box", "busybox", "sh", "-c", "sleep 1000 & sleep 2000; true"])
        .ok();
    // Between fork and exec one has the shell's command line.
    gantry_tests::eventually("both run", || {
        let said = gantry.docker(["top", "box"]);
        let runs = |program: &str| said.lines().iter().any(|l| l.ends_with(program));
        (said.lines().len() == 4 && runs(" sleep 1000") && runs(" sleep 2000")).then_some(())
    });
    let title = |options: &[&str]| {
        let said = gantry.docker([&["top", "box"], options].concat());
        let lines: Vec<String> = said.lines().iter().map(|l| (*l).to_owned()).collect();
        assert_eq!(lines.len(), 4, "three processes of the container, none of the host: {said}");
        lines[0].split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(title(&[])[..3], ["UID", "PID", "PPID"]);
    assert_eq!(title(&["aux"])[..3], ["USER", "PID", "%CPU"]);
    assert_eq!(title(&["-o", "pid,cmd"]), ["PID", "CMD"]);
    assert_eq!(title(&["-eo", "pid,comm"]), ["PID", "COMMAND"]);
    let shown = gantry.docker(["top", "box", "-o", "pid,cmd"]);
    assert!(shown.lines().iter().any(|l| l.ends_with("sleep 1000")), "{shown}");
}

#[test]
fn what_cannot_be_told_is_refused_in_dockers_words() {
    let gantry = Daemon::start();
    gantry.docker(["run", "-d", "--name", "box", "busybox", "sleep", "1000"]).ok();
    let refused = |options: &[&str]| gantry.docker([&["top", "box"], options].concat()).fails(1).to_owned();
    assert!(refused(&["-o", "cmd"]).contains("Couldn't find PID field in ps output"));
    assert!(refused(&["--nosuch"]).contains("ps: error: unknown gnu long option"));
    assert!(refused(&["-o", "ppid=PID"]).contains("specifying \"ppid=PID\" is not allowed"));
    gantry.docker(["pause", "box"]).ok();
    gantry.docker(["top", "box"]).ok();
    gantry.docker(["unpause", "box"]).ok();
    gantry.docker(["stop", "-t", "0", "box"]).ok();
    let id = gantry.inspect("box", "{{.Id}}");
    assert!(refused(&[]).contains(&format!("container {id} is not running")));
}
