//! The writing side.

use super::*;
use rustix::fs::{FallocateFlags, FlockOperation, fallocate, flock};
use rustix::io::Errno;
use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

/// Whether a record was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// It is in the file.
    Written,
    /// The budget (or the disk) is full.
    Full,
}

/// Room kept for a container's last records: two pipes of 256 KiB, what the shim may have read of either, their headers,
/// its end.
const RESERVE: u64 = 704 << 10;

/// A file whose blocks are taken before they are needed: the container may end while the disk is full, and then nobody is
/// left who could wait for room.
#[derive(Debug)]
struct Reserve {
    file: File,
    path: PathBuf,
}

impl Reserve {
    fn path(dir: &Path) -> PathBuf {
        dir.join("reserve")
    }

    /// `None` where files cannot be given room in advance.
    fn take(dir: &Path) -> io::Result<Option<Self>> {
        let path = Self::path(dir);
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(&path)?;
        match fallocate(&file, FallocateFlags::KEEP_SIZE, 0, RESERVE) {
            Ok(()) => Ok(Some(Self { file, path })),
            Err(e) => {
                std::fs::remove_file(&path)?;
                if e == Errno::NOSPC || e == Errno::DQUOT { Err(e.into()) } else { Ok(None) }
            }
        }
    }
}

/// Appends records to a container's spool.
#[derive(Debug)]
pub struct Writer {
    dir: PathBuf,
    file: File,
    segment: u64,
    length: u64,
    sequence: u64,
    older: u64,
    budget: u64,
    /// Bytes after which a segment is closed. Readers let go of whole segments only, and an unfinished line holds its own
    /// and the one after it: three must fit, or a full budget is never free again.
    full: u64,
    reserve: Option<Reserve>,
    /// The process has ended: the rest may go where room was kept for it.
    last: bool,
    /// Since when there is output without room,
    owes: Option<Instant>,
    /// and for how long there was, which the next output tells.
    held: Duration,
}

impl Writer {
    /// Begins a new segment after whatever exists; `budget` bounds the bytes on disk. Fails where the disk has no room for
    /// what a container may leave at its end. Where the start before left no end, this one begins with a gap: its first
    /// line is not the rest of another.
    pub fn open(dir: &Path, budget: u64) -> io::Result<Self> {
        let used = dir.try_exists()? || dir.with_file_name("cursors").try_exists()?;
        std::fs::create_dir_all(dir)?;
        // What cannot be read is no reason not to start.
        let ended = is_ended(dir).unwrap_or(false);
        let reserve = Reserve::take(dir)?;
        let segment = match segments(dir)?.last() {
            Some(last) => last + 1,
            // Emptied by someone: readers may stand in any number that ever was, and would wait for it in silence. What they
            // find far beyond it tells them that something is gone.
            None if used => nanoseconds(SystemTime::now()).unsigned_abs() / 1_000_000,
            None => 0,
        };
        let file = create(dir, segment)?;
        let full = SEGMENT.min(budget / 4);
        let mut writer = Self {
            dir: dir.to_owned(),
            file,
            segment,
            length: 0,
            sequence: 0,
            older: 0,
            budget,
            full,
            reserve,
            last: false,
            owes: None,
            held: Duration::ZERO,
        };
        writer.older = writer.measure()?;
        if !ended {
            let (now, none) = (nanoseconds(SystemTime::now()), 0_u64.to_le_bytes());
            let told = writer.append(Kind::Gap, 0, now, &none);
            if !matches!(told, Ok(Appended::Written)) {
                // The container does not start: nobody would need what was kept, and nobody give it back.
                let _kept = writer.close();
                return Err(told.err().unwrap_or_else(|| io::ErrorKind::StorageFull.into()));
            }
        }
        Ok(writer)
    }

    /// Bytes in the segments before the current one.
    fn measure(&self) -> io::Result<u64> {
        let mut sum = 0;
        for number in segments(&self.dir)? {
            if number < self.segment {
                // A reader may delete a segment between listing and asking.
                sum += std::fs::metadata(segment_path(&self.dir, number)).map_or(0, |m| m.len());
            }
        }
        Ok(sum)
    }

    /// Appends one record. `End` and `Gap` are always taken: they are small and must not be lost to the budget.
    pub fn append(&mut self, kind: Kind, stream: u8, time_ns: i64, payload: &[u8]) -> io::Result<Appended> {
        let size = (HEADER + payload.len()) as u64;
        if kind == Kind::Data && !self.fits(size)? {
            return Ok(Appended::Full);
        }
        if self.length >= self.full && !self.last {
            self.roll()?;
        }
        let mut header = header(kind, stream, self.sequence, time_ns, payload);
        if kind == Kind::Data
            && let Some(place) = header.get_mut(HELD)
        {
            place.copy_from_slice(&held(self.held));
        }
        let written = write_all(&mut self.file, &header, payload);
        match written {
            Ok(()) => {
                self.length += size;
                self.sequence += 1;
                if kind == Kind::Data {
                    self.held = Duration::ZERO;
                }
                Ok(Appended::Written)
            }
            Err(e) => {
                // Half a record in the middle would hide everything after it in this segment.
                self.file.set_len(self.length)?;
                self.file.seek(SeekFrom::Start(self.length))?;
                if self.last && self.use_reserve()? {
                    return self.append(kind, stream, time_ns, payload);
                }
                match e.raw_os_error() {
                    Some(libc::ENOSPC | libc::EDQUOT) => Ok(Appended::Full),
                    _ => Err(e),
                }
            }
        }
    }

    /// Stops counting: what follows is the last, and is written whatever the budget, and whatever room the disk has.
    pub fn lift_budget(&mut self) {
        self.budget = u64::MAX / 2;
        self.last = true;
    }

    /// Goes on in the file for which room was kept, as the next segment.
    fn use_reserve(&mut self) -> io::Result<bool> {
        let Some(Reserve { file, path }) = self.reserve.take() else { return Ok(false) };
        std::fs::rename(path, segment_path(&self.dir, self.segment + 1))?;
        self.file = file;
        self.began(self.segment + 1);
        Ok(true)
    }

    /// Gives back what was kept and not needed. Nothing follows.
    pub fn close(&mut self) -> io::Result<()> {
        match self.reserve.take() {
            Some(unused) => std::fs::remove_file(unused.path),
            // Blocks beyond the end go.
            None => self.file.set_len(self.length),
        }
    }

    /// Shows readers that there is output for which there is no room. A lock needs none, and goes with this process; it is
    /// taken anew each time, since the segment may be another.
    pub fn owe(&mut self) {
        self.owes.get_or_insert_with(Instant::now);
        // A reader may be looking just now: there is a next time soon.
        let _shown = flock(&self.file, FlockOperation::NonBlockingLockExclusive);
    }

    /// Shows that there is none any more: all of it was appended or given up. What is appended next was read after that.
    pub fn settle(&mut self) {
        self.held += self.owes.take().map(|since| since.elapsed()).unwrap_or_default();
        // What was not locked is none the less not.
        let _shown = flock(&self.file, FlockOperation::Unlock);
    }

    /// Whether the budget has room for records of so many bytes, headers counted. An unreadable folder is a full one: it
    /// will be asked again.
    pub fn has_room(&mut self, size: usize) -> bool {
        self.fits(size as u64).unwrap_or(false)
    }

    fn fits(&mut self, size: u64) -> io::Result<bool> {
        if self.older + self.length + size <= self.budget {
            return Ok(true);
        }
        self.older = self.measure()?;
        if self.older + self.length + size <= self.budget {
            return Ok(true);
        }
        // The current segment cannot be trimmed while it is current: close it so that readers can free it.
        if self.older == 0 && self.length > 0 {
            self.roll()?;
        }
        Ok(false)
    }

    fn roll(&mut self) -> io::Result<()> {
        self.file = create(&self.dir, self.segment + 1)?;
        self.began(self.segment + 1);
        Ok(())
    }

    fn began(&mut self, segment: u64) {
        self.segment = segment;
        self.older += self.length;
        self.length = 0;
    }
}

/// Whether what was written last is the end of a start of the container, or already told to be missing. To be asked before
/// room is kept anew.
fn is_ended(dir: &Path) -> io::Result<bool> {
    let all = extent(dir)?;
    let is_empty = all.last().is_some_and(|(_, length)| *length == 0);
    if is_empty && Reserve::path(dir).try_exists()? {
        // Who comes to nothing gives back what was kept. One that was killed does not, and what it had not written is in none
        // of the segments, whatever the end of the start before it.
        return Ok(false);
    }
    let written = all.into_iter().rev().find(|(_, length)| *length > 0);
    let Some((segment, length)) = written else { return Ok(true) };
    const GAP: usize = HEADER + size_of::<u64>();
    let from = length.saturating_sub(GAP as u64);
    let mut last = vec![0; usize::try_from(length - from).unwrap_or(GAP)];
    match File::open(segment_path(dir, segment)) {
        Ok(file) => file.read_exact_at(&mut last, from)?,
        // A reader let go of it: it had everything.
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(e) => return Err(e),
    }
    let last = Bytes::from(last);
    let record = |bytes: usize| parse_one(&last, last.len().checked_sub(bytes)?);
    let told = |gap: Record| gap.kind == Kind::Gap && gap.payload.iter().all(|byte| *byte == 0);
    Ok(record(HEADER).is_some_and(|record| record.kind == Kind::End) || record(GAP).is_some_and(told))
}

fn create(dir: &Path, segment: u64) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(segment_path(dir, segment))
}

fn write_all(file: &mut File, header: &[u8], payload: &[u8]) -> io::Result<()> {
    let slices = [io::IoSlice::new(header), io::IoSlice::new(payload)];
    let written = file.write_vectored(&slices)?;
    if written >= header.len() + payload.len() {
        return Ok(());
    }
    if let Some(rest) = header.get(written..) {
        file.write_all(rest)?;
        return file.write_all(payload);
    }
    file.write_all(payload.get(written - header.len()..).unwrap_or_default())
}
