//! Room on the disk for the change that makes room: `rmi` on a full disk writes the index anew before it erases layers.

use std::io;
use std::path::{Path, PathBuf};

/// A file that is there only to be removed.
pub(crate) struct Reserve {
    path: PathBuf,
    index: PathBuf,
}

/// Least size, bytes: the index of some hundred images.
const LEAST: u64 = 256 << 10;

impl Reserve {
    /// The reserve for the index in this folder.
    pub(crate) fn new(folder: &Path) -> Self {
        let reserve = Self { path: folder.join("reserve"), index: folder.join("index.json") };
        reserve.refill();
        reserve
    }

    /// Gives the room up if it was missing; whether trying again may help.
    pub(crate) fn opens(&self, error: &io::Error) -> bool {
        let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        full && std::fs::remove_file(&self.path).is_ok()
    }

    /// Takes room for an index twice as large as today's, if there is any.
    pub(crate) fn refill(&self) {
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |m| m.len());
        let wanted = LEAST.max(size(&self.index).saturating_mul(2));
        if size(&self.path) >= wanted {
            return;
        }
        let filled = (|| {
            let file = std::fs::File::create(&self.path)?;
            rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, wanted)?;
            io::Result::Ok(())
        })();
        if let Err(error) = filled {
            tracing::debug!(%error, "reserving room for the index of images");
            // Half of it would be room taken for nothing.
            let _absent = std::fs::remove_file(&self.path);
        }
    }
}
