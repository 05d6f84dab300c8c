//! How much a container's own layer may take: project quota of XFS. The layer's folder gets a project of its own, which all
//! that is made in it inherits; which projects are taken is read from the folders that are there.

mod sys;

use crate::file::failed;
use contract::{Kind, PortError};
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Gives out projects for the folders in one folder.
#[derive(Debug)]
pub(crate) struct Quota {
    base: PathBuf,
    /// Held from finding a free project until a folder has it.
    giving: Mutex<()>,
}

impl Quota {
    pub(crate) fn new(base: &Path) -> Self {
        Self { base: base.to_owned(), giving: Mutex::default() }
    }

    /// Limits a folder that is empty yet, to be made here if need be.
    pub(crate) fn limit(&self, folder: &Path, bytes: u64) -> Result<(), PortError> {
        supported(&self.base)?;
        let _giving = self.giving.lock().unwrap_or_else(PoisonError::into_inner);
        let steps = || -> io::Result<()> {
            let own = File::open(folder)?;
            let project = match sys::project(&own)? {
                // Whoever set up the disk may have given the whole data root one.
                inherited if inherited == sys::project(&File::open(&self.base)?)? => {
                    let free = self.free(inherited)?;
                    sys::set_project(&own, free)?;
                    free
                }
                own => own,
            };
            sys::set_limit(&own, project, bytes)
        };
        steps().map_err(failed("limiting", folder))
    }

    /// The lowest project above the base's own that no folder has; those being erased still have theirs.
    fn free(&self, base: u32) -> io::Result<u32> {
        let mut taken = BTreeSet::new();
        for entry in std::fs::read_dir(&self.base)? {
            match File::open(entry?.path()) {
                Ok(folder) => drop(taken.insert(sys::project(&folder)?)),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
        let free = (base.saturating_add(1)..=u32::MAX).find(|project| !taken.contains(project));
        free.ok_or_else(|| io::Error::other("no project is free"))
    }

    /// Takes a folder's limit away; the project is free when the folder is gone.
    pub(crate) fn lift(&self, folder: &Path) -> io::Result<()> {
        let own = match File::open(folder) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        match sys::project(&own) {
            Ok(project) if project != 0 && project != sys::project(&File::open(&self.base)?)? => {
                sys::set_limit(&own, project, 0)
            }
            // A file system without projects limits nothing.
            _ => Ok(()),
        }
    }
}

/// Whether the folder lies on XFS that enforces project quota; Docker's refusal if not.
fn supported(folder: &Path) -> Result<(), PortError> {
    let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let device = std::fs::metadata(folder).map(|m| std::os::unix::fs::MetadataExt::dev(&m));
    let device = device.map_err(failed("looking at", folder))?;
    if enforced(&text, rustix::fs::major(device), rustix::fs::minor(device)) {
        return Ok(());
    }
    let text = "--storage-opt is supported only for overlay over xfs with 'pquota' mount option";
    // Docker answers 500.
    Err(PortError::new(Kind::Exhausted, text))
}

/// Whether a device is mounted as XFS with its projects' limits enforced (`pqnoenforce` only counts).
fn enforced(mountinfo: &str, major: u32, minor: u32) -> bool {
    let device = format!("{major}:{minor}");
    mountinfo.lines().any(|line| {
        let Some((mount, system)) = line.split_once(" - ") else { return false };
        let mut system = system.split(' ');
        mount.split(' ').nth(2) == Some(&device)
            && system.next() == Some("xfs")
            && system.nth(1).is_some_and(|o| o.split(',').any(|o| matches!(o, "prjquota" | "pquota")))
    })
}

/// Whether a daemon-wide size can be kept in this data root.
pub fn sizes_supported(data_root: &Path) -> bool {
    supported(data_root).is_ok()
}

#[cfg(test)]
mod tests {
    use super::enforced;

    #[test]
    fn only_xfs_that_enforces_projects_limits_layers() {
        let line = |system: &str, options: &str| {
            format!("36 25 7:1 / /data rw,noatime shared:1 - {system} /dev/loop1 rw,{options}\n")
        };
        assert!(enforced(&line("xfs", "attr2,prjquota"), 7, 1));
        assert!(!enforced(&line("xfs", "attr2,pqnoenforce"), 7, 1));
        assert!(!enforced(&line("ext4", "prjquota"), 7, 1));
        assert!(!enforced(&line("xfs", "prjquota"), 7, 2));
    }
}
