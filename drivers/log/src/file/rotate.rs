//! Rotation in steps that can be repeated after a kill at any point, and compression behind it.

use flate2::{Compression, GzBuilder};
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
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
fn turn(log: &Path) -> Turn {
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
    super::open_log(log).map(drop)
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Compresses rotated files in the background; what a kill leaves undone is taken up at the next opening.
pub(crate) fn compress_later(log: &Path, limits: &Limits) {
    let (log, last) = (log.to_owned(), limits.max_file.saturating_sub(1));
    tokio::task::spawn_blocking(move || {
        let turn = turn(&log);
        let _held = turn.lock().unwrap_or_else(PoisonError::into_inner);
        for index in 1..=last {
            // A file that cannot be compressed stays readable as it is.
            if compress(&log, index).is_err() {
                break;
            }
        }
    });
}

fn compress(log: &Path, index: u32) -> io::Result<()> {
    let plain = numbered(log, index, "");
    let mut input = match File::open(&plain) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e),
    };
    let temporary = numbered(log, 0, ".gz.tmp");
    let packed =
        pack(&mut input, &temporary).and_then(|()| fs::rename(&temporary, numbered(log, index, ".gz")));
    if packed.is_err() {
        // On a disk that is full, half a file would keep the very room that is missing.
        absent_is_fine(fs::remove_file(&temporary))?;
    }
    packed?;
    fs::remove_file(&plain)
}

fn pack(input: &mut File, temporary: &Path) -> io::Result<()> {
    let output = OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(temporary)?;
    let output = io::BufWriter::with_capacity(64 * 1024, output);
    let mut encoder = GzBuilder::new().write(output, Compression::default());
    io::copy(input, &mut encoder)?;
    encoder.finish()?.into_inner().map_err(io::IntoInnerError::into_error).map(drop)
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
    fn a_file_that_could_not_be_packed_stays_and_no_half_of_the_packed_one_does() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("x");
        fs::write(numbered(&log, 1, ""), "text").unwrap();
        fs::create_dir_all(numbered(&log, 1, ".gz").join("in the way")).unwrap();
        compress(&log, 1).unwrap_err();
        assert_eq!(fs::read(numbered(&log, 1, "")).unwrap(), b"text");
        assert!(!numbered(&log, 0, ".gz.tmp").exists());
    }
}
