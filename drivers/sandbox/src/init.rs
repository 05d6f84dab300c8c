//! The init of containers that ask for one (`--init`): process 1, which hands signals on to the program it starts, reaps
//! whatever is left to it, and ends as the program does. It is the shim's own file under another name.

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, execvp, fork, getpid, isatty, setpgid, tcsetpgrp};
use std::ffi::CString;
use std::os::fd::AsFd;

/// Where it stands inside containers.
pub const PATH: &str = "/sbin/docker-init";

/// Signals that a fault of this program's own raises: blocked, they could not end it.
const FAULTS: [Signal; 7] = [
    Signal::SIGFPE,
    Signal::SIGILL,
    Signal::SIGSEGV,
    Signal::SIGBUS,
    Signal::SIGABRT,
    Signal::SIGTRAP,
    Signal::SIGSYS,
];

fn fatal(text: &str, code: i32) -> i32 {
    eprintln!("[FATAL docker-init ({})] {text}", getpid());
    code
}

/// Runs `args` (after `--`) as the only program; answers the exit code.
pub fn run(args: &[String]) -> i32 {
    let program = args.strip_prefix(&["--".to_owned()]).unwrap_or(args);
    let words: Result<Vec<CString>, _> = program.iter().map(|a| CString::new(a.as_str())).collect();
    let Ok(words) = words else { return fatal("an argument holds a zero byte", 1) };
    let Some(name) = words.first() else { return fatal("no program was named", 1) };
    let mut waited = SigSet::all();
    FAULTS.iter().for_each(|fault| waited.remove(*fault));
    let mut before = SigSet::empty();
    if let Err(e) = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&waited), Some(&mut before)) {
        return fatal(&format!("blocking signals failed: {}", e.desc()), 1);
    }
    // SAFETY: this process has one thread, so the copy may do anything.
    match unsafe { fork() } {
        Err(e) => fatal(&format!("fork failed: {}", e.desc()), 1),
        Ok(ForkResult::Child) => become_program(name, &words, &before),
        Ok(ForkResult::Parent { child }) => serve(child, &waited),
    }
}

fn become_program(name: &CString, words: &[CString], mask: &SigSet) -> i32 {
    // A group of its own, in the terminal's foreground if there is one; either may be refused without harm.
    let _alone = setpgid(Pid::from_raw(0), Pid::from_raw(0));
    let stdin = std::io::stdin();
    if isatty(stdin.as_fd()).unwrap_or(false) {
        let _background = tcsetpgrp(stdin.as_fd(), getpid());
    }
    if let Err(e) = sigprocmask(SigmaskHow::SIG_SETMASK, Some(mask), None) {
        return fatal(&format!("restoring signals failed: {}", e.desc()), 1);
    }
    let Err(errno) = execvp(name, words);
    let code = match errno {
        Errno::ENOENT => 127,
        Errno::EACCES => 126,
        _ => 1,
    };
    fatal(&format!("exec {} failed: {}", name.to_string_lossy(), errno.desc()), code)
}

fn serve(program: Pid, waited: &SigSet) -> i32 {
    let mut ended = None;
    loop {
        // SAFETY: the set lives over the call, and no details of the signal are asked for.
        let signal = unsafe { libc::sigwaitinfo(waited.as_ref(), std::ptr::null_mut()) };
        if signal == libc::SIGCHLD {
            ended = reap(program).or(ended);
        } else if signal > 0 {
            // SAFETY: plain numbers. A program that has ended was not reaped yet, so the number is still its.
            unsafe { libc::kill(program.as_raw(), signal) };
        }
        if let Some(code) = ended {
            return code;
        }
    }
}

/// Reaps whoever has ended; answers the program's exit code if it is among them.
fn reap(program: Pid) -> Option<i32> {
    let mut ended = None;
    loop {
        let (pid, code) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) => (pid, code),
            Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, 128 + signal as i32),
            Ok(WaitStatus::StillAlive) | Err(_) => return ended,
            Ok(_) => continue,
        };
        if pid == program {
            ended = Some(code);
        }
    }
}
