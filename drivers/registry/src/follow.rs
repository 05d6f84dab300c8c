//! A download followed while it grows: whoever unpacks it reads from the file what has been written so far, and waits
//! for more. Its end is read only when the whole content has been found right.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// How far a download is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Growth {
    written: u64,
    /// Counts beginnings: what was read before the last one is worth nothing.
    round: u64,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Growing,
    Whole,
    GivenUp,
}

/// What a reader finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// So many bytes.
    Bytes(u64),
    End,
    Nothing,
    Broken,
}

impl Growth {
    /// For a reader of a round that has read so far.
    fn at(self, round: u64, at: u64) -> Found {
        match self.stage {
            _ if self.round != round => Found::Broken,
            Stage::GivenUp => Found::Broken,
            _ if at < self.written => Found::Bytes(self.written - at),
            Stage::Whole => Found::End,
            Stage::Growing => Found::Nothing,
        }
    }
}

struct Shared {
    growth: Mutex<Growth>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Growth> {
        self.growth.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Growth)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

/// The side that writes. Dropped before the content is whole, it ends every reader.
pub struct Growing(Arc<Shared>);

/// The side that reads.
#[derive(Clone)]
pub struct Followed {
    shared: Arc<Shared>,
    path: PathBuf,
}

/// A download into this file, which is opened by readers only.
pub fn follow(path: &Path) -> (Growing, Followed) {
    let growth = Mutex::new(Growth { written: 0, round: 0, stage: Stage::Growing });
    let shared = Arc::new(Shared { growth, changed: Condvar::new() });
    (Growing(Arc::clone(&shared)), Followed { shared, path: path.to_owned() })
}

impl Growing {
    /// So many bytes are in the file.
    pub fn wrote(&self, written: u64) {
        self.0.change(|growth| growth.written = written);
    }

    /// What was written is thrown away: readers end with an error.
    pub fn restart(&self) {
        self.0.change(|growth| (growth.written, growth.round) = (0, growth.round + 1));
    }

    /// All is written and was found right.
    pub fn whole(&self) {
        self.0.change(|growth| growth.stage = Stage::Whole);
    }
}

impl Drop for Growing {
    fn drop(&mut self) {
        self.0.change(|growth| {
            if growth.stage == Stage::Growing {
                growth.stage = Stage::GivenUp;
            }
        });
    }
}

impl Followed {
    /// Whether all is written and was found right.
    pub fn is_whole(&self) -> bool {
        self.shared.lock().stage == Stage::Whole
    }

    /// The content from its beginning, to be read where blocking is allowed.
    pub fn reader(&self) -> Reader {
        let round = self.shared.lock().round;
        Reader { followed: self.clone(), file: None, round, at: 0 }
    }

    /// Whether the download begins anew after that round, known when it does, is whole or is given up. Blocks.
    pub fn begins_after(&self, round: u64) -> bool {
        let mut growth = self.shared.lock();
        while growth.round == round && growth.stage == Stage::Growing {
            growth = self.shared.changed.wait(growth).unwrap_or_else(PoisonError::into_inner);
        }
        growth.round != round
    }
}

/// Reads what is there and waits for the rest; fails when the download restarts or is given up.
pub struct Reader {
    followed: Followed,
    file: Option<File>,
    round: u64,
    at: u64,
}

impl Reader {
    /// Which beginning of the download this reads.
    pub fn round(&self) -> u64 {
        self.round
    }

    /// Waits until there is something to read.
    fn wait(&self) -> Found {
        let mut growth = self.followed.shared.lock();
        loop {
            match growth.at(self.round, self.at) {
                Found::Nothing => {
                    let woken = self.followed.shared.changed.wait(growth);
                    growth = woken.unwrap_or_else(PoisonError::into_inner);
                }
                found => return found,
            }
        }
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let there = match self.wait() {
            Found::Bytes(count) => usize::try_from(count).unwrap_or(usize::MAX),
            Found::End => return Ok(0),
            Found::Nothing | Found::Broken => {
                return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the download broke off"));
            }
        };
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(File::open(&self.followed.path)?),
        };
        let most = there.min(buffer.len());
        let Some(piece) = buffer.get_mut(..most).filter(|p| !p.is_empty()) else { return Ok(0) };
        let count = file.read_at(piece, self.at)?;
        if count == 0 {
            // Cut short between the look and the read: a restart.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn begun() -> (tempfile::NamedTempFile, Growing, Followed) {
        let file = tempfile::NamedTempFile::new().unwrap();
        let (growing, followed) = follow(file.path());
        (file, growing, followed)
    }

    #[test]
    fn the_end_is_read_only_when_the_content_is_known_to_be_right() {
        let growth = Growth { written: 5, round: 1, stage: Stage::Growing };
        assert_eq!(growth.at(1, 2), Found::Bytes(3));
        assert_eq!(growth.at(1, 5), Found::Nothing);
        assert_eq!(Growth { stage: Stage::Whole, ..growth }.at(1, 5), Found::End);
        assert_eq!(Growth { stage: Stage::Whole, ..growth }.at(1, 2), Found::Bytes(3));
    }

    #[test]
    fn nothing_more_is_read_of_what_was_given_up_or_begun_anew() {
        let growth = Growth { written: 5, round: 1, stage: Stage::GivenUp };
        assert_eq!(growth.at(1, 2), Found::Broken);
        for stage in [Stage::Growing, Stage::Whole] {
            assert_eq!(Growth { stage, ..growth }.at(0, 2), Found::Broken);
        }
    }

    #[test]
    fn a_reader_gets_every_byte_of_a_file_that_grows_under_it() {
        let (mut file, growing, followed) = begun();
        let mut reader = followed.reader();
        let read = std::thread::spawn(move || {
            let mut out = Vec::new();
            reader.read_to_end(&mut out).map(|_| out)
        });
        let mut written = Vec::new();
        for piece in 0..100u8 {
            let bytes = [piece; 1000];
            file.write_all(&bytes).unwrap();
            written.extend_from_slice(&bytes);
            growing.wrote(written.len() as u64);
        }
        growing.whole();
        drop(growing);
        assert_eq!(read.join().unwrap().unwrap(), written);
    }

    #[test]
    fn a_download_that_is_dropped_ends_a_reader_that_waits() {
        let (_file, growing, followed) = begun();
        let mut reader = followed.reader();
        let read = std::thread::spawn(move || reader.read(&mut [0; 8]));
        drop(growing);
        assert_eq!(read.join().unwrap().unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
    }

    #[test]
    fn a_restart_ends_readers_and_a_new_one_begins_at_the_beginning() {
        let (mut file, growing, followed) = begun();
        file.write_all(b"wrong").unwrap();
        growing.wrote(5);
        let mut old = followed.reader();
        assert_eq!(old.read(&mut [0; 2]).unwrap(), 2);
        growing.restart();
        assert!(old.read(&mut [0; 2]).is_err());
        assert!(followed.begins_after(old.round()));
        file.as_file().set_len(0).unwrap();
        let mut new = File::create(file.path()).unwrap();
        new.write_all(b"right").unwrap();
        growing.wrote(5);
        growing.whole();
        let mut out = Vec::new();
        let mut reader = followed.reader();
        reader.read_to_end(&mut out).unwrap();
        assert_eq!(out, b"right");
        assert!(!followed.begins_after(reader.round()));
    }
}
