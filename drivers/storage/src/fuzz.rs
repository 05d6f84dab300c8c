//! What the fuzz targets in `tests/fuzz` drive; not for others. Panics are findings.

use crate::archive::look;
use crate::core::Core;
use crate::limits::Limits;
use crate::pieces::Cut;
use crate::reference::Reference;
use crate::stream::{DIFF, Restored};
use crate::unpack::unpack;
use std::io;
use std::path::Path;

/// Small enough that a target does many rounds a second.
const LIMITS: Limits = Limits { bytes: 1 << 22, members: 1_000, files: 1_000 };

/// Unpacks a layer into an empty folder: nothing beside it changes, and what was taken comes back byte for byte.
///
/// # Errors
/// Those of the file system, and what makes the input no layer.
pub fn layer(input: &[u8], folder: &Path) -> io::Result<()> {
    let (layer, beside) = (folder.join("layer"), folder.join("beside"));
    std::fs::create_dir_all(layer.join(DIFF))?;
    std::fs::write(&beside, "untouched")?;
    let unpacked = unpack(Cut(input), &layer, LIMITS);
    assert_eq!(std::fs::read(&beside)?, b"untouched");
    let mut names: Vec<_> = std::fs::read_dir(folder)?.filter_map(|e| Some(e.ok()?.file_name())).collect();
    names.sort();
    assert_eq!(names, ["beside", "layer"]);
    let unpacked = unpacked?;
    if let Err(error) = Restored::open(&layer, &unpacked.diff_id).and_then(Restored::verify) {
        assert!(error.kind() == io::ErrorKind::NotFound, "does not come back: {error}");
    }
    Ok(())
}

/// Finds the images of an archive, in a folder that is a store's; nothing of it stays.
pub fn archive(input: &[u8], folder: &Path) -> io::Result<()> {
    let core = Core::open(folder, LIMITS).map_err(|e| io::Error::other(e.to_string()))?;
    let found = look(&core, Cut(input)).map_err(|e| io::Error::other(e.to_string()));
    assert!(std::fs::read_dir(folder.join("layers"))?.next().is_none());
    found
}

/// Reads a reference; what it is called by reads as itself again.
pub fn reference(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(read) = Reference::parse(text) {
        for again in [read.tagged(), read.key(), read.shown(), read.familiar()] {
            let same = Reference::parse(&again);
            assert!(same.is_ok(), "{text:?} is shown as {again:?}, which is none");
        }
        assert!(Reference::parse(&read.shown()).is_ok_and(|again| again.shown() == read.shown()));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// Each input of a target's corpus.
    fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus").join(target);
        let files = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
        let inputs: Vec<_> = files.map(|p| (p.display().to_string(), std::fs::read(p).unwrap())).collect();
        assert!(!inputs.is_empty());
        inputs
    }

    #[test]
    fn layers_of_the_corpus_stay_in_their_folder_and_come_back() {
        let mut taken = 0;
        for (_, input) in corpus("layer") {
            let folder = tempfile::tempdir().unwrap();
            taken += usize::from(super::layer(&input, folder.path()).is_ok());
        }
        assert!(taken > 0);
    }

    #[test]
    fn archives_and_references_of_the_corpus_are_read_or_refused() {
        let mut taken = 0;
        for (_, input) in corpus("archive") {
            let folder = tempfile::tempdir().unwrap();
            taken += usize::from(super::archive(&input, folder.path()).is_ok());
        }
        assert!(taken > 0);
        corpus("reference").iter().for_each(|(_, input)| super::reference(input));
    }
}
