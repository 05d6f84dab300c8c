//! Files replaced whole, and blocking work off the async threads.

use contract::{Kind, PortError};
use std::io::{self, Write};
use std::path::Path;

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

/// Replaces a file so that a reader or a crash sees the old or the new content, never a mixture.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = folder.join(format!(".{name}.{}.tmp", random_hex(6)));
    let written = (|| {
        let mut file = std::fs::File::create(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        std::fs::File::open(folder)?.sync_all()
    })();
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

/// Removes a tree; absent is fine.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
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
