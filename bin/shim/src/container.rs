//! The container this shim is for: its main process, groups, output and end.

use crate::exec::Session;
use crate::foreign::{Choice, Foreign};
use crate::options::Options;
use crate::output::{Output, now_ns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sandbox::config::{Config, Rlimit};
use sandbox::launch::{self, Context, Launched, Wiring};
use sandbox::protocol::{ExecProcess, Exit, Reason, State};
use sandbox::seccomp::{self, Policy};
use std::fs::File;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

/// A made container and everything the shim holds for it.
pub struct Container {
    /// Main process and its stdio.
    pub main: Launched,
    /// Limits of each of its processes.
    rlimits: Vec<Rlimit>,
    oom_score_adj: Option<i32>,
    policy: Option<Policy>,
    /// The runtime that made it, if not gantry's own sandbox.
    foreign: Option<Foreign>,
    /// Its first process is not the first of a namespace: the others do not end with it.
    shares_processes: bool,
    /// Its spool.
    pub output: Output,
    /// Its exec sessions.
    pub sessions: Vec<Session>,
    /// Where the daemon connects.
    pub listener: UnixListener,
    /// What it is doing.
    pub state: State,
    /// How it ended.
    pub exit: Option<Exit>,
    /// It has a terminal.
    pub terminal: bool,
    /// Close stdin when a client half-closes.
    pub stdin_once: bool,
    /// Its mount namespace. Taking that apart costs the kernel a millisecond, which the last process to leave would pay
    /// before anybody hears of its end: held here, it is paid afterwards.
    mounts: Option<File>,
    dir: PathBuf,
    socket: PathBuf,
}

impl Container {
    /// Makes it, up to the start gate.
    pub fn create(options: &Options) -> Result<Self, (Reason, String)> {
        let failed = |text: String| (Reason::Failed, text);
        // A second shim for the same container must not exist: the socket's lock is the name itself.
        let read = |e: String| failed(format!("read {}: {e}", options.config.display()));
        let text = std::fs::read(&options.config).map_err(|e| read(e.to_string()))?;
        let config: Config = serde_json::from_slice(&text).map_err(|e| read(e.to_string()))?;
        // Another runtime compiles it itself.
        let own = config.linux.seccomp.as_ref().filter(|_| options.runtime.is_none());
        let policy = own.map(seccomp::compile_profile).transpose().map_err(|e| failed(e.to_string()))?;
        let _own_session = nix::unistd::setsid();
        nix::sys::prctl::set_child_subreaper(true).map_err(|e| failed(format!("become a subreaper: {e}")))?;
        match std::fs::remove_file(&options.socket) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(failed(format!("remove {}: {e}", options.socket.display())));
            }
            _ => {}
        }
        let listener = UnixListener::bind(&options.socket)
            .map_err(|e| failed(format!("listen on {}: {e}", options.socket.display())))?;
        listener.set_nonblocking(true).map_err(|e| failed(format!("listen: {e}")))?;
        let mut output = Output::open(&options.dir.join("spool"), options.budget, options.drop_when_full)
            .map_err(|e| failed(format!("open spool in {}: {e}", options.dir.display())))?;
        let terminal = config.process.terminal;
        let wiring = Wiring { terminal, stdin: options.stdin, output: true };
        let made = match &options.runtime {
            None => launch::create(&config, policy.as_ref(), wiring)
                .map(|main| (main, None))
                .map_err(|e| (e.reason, e.to_string())),
            Some(program) => {
                let choice = Choice::of(options, program);
                serde_json::from_slice(&text)
                    .map_err(|e| read(e.to_string()))
                    .and_then(|whole| Foreign::create(choice, &whole, config.clone(), wiring))
                    .map(|(foreign, main)| (main, Some(foreign)))
            }
        };
        let (main, foreign) = made.inspect_err(|_| {
            // What cannot be removed now is removed by the daemon with the container.
            let _left = std::fs::remove_file(&options.socket);
            let _kept = output.close();
        })?;
        // Without it the end is told a little later.
        let mounts = File::open(format!("/proc/{}/ns/mnt", main.pid)).ok();
        Ok(Self {
            main,
            mounts,
            rlimits: config.process.rlimits,
            oom_score_adj: config.process.oom_score_adj,
            policy,
            foreign,
            shares_processes: config.linux.namespaces.iter().all(|n| n.kind != "pid" || !n.path.is_empty()),
            output,
            sessions: Vec::new(),
            listener,
            state: State::Created,
            exit: None,
            terminal,
            stdin_once: options.stdin_once,
            dir: options.dir.clone(),
            socket: options.socket.clone(),
        })
    }

    /// Host pid of the main process.
    pub fn pid(&self) -> i32 {
        self.main.pid
    }

    /// Opens the gate.
    pub fn start(&mut self) -> Result<(), (Reason, String)> {
        match self.state {
            State::Created => {}
            State::Running | State::Paused => return Ok(()),
            State::Exited => return Err((Reason::Conflict, "the container has ended".into())),
        }
        match &self.foreign {
            None => self.main.start().map_err(|e| (e.reason, e.to_string()))?,
            Some(foreign) => foreign.start()?,
        }
        self.state = State::Running;
        Ok(())
    }

    /// Starts another process; answers its pid.
    pub fn exec(&mut self, id: String, process: &ExecProcess) -> Result<i32, (Reason, String)> {
        if self.state != State::Running {
            return Err((Reason::Conflict, "the container is not running".into()));
        }
        let context = Context {
            cgroup: &self.main.cgroup,
            rlimits: &self.rlimits,
            oom_score_adj: self.oom_score_adj,
            policy: self.policy.as_ref(),
        };
        let init = self.main.pid;
        let (pid, stdio) = match &mut self.foreign {
            None => launch::exec(init, process, &context).map_err(|e| (e.reason, e.to_string()))?,
            Some(foreign) => foreign.exec(init, process)?,
        };
        self.sessions.push(Session {
            id,
            pid,
            stdio,
            tty: process.tty,
            code: None,
            seen: false,
            bound: process.bound,
        });
        Ok(pid)
    }

    /// Signals the main process; SIGKILL reaches everything, frozen or not.
    pub fn signal(&mut self, number: i32) -> Result<(), (Reason, String)> {
        if self.exit.is_some() {
            return Err((Reason::Conflict, "the container has ended".into()));
        }
        let failed = |e: nix::errno::Errno| (Reason::Failed, format!("signal {number}: {}", e.desc()));
        match Signal::try_from(number) {
            // A runtime may have put something else in the place of the program.
            _ if self.foreign.is_some() => self.foreign.iter().try_for_each(|f| f.signal(number))?,
            Ok(signal) => kill(Pid::from_raw(self.pid()), signal).map_err(failed)?,
            // Real-time signals have no name in the library.
            Err(_) => {
                sandbox::launch::signal(self.pid(), number).map_err(|e| (Reason::Failed, e.to_string()))?
            }
        }
        if number == libc::SIGKILL && self.state == State::Paused {
            self.freeze(false)?;
        }
        if number == libc::SIGKILL && self.shares_processes {
            self.main.cgroup.kill();
        }
        Ok(())
    }

    /// Freezes or thaws.
    pub fn freeze(&mut self, frozen: bool) -> Result<(), (Reason, String)> {
        match &self.foreign {
            None => self.main.cgroup.freeze(frozen).map_err(|e| (Reason::Failed, e.to_string()))?,
            Some(foreign) => foreign.freeze(frozen)?,
        }
        self.state = if frozen { State::Paused } else { State::Running };
        Ok(())
    }

    /// Kills what does not end with the main process: it would go on writing for as long as its output is read.
    pub fn kill_others(&self) {
        if self.shares_processes {
            self.main.cgroup.kill();
        }
    }

    /// The main process has ended and its output is read: writes the last records.
    pub fn finish(&mut self, code: i32) -> Exit {
        let exit = Exit { code, at_ns: now_ns(), oom_killed: self.main.cgroup.oom_kills() > 0 };
        self.output.lift_budget();
        // A disk that fails here loses the mark, not the exit status, which the daemon still hears.
        let _unmarked = self.output.end();
        let path = self.dir.join("exit.json");
        let temporary = self.dir.join("exit.json.tmp");
        if let Ok(text) = serde_json::to_vec(&exit)
            && std::fs::write(&temporary, text).is_ok()
        {
            let _unwritten = std::fs::rename(&temporary, &path);
        }
        self.state = State::Exited;
        self.exit = Some(exit);
        exit
    }

    /// Clears away what the ended container leaves in the kernel; nobody waits for it.
    pub fn clear(&mut self) {
        self.main.cgroup.kill();
        if let Some(foreign) = &self.foreign {
            foreign.clear();
        }
        self.main.cgroup.remove();
        self.mounts = None;
    }

    /// Kills what lives and removes the socket. A container is started anew only after that, so the root has to be free.
    pub fn abandon(&mut self) {
        if self.exit.is_none() {
            let _gone = kill(Pid::from_raw(self.pid()), Signal::SIGKILL);
            let _reaped = nix::sys::wait::waitpid(Pid::from_raw(self.pid()), None);
            self.clear();
            // The next start takes it anew, if there is one.
            let _kept = self.output.close();
        }
        let _gone = std::fs::remove_file(&self.socket);
    }
}
