//! Attaching with what was written before.

use gantry_tests::{Daemon, eventually};

/// The frames of a multiplexed stream, as stream and text.
fn frames(mut bytes: &[u8]) -> Vec<(u8, String)> {
    let mut out = Vec::new();
    while let [stream, _, _, _, a, b, c, d, rest @ ..] = bytes {
        let (text, after) = rest.split_at(u32::from_be_bytes([*a, *b, *c, *d]) as usize);
        out.push((*stream, String::from_utf8_lossy(text).into_owned()));
        bytes = after;
    }
    out
}

fn attached(gantry: &Daemon, query: &str) -> Vec<(u8, String)> {
    let answer = gantry.api("POST", &format!("/containers/box/attach?{query}"), None);
    assert_eq!(answer.status, 200);
    frames(&answer.body)
}

#[test]
fn the_past_alone_is_told_and_the_session_ends() {
    let gantry = Daemon::start();
    let text = "echo out; echo err >&2; sleep 1000";
    gantry.docker(["run", "-d", "--name", "box", "busybox", "sh", "-c", text]).ok();
    eventually("both are written", || {
        let said = gantry.docker(["logs", "box"]);
        (said.stdout == "out\n" && said.stderr == "err\n").then_some(())
    });
    let (out, err) = ((1, "out\n".to_owned()), (2, "err\n".to_owned()));
    let mut both = attached(&gantry, "logs=1&stdout=1&stderr=1");
    both.sort();
    assert_eq!(both, [out.clone(), err]);
    assert_eq!(attached(&gantry, "logs=1&stdout=1&stream=0"), [out]);
    assert!(attached(&gantry, "stdout=1&stderr=1").is_empty());
}

#[test]
fn the_past_is_followed_by_what_comes() {
    let gantry = Daemon::start();
    let text = "for n in 1 2 3; do echo $n; done; until test -e /go; do sleep 0.05; done; echo 4; echo 5";
    gantry.docker(["run", "-d", "--name", "box", "busybox", "sh", "-c", text]).ok();
    eventually("the first are written", || {
        (gantry.docker(["logs", "box"]).stdout == "1\n2\n3\n").then_some(())
    });
    let all = std::thread::scope(|scope| {
        let session = scope.spawn(|| attached(&gantry, "logs=1&stream=1&stdout=1&stderr=1"));
        let told = [
            "events",
            "--since",
            "1m",
            "--until",
            "0s",
            "--filter",
            "event=attach",
            "--format",
            "{{.Action}}",
        ];
        eventually("it is attached", || (!gantry.docker(told).ok().is_empty()).then_some(()));
        gantry.touch("box", "/go");
        session.join().expect("a session")
    });
    let text: String = all.into_iter().map(|(_, text)| text).collect();
    assert_eq!(text, "1\n2\n3\n4\n5\n");
}
