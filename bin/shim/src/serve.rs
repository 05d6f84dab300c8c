//! The loop: signals, the container's output, the daemon's connections.

use crate::connection::{Attached, Connection};
use crate::container::Container;
use crate::pace::{Ear, Notices, Pace, Retries};
use crate::requests::{self, Then};
use crate::stdio::{detach_stdio, nonblocking, write_some};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::time::TimeSpec;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use sandbox::protocol::Answer;
use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

/// How often a full spool is tried again while the container waits for it.
const RETRY: Duration = Duration::from_millis(10);

/// What a descriptor in the poll set is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Signals,
    Listener,
    Main { stream: u8 },
    MainInput,
    Session { index: usize, stream: u8 },
    SessionInput { index: usize },
    Connection(usize),
}

struct Loop {
    container: Container,
    connections: Vec<Connection>,
    /// Exit code of the main process, while its output is still being read.
    ended: Option<i32>,
    notices: Notices,
    pace: Pace,
    ear: Ear,
    retries: Retries,
    shutdown: bool,
    buffer: Vec<u8>,
    /// Typed bytes that the main process's stdin has not taken yet, and whether it is to be closed after them.
    input: (Vec<u8>, bool),
}

/// Serves until the container has ended and no daemon is connected any more, or until told to end.
pub fn run(container: Container) -> nix::Result<()> {
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGCHLD);
    for ignored in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGPIPE] {
        mask.add(ignored);
    }
    mask.thread_block()?;
    let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
    detach_stdio();
    for fd in [&container.main.stdio.stdin, &container.main.stdio.stdout, &container.main.stdio.stderr] {
        nonblocking(fd.as_ref());
    }
    let mut this = Loop {
        container,
        connections: Vec::new(),
        ended: None,
        notices: Notices::new(Instant::now()),
        pace: Pace::default(),
        ear: Ear::default(),
        retries: Retries::default(),
        shutdown: false,
        buffer: vec![0; 64 * 1024],
        input: (Vec::new(), false),
    };
    // A child may have ended before its signal was blocked.
    this.reap();
    while !this.shutdown && (this.container.exit.is_none() || !this.connections.is_empty()) {
        this.turn(&signals)?;
    }
    this.container.abandon();
    Ok(())
}

impl Loop {
    fn turn(&mut self, signals: &SignalFd) -> nix::Result<()> {
        if let Some(rest) = self.pace.rest(Instant::now()).filter(|_| !self.container.terminal) {
            std::thread::sleep(rest);
        }
        let (sources, ready) = {
            // One time for both: who is not listened for must not be waited for without an end.
            let now = Instant::now();
            let (sources, mut fds) = self.interests(signals, now);
            match ppoll(&mut fds, self.timeout(now), None) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(e) => return Err(e),
            }
            let ready: Vec<PollFlags> =
                fds.iter().map(|f| f.revents().unwrap_or(PollFlags::empty())).collect();
            (sources, ready)
        };
        for (source, flags) in sources.into_iter().zip(ready) {
            if !flags.is_empty() {
                self.handle(source, flags, signals);
            }
        }
        self.retry();
        self.move_input();
        self.settle();
        Ok(())
    }

    fn timeout(&self, now: Instant) -> Option<TimeSpec> {
        if self.container.output.blocked() {
            return Some(RETRY.into());
        }
        let notice = self.notices.rest(now).filter(|_| self.subscribers());
        let rests = [notice, self.ear.rest(now), self.retries.rest(now)];
        rests.into_iter().flatten().min().map(TimeSpec::from)
    }

    /// Tries again what found no room in the spool.
    fn retry(&mut self) {
        let output = &mut self.container.output;
        let before = output.owing();
        // Behind the end of its output nothing may stand.
        if before == 0 || self.container.exit.is_some() {
            self.retries.clear();
            return;
        }
        if output.blocked() || self.retries.due(Instant::now()) {
            output.retry();
        }
        if output.owing() < before {
            self.notices.note();
        }
    }

    fn subscribers(&self) -> bool {
        self.connections.iter().any(|c| c.subscribed)
    }

    fn interests<'a>(&'a self, signals: &'a SignalFd, now: Instant) -> (Vec<Source>, Vec<PollFd<'a>>) {
        let mut sources = Vec::new();
        let mut fds = Vec::new();
        let mut add = |source, fd: BorrowedFd<'a>, flags| {
            sources.push(source);
            fds.push(PollFd::new(fd, flags));
        };
        add(Source::Signals, signals.as_fd(), PollFlags::POLLIN);
        if self.ear.rest(now).is_none() {
            add(Source::Listener, self.container.listener.as_fd(), PollFlags::POLLIN);
        }
        let stdio = &self.container.main.stdio;
        if !self.container.output.blocked() {
            for (stream, fd) in [(1, &stdio.stdout), (2, &stdio.stderr)] {
                if let Some(fd) = fd {
                    add(Source::Main { stream }, fd.as_fd(), PollFlags::POLLIN);
                }
            }
        }
        if let (Some(fd), false) = (&stdio.stdin, self.input.0.is_empty()) {
            add(Source::MainInput, fd.as_fd(), PollFlags::POLLOUT);
        }
        for (index, session) in self.container.sessions.iter().enumerate() {
            let client = self.client_of(&session.id);
            // Unread until a client comes; thrown away once it has gone.
            if client.map_or(session.seen, Connection::has_room) {
                for (stream, fd) in [(1, &session.stdio.stdout), (2, &session.stdio.stderr)] {
                    if let Some(fd) = fd {
                        add(Source::Session { index, stream }, fd.as_fd(), PollFlags::POLLIN);
                    }
                }
            }
            if let (Some(fd), true) = (&session.stdio.stdin, client.is_some_and(Connection::has_typed)) {
                add(Source::SessionInput { index }, fd.as_fd(), PollFlags::POLLOUT);
            }
        }
        for (index, connection) in self.connections.iter().enumerate() {
            let mut flags = PollFlags::empty();
            if !connection.half_closed && !connection.full() {
                flags |= PollFlags::POLLIN;
            }
            if connection.wants_write() {
                flags |= PollFlags::POLLOUT;
            }
            add(Source::Connection(index), connection.stream.as_fd(), flags);
        }
        (sources, fds)
    }

    fn client_of(&self, id: &str) -> Option<&Connection> {
        self.connections.iter().find(|c| matches!(&c.attached, Some(Attached::Exec(e)) if e == id) && !c.dead)
    }

    fn handle(&mut self, source: Source, flags: PollFlags, signals: &SignalFd) {
        match source {
            Source::Signals => {
                while let Ok(Some(_)) = signals.read_signal() {}
                self.reap();
            }
            Source::Listener => loop {
                match self.container.listener.accept() {
                    Ok((stream, _)) => self.connections.extend(Connection::new(stream)),
                    Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                    Err(_) => {
                        self.ear.fail(Instant::now());
                        break;
                    }
                }
            },
            Source::Main { stream } => self.read_main(stream),
            // Written where all input is moved, after every source was heard.
            Source::MainInput | Source::SessionInput { .. } => {}
            Source::Session { index, stream } => self.read_session(index, stream),
            Source::Connection(index) => {
                let Some(connection) = self.connections.get_mut(index) else { return };
                if flags.contains(PollFlags::POLLOUT) {
                    connection.flush();
                }
                if flags.contains(PollFlags::POLLIN) {
                    connection.fill();
                }
                if flags.intersects(PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL) {
                    // Both directions are gone; what was read before still counts as typed.
                    connection.half_closed = true;
                    connection.dead |= !flags.contains(PollFlags::POLLIN);
                }
                self.requests(index);
            }
        }
    }

    fn read_main(&mut self, stream: u8) {
        // The other stream may just have filled the budget; this one stays in its pipe.
        if self.container.output.blocked() {
            return;
        }
        let stdio = &mut self.container.main.stdio;
        let slot = if stream == 1 { &mut stdio.stdout } else { &mut stdio.stderr };
        let Some(fd) = slot else { return };
        match nix::unistd::read(&*fd, &mut self.buffer) {
            Ok(0) => *slot = None,
            Ok(n) => {
                self.container.output.take(stream, self.buffer.get(..n).unwrap_or_default());
                self.notices.note();
                self.pace.read(stream, n, Instant::now());
            }
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            // EIO: the terminal's last holder is gone.
            Err(_) => *slot = None,
        }
    }

    fn read_session(&mut self, index: usize, stream: u8) {
        let Some(session) = self.container.sessions.get_mut(index) else { return };
        let slot = if stream == 1 { &mut session.stdio.stdout } else { &mut session.stdio.stderr };
        let Some(fd) = slot else { return };
        match nix::unistd::read(&*fd, &mut self.buffer) {
            Ok(n) if n > 0 => {
                let id = session.id.clone();
                let bytes = self.buffer.get(..n).unwrap_or_default();
                let client = self
                    .connections
                    .iter_mut()
                    .find(|c| matches!(&c.attached, Some(Attached::Exec(e)) if *e == id) && !c.dead);
                if let Some(client) = client {
                    client.output(stream, bytes);
                }
            }
            Err(Errno::EAGAIN) if session.code.is_none() => {}
            Err(Errno::EINTR) => {}
            _ => *slot = None,
        }
    }

    /// Collects every ended child.
    fn reap(&mut self) {
        loop {
            let (pid, code) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => (pid.as_raw(), code),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid.as_raw(), 128 + signal as i32),
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => break,
                Ok(_) | Err(Errno::EINTR) => continue,
                Err(_) => break,
            };
            if pid == self.container.pid() {
                self.ended = Some(code);
            } else if let Some(session) = self.container.sessions.iter_mut().find(|s| s.pid == pid) {
                session.code = Some(code);
                let event = Answer::ExecExited { id: session.id.clone(), code };
                for connection in self.connections.iter_mut().filter(|c| c.subscribed) {
                    connection.notify(&event);
                }
            }
        }
    }

    fn requests(&mut self, index: usize) {
        loop {
            let Some(connection) = self.connections.get_mut(index) else { return };
            if connection.attached.is_some() || connection.closing {
                return;
            }
            let Some(request) = connection.request() else { return };
            let (answer, then) = requests::answer(&mut self.container, connection, request);
            connection.answer(&answer);
            match then {
                Then::Serve => {}
                Then::CatchUp => requests::catch_up(&self.container, connection),
                Then::Shutdown => self.shutdown = true,
            }
        }
    }

    /// Hands typed bytes on to the processes they are for.
    fn move_input(&mut self) {
        let container = &mut self.container;
        for connection in &mut self.connections {
            match connection.attached.clone() {
                None => {}
                Some(Attached::Main) => {
                    self.input.0.append(connection.typed());
                    if connection.half_closed && !container.terminal && container.stdin_once {
                        self.input.1 = true;
                    }
                    connection.closing |= connection.half_closed;
                }
                Some(Attached::Exec(id)) => {
                    let Some(session) = container.sessions.iter_mut().find(|s| s.id == id) else {
                        connection.closing = true;
                        continue;
                    };
                    let typed = connection.typed();
                    write_some(&mut session.stdio.stdin, typed);
                    let drained = typed.is_empty();
                    if connection.half_closed && drained && !session.tty {
                        session.stdio.stdin = None;
                    }
                    connection.closing |= session.over();
                }
            }
        }
        write_some(&mut container.main.stdio.stdin, &mut self.input.0);
        if self.input.1 && self.input.0.is_empty() {
            container.main.stdio.stdin = None;
        }
    }

    /// Finishes what can be finished: the container's end, announcements, connections.
    fn settle(&mut self) {
        if let Some(code) = self.ended {
            self.container.kill_others();
            // Its processes are dead: nothing more can come than what the pipes hold.
            self.container.output.lift_budget();
            for stream in [1, 2] {
                self.drain_main(stream);
            }
            self.ended = None;
            let exit = self.container.finish(code);
            for connection in self.connections.iter_mut().filter(|c| c.subscribed) {
                connection.notify(&Answer::More);
                connection.answer(&Answer::Exited { exit });
            }
            self.notices.clear();
            self.container.clear();
        }
        if self.notices.due(Instant::now()) {
            for connection in self.connections.iter_mut().filter(|c| c.subscribed) {
                connection.notify(&Answer::More);
            }
        }
        for session in self.container.sessions.iter().filter(|s| s.bound && s.seen && s.code.is_none()) {
            if self.client_of(&session.id).is_none() {
                // Sessions lead a group of their own. It may be gone, and is then reaped next.
                let _gone =
                    nix::sys::signal::killpg(nix::unistd::Pid::from_raw(session.pid), Signal::SIGKILL);
            }
        }
        self.container.sessions.retain(|s| s.code.is_none() || s.open() || !s.seen);
        self.connections.retain(|c| {
            !c.dead && (c.wants_write() || !c.closing) && (c.attached.is_some() || !c.half_closed)
        });
    }

    fn drain_main(&mut self, stream: u8) {
        loop {
            let stdio = &mut self.container.main.stdio;
            let slot = if stream == 1 { &mut stdio.stdout } else { &mut stdio.stderr };
            let Some(fd) = slot else { return };
            match nix::unistd::read(fd.as_fd(), &mut self.buffer) {
                Ok(n) if n > 0 => {
                    self.container.output.take(stream, self.buffer.get(..n).unwrap_or_default())
                }
                Err(Errno::EINTR) => {}
                _ => {
                    *slot = None;
                    return;
                }
            }
        }
    }
}
