//! Rotation in steps that can be repeated after a kill at any point.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// When and how far files are rotated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) max_size: Option<u64>,
    pub(crate) max_file: u32,
    pub(crate) compress: bool,
}

/// `<log>.<index><suffix>`; the log itself for index 0.
pub(crate) fn numbered(log: &Path, index: u32, suffix: &str) -> PathBuf {
    let mut name = OsString::from(log);
    if index > 0 {
        name.push(format!(".{index}"));
    }
    name.push(suffix);
    PathBuf::from(name)
}

type Turn = Arc<Mutex<()>>;
static TURNS: LazyLock<Mutex<HashMap<PathBuf, Turn>>> = LazyLock::new(Mutex::default);

/// Renaming and compressing one log's files take turns, also across two instances of its driver.
pub(crate) fn turn(log: &Path) -> Turn {
    let mut turns = TURNS.lock().unwrap_or_else(PoisonError::into_inner);
    turns.retain(|_, turn| Arc::strong_count(turn) > 1);
    turns.entry(log.to_owned()).or_default().clone()
}

/// Puts the current file aside, unless an interrupted call already did, and leaves an empty one.
pub(crate) fn finish(log: &Path, limits: &Limits) -> io::Result<()> {
    let turn = turn(log);
    let _held = turn.lock().unwrap_or_else(PoisonError::into_inner);
    let full = match fs::metadata(log) {
        Ok(found) => found.len() > 0,
        Err(e) if e.kind() == io::ErrorKind::NotFound => false,
        Err(e) => return Err(e),
    };
    if full && limits.max_file < 2 {
        fs::remove_file(log)?;
    } else if full {
        let last = limits.max_file - 1;
        // Shifting only up to the first gap makes a repetition after a half-done shift lose nothing.
        let free = (1..=last).find(|i| !numbered(log, *i, "").exists() && !numbered(log, *i, ".gz").exists());
        let free = free.unwrap_or(last);
        for suffix in ["", ".gz"] {
            absent_is_fine(fs::remove_file(numbered(log, free, suffix)))?;
        }
        for index in (1..free).rev() {
            for suffix in ["", ".gz"] {
                let from = numbered(log, index, suffix);
                absent_is_fine(fs::rename(from, numbered(log, index + 1, suffix)))?;
            }
        }
        fs::rename(log, numbered(log, 1, ""))?;
    }
    if full {
        remove_from(log, limits.max_file.max(1))?;
    }
    super::open_log(log).map(drop)
}

/// Removes what is left of a time when more files were kept: lines are missing between these and the others.
fn remove_from(log: &Path, first: u32) -> io::Result<()> {
    for index in first.. {
        let [plain, packed] = ["", ".gz"].map(|suffix| numbered(log, index, suffix));
        if !plain.exists() && !packed.exists() {
            break;
        }
        absent_is_fine(fs::remove_file(plain))?;
        absent_is_fine(fs::remove_file(packed))?;
    }
    Ok(())
}

pub(crate) fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotation_repeated_after_a_kill_loses_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("x");
        let limits = Limits { max_size: Some(1), max_file: 4, compress: false };
        for text in ["a", "b", "c"] {
            fs::write(&log, text).unwrap();
            finish(&log, &limits).unwrap();
        }
        finish(&log, &limits).unwrap();
        fs::write(&log, "d").unwrap();
        // The kill came after the older files were shifted.
        fs::rename(numbered(&log, 2, ""), numbered(&log, 3, "")).unwrap();
        fs::rename(numbered(&log, 1, ""), numbered(&log, 2, "")).unwrap();
        finish(&log, &limits).unwrap();
        let read = |i| fs::read_to_string(numbered(&log, i, "")).unwrap();
        assert_eq!([read(0), read(1), read(2), read(3)], ["", "d", "c", "b"]);
    }

    #[test]
    fn files_beyond_a_number_that_was_lowered_go_with_the_next_rotation() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("x");
        let limits = |max_file| Limits { max_size: Some(1), max_file, compress: false };
        for text in ["a", "b", "c", "d"] {
            fs::write(&log, text).unwrap();
            finish(&log, &limits(5)).unwrap();
        }
        fs::rename(numbered(&log, 3, ""), numbered(&log, 3, ".gz")).unwrap();
        fs::write(&log, "e").unwrap();
        finish(&log, &limits(2)).unwrap();
        assert_eq!(fs::read_to_string(numbered(&log, 1, "")).unwrap(), "e");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        fs::write(&log, "f").unwrap();
        finish(&log, &limits(1)).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
