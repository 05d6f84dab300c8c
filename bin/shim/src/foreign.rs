//! Another OCI runtime (`--runtime`), driven by its command line as containerd's shims do.

use crate::options::Options;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use sandbox::bundle::{self, Root};
use sandbox::cgroup::Cgroup;
use sandbox::config::Config;
use sandbox::launch::{Launched, Stdio, Wiring};
use sandbox::protocol::{ExecProcess, Reason};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// How long one command of a runtime may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a command is looked after, and a terminal waited for.
const PAUSE: Duration = Duration::from_millis(2);

type Failure = (Reason, String);

fn failed(text: impl Into<String>) -> Failure {
    (Reason::Failed, text.into())
}

/// A container of another runtime's.
pub struct Foreign {
    program: PathBuf,
    args: Vec<String>,
    id: String,
    /// The runtime's state, its log, sockets and process descriptions; gone with the container.
    folder: PathBuf,
    root: Root,
    config: Config,
    sessions: u64,
}

/// What the runtime is called with.
pub struct Choice<'a> {
    /// Its program.
    pub program: &'a Path,
    /// Arguments before its own.
    pub args: &'a [String],
    /// The container's id.
    pub id: String,
    /// A folder for its state.
    pub folder: PathBuf,
}

impl<'a> Choice<'a> {
    /// For the container that the shim's options name.
    pub fn of(options: &'a Options, program: &'a Path) -> Self {
        let id = options.dir.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        Self { program, args: &options.runtime_args, id, folder: options.socket.with_extension("runtime") }
    }
}

impl Foreign {
    /// Makes the container up to its start, which `runtime create` leaves it at.
    pub fn create(
        choice: Choice<'_>,
        whole: &Value,
        config: Config,
        wiring: Wiring,
    ) -> Result<(Self, Launched), Failure> {
        // Left by a container of before a crash.
        let _none = fs::remove_dir_all(&choice.folder);
        let bundle = choice.folder.join("bundle");
        fs::create_dir_all(&bundle).map_err(|e| failed(format!("make {}: {e}", bundle.display())))?;
        let root = Root::mount(&config).map_err(|e| (e.reason, e.to_string()))?;
        let mut this = Self {
            program: choice.program.to_owned(),
            args: choice.args.to_vec(),
            id: choice.id,
            folder: choice.folder,
            root,
            config,
            sessions: 0,
        };
        match this.make(whole, &bundle, wiring) {
            Ok(launched) => Ok((this, launched)),
            Err(error) => {
                this.clear();
                Err(error)
            }
        }
    }

    fn make(&mut self, whole: &Value, bundle: &Path, wiring: Wiring) -> Result<Launched, Failure> {
        let mut whole = whole.clone();
        bundle::finish(&mut whole, &self.config, &self.folder).map_err(|e| (e.reason, e.to_string()))?;
        self.write(&bundle.join("config.json"), &whole)?;
        let bundle = bundle.to_string_lossy().into_owned();
        let made = self.spawn(&["create", "--bundle", &bundle], wiring, "create");
        let (pid, stdio) = made.map_err(|(_, text)| {
            // Its own frame is in there.
            (reason(&text), format!("OCI runtime create failed: {text}"))
        })?;
        let cgroup = Cgroup::existing(&self.config.linux.cgroups_path);
        Ok(Launched::made_elsewhere(pid, stdio, cgroup))
    }

    fn write(&self, path: &Path, value: &Value) -> Result<(), Failure> {
        let text = serde_json::to_vec(value).map_err(|e| failed(e.to_string()))?;
        fs::write(path, text).map_err(|e| failed(format!("write {}: {e}", path.display())))
    }

    /// Runs a command that leaves a process behind; answers that one's pid and our ends of its stdio.
    fn spawn(&self, words: &[&str], wiring: Wiring, name: &str) -> Result<(i32, Stdio), Failure> {
        let (mut stdio, ends) = wiring.make().map_err(|e| (e.reason, e.to_string()))?;
        let pid_file = self.folder.join(format!("{name}.pid"));
        let console = self.folder.join(format!("{name}.tty"));
        let mut command = self.command();
        command.args(words).arg("--pid-file").arg(&pid_file);
        let listener = if wiring.terminal {
            command.arg("--console-socket").arg(&console);
            let listener = UnixListener::bind(&console);
            Some(listener.map_err(|e| failed(format!("listen on {}: {e}", console.display())))?)
        } else {
            None
        };
        command.arg(&self.id);
        let [stdin, stdout, stderr] = ends.whole().map_err(|e| (e.reason, e.to_string()))?;
        command.stdin(stdin).stdout(stdout).stderr(stderr);
        self.finish(command)?;
        if let Some(listener) = listener {
            let master = receive(&listener)?;
            stdio.stdin = Some(master.try_clone().map_err(|e| failed(format!("keep the terminal: {e}")))?);
            stdio.stdout = Some(master);
        }
        let pid = fs::read_to_string(&pid_file).ok().and_then(|text| text.trim().parse().ok());
        for used in [pid_file, console] {
            let _none = fs::remove_file(used);
        }
        let pid = pid.ok_or_else(|| failed(format!("{} told no pid", self.program.display())))?;
        Ok((pid, stdio))
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.args).arg("--root").arg(self.folder.join("state"));
        command.arg("--log").arg(self.log()).args(["--log-format", "json"]);
        command.env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command
    }

    /// Waits until it is done; the error is what it wrote to its log.
    fn finish(&self, mut command: Command) -> Result<(), Failure> {
        let _none = fs::remove_file(self.log());
        let name = self.program.display();
        let mut child = command.spawn().map_err(|e| failed(format!("run {name}: {e}")))?;
        // Its ends of the process's stdio.
        drop(command);
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if Instant::now() < deadline => std::thread::sleep(PAUSE),
                Ok(None) => {
                    let _gone = child.kill();
                    let _reaped = child.wait();
                    return Err(failed(format!("{name} does not answer")));
                }
                Err(e) => return Err(failed(format!("wait for {name}: {e}"))),
            }
        };
        if status.success() {
            return Ok(());
        }
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let errors = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let errors = errors.filter(|line| line.get("level").is_some_and(|level| level == "error"));
        let texts = errors.filter_map(|line| Some(line.get("msg")?.as_str()?.to_owned()));
        let text = texts.reduce(|_, later| later);
        let text = text.unwrap_or_else(|| format!("{name} ended with {status}"));
        Err((reason(&text), text))
    }

    fn tell(&self, words: &[&str]) -> Result<(), Failure> {
        let null = || File::options().read(true).write(true).open("/dev/null");
        let null = || null().map_err(|e| failed(format!("open /dev/null: {e}")));
        let mut command = self.command();
        command.args(words).stdin(null()?).stdout(null()?).stderr(null()?);
        self.finish(command)
    }

    /// Lets the program go.
    pub fn start(&self) -> Result<(), Failure> {
        self.tell(&["start", &self.id])
    }

    /// Sends a signal to the main process.
    pub fn signal(&self, number: i32) -> Result<(), Failure> {
        self.tell(&["kill", &self.id, &number.to_string()])
    }

    /// Freezes or thaws.
    pub fn freeze(&self, frozen: bool) -> Result<(), Failure> {
        self.tell(&[if frozen { "pause" } else { "resume" }, &self.id])
    }

    /// Starts another process beside the one with the pid `init`.
    pub fn exec(&mut self, init: i32, process: &ExecProcess) -> Result<(i32, Stdio), Failure> {
        let root = format!("/proc/{init}/root");
        let identity =
            bundle::who(&root, &process.user, &process.groups).map_err(|e| (e.reason, e.to_string()))?;
        let mut env = process.env.clone();
        bundle::home(&mut env, &identity);
        let capabilities = &process.capabilities;
        let limits = self.config.process.rlimits.iter();
        let limits = limits.map(|l| json!({ "type": l.kind, "soft": l.soft, "hard": l.hard }));
        let description = json!({
            "terminal": process.tty, "user": bundle::user(&identity), "args": process.args, "env": env,
            "cwd": if process.cwd.is_empty() { "/" } else { &process.cwd },
            "capabilities": { "bounding": capabilities, "effective": capabilities, "permitted": capabilities },
            "noNewPrivileges": process.no_new_privileges, "rlimits": limits.collect::<Vec<_>>(),
            "oomScoreAdj": self.config.process.oom_score_adj,
        });
        self.sessions += 1;
        let name = format!("exec{}", self.sessions);
        let file = self.folder.join(&name);
        self.write(&file, &description)?;
        let wiring = Wiring { terminal: process.tty, stdin: process.stdin, output: process.output };
        let path = file.to_string_lossy().into_owned();
        let outcome = self.spawn(&["exec", "--detach", "--process", &path], wiring, &name);
        let _none = fs::remove_file(file);
        // Docker's frame is put around it.
        const FRAME: &str = "exec failed: unable to start container process: ";
        outcome.map_err(|(reason, text)| (reason, text.trim_start_matches(FRAME).to_owned()))
    }

    /// Takes away what is left of the container.
    pub fn clear(&self) {
        // What the runtime does not manage is done by hand afterwards.
        let _left = self.tell(&["delete", "--force", &self.id]);
        self.root.unmount();
        let _left = fs::remove_dir_all(&self.folder);
    }
}

/// What kind of failure a runtime's text tells of (moby reads them the same way).
fn reason(text: &str) -> Reason {
    let says = |words: &[&str]| words.iter().any(|w| text.contains(w));
    if says(&["executable file not found", "no such file or directory"]) {
        Reason::NotFound
    } else if says(&["permission denied", "is a directory", "not a directory"]) {
        Reason::Denied
    } else {
        Reason::Failed
    }
}

/// The terminal that the runtime sends.
fn receive(listener: &UnixListener) -> Result<OwnedFd, Failure> {
    let step = |e: &dyn std::fmt::Display| failed(format!("receive the terminal: {e}"));
    // The runtime has ended well, so it has connected and sent.
    listener.set_nonblocking(true).map_err(|e| step(&e))?;
    let (stream, _) = listener.accept().map_err(|e| step(&e))?;
    let mut buffer = [0; 4096];
    let mut slices = [IoSliceMut::new(&mut buffer)];
    let mut space = nix::cmsg_space!([std::os::fd::RawFd; 2]);
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message =
        recvmsg::<()>(stream.as_raw_fd(), &mut slices, Some(&mut space), flags).map_err(|e| step(&e))?;
    let mut found = None;
    for control in message.cmsgs().map_err(|e| step(&e))? {
        if let ControlMessageOwned::ScmRights(fds) = control {
            for fd in fds {
                // SAFETY: the kernel has just handed this descriptor to us alone.
                #[expect(unsafe_code, reason = "a received descriptor has no owner yet")]
                let fd = unsafe { OwnedFd::from_raw_fd(fd) };
                found = Some(fd);
            }
        }
    }
    found.ok_or_else(|| step(&"none came"))
}
