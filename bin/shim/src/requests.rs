//! What the daemon asks for.

use crate::connection::{Attached, Connection};
use crate::container::Container;
use crate::stdio::nonblocking;
use sandbox::protocol::{Answer, ExecProcess, Reason, Request};
use sandbox::terminal;

fn done(result: Result<(), (Reason, String)>) -> Answer {
    match result {
        Ok(()) => Answer::Done,
        Err((reason, text)) => Answer::Error { reason, text },
    }
}

/// What is to happen beside the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Nothing.
    Serve,
    /// The new subscriber hears what has happened already; not before its answer, or it would take that for one.
    CatchUp,
    /// The shim ends.
    Shutdown,
}

/// Does what one connection asks for.
pub fn answer(container: &mut Container, connection: &mut Connection, request: Request) -> (Answer, Then) {
    let answer = match request {
        Request::Status => Answer::Status {
            state: container.state,
            pid: container.pid(),
            exit: container.exit,
            unspooled: container.output.dropped(),
        },
        Request::Start => done(container.start()),
        Request::Signal { signal } => done(container.signal(signal)),
        Request::Freeze { frozen } => done(container.freeze(frozen)),
        Request::Pids => Answer::Pids { pids: container.main.cgroup.pids() },
        Request::WhenFull { drop } => {
            container.output.set_drop_when_full(drop);
            Answer::Done
        }
        Request::Shutdown => return (Answer::Done, Then::Shutdown),
        Request::Subscribe => {
            connection.subscribed = true;
            return (Answer::Done, Then::CatchUp);
        }
        Request::Resize { exec, rows, cols } => resize(container, exec.as_deref(), rows, cols),
        Request::Attach { exec } => attach(container, connection, exec),
        Request::Exec { id, process } => exec(container, id, &process),
    };
    (answer, Then::Serve)
}

/// Tells a new subscriber what it missed.
pub fn catch_up(container: &Container, connection: &mut Connection) {
    if let Some(exit) = container.exit {
        connection.notify(&Answer::Exited { exit });
    }
    for session in &container.sessions {
        if let Some(code) = session.code {
            connection.notify(&Answer::ExecExited { id: session.id.clone(), code });
        }
    }
}

fn resize(container: &Container, exec: Option<&str>, rows: u16, cols: u16) -> Answer {
    let (tty, stdio) = match exec {
        None => (container.terminal, &container.main.stdio),
        Some(id) => match container.sessions.iter().find(|s| s.id == id) {
            Some(session) => (session.tty, &session.stdio),
            None => {
                return Answer::Error { reason: Reason::NotFound, text: "no such exec session".into() };
            }
        },
    };
    // Without a terminal there is no size to set, which is no error in Docker.
    match stdio.stdout.as_ref().filter(|_| tty).map(|fd| terminal::resize(fd, rows, cols)) {
        Some(result) => done(result.map_err(|e| (e.reason, e.to_string()))),
        None => done(Ok(())),
    }
}

fn attach(container: &mut Container, connection: &mut Connection, exec: Option<String>) -> Answer {
    if let Some(id) = &exec {
        let Some(session) = container.sessions.iter_mut().find(|s| s.id == *id) else {
            return Answer::Error { reason: Reason::NotFound, text: "no such exec session".into() };
        };
        session.seen = true;
    }
    connection.attached = Some(exec.map_or(Attached::Main, Attached::Exec));
    Answer::Done
}

fn exec(container: &mut Container, id: String, process: &ExecProcess) -> Answer {
    match container.exec(id, process) {
        Ok(pid) => {
            if let Some(session) = container.sessions.last() {
                for fd in [&session.stdio.stdin, &session.stdio.stdout, &session.stdio.stderr] {
                    nonblocking(fd.as_ref());
                }
            }
            Answer::Started { pid }
        }
        Err((reason, text)) => Answer::Error { reason, text },
    }
}
