//! Another process in a sandbox that runs. Everything in there may be hostile by now: its mounts, its files, processes
//! that may trace others. So a middle process outside its process namespace does all that takes rights, gives them up,
//! and only then makes the process that can be seen inside.

use super::channel::{Channel, Heard};
use super::stdio::{self, Stdio, Wiring};
use super::{clone, exit};
use crate::cgroup::Cgroup;
use crate::config::Rlimit;
use crate::error::{LaunchError, Step};
use crate::process::{Folder, Program};
use crate::protocol::ExecProcess;
use crate::seccomp::{Filter, Policy};
use crate::terminal;
use nix::sched::CloneFlags;
use std::convert::Infallible;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// Seconds that preparing a process may take: reading a file of the container's may last for ever, and the shim serves
/// nothing else meanwhile.
const PATIENCE: i64 = 10;

/// What a sandbox gives to each of its processes.
#[derive(Debug)]
pub struct Context<'a> {
    /// Its groups.
    pub cgroup: &'a Cgroup,
    /// Its limits.
    pub rlimits: &'a [Rlimit],
    /// Its OOM score adjustment.
    pub oom_score_adj: Option<i32>,
    /// Its own system call policy, if it has one.
    pub policy: Option<&'a Policy>,
}

/// Starts a process in the sandbox of `init`. It becomes a child of this process; answers its pid and our ends of its
/// stdio.
pub fn exec(init: i32, process: &ExecProcess, context: &Context<'_>) -> Result<(i32, Stdio), LaunchError> {
    let wiring = Wiring { terminal: process.tty, stdin: process.stdin, output: process.output };
    let (mut stdio, ends) = wiring.make()?;
    let (ours, theirs) = Channel::pair()?;
    let pidfd = open_process(init)?;
    let middle = clone(0)?;
    if middle == 0 {
        // Everything of the shim's is closed once the container is entered, and before any of its paths is used.
        let entered = enter(&pidfd, context).and_then(|()| ends.take(theirs.raw()));
        if let Err(error) = entered {
            theirs.report(&error);
            exit(1);
        }
        // SAFETY: `take` has put the channel there.
        let channel = Channel::from_fd(unsafe { OwnedFd::from_raw_fd(stdio::CHANNEL) });
        match run(process, context, &channel) {
            Ok(never) => match never {},
            Err(error) => channel.report(&error),
        }
        exit(1);
    }
    drop((ends, theirs, pidfd));
    let heard = converse(&ours, &mut stdio);
    if heard.is_err() {
        super::kill(middle);
    }
    super::reap(middle);
    Ok((heard?, stdio))
}

fn open_process(pid: i32) -> Result<OwnedFd, LaunchError> {
    // SAFETY: plain numbers; the result is checked.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = RawFd::try_from(fd).ok().filter(|fd| *fd >= 0);
    let fd = fd.ok_or_else(|| LaunchError::new("exec", "the container is gone"))?;
    // SAFETY: the kernel has just handed this descriptor to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The shim's side: answers the new process's pid once it runs its program.
fn converse(channel: &Channel, stdio: &mut Stdio) -> Result<i32, LaunchError> {
    channel.patience(PATIENCE)?;
    let surprise = || LaunchError::new("exec", "the new process died");
    match channel.hear()? {
        Heard::Ready(Some(master)) => {
            stdio.stdin = Some(master.try_clone().step("keep the terminal")?);
            stdio.stdout = Some(master);
        }
        Heard::Ready(None) => {}
        Heard::Failed(error) => return Err(error),
        Heard::Pid(_) | Heard::Closed => return Err(surprise()),
    }
    let pid = match channel.hear()? {
        Heard::Pid(pid) => pid,
        Heard::Failed(error) => return Err(error),
        Heard::Ready(_) | Heard::Closed => return Err(surprise()),
    };
    match channel.hear() {
        Ok(Heard::Closed) => Ok(pid),
        Ok(Heard::Failed(error)) => Err(error),
        Ok(_) => Err(surprise()),
        Err(error) => {
            super::kill(pid);
            Err(error)
        }
    }
}

/// Joins the sandbox's groups and namespaces; the process namespace counts for children only.
fn enter(pidfd: &OwnedFd, context: &Context<'_>) -> Result<(), LaunchError> {
    nix::sys::prctl::set_dumpable(false).step("become undumpable")?;
    // While paths and /proc are the host's.
    context.cgroup.join(0)?;
    super::set_oom_score(context.oom_score_adj)?;
    let all = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWCGROUP;
    nix::sched::setns(pidfd, all).step("enter the container's namespaces")
}

fn run(process: &ExecProcess, context: &Context<'_>, channel: &Channel) -> Result<Infallible, LaunchError> {
    let program = Program {
        args: &process.args,
        env: &process.env,
        cwd: if process.cwd.is_empty() { "/" } else { &process.cwd },
        user: &process.user,
        groups: &process.groups,
        capabilities: &process.capabilities,
        no_new_privileges: process.no_new_privileges,
        filter: match (&process.seccomp, context.policy) {
            (None, _) => Filter::None,
            (Some(_), Some(policy)) => Filter::Own(policy),
            (Some(_), None) => Filter::Default,
        },
        rlimits: context.rlimits,
    };
    let ready = program.ready(Folder::MustExist)?;
    if process.tty {
        let terminal = terminal::open()?;
        stdio::take_terminal(&terminal.slave)?;
        channel.ready(Some(&terminal.master))?;
    } else {
        channel.ready(None)?;
    }
    program.restrict(&ready)?;
    let path = program.find()?;
    // CLONE_PARENT: the new process becomes the shim's child, as this one is about to end.
    let pid = clone(libc::CLONE_PARENT)?;
    if pid != 0 {
        let told = channel.tell_pid(pid);
        exit(i32::from(told.is_err()));
    }
    nix::unistd::setsid().step("setsid")?;
    if process.tty {
        stdio::control_terminal()?;
    }
    program.execute(&path, &ready)
}
