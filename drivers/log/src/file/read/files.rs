//! The files as they stand at one moment.

use super::super::commit::{self, Commit};
use super::super::rotate::numbered;
use super::super::{Places, RecordParser};
use super::scan::{Found, Scanner, Stretch};
use std::borrow::Borrow;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::time::Duration;

const CHUNK: usize = 256 * 1024;
const ATTEMPTS: u32 = 200;

/// Going through a file that nobody else has.
pub(crate) type Scan<P> = Scanner<P, Box<dyn Read + Send>>;

/// One file, held open so that rotation cannot take it away.
pub(crate) struct Part {
    pub(crate) file: File,
    /// Its name, without folder.
    pub(crate) name: String,
    /// Compressed.
    pub(crate) packed: bool,
    /// How much of it is read; of what it unpacks to, if it is compressed.
    pub(crate) end: u64,
    /// Which of the files that ever were; `None` for those from before they were counted.
    pub(crate) generation: Option<u64>,
}

impl Part {
    /// Goes through it from there on.
    pub(crate) fn scan<P: RecordParser>(&self, from: u64) -> impl Iterator<Item = Found> {
        Scanner::<P, _>::new(self.bytes(from), from, CHUNK)
    }

    /// The same, by itself.
    pub(crate) fn into_scan<P: RecordParser>(self, from: u64) -> Scan<P> {
        Scanner::new(bytes(self.file, self.packed, from, self.end), from, CHUNK)
    }

    fn bytes(&self, from: u64) -> Box<dyn Read + Send + '_> {
        bytes(&self.file, self.packed, from, self.end)
    }

    /// The time of its first record.
    pub(crate) fn begins<P: RecordParser>(&self) -> Option<i64> {
        if !self.packed {
            return super::find::first::<P>(&self.file, 0, self.end).map(|(_, time)| time);
        }
        Scanner::<P, _>::new(self.bytes(0), 0, 16 * 1024).find_map(|found| match found {
            Found::Record(_, line) => Some(line.line.time_ns),
            _ => None,
        })
    }
}

fn bytes<'a, F: Borrow<File> + Send + 'a>(
    file: F,
    packed: bool,
    from: u64,
    end: u64,
) -> Box<dyn Read + Send + 'a> {
    if !packed {
        return Box::new(Stretch { file, at: from, end });
    }
    let packed = Stretch { file, at: 0, end: u64::MAX };
    let mut unpacked =
        flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(CHUNK, packed)).take(end);
    // What fails here fails again at the next read, where it is told.
    io::copy(&mut unpacked.by_ref().take(from), &mut io::sink()).ok();
    Box::new(unpacked)
}

/// The files newest first, and the commit that fixes their end.
pub(crate) fn snapshot(places: &Places) -> io::Result<(Vec<Part>, Commit)> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        // As the writer takes it up: where no cursor can be read, all that stands in the file is the log.
        let stored = commit::load(&places.cursor)?;
        let known = stored.is_some();
        let mut before = stored.unwrap_or_else(|| Commit { base_length: u64::MAX, ..Commit::default() });
        let parts = open_all(&places.log, &before)?;
        let after = commit::load(&places.cursor)?;
        let same = known == after.is_some();
        let after = after.unwrap_or_default();
        // What was written since others cut it is not under what was committed before.
        let same = same && before.generation == after.generation && before.cuts == after.cuts;
        // An interrupted rotation nobody has finished yet stays so: then what is there is given.
        let steady = same && !before.rotating && !after.rotating;
        if steady || attempt > ATTEMPTS {
            let base = parts.first().filter(|p| p.generation == Some(before.base_generation));
            match base.filter(|_| !before.rotating) {
                // Others may have cut it: then there is less of it than was committed.
                Some(base) => before.base_length = base.end,
                None if before.base_length == u64::MAX => before.base_length = 0,
                None => {}
            }
            return Ok((parts, before));
        }
        drop(parts);
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn open_all(log: &Path, at: &Commit) -> io::Result<Vec<Part>> {
    let open = |path: &Path| match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    };
    let newer = at.generation.saturating_sub(at.base_generation);
    let mut parts = Vec::new();
    for index in 0.. {
        let plain = numbered(log, index, "");
        let mut found = open(&plain)?.map(|file| (file, plain, false));
        if found.is_none() && index > 0 {
            let packed = numbered(log, index, ".gz");
            found = open(&packed)?.map(|file| (file, packed, true));
        }
        match found {
            Some((file, path, packed)) if u64::from(index) >= newer => {
                let length = if packed { u64::MAX } else { file.metadata()?.len() };
                let end = if u64::from(index) == newer { at.base_length.min(length) } else { length };
                let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
                let generation = at.generation.checked_sub(u64::from(index));
                parts.push(Part { file, name, packed, end, generation });
            }
            Some(_) => {}
            None if index == 0 => {}
            None => break,
        }
    }
    Ok(parts)
}
