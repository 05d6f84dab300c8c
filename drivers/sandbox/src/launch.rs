//! Makes a sandbox: clone into new namespaces, prepare, wait at the start gate, exec.
//!
//! ```text
//! shim                       child
//!  clone ──────────────────►  wait
//!  put into cgroup ─ 'g' ──►  root, mounts, tty, user
//!  ◄── terminal + "ready" ──  wait (the start gate)
//!  start ──────────── 's' ─►  drop privileges, exec
//!  ◄── EOF = running, or the error
//! ```

use crate::cgroup::Cgroup;
use crate::config::{Config, Namespace};
use crate::error::{LaunchError, Step};
use crate::process::{self, Program};
use crate::protocol::ExecProcess;
use crate::rootfs;
use nix::cmsg_space;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, sendmsg,
    socketpair,
};
use std::fs::File;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

/// The shim's ends of a process's stdio.
#[derive(Debug, Default)]
pub struct Stdio {
    /// Towards the process.
    pub stdin: Option<OwnedFd>,
    /// From the process: the terminal, or stdout.
    pub stdout: Option<OwnedFd>,
    /// From the process.
    pub stderr: Option<OwnedFd>,
}

/// A process that exists.
#[derive(Debug)]
pub struct Launched {
    /// Host pid.
    pub pid: i32,
    /// Its stdio.
    pub stdio: Stdio,
    /// The gate: dropped or written.
    gate: OwnedFd,
}

/// Which stdio a process gets; what it does not get is /dev/null.
#[derive(Debug, Clone, Copy)]
pub struct Wiring {
    /// A terminal for everything.
    pub terminal: bool,
    /// A pipe for stdin.
    pub stdin: bool,
    /// Pipes for stdout and stderr.
    pub output: bool,
}

/// The process's ends of its stdio.
struct Ends {
    stdin: OwnedFd,
    stdout: OwnedFd,
    stderr: OwnedFd,
}

fn pipe() -> Result<(OwnedFd, OwnedFd), LaunchError> {
    nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).step("make a pipe")
}

fn null() -> Result<OwnedFd, LaunchError> {
    File::options().read(true).write(true).open("/dev/null").map(OwnedFd::from).step("open /dev/null")
}

fn wire(wiring: Wiring) -> Result<(Stdio, Ends), LaunchError> {
    let mut ours = Stdio::default();
    let mut ends = Ends { stdin: null()?, stdout: null()?, stderr: null()? };
    if wiring.terminal {
        return Ok((ours, ends));
    }
    if wiring.stdin {
        let (read, write) = pipe()?;
        (ends.stdin, ours.stdin) = (read, Some(write));
    }
    if wiring.output {
        let (read, write) = pipe()?;
        (ours.stdout, ends.stdout) = (Some(read), write);
        let (read, write) = pipe()?;
        (ours.stderr, ends.stderr) = (Some(read), write);
    }
    Ok((ours, ends))
}

fn sync_pair() -> Result<(OwnedFd, OwnedFd), LaunchError> {
    socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
        .step("make a socket pair")
}

/// fork(2) with clone flags; the caller is single-threaded.
fn clone(flags: libc::c_int) -> Result<i32, LaunchError> {
    let flags = libc::c_long::from(flags | libc::SIGCHLD);
    // SAFETY: like fork: no stack is given, so the child goes on with a copy of this one; this process has one thread.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0usize, 0usize, 0usize, 0usize) };
    if pid < 0 {
        return Err(std::io::Error::last_os_error()).step("clone into new namespaces");
    }
    i32::try_from(pid).map_err(|e| LaunchError::new("clone", e))
}

/// Ends the child without running anything of the parent's.
fn exit(code: i32) -> ! {
    // SAFETY: ends this process at once; nothing is to be unwound in a forked copy.
    unsafe { libc::_exit(code) }
}

/// Makes the sandbox up to the start gate.
pub fn create(config: &Config, cgroup: &Cgroup, wiring: Wiring) -> Result<Launched, LaunchError> {
    let (mut stdio, ends) = wire(wiring)?;
    let (ours, theirs) = sync_pair()?;
    let mut flags = 0;
    for namespace in config.linux.namespaces.iter().filter(|n| n.path.is_empty()) {
        flags |= match namespace.kind.as_str() {
            "pid" => libc::CLONE_NEWPID,
            "mount" => libc::CLONE_NEWNS,
            "uts" => libc::CLONE_NEWUTS,
            "ipc" => libc::CLONE_NEWIPC,
            "network" => libc::CLONE_NEWNET,
            _ => 0,
        };
    }
    let pid = clone(flags)?;
    if pid == 0 {
        drop(ours);
        let error = main_process(config, wiring, &ends, &theirs);
        report(&theirs, &error);
        exit(1);
    }
    drop((ends, theirs));
    let made = cgroup.join(pid.cast_unsigned()).and_then(|()| {
        tell(&ours, b'g')?;
        let (answer, terminal) = hear(&ours)?;
        match answer {
            Heard::Ready => Ok(terminal),
            Heard::Failed(error) => Err(error),
            Heard::Closed => Err(LaunchError::new("prepare the container", "its first process died")),
        }
    });
    match made {
        Ok(terminal) => {
            if let Some(master) = terminal {
                stdio.stdin = Some(master.try_clone().step("keep the terminal")?);
                stdio.stdout = Some(master);
            }
            Ok(Launched { pid, stdio, gate: ours })
        }
        Err(error) => {
            // SAFETY: our own child, not yet waited for.
            unsafe { libc::kill(pid, libc::SIGKILL) };
            // SAFETY: as above; a null status is allowed.
            unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
            Err(error)
        }
    }
}

impl Launched {
    /// Opens the gate; returns once the program runs, or with why it does not.
    pub fn start(&self) -> Result<(), LaunchError> {
        tell(&self.gate, b's')?;
        match hear(&self.gate)?.0 {
            Heard::Closed => Ok(()),
            Heard::Failed(error) => Err(error),
            Heard::Ready => Err(LaunchError::new("start", "unexpected answer")),
        }
    }
}

fn main_process(config: &Config, wiring: Wiring, ends: &Ends, sync: &OwnedFd) -> LaunchError {
    match main_steps(config, wiring, ends, sync) {
        Ok((program, ready)) => program.run(&ready),
        Err(error) => error,
    }
}

fn main_steps(
    config: &Config,
    wiring: Wiring,
    ends: &Ends,
    sync: &OwnedFd,
) -> Result<(Program, process::Ready), LaunchError> {
    // Whoever can enter the container must not reach this program's file or memory (CVE-2019-5736).
    nix::sys::prctl::set_dumpable(false).step("become undumpable")?;
    await_word(sync, b'g')?;
    for namespace in config.linux.namespaces.iter().filter(|n| !n.path.is_empty()) {
        join(namespace)?;
    }
    nix::unistd::setsid().step("setsid")?;
    if config.linux.namespaces.iter().any(|n| n.kind == "cgroup") {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWCGROUP).step("make a cgroup namespace")?;
    }
    if !config.hostname.is_empty() && config.linux.namespaces.iter().any(|n| n.kind == "uts") {
        nix::unistd::sethostname(&config.hostname).step("set the host name")?;
    }
    if !config.domainname.is_empty() {
        // SAFETY: pointer and length are those of a live string.
        let done = unsafe { libc::setdomainname(config.domainname.as_ptr().cast(), config.domainname.len()) };
        if done != 0 {
            return Err(std::io::Error::last_os_error()).step("set the domain name");
        }
    }
    if let Some(score) = config.process.oom_score_adj {
        std::fs::write("/proc/self/oom_score_adj", score.to_string()).step("set the OOM score")?;
    }
    rootfs::prepare(config)?;
    loopback_up();
    rootfs::conceal(config)?;
    let annotation = |key: &str| config.annotations.get(key).cloned().unwrap_or_default();
    let p = &config.process;
    let user = annotation("gantry.user");
    let program = Program {
        args: p.args.clone(),
        env: p.env.clone(),
        cwd: p.cwd.clone(),
        user: if user.is_empty() { format!("{}:{}", p.user.uid, p.user.gid) } else { user },
        groups: annotation("gantry.groups"),
        capabilities: p.capabilities.bounding.clone(),
        no_new_privileges: p.no_new_privileges,
        filtered: config.annotations.contains_key("gantry.seccomp"),
        rlimits: p.rlimits.clone(),
    };
    let ready = program.ready()?;
    let terminal = if wiring.terminal { Some(process::open_terminal()?) } else { None };
    if let Some(terminal) = &terminal {
        rootfs::bind_console(&terminal.slave)?;
    }
    stdio(ends, terminal.as_ref())?;
    send_ready(sync, terminal.as_ref().map(|t| t.master.as_raw_fd()))?;
    drop(terminal);
    await_word(sync, b's')?;
    process::close_rest_on_exec()?;
    Ok((program, ready))
}

/// Enters a namespace that stands already.
fn join(namespace: &Namespace) -> Result<(), LaunchError> {
    let kind = match namespace.kind.as_str() {
        "network" => nix::sched::CloneFlags::CLONE_NEWNET,
        "uts" => nix::sched::CloneFlags::CLONE_NEWUTS,
        "ipc" => nix::sched::CloneFlags::CLONE_NEWIPC,
        other => return Err(LaunchError::new("join a namespace", format!("{other} cannot be joined"))),
    };
    let step = || format!("join the {} namespace {}", namespace.kind, namespace.path);
    let file = File::open(&namespace.path).step(step())?;
    nix::sched::setns(file, kind).step(step())
}

fn stdio(ends: &Ends, terminal: Option<&process::Terminal>) -> Result<(), LaunchError> {
    match terminal {
        Some(t) => process::take_stdio([t.slave.as_fd(), t.slave.as_fd(), t.slave.as_fd()], true),
        None => process::take_stdio([ends.stdin.as_fd(), ends.stdout.as_fd(), ends.stderr.as_fd()], false),
    }
}

/// Brings `lo` up in a fresh network namespace; where there is none of our own it is up already.
fn loopback_up() {
    let Ok(socket) =
        nix::sys::socket::socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)
    else {
        return;
    };
    // SAFETY: all-zero is a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (place, byte) in request.ifr_name.iter_mut().zip(b"lo") {
        *place = byte.cast_signed();
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: `request` lives over the call, which reads it; failure leaves lo down, as in a joined namespace.
    unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
}

/// Starts another process in the sandbox of `init`; it becomes this process's child.
pub fn exec(init: i32, process: &ExecProcess, cgroup: &Cgroup) -> Result<Launched, LaunchError> {
    let wiring = Wiring { terminal: process.tty, stdin: process.stdin, output: process.output };
    let (mut stdio, ends) = wire(wiring)?;
    let (ours, theirs) = sync_pair()?;
    // SAFETY: plain numbers; the result is checked.
    let pidfd = unsafe { libc::syscall(libc::SYS_pidfd_open, init, 0) };
    let pidfd = RawFd::try_from(pidfd).ok().filter(|fd| *fd >= 0);
    let pidfd = pidfd.ok_or_else(|| LaunchError::new("exec", "the container is gone"))?;
    // SAFETY: the kernel has just handed this descriptor to us alone.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    let middle = clone(0)?;
    if middle == 0 {
        drop(ours);
        let error = match enter(&pidfd, cgroup) {
            // CLONE_PARENT: the new process becomes the shim's child, as this one is about to end.
            Ok(()) => match clone(libc::CLONE_PARENT) {
                Ok(0) => exec_process(process, &ends, &theirs),
                Ok(pid) => {
                    let sent = nix::unistd::write(&theirs, &pid.to_le_bytes());
                    exit(i32::from(sent.is_err()));
                }
                Err(error) => error,
            },
            Err(error) => error,
        };
        report(&theirs, &error);
        exit(1);
    }
    drop((ends, theirs));
    let mut status = 0;
    // SAFETY: our own child; `status` lives over the call.
    unsafe { libc::waitpid(middle, &raw mut status, 0) };
    let mut buffer = [0; 4096];
    let length = nix::unistd::read(&ours, &mut buffer).step("exec")?;
    let first = buffer.get(..length).unwrap_or_default();
    // Four bytes are the pid; an error is JSON and longer.
    let Ok(pid) = <[u8; 4]>::try_from(first) else {
        let failed = serde_json::from_slice(first);
        return Err(failed.unwrap_or_else(|e| LaunchError::new("exec", e)));
    };
    tell(&ours, b'g')?;
    let (answer, terminal) = hear(&ours)?;
    match answer {
        Heard::Ready => {}
        Heard::Failed(error) => return Err(error),
        Heard::Closed => return Err(LaunchError::new("exec", "the new process died")),
    }
    if let Some(master) = terminal {
        stdio.stdin = Some(master.try_clone().step("keep the terminal")?);
        stdio.stdout = Some(master);
    }
    let launched = Launched { pid: i32::from_le_bytes(pid), stdio, gate: ours };
    launched.start()?;
    Ok(launched)
}

/// Joins the sandbox's groups and namespaces; the process namespace counts for children only.
fn enter(pidfd: &OwnedFd, cgroup: &Cgroup) -> Result<(), LaunchError> {
    nix::sys::prctl::set_dumpable(false).step("become undumpable")?;
    // 0 names the writer itself.
    cgroup.join(0)?;
    use nix::sched::CloneFlags as F;
    let all = F::CLONE_NEWNS
        | F::CLONE_NEWPID
        | F::CLONE_NEWNET
        | F::CLONE_NEWUTS
        | F::CLONE_NEWIPC
        | F::CLONE_NEWCGROUP;
    nix::sched::setns(pidfd, all).step("enter the container's namespaces")
}

fn exec_process(process: &ExecProcess, ends: &Ends, sync: &OwnedFd) -> LaunchError {
    let steps = || {
        // The pid goes first over the shared socket.
        await_word(sync, b'g')?;
        nix::unistd::setsid().step("setsid")?;
        let program = Program {
            args: process.args.clone(),
            env: process.env.clone(),
            cwd: if process.cwd.is_empty() { "/".into() } else { process.cwd.clone() },
            user: process.user.clone(),
            groups: String::new(),
            capabilities: process.capabilities.clone(),
            no_new_privileges: process.no_new_privileges,
            filtered: process.seccomp.is_some(),
            rlimits: Vec::new(),
        };
        let ready = program.ready()?;
        let terminal = if process.tty { Some(process::open_terminal()?) } else { None };
        stdio(ends, terminal.as_ref())?;
        send_ready(sync, terminal.as_ref().map(|t| t.master.as_raw_fd()))?;
        drop(terminal);
        await_word(sync, b's')?;
        process::close_rest_on_exec()?;
        Ok((program, ready))
    };
    match steps() {
        Ok((program, ready)) => program.run(&ready),
        Err(error) => error,
    }
}

fn tell(socket: &OwnedFd, word: u8) -> Result<(), LaunchError> {
    match nix::sys::socket::send(socket.as_raw_fd(), &[word], MsgFlags::MSG_NOSIGNAL) {
        // Whoever has died already left its reason in the socket.
        Ok(_) | Err(nix::errno::Errno::EPIPE | nix::errno::Errno::ECONNRESET) => Ok(()),
        Err(e) => Err(e).step("speak to the container's process"),
    }
}

fn await_word(socket: &OwnedFd, word: u8) -> Result<(), LaunchError> {
    let mut buffer = [0];
    match nix::unistd::read(socket, &mut buffer).step("wait for the shim")? {
        1 if buffer == [word] => Ok(()),
        // The shim is gone: nobody will ever open the gate.
        _ => exit(1),
    }
}

/// What the child said.
enum Heard {
    Ready,
    Failed(LaunchError),
    Closed,
}

fn send_ready(socket: &OwnedFd, terminal: Option<RawFd>) -> Result<(), LaunchError> {
    let fds: Vec<RawFd> = terminal.into_iter().collect();
    let rights = [ControlMessage::ScmRights(&fds)];
    let control: &[ControlMessage] = if fds.is_empty() { &[] } else { &rights };
    sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(b"r")], control, MsgFlags::MSG_NOSIGNAL, None)
        .step("report to the shim")?;
    Ok(())
}

fn hear(socket: &OwnedFd) -> Result<(Heard, Option<OwnedFd>), LaunchError> {
    let mut buffer = vec![0; 4096];
    let mut space = cmsg_space!(RawFd);
    let (length, terminal) = {
        let mut slices = [IoSliceMut::new(&mut buffer)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let message = match recvmsg::<()>(socket.as_raw_fd(), &mut slices, Some(&mut space), flags) {
            Ok(message) => message,
            Err(nix::errno::Errno::ECONNRESET) => return Ok((Heard::Closed, None)),
            Err(e) => return Err(e).step("listen to the container's process"),
        };
        let mut terminal = None;
        for control in message.cmsgs().step("receive the terminal")? {
            if let ControlMessageOwned::ScmRights(fds) = control {
                for fd in fds {
                    // SAFETY: the kernel has just handed this descriptor to us alone.
                    terminal = Some(unsafe { OwnedFd::from_raw_fd(fd) });
                }
            }
        }
        (message.bytes, terminal)
    };
    let text = buffer.get(..length).unwrap_or_default();
    let heard = match text {
        [] => Heard::Closed,
        b"r" => Heard::Ready,
        json => Heard::Failed(
            serde_json::from_slice(json)
                .map_err(|e| LaunchError::new("listen to the container's process", e))?,
        ),
    };
    Ok((heard, terminal))
}

/// Tells the shim why this process ends.
fn report(socket: &OwnedFd, error: &LaunchError) {
    let text = serde_json::to_vec(error).unwrap_or_default();
    // Nobody is left to hear of a failure to report a failure.
    let _gone = nix::sys::socket::send(socket.as_raw_fd(), &text, MsgFlags::MSG_NOSIGNAL);
}

/// Sends a signal by number, real-time ones included.
pub fn signal(pid: i32, number: i32) -> Result<(), LaunchError> {
    // SAFETY: plain numbers.
    if unsafe { libc::kill(pid, number) } != 0 {
        return Err(std::io::Error::last_os_error()).step(format!("send signal {number}"));
    }
    Ok(())
}

/// Sets a terminal's size in cells.
pub fn resize(terminal: &OwnedFd, rows: u16, cols: u16) -> Result<(), LaunchError> {
    let size = libc::winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: `size` lives over the call, which reads it.
    if unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) } != 0 {
        return Err(std::io::Error::last_os_error()).step("resize the terminal");
    }
    Ok(())
}

/// Makes one of this process's stdio descriptors a copy of `file`.
pub fn replace(number: RawFd, file: &impl AsFd) {
    // SAFETY: the target is one of our own 0 to 2; failure leaves it as it was.
    unsafe { libc::dup2(file.as_fd().as_raw_fd(), number) };
}
