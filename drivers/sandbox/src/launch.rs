//! Makes a sandbox: clone into new namespaces, prepare, wait at the start gate, exec.
//!
//! ```text
//! shim                       child
//!  clone ──────────────────►  root, mounts
//!  make cgroup ───── 'g' ──►  cgroup mounts, tty, user, filter
//!  ◄── "ready" + terminal ──  wait (the start gate)
//!  start ──────────── 's' ─►  exec
//!  ◄── EOF = running, or the error
//! ```

mod channel;
mod exec;
mod namespaces;
mod stdio;

pub use exec::{Context, exec};
pub(crate) use stdio::close_rest;
pub use stdio::{Stdio, Wiring};

use crate::cgroup::Cgroup;
use crate::config::Config;
use crate::error::{LaunchError, Step};
use crate::process::{Folder, Program};
use crate::seccomp::{Filter, Policy};
use crate::{rootfs, terminal};
use channel::{Channel, Heard};
use nix::sched::CloneFlags;
use nix::sys::socket::{AddressFamily, SockFlag, SockType};
use std::convert::Infallible;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

/// A made sandbox.
#[derive(Debug)]
pub struct Launched {
    /// Host pid of its main process.
    pub pid: i32,
    /// Our ends of that one's stdio.
    pub stdio: Stdio,
    /// Its groups.
    pub cgroup: Cgroup,
    gate: Option<Channel>,
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
pub(crate) fn exit(code: i32) -> ! {
    // SAFETY: ends this process at once; nothing is to be unwound in a forked copy.
    unsafe { libc::_exit(code) }
}

fn kill(child: i32) {
    // SAFETY: plain numbers; a child of our own that was not waited for yet.
    unsafe { libc::kill(child, libc::SIGKILL) };
}

fn reap(child: i32) {
    // SAFETY: our own child; a null status is allowed.
    unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
}

/// Makes the sandbox up to the start gate.
pub fn create(config: &Config, policy: Option<&Policy>, wiring: Wiring) -> Result<Launched, LaunchError> {
    let (mut stdio, ends) = wiring.make()?;
    let (ours, theirs) = Channel::pair()?;
    let pid = namespaces::clone_into(&config.linux.namespaces)?;
    if pid == 0 {
        if let Err(error) = ends.take(theirs.raw()) {
            theirs.report(&error);
            exit(1);
        }
        // SAFETY: `take` has put the channel there.
        let channel = Channel::from_fd(unsafe { OwnedFd::from_raw_fd(stdio::CHANNEL) });
        let filter = match policy {
            Some(policy) => Filter::Own(policy),
            None if config.annotations.contains_key("gantry.seccomp") => Filter::Default,
            None => Filter::None,
        };
        match run(config, wiring, &channel, filter) {
            Ok(never) => match never {},
            Err(error) => channel.report(&error),
        }
        exit(1);
    }
    drop((ends, theirs));
    // The child mounts its root meanwhile.
    let cgroup = Cgroup::create(&config.linux.cgroups_path, &config.linux.resources);
    let made = cgroup.and_then(|cgroup| match group(&cgroup, pid, &ours) {
        Ok(terminal) => Ok((cgroup, terminal)),
        Err(error) => {
            kill(pid);
            // Whatever stopped the child first is the reason.
            let error = match ours.hear() {
                Ok(Heard::Failed(first)) => first,
                _ => error,
            };
            reap(pid);
            cgroup.remove();
            Err(error)
        }
    });
    match made {
        Ok((cgroup, terminal)) => {
            if let Some(master) = terminal {
                stdio.stdin = Some(master.try_clone().step("keep the terminal")?);
                stdio.stdout = Some(master);
            }
            Ok(Launched { pid, stdio, cgroup, gate: Some(ours) })
        }
        Err(error) => {
            kill(pid);
            reap(pid);
            Err(error)
        }
    }
}

/// Puts the child into its groups and waits until it is prepared; answers its terminal.
fn group(cgroup: &Cgroup, pid: i32, channel: &Channel) -> Result<Option<OwnedFd>, LaunchError> {
    cgroup.join(pid.cast_unsigned())?;
    channel.tell(channel::GROUPED)?;
    match channel.hear()? {
        Heard::Ready(terminal) => Ok(terminal),
        Heard::Failed(error) => Err(error),
        Heard::Pid(_) | Heard::Closed => {
            Err(LaunchError::new("prepare the container", "its first process died"))
        }
    }
}

impl Launched {
    /// A sandbox that something else made; there is no gate to open.
    pub fn made_elsewhere(pid: i32, stdio: Stdio, cgroup: Cgroup) -> Self {
        Self { pid, stdio, cgroup, gate: None }
    }

    /// Opens the gate; returns once the program runs, or with why it does not.
    pub fn start(&mut self) -> Result<(), LaunchError> {
        let Some(gate) = self.gate.take() else { return Ok(()) };
        gate.tell(channel::START)?;
        match gate.hear()? {
            Heard::Closed => Ok(()),
            Heard::Failed(error) => Err(error),
            Heard::Ready(_) | Heard::Pid(_) => Err(LaunchError::new("start", "unexpected answer")),
        }
    }
}

/// The child: everything up to the program.
fn run(
    config: &Config,
    wiring: Wiring,
    channel: &Channel,
    filter: Filter<'_>,
) -> Result<Infallible, LaunchError> {
    // Whoever can enter the container must not reach this program's file or memory (CVE-2019-5736).
    nix::sys::prctl::set_dumpable(false).step("become undumpable")?;
    nix::sys::stat::umask(nix::sys::stat::Mode::empty());
    set_oom_score(config.process.oom_score_adj)?;
    namespaces::join_all(&config.linux.namespaces)?;
    nix::unistd::setsid().step("setsid")?;
    namespaces::name_host(config)?;
    let dev = rootfs::prepare(config, || {
        hold_until(channel, channel::GROUPED)?;
        if config.linux.namespaces.iter().any(|n| n.kind == "cgroup") {
            nix::sched::unshare(CloneFlags::CLONE_NEWCGROUP).step("make a cgroup namespace")?;
        }
        Ok(())
    })?;
    loopback_up();
    let annotation = |key: &str| config.annotations.get(key).map(String::as_str).unwrap_or_default();
    let p = &config.process;
    let numbers = format!("{}:{}", p.user.uid, p.user.gid);
    let program = Program {
        args: &p.args,
        env: &p.env,
        cwd: &p.cwd,
        user: if annotation("gantry.user").is_empty() { &numbers } else { annotation("gantry.user") },
        groups: annotation("gantry.groups"),
        capabilities: &p.capabilities.bounding,
        no_new_privileges: p.no_new_privileges,
        filter,
        rlimits: &p.rlimits,
    };
    let ready = program.ready(Folder::MakeIt)?;
    let terminal = if wiring.terminal { Some(terminal::open()?) } else { None };
    if let Some(terminal) = &terminal {
        stdio::take_terminal(&terminal.slave)?;
        stdio::control_terminal()?;
        if let Some(dev) = &dev {
            rootfs::dev::bind_console(dev, &terminal.slave)?;
        }
    }
    drop(dev);
    program.restrict(&ready)?;
    channel.ready(terminal.as_ref().map(|t| &t.master))?;
    drop(terminal);
    hold_until(channel, channel::START)?;
    let path = program.find()?;
    program.execute(&path, &ready)
}

/// Waits for the shim's word. Without the shim nobody will ever say it.
fn hold_until(channel: &Channel, word: u8) -> Result<(), LaunchError> {
    if !channel.wait_for(word)? {
        exit(1);
    }
    Ok(())
}

/// Sets this process's OOM score adjustment, while /proc is the host's.
fn set_oom_score(score: Option<i32>) -> Result<(), LaunchError> {
    match score {
        Some(score) => {
            std::fs::write("/proc/self/oom_score_adj", score.to_string()).step("set the OOM score")
        }
        None => Ok(()),
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

/// Sends a signal by number, real-time ones included.
pub fn signal(pid: i32, number: i32) -> Result<(), LaunchError> {
    // SAFETY: plain numbers.
    if unsafe { libc::kill(pid, number) } != 0 {
        return Err(std::io::Error::last_os_error()).step(format!("send signal {number}"));
    }
    Ok(())
}

/// Makes one of this process's stdio descriptors a copy of `file`.
pub fn replace(number: RawFd, file: &impl AsFd) {
    // SAFETY: the target is one of our own 0 to 2; failure leaves it as it was.
    unsafe { libc::dup2(file.as_fd().as_raw_fd(), number) };
}
