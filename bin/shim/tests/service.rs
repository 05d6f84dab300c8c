//! The shim as its daemon knows it, and exec sessions in containers that turned hostile. Needs root and busybox-static.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod stage;

use sandbox::protocol::{self, Answer, Reason, Request, State};
use stage::{Shim, Stage, process};
use std::io::{Read, Write};

#[test]
fn a_request_of_a_newer_daemon_is_answered_with_an_error() {
    let stage = Stage::new();
    let shim = stage.start(&["sleep", "1000"], &[]).unwrap();
    for (version, text) in
        [(1, r#"{"do":"levitate","height":3}"#), (9, r#"{"do":"levitate"}"#), (1, "no JSON")]
    {
        let mut stream = shim.connect();
        let length = u32::try_from(text.len() + 1).unwrap();
        stream.write_all(&[&length.to_be_bytes()[..], &[version], text.as_bytes()].concat()).unwrap();
        let mut head = [0; 5];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(head[4], protocol::VERSION);
        let mut body = vec![0; u32::from_be_bytes(head[..4].try_into().unwrap()) as usize - 1];
        stream.read_exact(&mut body).unwrap();
        assert!(matches!(serde_json::from_slice(&body), Ok(Answer::Error { reason: Reason::Failed, .. })));
    }
    assert!(matches!(shim.ask(&Request::Status), Answer::Status { state: State::Running, .. }));
}

/// It was told the end before the answer, took one for the other, and waited for ever.
#[test]
fn a_subscriber_that_comes_after_the_end_hears_its_answer_and_then_the_end() {
    let stage = Stage::new();
    let shim = stage.create(&["true"], &[]).unwrap();
    let mut early = shim.subscribe();
    assert_eq!(shim.ask(&Request::Start), Answer::Done);
    let exit = early.exit();
    assert_eq!(shim.subscribe().next(), Answer::Exited { exit });
}

/// Bytes that belong to this process alone. The pages of its program are the same for all shims, though those of the
/// only one running count as its own: what it has changed is what each costs.
fn private(shim: &Shim) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", shim.own_pid())).unwrap();
    let lines = text.lines().filter(|l| l.starts_with("Private_Dirty:"));
    lines.map(|l| l.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024).sum()
}

#[test]
fn memory_stays_small_idle_and_under_load() {
    let stage = Stage::new();
    let script = "head -c 100000000 /dev/zero; sleep 1000";
    let shim = stage.create(&["sh", "-c", script], &["--spool-budget", "200000000"]).unwrap();
    let idle = private(&shim);
    assert_eq!(shim.ask(&Request::Start), Answer::Done);
    let written = || {
        let segments = std::fs::read_dir(stage.host("spool")).unwrap();
        segments.map(|s| s.unwrap().metadata().unwrap().len()).sum::<u64>()
    };
    while written() < 100_000_000 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let loaded = private(&shim);
    println!("private memory: {idle} bytes idle, {loaded} after 100 MB of output");
    assert!(idle < 1_500_000 && loaded < 1_500_000, "{idle} {loaded}");
}

#[test]
fn the_end_of_the_main_process_ends_sessions_and_leaves_nothing_of_the_group() {
    let stage = Stage::new();
    let shim = stage.start(&["sleep", "1000"], &[]).unwrap();
    let mut events = shim.subscribe();
    let started = shim.ask(&Request::Exec { id: "s".into(), process: process(&["sleep", "1000"]) });
    assert!(matches!(started, Answer::Started { .. }), "{started:?}");
    let Answer::Pids { pids } = shim.ask(&Request::Pids) else { panic!("no pids") };
    assert_eq!(pids.len(), 2);
    assert_eq!(shim.ask(&Request::Signal { signal: libc::SIGKILL }), Answer::Done);
    assert_eq!(events.exec_exit("s"), 137);
    assert_eq!(events.exit().code, 137);
    drop(events);
    drop(shim);
    let group = stage.config["linux"]["cgroupsPath"].as_str().unwrap();
    for hierarchy in sandbox::cgroup::hierarchies().unwrap_or_default() {
        let folder = format!("/sys/fs/cgroup/{}{group}", hierarchy.folder);
        assert!(!std::path::Path::new(&folder).exists(), "{folder}");
    }
}

#[test]
fn sessions_leave_no_zombies_and_tell_how_they_ended() {
    let stage = Stage::new();
    let shim = stage.start(&["sleep", "1000"], &[]).unwrap();
    assert_eq!(shim.exec(&process(&["sh", "-c", "echo out; exit 5"])).unwrap(), (5, "out\n".into()));
    assert_eq!(shim.exec(&process(&["sh", "-c", "kill -TERM $$"])).unwrap().0, 143);
    let children = format!("/proc/{0}/task/{0}/children", shim.own_pid());
    assert_eq!(std::fs::read_to_string(children).unwrap().trim(), shim.pid.to_string());
}

#[test]
fn a_paused_container_can_be_killed() {
    let stage = Stage::new();
    let shim = stage.start(&["sleep", "1000"], &[]).unwrap();
    let mut events = shim.subscribe();
    assert_eq!(shim.ask(&Request::Freeze { frozen: true }), Answer::Done);
    assert!(matches!(shim.ask(&Request::Status), Answer::Status { state: State::Paused, .. }));
    assert_eq!(shim.ask(&Request::Signal { signal: libc::SIGKILL }), Answer::Done);
    assert_eq!(events.exit().code, 137);
}

#[test]
fn sessions_get_the_containers_limits_and_no_more_rights() {
    let mut stage = Stage::new();
    stage.config["process"]["rlimits"] =
        serde_json::json!([{ "type": "RLIMIT_NOFILE", "soft": 99, "hard": 100 }]);
    stage.config["process"]["oomScoreAdj"] = 321.into();
    let shim = stage.start(&["sleep", "1000"], &[]).unwrap();
    let script = "ulimit -n; cat /proc/self/oom_score_adj; grep CapEff /proc/self/status; ls /proc/self/fd";
    let (_, text) = shim.exec(&process(&["sh", "-c", script])).unwrap();
    assert_eq!(text, "99\n321\nCapEff:\t00000000a80425fb\n0\n1\n2\n3\n");
    let mut user = process(&["id", "-u"]);
    user.user = "12:13".into();
    assert_eq!(shim.exec(&user).unwrap(), (0, "12\n".into()));
}

#[test]
fn a_container_cannot_hold_up_or_mislead_what_is_run_in_it() {
    let mut stage = Stage::new();
    stage.allow("CAP_SYS_ADMIN");
    let script = "mkfifo /etc/passwd; umount /dev/pts; mkdir -p /dev/pts; mkfifo /dev/pts/ptmx; \
                  touch /done; exec sleep 1000";
    let shim = stage.start(&["sh", "-c", script], &[]).unwrap();
    while !stage.host("upper/done").exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    // A passwd file that never answers holds nobody up.
    assert_eq!(shim.exec(&process(&["cat", "/done"])).unwrap(), (0, String::new()));
    // Something else in place of the terminal multiplexer is not asked for a terminal.
    let mut terminal = process(&["true"]);
    terminal.tty = true;
    let text = shim.exec(&terminal).unwrap_err();
    assert_eq!(text, "open /dev/pts/ptmx: it is no terminal multiplexer");
    // Nor does a working folder that was swapped lead outside.
    for number in 3..12 {
        let mut elsewhere = process(&["pwd"]);
        elsewhere.cwd = format!("/proc/self/fd/{number}");
        assert!(shim.exec(&elsewhere).is_err(), "{number}");
    }
}

/// All that it wrote was read first, whatever the budget: the end came when the disk was full.
#[test]
fn who_outlives_the_main_process_does_not_hold_up_its_end_by_writing_on() {
    let mut stage = Stage::new();
    let namespaces = stage.config["linux"]["namespaces"].as_array_mut().unwrap();
    namespaces.retain(|namespace| namespace["type"] != "pid");
    let budget = &["--spool-budget", "1048576"];
    let shim = stage.create(&["sh", "-c", "cat /dev/zero & exit 3"], budget).unwrap();
    let mut events = shim.subscribe();
    assert_eq!(shim.ask(&Request::Start), Answer::Done);
    assert_eq!(events.exit().code, 3);
    let segments = std::fs::read_dir(stage.host("spool")).unwrap();
    let written = segments.map(|s| s.unwrap().metadata().unwrap().len()).sum::<u64>();
    assert!(written < 4 << 20, "{written}");
}

/// Nobody but the shim knew of it until there was room to tell.
#[test]
fn what_found_no_room_is_known_before_there_is_room_to_tell_of_it() {
    let stage = Stage::new();
    let full = &["--spool-budget", "1", "--drop-when-full"];
    let shim = stage.start(&["sh", "-c", "head -c 3000000 /dev/zero; sleep 1000"], full).unwrap();
    for _ in 0..1000 {
        let Answer::Status { unspooled, .. } = shim.ask(&Request::Status) else { panic!("no status") };
        if unspooled == 3_000_000 {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("it is never known");
}

/// Its 704 KiB stayed beside each container that could not be started, until that was removed.
#[test]
fn room_kept_for_last_output_is_given_back_where_nothing_ever_ran() {
    let mut stage = Stage::new();
    stage.run(&["nosuch"]).unwrap_err();
    assert!(!stage.host("spool/reserve").exists());
    drop(stage.create(&["true"], &[]).unwrap());
    assert!(!stage.host("spool/reserve").exists());
    stage.config["linux"]["sysctl"] = serde_json::json!({ "kernel.panic": "0" });
    stage.run(&["true"]).unwrap_err();
    assert!(!stage.host("spool/reserve").exists());
}

#[test]
fn a_session_in_an_ended_container_is_a_conflict() {
    let stage = Stage::new();
    let shim = stage.create(&["true"], &[]).unwrap();
    let mut events = shim.subscribe();
    assert_eq!(shim.ask(&Request::Start), Answer::Done);
    events.exit();
    let answer = shim.ask(&Request::Exec { id: "x".into(), process: process(&["true"]) });
    assert!(matches!(answer, Answer::Error { reason: Reason::Conflict, .. }), "{answer:?}");
}
