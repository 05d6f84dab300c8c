//! A container's control groups as the daemon finds them: where they lie, and what stands in their files.

use contract::{Kind, PortError};
use sandbox::cgroup::Cgroup;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The folders of one container's groups.
#[derive(Debug)]
pub struct Groups {
    folders: BTreeMap<String, PathBuf>,
    /// cgroup version 2 alone is mounted.
    pub unified: bool,
}

impl Groups {
    /// Of the groups under this path.
    pub fn of(path: &str) -> Self {
        let group = Cgroup::existing(path);
        Self { folders: group.controllers(), unified: group.unified() }
    }

    /// The folder of a controller, by its name on v1.
    pub fn folder(&self, controller: &str) -> Option<&Path> {
        self.folders.get(controller).map(PathBuf::as_path)
    }

    /// A file of a controller; empty where there is none.
    pub fn text(&self, controller: &str, file: &str) -> String {
        self.folder(controller).and_then(|f| std::fs::read_to_string(f.join(file)).ok()).unwrap_or_default()
    }

    /// The number that a file holds.
    pub fn number(&self, controller: &str, file: &str) -> Option<u64> {
        self.text(controller, file).trim().parse().ok()
    }

    /// The `name number` lines of a file.
    pub fn table(&self, controller: &str, file: &str) -> BTreeMap<String, u64> {
        let line = |l: &str| {
            let (name, value) = l.split_once(' ')?;
            Some((name.to_owned(), value.trim().parse().ok()?))
        };
        self.text(controller, file).lines().filter_map(line).collect()
    }
}

/// The path that a container's shim was given for its groups, from the configuration it left; the daemon may have been
/// started with another parent since.
pub fn recorded(directory: &Path) -> Option<String> {
    let text = std::fs::read(directory.join("config.json")).ok()?;
    let config: sandbox::config::Config = serde_json::from_slice(&text).ok()?;
    Some(config.linux.cgroups_path).filter(|path| !path.is_empty())
}

/// Major and minor number of a device on the host; Docker's text for one that is not there.
pub fn device(path: &str) -> Result<(u64, u64), PortError> {
    use nix::errno::Errno;
    use std::os::unix::fs::MetadataExt;
    let meta = std::fs::metadata(path).map_err(|e| {
        let cause =
            e.raw_os_error().map_or_else(|| e.to_string(), |c| Errno::from_raw(c).desc().to_lowercase());
        PortError::new(Kind::Exhausted, format!("stat {path}: {cause}"))
    })?;
    Ok((nix::sys::stat::major(meta.rdev()), nix::sys::stat::minor(meta.rdev())))
}
