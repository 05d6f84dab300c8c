//! What registries are known to have of a layer, in a file beside it that goes with it.

use crate::file::{Sync, failed, replace};
use contract::image::KnownBlob;
use contract::{Kind, PortError};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Its name in a layer's folder.
const NAME: &str = "known";
/// Forms remembered of one layer; the oldest go first.
const MOST: usize = 50;

/// The latest comes last. A file that cannot be read is none: what it says only spares work.
pub(crate) fn read(folder: &Path) -> Vec<KnownBlob> {
    let bytes = std::fs::read(folder.join(NAME)).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

/// The list with one more as the latest.
fn added(mut known: Vec<KnownBlob>, blob: KnownBlob) -> Vec<KnownBlob> {
    known.retain(|k| (&k.host, &k.repository, &k.digest) != (&blob.host, &blob.repository, &blob.digest));
    known.push(blob);
    known.split_off(known.len().saturating_sub(MOST))
}

/// Remembers one. Nothing is lost but work if the machine loses its power.
pub(crate) fn learn(folder: &Path, blob: KnownBlob) -> Result<(), PortError> {
    // Two pushes of one layer must not take each other's news away.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let known = read(folder);
    if known.last() == Some(&blob) {
        return Ok(());
    }
    let path = folder.join(NAME);
    let bytes = serde_json::to_vec(&added(known, blob))
        .map_err(|e| PortError::caused(Kind::Bug, format!("encoding {}", path.display()), e))?;
    replace(&path, &bytes, Sync::None).map_err(failed("writing", &path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(repository: usize) -> KnownBlob {
        KnownBlob {
            digest: "sha256:1".into(),
            size: 1,
            media_type: "t".into(),
            host: "h".into(),
            repository: repository.to_string(),
            urls: Vec::new(),
        }
    }

    #[test]
    fn the_latest_are_remembered_each_once() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path()), []);
        for repository in (0..60).chain([30]) {
            learn(folder.path(), blob(repository)).unwrap();
        }
        let known = read(folder.path());
        assert_eq!((known.len(), &known[0], known.last()), (MOST, &blob(10), Some(&blob(30))));
        std::fs::write(folder.path().join(NAME), "[{").unwrap();
        assert_eq!(read(folder.path()), []);
        learn(folder.path(), blob(1)).unwrap();
        assert_eq!(read(folder.path()), [blob(1)]);
    }
}
