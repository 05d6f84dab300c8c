//! One daemon for each pidfile, and one for each data root.

use anyhow::{Context as _, bail};
use nix::fcntl::{Flock, FlockArg};
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// A pidfile of this process, removed at its end.
pub struct PidFile(PathBuf);

impl PidFile {
    /// Writes it. One that names a process that lives is somebody else's; one that names none was left behind.
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

/// The living process that a pidfile names.
fn owner(path: &Path) -> std::io::Result<Option<i32>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let pid = text.trim().parse::<i32>().ok().filter(|p| *p > 0 && *p != std::process::id().cast_signed());
    Ok(pid.filter(|p| {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(*p), None) != Err(nix::errno::Errno::ESRCH)
    }))
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

    #[test]
    fn a_pidfile_of_a_living_process_is_kept_and_a_stale_one_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sub/pid");
        for stale in ["", "4194305", "nonsense", "-1"] {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, stale).unwrap();
            drop(PidFile::write(&path).unwrap());
            assert!(!path.exists());
        }
        std::fs::write(&path, "1\n").unwrap();
        let told = format!("{:#}", PidFile::write(&path).err().unwrap());
        assert!(told.ends_with(": process with PID 1 is still running"), "{told}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "1\n");
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
