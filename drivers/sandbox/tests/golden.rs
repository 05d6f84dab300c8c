//! The shim protocol's frozen frames: shims and daemons of different versions meet after every upgrade. A file here is
//! never changed; new messages get new files.

#![allow(clippy::unwrap_used, missing_docs)]

use gantry_sandbox::protocol::{
    self, Answer, ExecProcess, Exit, Handshake, Reason, Request, State, VERSION, decode, encode,
};
use serde::{Deserialize, Serialize};
use std::fmt::Debug;

fn file(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// The message has exactly the frozen bytes, and they are read as the message.
fn frozen<T: Serialize + for<'a> Deserialize<'a> + PartialEq + Debug>(name: &str, message: T) {
    let bytes = std::fs::read(file(name)).unwrap();
    assert_eq!(
        String::from_utf8_lossy(&encode(&message).unwrap()),
        String::from_utf8_lossy(&bytes),
        "{name} is written differently"
    );
    let mut buffer = bytes;
    assert_eq!(decode::<T>(&mut buffer).unwrap(), Some(message), "{name} is read differently");
}

fn process() -> ExecProcess {
    ExecProcess {
        args: vec!["sh".into(), "-c".into(), "true".into()],
        env: vec!["PATH=/bin".into()],
        cwd: "/tmp".into(),
        user: "web:33".into(),
        capabilities: vec!["CAP_KILL".into()],
        no_new_privileges: true,
        seccomp: Some("default".into()),
        tty: true,
        stdin: true,
        output: true,
        ..ExecProcess::default()
    }
}

const EXIT: Exit = Exit { code: 137, at_ns: 1_700_000_000_000_000_000, oom_killed: true };

#[test]
fn requests_are_frozen() {
    frozen("request-status", Request::Status);
    frozen("request-start", Request::Start);
    frozen("request-signal", Request::Signal { signal: 15 });
    frozen("request-exec", Request::Exec { id: "e1".into(), process: process() });
    frozen("request-resize", Request::Resize { exec: Some("e1".into()), rows: 24, cols: 80 });
    frozen("request-resize-main", Request::Resize { exec: None, rows: 24, cols: 80 });
    frozen("request-attach", Request::Attach { exec: Some("e1".into()) });
    frozen("request-attach-main", Request::Attach { exec: None });
    frozen("request-subscribe", Request::Subscribe);
    frozen("request-freeze", Request::Freeze { frozen: true });
    frozen("request-pids", Request::Pids);
    frozen("request-shutdown", Request::Shutdown);
}

#[test]
fn answers_are_frozen() {
    frozen("answer-done", Answer::Done);
    let status = |state, exit, unspooled| Answer::Status { state, pid: 42, exit, unspooled };
    frozen("answer-status", status(State::Running, None, 0));
    frozen("answer-status-exited", status(State::Exited, Some(EXIT), 0));
    frozen("answer-status-unspooled", status(State::Running, None, 4096));
    frozen("answer-started", Answer::Started { pid: 43 });
    frozen("answer-pids", Answer::Pids { pids: vec![42, 43] });
    frozen("answer-error", Answer::Error { reason: Reason::NotFound, text: "no \"such\"".into() });
    frozen("answer-more", Answer::More);
    frozen("answer-exited", Answer::Exited { exit: EXIT });
    frozen("answer-exec-exited", Answer::ExecExited { id: "e1".into(), code: 5 });
    frozen("handshake-created", Handshake::Created { pid: 42 });
    frozen("handshake-failed", Handshake::Failed { text: "why".into(), reason: Reason::Failed });
}

#[test]
fn every_frozen_frame_begins_with_its_length_and_the_version() {
    let mut count = 0;
    for entry in std::fs::read_dir(file("")).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        let (head, rest) = bytes.split_at(4);
        assert_eq!(u32::from_be_bytes(head.try_into().unwrap()) as usize, rest.len());
        assert_eq!(rest.first(), Some(&VERSION));
        count += 1;
    }
    assert_eq!(count, 24);
}

#[test]
fn fields_of_a_newer_side_are_passed_over() {
    let mut frame = encode(&Request::Signal { signal: 9 }).unwrap();
    let body = br#"{"do":"signal","signal":9,"group":true}"#;
    frame.truncate(5);
    frame.extend(body);
    frame[..4].copy_from_slice(&u32::try_from(body.len() + 1).unwrap().to_be_bytes());
    assert_eq!(protocol::decode::<Request>(&mut frame).unwrap(), Some(Request::Signal { signal: 9 }));
}
