//! Folders that are erased with their last holder.

use crate::erase::remove_tree;
use crate::file::{failed, random_hex};
use contract::PortError;
use contract::build::{Context, Folder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A new folder; unless it becomes a context it is erased, too.
#[derive(Debug)]
pub(super) struct Fresh {
    base: PathBuf,
}

/// A context in it.
#[derive(Debug)]
struct Held {
    fresh: Fresh,
    below: PathBuf,
}

impl Fresh {
    /// An empty folder that only root may enter.
    pub(super) fn new(base: &Path) -> Result<Self, PortError> {
        let base = base.join(random_hex(8));
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&base);
        made.map_err(failed("making", &base))?;
        Ok(Self { base })
    }

    pub(super) fn path(&self) -> &Path {
        &self.base
    }

    /// The context is this folder.
    pub(super) fn whole(self) -> Context {
        let below = self.base.clone();
        self.part(below)
    }

    /// The context is a folder in this one.
    pub(super) fn part(self, below: PathBuf) -> Context {
        Arc::new(Held { fresh: self, below })
    }
}

impl Folder for Held {
    fn path(&self) -> &Path {
        debug_assert!(self.below.starts_with(&self.fresh.base));
        &self.below
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        let base = std::mem::take(&mut self.base);
        let erase = move || {
            if let Err(error) = remove_tree(&base) {
                tracing::warn!("removing {}: {error}", base.display());
            }
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(erase)),
            Err(_) => erase(),
        }
    }
}
