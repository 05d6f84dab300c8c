//! Compression of rotated files, behind everybody's back: one thread of the lowest priority takes a log's files once its
//! rotations have paused. Where output comes in a rush, files would otherwise be compressed only to be deleted, at
//! several times the cost of writing them, on cores that containers and drivers want.
//!
//! What a kill leaves undone is taken up when the log is opened next.

use super::rotate::{Limits, absent_is_fine, is_there, numbered, turn};
use flate2::{Compression, GzBuilder};
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::ops::RangeInclusive;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long no rotation must have come.
const PAUSE: Duration = Duration::from_millis(500);
const CHUNK: usize = 128 * 1024;
const LOWEST_PRIORITY: i32 = 19;

/// What waits: until when, and the highest number of a file.
#[derive(Default)]
struct Waiting {
    logs: HashMap<PathBuf, (Instant, u32)>,
    works: bool,
}

static WAITING: Mutex<Option<Waiting>> = Mutex::new(None);
static NEWS: Condvar = Condvar::new();

fn waiting() -> MutexGuard<'static, Option<Waiting>> {
    WAITING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Compresses a log's rotated files once no rotation has come for a while.
pub(crate) fn later(log: &Path, limits: &Limits) {
    let mut held = waiting();
    let waiting = held.get_or_insert_default();
    let last = limits.max_file.saturating_sub(1);
    waiting.logs.insert(log.to_owned(), (Instant::now() + PAUSE, last));
    if !waiting.works {
        // Without a thread the files stay as they are, readable; the next rotation tries again.
        waiting.works = thread::Builder::new().name("log-pack".into()).spawn(work).is_ok();
    }
    NEWS.notify_one();
}

/// Ends when nothing waits any more.
fn work() {
    // Lowering one's own priority is always allowed; if not, the work is done all the same.
    let _unchanged = rustix::process::setpriority_process(Some(rustix::thread::gettid()), LOWEST_PRIORITY);
    while let Some((log, last)) = next() {
        for index in 1..=last {
            // A file that cannot be compressed stays readable as it is; numbers are taken without gaps.
            if !is_there(&log, index) || compress(&log, index, last).is_err() {
                break;
            }
        }
    }
}

fn next() -> Option<(PathBuf, u32)> {
    let mut held = waiting();
    loop {
        let all = held.as_mut()?;
        let Some((log, (at, last))) = all.logs.iter().min_by_key(|(_, (at, _))| *at) else {
            all.works = false;
            return None;
        };
        let (log, last, now) = (log.clone(), *last, Instant::now());
        if *at <= now {
            all.logs.remove(&log);
            return Some((log, last));
        }
        let rest = *at - now;
        held = NEWS.wait_timeout(held, rest).unwrap_or_else(PoisonError::into_inner).0;
    }
}

/// Compresses one file. Rotations go on meanwhile: it is found again by what it is, not by its name.
fn compress(log: &Path, index: u32, last: u32) -> io::Result<()> {
    let input = match File::open(numbered(log, index, "")) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e),
    };
    let temporary = numbered(log, 0, ".gz.tmp");
    let put = pack(&input, &temporary).and_then(|whole| match whole {
        Whole::Packed => replace(log, &input, &temporary, index..=last),
        Whole::Gone => Ok(Put::Nowhere),
    });
    if !matches!(put, Ok(Put::InPlace)) {
        // On a disk that is full, half a file would keep the very room that is missing.
        absent_is_fine(fs::remove_file(&temporary))?;
    }
    put.map(drop)
}

enum Whole {
    Packed,
    /// It was the oldest file and a rotation deleted it, or the container was removed.
    Gone,
}

fn pack(mut input: &File, temporary: &Path) -> io::Result<Whole> {
    let output = OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(temporary)?;
    let output = io::BufWriter::with_capacity(CHUNK, output);
    let mut encoder = GzBuilder::new().write(output, Compression::default());
    let mut buffer = vec![0; CHUNK];
    loop {
        let n = input.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        encoder.write_all(buffer.get(..n).unwrap_or_default())?;
        if input.metadata()?.nlink() == 0 {
            return Ok(Whole::Gone);
        }
    }
    encoder.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
    Ok(Whole::Packed)
}

enum Put {
    InPlace,
    Nowhere,
}

fn replace(log: &Path, input: &File, temporary: &Path, numbers: RangeInclusive<u32>) -> io::Result<Put> {
    let own = input.metadata()?;
    let turn = turn(log);
    let _held = turn.lock().unwrap_or_else(PoisonError::into_inner);
    let same = |index: &u32| {
        let found = fs::metadata(numbered(log, *index, ""));
        found.is_ok_and(|found| (found.dev(), found.ino()) == (own.dev(), own.ino()))
    };
    // Rotations have moved it up, and left no number between free.
    let mut numbers = numbers.take_while(|index| is_there(log, *index));
    let Some(index) = numbers.find(same) else { return Ok(Put::Nowhere) };
    fs::rename(temporary, numbered(log, index, ".gz"))?;
    fs::remove_file(numbered(log, index, ""))?;
    Ok(Put::InPlace)
}

#[cfg(test)]
mod tests {
    use super::super::rotate::finish;
    use super::*;

    const LIMITS: Limits = Limits { max_size: Some(1), max_file: 4, compress: true };

    fn unpacked(log: &Path, index: u32) -> Option<String> {
        let mut text = String::new();
        let file = File::open(numbered(log, index, ".gz")).ok()?;
        flate2::read::MultiGzDecoder::new(file).read_to_string(&mut text).ok()?;
        Some(text)
    }

    #[test]
    fn rotated_files_are_compressed_once_rotations_pause() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("x");
        for n in 0..10 {
            fs::write(&log, format!("file {n}")).unwrap();
            finish(&log, &LIMITS).unwrap();
            later(&log, &LIMITS);
        }
        while (1..4).any(|index| numbered(&log, index, "").exists()) {
            thread::sleep(Duration::from_millis(10));
        }
        let texts: Vec<_> = (1..4).map(|index| unpacked(&log, index)).collect();
        assert_eq!(texts, [9, 8, 7].map(|n| Some(format!("file {n}"))));
        assert!(!numbered(&log, 0, ".gz.tmp").exists());
    }

    #[test]
    fn however_many_files_may_be_kept_only_those_that_are_there_are_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("x");
        let limits = Limits { max_file: u32::MAX, ..LIMITS };
        for n in 0..2 {
            fs::write(&log, format!("file {n}")).unwrap();
            finish(&log, &limits).unwrap();
        }
        later(&log, &limits);
        let other = folder.path().join("other");
        fs::write(numbered(&other, 1, ""), "waits for its turn").unwrap();
        later(&other, &LIMITS);
        let begun = Instant::now();
        while numbered(&other, 1, "").exists() {
            assert!(begun.elapsed() < Duration::from_secs(60), "the first is never done");
            thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(unpacked(&log, 2).as_deref(), Some("file 0"));
    }

    #[test]
    fn a_file_that_is_gone_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("x");
        fs::write(numbered(&log, 2, ""), "text").unwrap();
        compress(&log, 1, 3).unwrap();
        compress(&log, 2, 3).unwrap();
        assert_eq!(unpacked(&log, 2).as_deref(), Some("text"));
        fs::write(numbered(&log, 3, ""), "more").unwrap();
        // Beyond the last number nothing is kept: as if a rotation had taken it away meanwhile.
        compress(&log, 3, 2).unwrap();
        assert!(!numbered(&log, 3, ".gz").exists() && !numbered(&log, 0, ".gz.tmp").exists());
    }

    #[test]
    fn a_file_that_could_not_be_packed_stays_and_no_half_of_the_packed_one_does() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("x");
        fs::write(numbered(&log, 1, ""), "text").unwrap();
        fs::create_dir_all(numbered(&log, 1, ".gz").join("in the way")).unwrap();
        compress(&log, 1, 3).unwrap_err();
        assert_eq!(fs::read(numbered(&log, 1, "")).unwrap(), b"text");
        assert!(!numbered(&log, 0, ".gz.tmp").exists());
    }
}
