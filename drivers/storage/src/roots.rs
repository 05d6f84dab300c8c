//! Container roots: overlay folders over image layers.

use crate::file::{blocking, discard, failed, sweep_discarded};
use crate::store::Store;
use async_trait::async_trait;
use contract::runtime::RootSpec;
use contract::storage::Roots;
use contract::{ContainerId, Kind, PortError};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Roots under `<data_root>/overlay/<id>/{diff,work,merged}`.
pub struct OverlayRoots {
    base: PathBuf,
    store: Arc<Store>,
}

impl OverlayRoots {
    /// Roots of this data root over the store's layers.
    pub fn new(data_root: impl AsRef<Path>, store: Arc<Store>) -> Self {
        Self { base: data_root.as_ref().join("overlay"), store }
    }

    fn folder(&self, id: &ContainerId) -> Result<PathBuf, PortError> {
        let text = id.as_str();
        let fine = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric());
        if fine {
            Ok(self.base.join(text))
        } else {
            Err(PortError::new(Kind::Invalid, format!("invalid container id {text:?}")))
        }
    }
}

fn make(folder: &Path, lower: Vec<PathBuf>) -> Result<RootSpec, PortError> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    let [upper, work, target] = ["diff", "work", "merged"].map(|name| folder.join(name));
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o711)
        .create(folder)
        .map_err(failed("making", folder))?;
    let mut lower = lower;
    if lower.is_empty() {
        // Overlay wants a lower folder even for an image without layers.
        let empty = folder.join("empty");
        lower.push(empty);
    }
    for path in [&upper, &work, &target].into_iter().chain(lower.iter().filter(|l| l.starts_with(folder))) {
        match std::fs::create_dir(path) {
            Ok(()) => {
                let mode = std::fs::Permissions::from_mode(if path == &work { 0o700 } else { 0o755 });
                std::fs::set_permissions(path, mode).map_err(failed("making", path))?;
            }
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(failed("making", path)(e)),
        }
    }
    Ok(RootSpec { lower, upper, work, target })
}

fn remove(folder: &Path) -> Result<(), PortError> {
    let target = folder.join("merged");
    loop {
        match unmount(&target, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
            Ok(()) => {}
            Err(Errno::INVAL | Errno::NOENT) => break,
            Err(e) => return Err(failed("unmounting", &target)(e.into())),
        }
    }
    discard(folder).map_err(failed("removing", folder))
}

/// Bytes of the files below a folder, those with several names counted once. What cannot be read counts nothing: it may
/// be going while this looks.
fn size(top: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let (mut folders, mut bytes, mut seen) = (vec![top.to_owned()], 0, std::collections::HashSet::new());
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            let Ok(about) = entry.metadata() else { continue };
            if about.is_dir() {
                folders.push(entry.path());
            } else if about.nlink() == 1 || seen.insert(about.ino()) {
                bytes += about.len();
            }
        }
    }
    bytes
}

#[async_trait]
impl Roots for OverlayRoots {
    async fn ensure_root(&self, id: &ContainerId, image: &str) -> Result<RootSpec, PortError> {
        let folder = self.folder(id)?;
        let lower = self.store.lower(image)?;
        blocking(move || make(&folder, lower)).await
    }

    fn own_layer(&self, id: &ContainerId) -> PathBuf {
        self.base.join(id.as_str()).join("diff")
    }

    async fn remove_root(&self, id: &ContainerId) -> Result<(), PortError> {
        let folder = self.folder(id)?;
        blocking(move || remove(&folder)).await
    }

    async fn own_size(&self, id: &ContainerId) -> Result<u64, PortError> {
        let upper = self.folder(id)?.join("diff");
        blocking(move || Ok(size(&upper))).await
    }

    async fn sweep(&self) -> Result<(), PortError> {
        let base = self.base.clone();
        blocking(move || sweep_discarded(&base).map_err(failed("sweeping", &base))).await
    }
}
