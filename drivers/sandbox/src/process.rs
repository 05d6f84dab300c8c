//! The last steps of a new process inside the container, up to exec. Same for the main process and exec sessions.

use crate::config::Rlimit;
use crate::error::{LaunchError, Step};
use crate::identity::{self, Identity};
use crate::launch::close_rest;
use crate::protocol::Reason;
use crate::seccomp::Filter;
use nix::errno::Errno;
use nix::unistd::AccessFlags;
use std::convert::Infallible;
use std::ffi::CString;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Most bytes of a passwd or group file that are read.
const MOST_ACCOUNTS: u64 = 8 << 20;

/// What is to be executed, and as whom.
#[derive(Debug, Clone, Copy)]
pub struct Program<'a> {
    /// Arguments; the first is looked up in PATH.
    pub args: &'a [String],
    /// Environment.
    pub env: &'a [String],
    /// Working folder.
    pub cwd: &'a str,
    /// `user[:group]`.
    pub user: &'a str,
    /// Extra groups, by commas.
    pub groups: &'a str,
    /// Capabilities.
    pub capabilities: &'a [String],
    /// No new privileges.
    pub no_new_privileges: bool,
    /// What it may ask of the kernel.
    pub filter: Filter<'a>,
    /// Limits.
    pub rlimits: &'a [Rlimit],
}

/// What becomes of a working folder that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folder {
    /// It is made.
    MakeIt,
    /// It is an error.
    MustExist,
}

/// Everything that is looked up while there still are rights to.
pub struct Ready {
    identity: Identity,
    env: Vec<CString>,
    args: Vec<CString>,
}

fn c_string(text: &str) -> Result<CString, LaunchError> {
    CString::new(text).map_err(|e| LaunchError::new(format!("pass {text:?}"), e))
}

/// A file of the container's, which may be anything: a pipe that never answers, something endless.
fn read_accounts(path: &str) -> String {
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path);
    let Ok(file) = opened else { return String::new() };
    if !file.metadata().is_ok_and(|m| m.is_file()) {
        return String::new();
    }
    let mut bytes = Vec::new();
    // What was read before a failure still counts, as an account that is not found is an error of its own.
    let _partial = file.take(MOST_ACCOUNTS).read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Program<'_> {
    /// Looks the user up and makes the working folder. Runs inside the container's root.
    pub fn ready(&self, folder: Folder) -> Result<Ready, LaunchError> {
        let (passwd, group) = (read_accounts("/etc/passwd"), read_accounts("/etc/group"));
        let identity = identity::look_up(self.user, self.groups, &passwd, &group)?;
        if folder == Folder::MakeIt {
            match std::fs::metadata(self.cwd) {
                Ok(found) if found.is_dir() => {}
                Ok(_) => {
                    return Err(LaunchError::new(
                        format!("Cannot mkdir: {}", self.cwd),
                        "is not a directory",
                    ));
                }
                Err(_) => DirBuilder::new()
                    .recursive(true)
                    .mode(0o755)
                    .create(self.cwd)
                    .step(format!("mkdir {}", self.cwd))?,
            }
        }
        let mut env = self.env.iter().map(|e| c_string(e)).collect::<Result<Vec<_>, _>>()?;
        if !self.env.iter().any(|e| e.strip_prefix("HOME=").is_some_and(|home| !home.is_empty())) {
            env.push(c_string(&format!("HOME={}", identity.home))?);
        }
        let args = self.args.iter().map(|a| c_string(a)).collect::<Result<Vec<_>, _>>()?;
        Ok(Ready { identity, env, args })
    }

    /// Gives up every right that the program is not to have.
    pub fn restrict(&self, ready: &Ready) -> Result<(), LaunchError> {
        leave_keyring()?;
        identity::limit(self.rlimits)?;
        identity::own_stdio(ready.identity.uid)?;
        if self.no_new_privileges {
            nix::sys::prctl::set_no_new_privs().step("set no_new_privs")?;
        }
        // The folder may be open to root alone, or to the user alone (on a network file system).
        let as_root = nix::unistd::chdir(self.cwd);
        let capabilities = identity::mask(self.capabilities);
        self.filter.install(capabilities)?;
        identity::assume(&ready.identity, capabilities)?;
        let entered = match as_root {
            Err(Errno::EACCES | Errno::EPERM) => nix::unistd::chdir(self.cwd),
            other => other,
        };
        entered.map_err(|e| LaunchError {
            step: format!("chdir to cwd (\"{}\") set in config.json failed", self.cwd),
            cause: e.desc().to_lowercase(),
            reason: match e {
                Errno::ENOENT | Errno::ENOTDIR => Reason::NotFound,
                Errno::EACCES => Reason::Denied,
                _ => Reason::Failed,
            },
        })?;
        // A folder outside the root has no path (CVE-2024-21626).
        if !nix::unistd::getcwd().is_ok_and(|p| p.starts_with("/")) {
            return Err(LaunchError::new("chdir", "the working folder is outside of the container's root"));
        }
        for signal in 1..=64 {
            // SAFETY: resets a disposition; nothing of ours handles signals here. Invalid numbers just fail.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        nix::sys::signal::SigSet::empty().thread_set_mask().step("reset signal mask")?;
        nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
        Ok(())
    }

    /// Becomes the program; returns only when that is impossible before the program's file was found good. What the
    /// kernel says to that file (a missing interpreter, a foreign format) goes to the program's own stderr, as in Docker.
    pub fn execute(&self, path: &CString, ready: &Ready) -> Result<Infallible, LaunchError> {
        close_rest()?;
        let errno = match nix::unistd::execve(path, &ready.args, &ready.env) {
            Ok(never) => return Ok(never),
            Err(errno) => errno,
        };
        let text = format!("exec {}: {}\n", path.to_string_lossy(), errno.desc().to_lowercase());
        // Whoever cannot read it still gets the exit code.
        let _unread = std::io::stderr().write_all(text.as_bytes());
        crate::launch::exit(255)
    }

    /// The executable, through PATH as Go's `exec.LookPath`, whose words Docker's users know.
    pub fn find(&self) -> Result<CString, LaunchError> {
        let name = self.args.first().map(String::as_str).unwrap_or_default();
        if name.contains('/') {
            executable(name)?;
            return c_string(name);
        }
        let path = self.env.iter().rev().find_map(|e| e.strip_prefix("PATH=")).unwrap_or_default();
        for folder in path.split(':').filter(|_| !name.is_empty()) {
            let candidate = Path::new(if folder.is_empty() { "." } else { folder }).join(name);
            let candidate = candidate.to_string_lossy();
            if executable(&candidate).is_ok() {
                return c_string(&candidate);
            }
        }
        Err(LaunchError {
            step: format!("exec: \"{name}\""),
            cause: "executable file not found in $PATH".into(),
            reason: Reason::NotFound,
        })
    }
}

/// Whether a file may be executed, in Go's words.
fn executable(name: &str) -> Result<(), LaunchError> {
    let failed = |step: String, cause: &str, reason| Err(LaunchError { step, cause: cause.into(), reason });
    let quoted = || format!("exec: \"{name}\"");
    match std::fs::metadata(name) {
        Ok(found) if found.is_dir() => failed(quoted(), "is a directory", Reason::Denied),
        Ok(_) if nix::unistd::access(name, AccessFlags::X_OK).is_err() => {
            failed(quoted(), "permission denied", Reason::Denied)
        }
        Ok(_) => Ok(()),
        Err(e) => {
            let reason = match e.kind() {
                ErrorKind::NotFound | ErrorKind::NotADirectory => Reason::NotFound,
                _ => Reason::Denied,
            };
            Err(e).step(format!("{}: stat {name}", quoted())).map_err(|e| LaunchError { reason, ..e })
        }
    }
}

/// Leaves the session keyring of the daemon's behind, which else all containers would share.
fn leave_keyring() -> Result<(), LaunchError> {
    /// include/uapi/linux/keyctl.h
    const JOIN_SESSION_KEYRING: libc::c_long = 1;
    // SAFETY: a null name asks for a new, anonymous keyring.
    if unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, std::ptr::null::<libc::c_char>()) } < 0
    {
        match Errno::last() {
            // A kernel without keys has none to share.
            Errno::ENOSYS => {}
            e => return Err(e).step("join a new session keyring"),
        }
    }
    Ok(())
}
