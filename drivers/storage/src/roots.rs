//! Container roots: overlay folders over image layers.

use crate::file::{blocking, discard, failed, sweep_discarded};
use crate::quota::Quota;
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
    quota: Arc<Quota>,
}

impl OverlayRoots {
    /// Roots of this data root over the store's layers.
    pub fn new(data_root: impl AsRef<Path>, store: Arc<Store>) -> Self {
        let base = data_root.as_ref().join("overlay");
        let quota = Arc::new(Quota::new(&base));
        Self { base, store, quota }
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

fn make_folder(folder: &Path) -> Result<(), PortError> {
    use std::os::unix::fs::DirBuilderExt;
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o711).create(folder).map_err(failed("making", folder))
}

/// The parts of the root in this folder.
fn parts(folder: &Path, mut lower: Vec<PathBuf>) -> RootSpec {
    let [upper, work, target] = ["diff", "work", "merged"].map(|name| folder.join(name));
    if lower.is_empty() {
        // Overlay wants a lower folder even for an image without layers.
        lower.push(folder.join("empty"));
    }
    RootSpec { lower, upper, work, target }
}

fn make(folder: &Path, lower: Vec<PathBuf>) -> Result<RootSpec, PortError> {
    use std::os::unix::fs::PermissionsExt;
    let root = parts(folder, lower);
    make_folder(folder)?;
    let own = root.lower.iter().filter(|l| l.starts_with(folder));
    for path in [&root.upper, &root.work, &root.target].into_iter().chain(own) {
        match std::fs::create_dir(path) {
            Ok(()) => {
                let mode = std::fs::Permissions::from_mode(if path == &root.work { 0o700 } else { 0o755 });
                std::fs::set_permissions(path, mode).map_err(failed("making", path))?;
            }
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(failed("making", path)(e)),
        }
    }
    Ok(root)
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

#[async_trait]
impl Roots for OverlayRoots {
    async fn ensure_root(&self, id: &ContainerId, image: &str) -> Result<RootSpec, PortError> {
        let folder = self.folder(id)?;
        let lower = self.store.lower(image)?;
        blocking(move || make(&folder, lower)).await
    }

    async fn limit_root(&self, id: &ContainerId, bytes: u64) -> Result<(), PortError> {
        let (folder, quota) = (self.folder(id)?, Arc::clone(&self.quota));
        blocking(move || {
            make_folder(&folder)?;
            let outcome = quota.limit(&folder, bytes);
            if outcome.is_err() {
                // Nothing is in it; a folder that stays is removed with what else was made of the container.
                let _left = std::fs::remove_dir(&folder);
            }
            outcome
        })
        .await
    }

    fn root(&self, id: &ContainerId, image: &str) -> Result<RootSpec, PortError> {
        Ok(parts(&self.folder(id)?, self.store.lower(image)?))
    }

    fn own_layer(&self, id: &ContainerId) -> PathBuf {
        self.base.join(id.as_str()).join("diff")
    }

    async fn remove_root(&self, id: &ContainerId) -> Result<(), PortError> {
        let folder = self.folder(id)?;
        let quota = Arc::clone(&self.quota);
        blocking(move || {
            quota.lift(&folder).map_err(failed("taking the limit from", &folder))?;
            remove(&folder)
        })
        .await
    }

    async fn sweep(&self) -> Result<(), PortError> {
        let base = self.base.clone();
        blocking(move || sweep_discarded(&base).map_err(failed("sweeping", &base))).await
    }
}
