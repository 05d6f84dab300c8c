//! Files replaced whole, folders cleaned, and blocking work off the async threads.

use contract::{Kind, PortError};
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

/// Runs blocking work where it may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PortError> + Send + 'static,
) -> Result<T, PortError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(gone) => Err(PortError::caused(Kind::Bug, "storage work broke off", gone)),
    }
}

/// Names operation and object for an I/O failure.
pub(crate) fn failed(what: impl AsRef<str>, path: &Path) -> impl FnOnce(io::Error) -> PortError {
    let text = format!("{} {}", what.as_ref(), path.display());
    move |cause| {
        let kind = match cause.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Kind::Exhausted,
            _ => Kind::Bug,
        };
        PortError::caused(kind, text, cause)
    }
}

/// What a replaced file has to outlive at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sync {
    /// Content and name are on the disk.
    Name,
    /// The content is; after power loss the old name may still lead to the old one.
    Content,
    /// Only this process has to be outlived.
    None,
}

/// Replaces a file so that a reader or a crash sees the old or the new content, never a mixture.
pub(crate) fn replace(path: &Path, content: &[u8], sync: Sync) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = folder.join(format!(".{name}.{}.tmp", random_hex(6)));
    let written = (|| {
        let mut file = std::fs::File::create(&temporary)?;
        file.write_all(content)?;
        if sync != Sync::None {
            file.sync_data()?;
        }
        std::fs::rename(&temporary, path)?;
        if sync == Sync::Name { sync_folder(folder) } else { Ok(()) }
    })();
    if written.is_err() {
        // The first failure is the one to tell; the sweep at the next start removes what stays.
        let _left = std::fs::remove_file(&temporary);
    }
    written
}

/// Brings the names in a folder to the disk.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    std::fs::File::open(folder)?.sync_all()
}

/// Begins the names of trees that are being removed.
const DISCARDED: &str = ".removing-";

/// Takes a tree away at once, by renaming, and removes it behind the caller's back; absent is fine. What a kill
/// leaves of it is found by [`sweep_discarded`].
pub(crate) fn discard(path: &Path) -> io::Result<()> {
    let aside = path.with_file_name(format!("{DISCARDED}{}", random_hex(8)));
    match std::fs::rename(path, &aside) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    }
    tokio::task::spawn_blocking(move || {
        if let Err(error) = crate::erase::remove_tree(&aside) {
            tracing::warn!(%error, "removing {}", aside.display());
        }
    });
    Ok(())
}

/// Removes what was discarded in a folder and not removed before a kill.
pub(crate) fn sweep_discarded(folder: &Path) -> io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(DISCARDED) {
            crate::erase::remove_tree(&entry.path())?;
        }
    }
    Ok(())
}

/// Removes the entries of a folder that `gone` chooses by name and age. What cannot be removed is told and stays.
pub(crate) fn clean(folder: &Path, gone: impl Fn(&str, Duration) -> bool) -> Result<(), PortError> {
    for entry in std::fs::read_dir(folder).map_err(failed("listing", folder))?.flatten() {
        let changed = entry.metadata().and_then(|m| m.modified());
        let age = changed.ok().and_then(|m| m.elapsed().ok()).unwrap_or_default();
        if gone(&entry.file_name().to_string_lossy(), age)
            && let Err(error) = crate::erase::remove_tree(&entry.path())
        {
            tracing::warn!("removing {}: {error}", entry.path().display());
        }
    }
    Ok(())
}

/// Hex of `bytes` random bytes.
pub(crate) fn random_hex(bytes: usize) -> String {
    let mut buffer = vec![0u8; bytes];
    if getrandom::fill(&mut buffer).is_err() {
        let nanos = jiff::Timestamp::now().as_nanosecond();
        return format!("{nanos:x}-{}", std::process::id());
    }
    hex::encode(buffer)
}
