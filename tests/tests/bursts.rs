//! Many at once leave nothing behind.

use gantry_tests::Daemon;
use std::thread;

#[test]
fn fifty_parallel_runs_leave_nothing_behind() {
    let gantry = Daemon::start();
    thread::scope(|scope| {
        let runs: Vec<_> = (0..50)
            .map(|n| {
                let gantry = &gantry;
                scope.spawn(move || {
                    let text = format!("echo {n}; exit {}", n % 7);
                    let said = gantry.docker(["run", "--rm", "busybox", "sh", "-c", &text]);
                    assert_eq!((said.code, said.stdout.trim()), (n % 7, n.to_string().as_str()), "{said}");
                })
            })
            .collect();
        runs.into_iter().for_each(|run| run.join().expect("a run"));
    });
    assert_eq!(gantry.docker(["ps", "-aq"]).ok(), "");
    // The place looks for namespaces, mounts, groups, interfaces and rules when the daemon is gone.
}

#[test]
fn a_name_is_free_as_soon_as_its_container_is_removed() {
    let gantry = Daemon::start();
    for n in 0..100 {
        gantry.docker(["create", "--name", "same", "busybox"]).ok();
        let force = if n % 2 == 0 { "-f" } else { "-v" };
        assert_eq!(gantry.docker(["rm", force, "same"]).ok(), "same");
    }
    for _ in 0..10 {
        gantry.docker(["run", "--rm", "--name", "same", "busybox", "true"]).ok();
    }
}

#[test]
fn several_are_answered_each_on_its_own_line() {
    let gantry = Daemon::start();
    for name in ["aa", "bb", "cc"] {
        gantry.docker(["create", "--stop-timeout", "0", "--name", name, "busybox", "sleep", "1000"]).ok();
    }
    for verb in ["start", "restart", "pause", "unpause", "stop"] {
        let said = gantry.docker([verb, "aa", "nosuch", "bb", "cc"]);
        assert_eq!(said.code, 1, "{said}");
        assert_eq!(said.stdout.lines().collect::<Vec<_>>(), ["aa", "bb", "cc"], "{verb}");
        assert!(said.stderr.contains("No such container: nosuch"), "{said}");
    }
    let waited = gantry.docker(["wait", "aa", "bb"]);
    assert_eq!(waited.lines(), ["137", "137"]);
    gantry.docker(["start", "bb"]).ok();
    let said = gantry.docker(["rm", "aa", "bb", "nosuch", "cc"]);
    assert_eq!((said.code, said.stdout.lines().collect::<Vec<_>>()), (1, vec!["aa", "cc"]), "{said}");
    assert!(said.stderr.contains("cannot remove container \"/bb\": container is running"), "{said}");
    assert!(said.stderr.contains("No such container: nosuch"), "{said}");
    gantry.docker(["pause", "bb"]).ok();
    gantry.docker(["restart", "bb"]).ok();
    assert_eq!(gantry.inspect("bb", "{{.State.Status}}"), "running");
}
