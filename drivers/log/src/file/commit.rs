//! The cursor file: two fixed slots written in turn, each with a checksum, so that a kill in the middle of a write
//! leaves the other one whole and a commit costs one small write.

use super::again::Texts;
use contract::log::Cursor;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

const SLOT: usize = 2048;
/// Where the second one began before.
const EARLIER: usize = 1024;
const HEADER: usize = 8;

/// What stands in the log file, and how far into the spool that is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Commit {
    /// Grows with every commit.
    pub(crate) sequence: u64,
    /// How often the file was rotated.
    pub(crate) generation: u64,
    /// Valid bytes of the current file.
    pub(crate) length: u64,
    /// A rotation has begun.
    pub(crate) rotating: bool,
    /// Where the spool continues after the base.
    pub(crate) cursor: Cursor,
    /// The file in which `cursor` was reached,
    pub(crate) base_generation: u64,
    /// and how long it was.
    pub(crate) base_length: u64,
    /// Lines after `cursor` that already stand in the files, because a batch was parted by a rotation.
    pub(crate) ahead: u64,
    /// The text of those.
    pub(crate) texts: Texts,
    /// The latest time of a line in any of the files, ns since the epoch.
    pub(crate) latest_ns: i64,
    /// By how much a line of the current file is earlier than one before it, at most,
    pub(crate) disorder_ns: i64,
    /// and a line of the older files.
    pub(crate) older_disorder_ns: i64,
    /// How often others cut the file, or took it away: a place in it that was known before means nothing then. Counted from
    /// a number of the log's own,
    pub(crate) cuts: u16,
    /// which is this.
    pub(crate) first_cut: u16,
}

impl Commit {
    /// The same, with the current file put aside.
    pub(crate) fn rotated(&self) -> Self {
        Self {
            rotating: false,
            generation: self.generation + 1,
            length: 0,
            disorder_ns: 0,
            older_disorder_ns: self.older_disorder_ns.max(self.disorder_ns),
            ..self.clone()
        }
    }

    /// The same, with the current file cut by someone else.
    pub(crate) fn cut(self, length: u64) -> Self {
        let here = self.base_generation == self.generation;
        let base_length = if here { self.base_length.min(length) } else { self.base_length };
        Self { length, base_length, cuts: self.cuts.wrapping_add(1), ..self }
    }

    /// The same, with another file of this length where the current one was.
    pub(crate) fn replaced(self, length: u64) -> Self {
        let here = self.base_generation == self.generation;
        let base_length = if here { length } else { self.base_length };
        Self { length, base_length, cuts: self.cuts.wrapping_add(1), ..self }
    }

    /// The same, with a batch finished.
    pub(crate) fn complete(self, cursor: Cursor) -> Self {
        let (base_generation, base_length) = (self.generation, self.length);
        Self { cursor, base_generation, base_length, ahead: 0, texts: Texts::default(), ..self }
    }
}

/// The open cursor file.
pub(crate) struct CommitFile {
    file: File,
    last: u64,
}

impl CommitFile {
    pub(crate) fn open(path: &Path) -> io::Result<(Self, Option<Commit>)> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o640).open(path)?;
        let found = newest(&file)?;
        Ok((Self { file, last: found.as_ref().map_or(0, |c| c.sequence) }, found))
    }

    /// Whether it is the file at that path.
    pub(crate) fn is_at(&self, path: &Path) -> io::Result<bool> {
        super::is_at(&self.file.metadata()?, path)
    }

    /// Stores `commit` under the next sequence number.
    pub(crate) fn store(&mut self, commit: &mut Commit) -> io::Result<()> {
        commit.sequence = self.last + 1;
        let mut slot = vec![0; HEADER];
        serde_json::to_writer(&mut slot, &commit)?;
        if slot.len() > SLOT {
            return Err(io::Error::other("a cursor does not fit its slot"));
        }
        let body = slot.split_off(HEADER);
        slot.clear();
        slot.extend_from_slice(&(body.len() as u32).to_le_bytes());
        slot.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
        slot.extend_from_slice(&body);
        self.file.write_all_at(&slot, (commit.sequence % 2) * SLOT as u64)?;
        self.last = commit.sequence;
        Ok(())
    }
}

/// The newest whole commit, if the file exists and holds one.
pub(crate) fn load(path: &Path) -> io::Result<Option<Commit>> {
    match File::open(path) {
        Ok(file) => newest(&file),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

fn newest(file: &File) -> io::Result<Option<Commit>> {
    let mut bytes = vec![0; 2 * SLOT];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|r| !r.is_empty()) {
        match file.read_at(rest, filled as u64)? {
            0 => break,
            n => filled += n,
        }
    }
    let found = [0, EARLIER, SLOT].into_iter().filter_map(|place| decode(bytes.get(place..)?));
    Ok(found.max_by_key(|c| c.sequence))
}

fn decode(slot: &[u8]) -> Option<Commit> {
    let (length, rest) = slot.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let body = rest.get(..u32::from_le_bytes(*length) as usize)?;
    if body.is_empty() || crc32fast::hash(body) != u32::from_le_bytes(*sum) {
        return None;
    }
    serde_json::from_slice(body).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: &str = r#"{"stdout":{"bytes":18446744073709551615,"sum":4294967295},
        "stderr":{"bytes":18446744073709551615,"sum":4294967295}}"#;

    #[test]
    fn a_torn_commit_leaves_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cursor");
        let (mut file, none) = CommitFile::open(&path).unwrap();
        assert_eq!(none, None);
        let mut commit = Commit { length: 10, ..Default::default() };
        file.store(&mut commit).unwrap();
        let before = commit.clone();
        commit.length = 20;
        file.store(&mut commit).unwrap();
        assert_eq!(load(&path).unwrap(), Some(commit.clone()));
        file.file.write_all_at(b"torn", (commit.sequence % 2) * SLOT as u64 + 20).unwrap();
        assert_eq!(load(&path).unwrap(), Some(before));
    }

    #[test]
    fn commits_of_an_earlier_gantry_are_gone_on_from() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cursor");
        let mut bytes = vec![0; 2 * EARLIER];
        for (sequence, place) in [(7, EARLIER), (6, 0)] {
            let body = serde_json::to_vec(&Commit { sequence, length: 10, ..Default::default() }).unwrap();
            let head = [(body.len() as u32).to_le_bytes(), crc32fast::hash(&body).to_le_bytes()].concat();
            let slot = [head, body].concat();
            bytes[place..place + slot.len()].copy_from_slice(&slot);
        }
        std::fs::write(&path, bytes).unwrap();
        let (mut file, found) = CommitFile::open(&path).unwrap();
        assert_eq!(found.map(|c| (c.sequence, c.length)), Some((7, 10)));
        for length in 20..24 {
            file.store(&mut Commit { length, ..Default::default() }).unwrap();
            assert_eq!(load(&path).unwrap().map(|c| c.length), Some(length));
        }
    }

    #[test]
    fn the_largest_cursor_fits_a_slot() {
        let mark = contract::log::Mark {
            at: contract::log::Position { segment: u64::MAX, offset: u64::MAX },
            skip: u32::MAX,
            partial: Some(("f".repeat(64), u32::MAX, i64::MIN)),
        };
        let max = u64::MAX;
        let commit = Commit {
            sequence: max,
            generation: max,
            length: max,
            rotating: true,
            cursor: Cursor {
                stdout: mark.clone(),
                stderr: mark,
                pace: Some(contract::log::Pace {
                    at: contract::log::Position { segment: u64::MAX, offset: u64::MAX },
                    since_ns: i64::MIN,
                    left: u64::MAX,
                    suppressed: u64::MAX,
                    last_ns: i64::MIN,
                    last_err: false,
                    cut_out: false,
                    cut_err: false,
                }),
            },
            base_generation: max,
            base_length: max,
            ahead: max,
            texts: serde_json::from_str(TEXTS).unwrap(),
            latest_ns: i64::MIN,
            disorder_ns: i64::MAX,
            older_disorder_ns: i64::MAX,
            cuts: u16::MAX,
            first_cut: u16::MAX,
        };
        assert!(serde_json::to_vec(&commit).unwrap().len() + HEADER <= SLOT);
    }
}
