//! Unpacked layers, one folder per diff id, shared by all images and containers.

use crate::file::{failed, random_hex, remove_tree};
use crate::reference::is_digest;
use crate::unpack::{Limits, Unpacked, unpack};
use contract::{Kind, PortError};
use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Layers under `<data_root>/layers`: `<hex>/diff` and `<hex>/size`.
#[derive(Debug, Clone)]
pub(crate) struct Layers {
    base: PathBuf,
}

const HALF: &str = ".half-";

impl Layers {
    pub(crate) fn open(data_root: &Path) -> Result<Self, PortError> {
        let base = data_root.join("layers");
        std::fs::create_dir_all(&base).map_err(failed("making", &base))?;
        Ok(Self { base })
    }

    fn folder(&self, diff_id: &str) -> PathBuf {
        self.base.join(diff_id.strip_prefix("sha256:").unwrap_or(diff_id))
    }

    pub(crate) fn diff(&self, diff_id: &str) -> PathBuf {
        self.folder(diff_id).join("diff")
    }

    pub(crate) fn has(&self, diff_id: &str) -> bool {
        is_digest(diff_id) && self.diff(diff_id).is_dir()
    }

    pub(crate) fn size(&self, diff_id: &str) -> u64 {
        std::fs::read_to_string(self.folder(diff_id).join("size"))
            .ok()
            .and_then(|s| s.trim().parse().ok())
            .unwrap_or(0)
    }

    /// Unpacks a layer; with `expected` the content must have that diff id.
    pub(crate) fn add(
        &self,
        reader: impl Read + Send,
        expected: Option<&str>,
    ) -> Result<Unpacked, PortError> {
        if let Some(id) = expected.filter(|id| !is_digest(id)) {
            return Err(PortError::new(Kind::Invalid, format!("invalid layer digest {id:?}")));
        }
        let half = self.base.join(format!("{HALF}{}", random_hex(8)));
        let added = self.add_through(&half, reader, expected);
        if added.is_err() {
            let _ = remove_tree(&half);
        }
        added
    }

    fn add_through(
        &self,
        half: &Path,
        reader: impl Read + Send,
        expected: Option<&str>,
    ) -> Result<Unpacked, PortError> {
        let diff = half.join("diff");
        std::fs::create_dir_all(&diff).map_err(failed("making", &diff))?;
        set_mode(&diff).map_err(failed("making", &diff))?;
        let unpacked = unpack(reader, &diff, Limits::of_disk(&self.base)).map_err(|e| {
            let kind = match e.kind() {
                std::io::ErrorKind::QuotaExceeded | std::io::ErrorKind::StorageFull => Kind::Exhausted,
                _ => Kind::Invalid,
            };
            PortError::caused(kind, format!("failed to register layer: {e}"), e)
        })?;
        if let Some(id) = expected.filter(|id| *id != unpacked.diff_id) {
            return Err(PortError::new(
                Kind::Invalid,
                format!("layer content is {}, not {id}", unpacked.diff_id),
            ));
        }
        let size = half.join("size");
        std::fs::write(&size, unpacked.size.to_string()).map_err(failed("writing", &size))?;
        // One sync for the whole tree: a layer that has its final name must survive a power cut.
        let opened = std::fs::File::open(half).map_err(failed("opening", half))?;
        rustix::fs::syncfs(&opened).map_err(|e| failed("syncing", half)(e.into()))?;
        let target = self.folder(&unpacked.diff_id);
        match std::fs::rename(half, &target) {
            Ok(()) => Ok(unpacked),
            Err(_) if self.has(&unpacked.diff_id) => {
                let _ = remove_tree(half);
                Ok(unpacked)
            }
            Err(e) => Err(failed("naming", &target)(e)),
        }
    }

    /// Removes a layer; its name goes first, so a crash leaves no half layer under it.
    pub(crate) fn remove(&self, diff_id: &str) -> Result<(), PortError> {
        let half = self.base.join(format!("{HALF}{}", random_hex(8)));
        let folder = self.folder(diff_id);
        match std::fs::rename(&folder, &half) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            other => other.map_err(failed("removing", &folder))?,
        }
        remove_tree(&half).map_err(failed("removing", &half))
    }

    /// Every complete layer's diff id.
    pub(crate) fn all(&self) -> BTreeSet<String> {
        let entries = std::fs::read_dir(&self.base).into_iter().flatten().flatten();
        entries
            .map(|e| format!("sha256:{}", e.file_name().to_string_lossy()))
            .filter(|id| is_digest(id))
            .collect()
    }

    /// Removes half made layers.
    pub(crate) fn sweep(&self) -> Result<(), PortError> {
        for entry in std::fs::read_dir(&self.base).map_err(failed("listing", &self.base))?.flatten() {
            if entry.file_name().to_string_lossy().starts_with(HALF) {
                remove_tree(&entry.path()).map_err(failed("removing", &entry.path()))?;
            }
        }
        Ok(())
    }
}

fn set_mode(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))
}
