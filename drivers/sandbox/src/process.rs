//! The last steps of a new process inside the container, up to exec. Same for the main process and exec sessions.

use crate::config::Rlimit;
use crate::error::{LaunchError, Step};
use crate::identity;
use crate::protocol::Reason;
use nix::errno::Errno;
use std::ffi::CString;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;

/// What is to be executed, and as whom.
#[derive(Debug, Clone, Default)]
pub struct Program {
    /// Arguments; the first is looked up in PATH.
    pub args: Vec<String>,
    /// Environment.
    pub env: Vec<String>,
    /// Working folder, made when missing.
    pub cwd: String,
    /// `user[:group]`.
    pub user: String,
    /// Extra groups, by commas.
    pub groups: String,
    /// Capabilities.
    pub capabilities: Vec<String>,
    /// No new privileges.
    pub no_new_privileges: bool,
    /// Filtered by the default seccomp policy.
    pub filtered: bool,
    /// Limits.
    pub rlimits: Vec<Rlimit>,
}

/// Everything that can be prepared before the start gate.
pub struct Ready {
    identity: identity::Identity,
    env: Vec<CString>,
    args: Vec<CString>,
    filter: Vec<libc::sock_filter>,
}

fn c_string(text: &str) -> Result<CString, LaunchError> {
    CString::new(text).map_err(|e| LaunchError::new(format!("pass {text:?}"), e))
}

impl Program {
    /// Looks the user up and makes the working folder. Runs inside the container's root.
    pub fn ready(&self) -> Result<Ready, LaunchError> {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let identity =
            identity::look_up(&self.user, &self.groups, &read("/etc/passwd"), &read("/etc/group"))?;
        if !Path::new(&self.cwd).is_dir() {
            std::fs::create_dir_all(&self.cwd).step(format!("mkdir {}", self.cwd))?;
        }
        let mut env = self.env.iter().map(|e| c_string(e)).collect::<Result<Vec<_>, _>>()?;
        if !self.env.iter().any(|e| e.starts_with("HOME=")) {
            env.push(c_string(&format!("HOME={}", identity.home))?);
        }
        let args = self.args.iter().map(|a| c_string(a)).collect::<Result<Vec<_>, _>>()?;
        let filter = if self.filtered { crate::seccomp::program(&self.capabilities) } else { Vec::new() };
        Ok(Ready { identity, env, args, filter })
    }

    /// Drops privileges and executes; returns only on failure.
    pub fn run(&self, ready: &Ready) -> LaunchError {
        match self.become_it(ready) {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }

    fn become_it(&self, ready: &Ready) -> Result<std::convert::Infallible, LaunchError> {
        identity::limit(&self.rlimits)?;
        if self.no_new_privileges {
            nix::sys::prctl::set_no_new_privs().step("set no_new_privs")?;
        }
        if !ready.filter.is_empty() {
            crate::seccomp::install(&ready.filter)?;
        }
        identity::assume(&ready.identity, &self.capabilities)?;
        nix::unistd::chdir(self.cwd.as_str())
            .step(format!("chdir to cwd (\"{}\") set in config.json failed", self.cwd))?;
        let name = self.args.first().map(String::as_str).unwrap_or_default();
        let path = self.find(name)?;
        for signal in 1..=64 {
            // SAFETY: resets a disposition; nothing of ours handles signals here. Invalid numbers just fail.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        nix::sys::signal::SigSet::empty().thread_set_mask().step("reset signal mask")?;
        nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
        match nix::unistd::execve(&path, &ready.args, &ready.env) {
            Ok(never) => Ok(never),
            Err(e) => Err(exec_failed(name, e)),
        }
    }

    /// The executable, through PATH as execvp would.
    fn find(&self, name: &str) -> Result<CString, LaunchError> {
        let not_found = || LaunchError {
            step: format!("exec: \"{name}\""),
            cause: "executable file not found in $PATH".into(),
            reason: Reason::NotFound,
        };
        if name.is_empty() {
            return Err(not_found());
        }
        if name.contains('/') {
            return match std::fs::metadata(name) {
                Ok(m) if m.is_dir() => Err(denied(name, "is a directory")),
                Ok(_) if !executable(name) => Err(denied(name, "permission denied")),
                Ok(_) => c_string(name),
                Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => {
                    Err(denied(name, "permission denied"))
                }
                Err(_) => Err(LaunchError {
                    step: format!("exec: \"{name}\": stat {name}"),
                    cause: "no such file or directory".into(),
                    reason: Reason::NotFound,
                }),
            };
        }
        let path = self.env.iter().rev().find_map(|e| e.strip_prefix("PATH=")).unwrap_or_default();
        for folder in path.split(':') {
            let candidate = format!("{}/{name}", if folder.is_empty() { "." } else { folder });
            if std::fs::metadata(&candidate).is_ok_and(|m| m.is_file()) && executable(&candidate) {
                return c_string(&candidate);
            }
        }
        Err(not_found())
    }
}

fn executable(path: &str) -> bool {
    nix::unistd::access(path, nix::unistd::AccessFlags::X_OK).is_ok()
}

fn denied(name: &str, cause: &str) -> LaunchError {
    LaunchError { step: format!("exec: \"{name}\""), cause: cause.into(), reason: Reason::Denied }
}

fn exec_failed(name: &str, errno: Errno) -> LaunchError {
    let reason = match errno {
        Errno::ENOENT => Reason::NotFound,
        Errno::EACCES | Errno::ENOEXEC | Errno::EISDIR => Reason::Denied,
        _ => Reason::Failed,
    };
    LaunchError { step: format!("exec {name}"), cause: errno.desc().to_lowercase(), reason }
}

/// A container's pseudo terminal: the master for the shim; the slave becomes the process's stdio.
pub struct Terminal {
    /// Kept by the shim.
    pub master: OwnedFd,
    /// Given to the process.
    pub slave: OwnedFd,
}

/// Opens a terminal of the container's own devpts.
pub fn open_terminal() -> Result<Terminal, LaunchError> {
    use nix::fcntl::OFlag;
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let master =
        nix::fcntl::open("/dev/pts/ptmx", flags, nix::sys::stat::Mode::empty()).step("open /dev/pts/ptmx")?;
    let unlock: libc::c_int = 0;
    // SAFETY: TIOCSPTLCK reads one int that lives over the call.
    if unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &raw const unlock) } != 0 {
        return Err(std::io::Error::last_os_error()).step("unlock the terminal");
    }
    // SAFETY: TIOCGPTPEER takes open flags and returns a new descriptor; the slave is the master's own peer, not
    // whatever a path inside the container names.
    let slave = unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER, flags.bits()) };
    if slave < 0 {
        return Err(std::io::Error::last_os_error()).step("open the terminal's slave");
    }
    // SAFETY: the kernel has just handed this descriptor to us alone.
    Ok(Terminal { master, slave: unsafe { OwnedFd::from_raw_fd(slave) } })
}

/// Puts three descriptors in place as stdio and, for a terminal, makes it the controlling one.
pub fn take_stdio(stdio: [BorrowedFd<'_>; 3], terminal: bool) -> Result<(), LaunchError> {
    for (number, fd) in (0..).zip(stdio) {
        // SAFETY: plain descriptors; the targets 0 to 2 are meant to be replaced.
        if unsafe { libc::dup2(fd.as_raw_fd(), number) } < 0 {
            return Err(std::io::Error::last_os_error()).step("set up stdio");
        }
    }
    if terminal {
        // SAFETY: TIOCSCTTY takes an integer.
        if unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) } != 0 {
            return Err(std::io::Error::last_os_error()).step("take the terminal");
        }
    }
    Ok(())
}

/// Marks everything but stdio to be closed at exec, so that nothing of the host leaks in (CVE-2024-21626).
pub fn close_rest_on_exec() -> Result<(), LaunchError> {
    // SAFETY: only sets a flag on descriptors.
    let done = unsafe { libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if done != 0 {
        return Err(std::io::Error::last_os_error()).step("mark descriptors");
    }
    Ok(())
}
