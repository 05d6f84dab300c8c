//! Records one after the other, resynchronising behind damage.

use super::super::{RecordParser, Step};
use contract::log::StoredLine;
use std::borrow::Borrow;
use std::fs::File;
use std::io::{self, Read};
use std::marker::PhantomData;
use std::os::unix::fs::FileExt;

/// Something longer is no record; so much is held at most.
pub(crate) const LONGEST: usize = 8 << 20;

/// Bytes `at..end` of a file, which others may read at the same time.
pub(crate) struct Stretch<F> {
    pub(crate) file: F,
    pub(crate) at: u64,
    pub(crate) end: u64,
}

impl<F: Borrow<File>> Read for Stretch<F> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let most = out.len().min(left);
        let file: &File = self.file.borrow();
        let n = file.read_at(out.get_mut(..most).unwrap_or_default(), self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

/// What a scanner came upon.
pub(crate) enum Found {
    /// A record that begins there.
    Record(u64, StoredLine),
    /// Bytes that hold none.
    Damaged(u64, u64),
    /// What follows cannot be read at all.
    Cut(u64, String),
}

/// Goes through bytes.
pub(crate) struct Scanner<P, R> {
    from: R,
    block: usize,
    buffer: Vec<u8>,
    used: usize,
    /// Where the first byte that is not used stands.
    at: u64,
    /// Nothing more comes from the source,
    done: bool,
    /// because of this.
    failed: Option<String>,
    /// Where damage began.
    damage: Option<u64>,
    /// What came behind damage that had to be told first.
    held: Option<Found>,
    parser: PhantomData<P>,
}

impl<P: RecordParser, R: Read> Scanner<P, R> {
    /// Reads `from`, whose first byte stands at `at`, so many bytes at once.
    pub(crate) fn new(from: R, at: u64, block: usize) -> Self {
        let (buffer, parser) = (Vec::new(), PhantomData);
        Self { from, block, buffer, used: 0, at, done: false, failed: None, damage: None, held: None, parser }
    }

    fn fill(&mut self) {
        self.buffer.drain(..self.used);
        self.used = 0;
        let held = self.buffer.len();
        self.buffer.resize(held + self.block.max(held), 0);
        let mut filled = held;
        while let Some(room) = self.buffer.get_mut(filled..).filter(|r| !r.is_empty()) {
            match self.from.read(room) {
                Ok(0) => {
                    self.done = true;
                    break;
                }
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    (self.done, self.failed) = (true, Some(e.to_string()));
                    break;
                }
            }
        }
        self.buffer.truncate(filled);
    }

    fn pass(&mut self, bytes: usize) {
        self.used += bytes;
        self.at += bytes as u64;
    }
}

impl<P: RecordParser, R: Read> Iterator for Scanner<P, R> {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        if let Some(held) = self.held.take() {
            return Some(held);
        }
        loop {
            let rest = self.buffer.get(self.used..).unwrap_or_default();
            match P::next(rest, self.done) {
                Step::Record(bytes, line) => {
                    let record = Found::Record(self.at, line);
                    let at = self.at;
                    self.pass(bytes);
                    let Some(from) = self.damage.take() else { return Some(record) };
                    self.held = Some(record);
                    return Some(Found::Damaged(from, at));
                }
                Step::Damaged(bytes) => {
                    self.damage.get_or_insert(self.at);
                    self.pass(bytes.max(1));
                }
                Step::Need if !self.done => self.fill(),
                Step::Need => {
                    let damage = self.damage.take();
                    let Some(cause) = self.failed.take() else {
                        return damage.map(|from| Found::Damaged(from, self.at));
                    };
                    return Some(Found::Cut(damage.unwrap_or(self.at), cause));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json_file::JsonParser;
    use crate::local::EntryParser;

    fn held<P: RecordParser>(byte: u8) -> (usize, Vec<(u64, u64)>) {
        const LENGTH: u64 = 5 * LONGEST as u64;
        let mut scanner = Scanner::<P, _>::new(io::repeat(byte).take(LENGTH), 0, 64 * 1024);
        let mut damage = Vec::new();
        for found in scanner.by_ref() {
            if let Found::Damaged(from, to) = found {
                damage.push((from, to));
            }
        }
        assert_eq!(damage, [(0, LENGTH)]);
        (scanner.buffer.capacity(), damage)
    }

    #[test]
    fn what_is_held_of_a_file_without_records_is_bounded_and_its_damage_is_one_range() {
        for byte in [0, b'x', 0xff] {
            assert!(held::<JsonParser>(byte).0 <= 4 * LONGEST);
            assert!(held::<EntryParser>(byte).0 <= 4 * LONGEST);
        }
    }
}
