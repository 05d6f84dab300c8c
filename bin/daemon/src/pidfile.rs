//! One daemon for each pidfile, and one for each data root.

use anyhow::{Context as _, bail};
use nix::fcntl::{Flock, FlockArg};
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// A pidfile of this process, removed at its end.
pub struct PidFile(PathBuf);

impl PidFile {
    /// Writes it. One that names a gantryd that lives is that one's; any other was left behind.
    pub fn write(path: &Path) -> anyhow::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).context("failed to create pidfile directory")?;
        }
        let refused =
            || format!("failed to start daemon, ensure gantryd is not running or delete {}", path.display());
        if let Some(pid) = owner(path).with_context(refused)? {
            return Err(anyhow::anyhow!("process with PID {pid} is still running")).with_context(refused);
        }
        std::fs::write(path, std::process::id().to_string()).with_context(refused)?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::warn!("removing {}: {error}", self.0.display());
        }
    }
}

/// The gantryd that a pidfile names, if it lives.
fn owner(path: &Path) -> std::io::Result<Option<i32>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let pid = text.trim().parse::<i32>().ok().filter(|p| *p > 0 && *p != std::process::id().cast_signed());
    Ok(pid.filter(|p| is_gantryd(*p)))
}

/// Whether a number is that of a gantryd that lives. One that was killed keeps its number until its parent asks for its end,
/// and after a reboot, or in a container that was started anew, the number is anybody's: also of a thread.
fn is_gantryd(pid: i32) -> bool {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let (status, own) = (read(&format!("/proc/{pid}/status")), read("/proc/self/comm"));
    let field = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default().trim();
    let (name, state) = (field("Name:"), field("State:"));
    field("Tgid:") == pid.to_string()
        && !state.starts_with(['Z', 'X'])
        && (name == "gantryd" || name == own.trim_end())
}

/// A data root that is this process' alone, for as long as this lives; a kill frees it too.
pub struct DataRoot(#[expect(dead_code, reason = "held, not read")] Flock<File>);

impl DataRoot {
    /// Takes it.
    pub fn take(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join("gantryd.lock");
        let about = || format!("lock the data root {}", folder.display());
        let file = File::options().create(true).truncate(false).read(true).write(true).open(&path);
        let file = file.with_context(about)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(mut lock) => {
                // For whoever comes next, to say who has it.
                let noted = lock.set_len(0).and_then(|()| write!(lock, "{}", std::process::id()));
                noted.with_context(about)?;
                Ok(Self(lock))
            }
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => {
                let holder = std::fs::read_to_string(&path).unwrap_or_default();
                let holder = if holder.is_empty() { String::new() } else { format!(", process {holder}") };
                bail!(
                    "the data root {} is in use by another gantryd{holder}: give this one its own --data-root",
                    folder.display()
                )
            }
            Err((_, error)) => Err(error).with_context(about),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::wait::{Id, WaitPidFlag, waitid};
    use std::os::unix::process::CommandExt as _;
    use std::process::{Child, Command};

    /// A process that sleeps under a name.
    fn sleeper(folder: &Path, name: &str) -> Child {
        let program = folder.join(name);
        std::os::unix::fs::symlink("/bin/sleep", &program).unwrap();
        Command::new(&program).arg0("sleep").arg("60").spawn().unwrap()
    }

    #[test]
    fn a_pidfile_of_a_living_gantryd_is_kept_and_a_stale_one_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sub/pid");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        for stale in ["", "4194305", "nonsense", "-1"] {
            std::fs::write(&path, stale).unwrap();
            drop(PidFile::write(&path).unwrap());
            assert!(!path.exists());
        }
        let mut gantryd = sleeper(folder.path(), "gantryd");
        let named = format!("{}\n", gantryd.id());
        std::fs::write(&path, &named).unwrap();
        let told = PidFile::write(&path).err().map(|e| format!("{e:#}"));
        let left = std::fs::read_to_string(&path).unwrap();
        gantryd.kill().unwrap();
        gantryd.wait().unwrap();
        let living = format!(": process with PID {} is still running", gantryd.id());
        assert!(told.as_ref().is_some_and(|told| told.ends_with(&living)), "{told:?}");
        assert_eq!(left, named);
    }

    #[test]
    fn a_pidfile_that_names_a_dead_gantryd_or_another_program_does_not_keep_one_from_starting() {
        // Any process with that number did: one whose parent had not asked for its end, or the first of a container.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pid");
        let mut other = sleeper(folder.path(), "other");
        let mut dead = sleeper(folder.path(), "gantryd");
        dead.kill().unwrap();
        let pid = nix::unistd::Pid::from_raw(dead.id().cast_signed());
        waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).unwrap();
        let replaced = [1, other.id(), dead.id()].map(|pid| {
            std::fs::write(&path, pid.to_string()).unwrap();
            PidFile::write(&path).is_ok()
        });
        other.kill().unwrap();
        other.wait().unwrap();
        dead.wait().unwrap();
        assert_eq!(replaced, [true; 3]);
    }

    #[test]
    fn a_data_root_has_one_daemon() {
        let folder = tempfile::tempdir().unwrap();
        let first = DataRoot::take(folder.path()).unwrap();
        let told = DataRoot::take(folder.path()).err().unwrap().to_string();
        assert!(
            told.contains(&format!("in use by another gantryd, process {}", std::process::id())),
            "{told}"
        );
        drop(first);
        DataRoot::take(folder.path()).unwrap();
    }
}
