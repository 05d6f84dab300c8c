//! The spool: what a container wrote and no sink has acknowledged yet, as checksummed records in segment files.
//!
//! One writer (the shim) appends to the newest segment; readers follow at their own positions and delete what every
//! sink has. A segment is never reopened for writing: each start of a container begins a new one, so a torn record can
//! only be a segment's last, and is final as soon as a newer segment exists. What cannot be read in a segment that is
//! final is answered as a record of its own, at the place where it begins.
//!
//! Record, little-endian, 32 bytes and the payload:
//! `magic u16 · kind u8 · stream u8 · length u32 · sequence u64 · time i64 (ns since epoch) · crc32 u32 · zero u32`,
//! the checksum covering the first 24 bytes and the payload.

use bytes::Bytes;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Bytes of a record before its payload.
pub const HEADER: usize = 32;
/// Bytes after which a segment is closed, unless the budget is small.
pub const SEGMENT: u64 = 4 << 20;
const MAGIC: u16 = 0x4753;

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Output.
    Data,
    /// Output was dropped; the payload is the count of bytes, u64. None = the writer before left no end, and nobody knows
    /// what it had not written.
    Gap,
    /// The container's process ended and its output with it.
    End,
    /// Bytes that are no record stand here. Only read, never written.
    Unreadable,
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What it is.
    pub kind: Kind,
    /// 1 stdout, 2 stderr, 0 neither.
    pub stream: u8,
    /// Number within its segment's start of the container.
    pub sequence: u64,
    /// ns since the epoch.
    pub time_ns: i64,
    /// The bytes, a slice of what was read with one call.
    pub payload: Bytes,
}

/// A record boundary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place {
    /// Segment number.
    pub segment: u64,
    /// Offset in it.
    pub offset: u64,
}

fn segment_path(dir: &Path, segment: u64) -> PathBuf {
    dir.join(format!("{segment:016}.seg"))
}

/// Numbers of the segments present, ascending.
pub fn segments(dir: &Path) -> io::Result<Vec<u64>> {
    let mut out = Vec::new();
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(out),
        Err(e) => return Err(e),
    };
    for entry in entries {
        let name = entry?.file_name();
        if let Some(number) = name.to_str().and_then(|n| n.strip_suffix(".seg")).and_then(|n| n.parse().ok())
        {
            out.push(number);
        }
    }
    out.sort_unstable();
    Ok(out)
}

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
    /// `None` where files cannot be given room in advance.
    fn take(dir: &Path) -> io::Result<Option<Self>> {
        let path = dir.join("reserve");
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
}

impl Writer {
    /// Begins a new segment after whatever exists; `budget` bounds the bytes on disk. Fails where the disk has no room for
    /// what a container may leave at its end. Where the start before left no end, this one begins with a gap: its first
    /// line is not the rest of another.
    pub fn open(dir: &Path, budget: u64) -> io::Result<Self> {
        let used = dir.try_exists()? || dir.with_file_name("cursors").try_exists()?;
        std::fs::create_dir_all(dir)?;
        let reserve = Reserve::take(dir)?;
        // What cannot be read is no reason not to start.
        let ended = is_ended(dir).unwrap_or(false);
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
        };
        writer.older = writer.measure()?;
        if !ended {
            let (now, none) = (nanoseconds(SystemTime::now()), 0_u64.to_le_bytes());
            if writer.append(Kind::Gap, 0, now, &none)? == Appended::Full {
                return Err(io::ErrorKind::StorageFull.into());
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
        let header = header(kind, stream, self.sequence, time_ns, payload);
        let written = write_all(&mut self.file, &header, payload);
        match written {
            Ok(()) => {
                self.length += size;
                self.sequence += 1;
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

/// Whether what was written last is the end of a start of the container, or already told to be missing.
fn is_ended(dir: &Path) -> io::Result<bool> {
    let written = extent(dir)?.into_iter().rev().find(|(_, length)| *length > 0);
    let Some((segment, _)) = written else { return Ok(true) };
    let (mut place, mut ended) = (Place { segment, offset: 0 }, false);
    loop {
        let (records, next) = read(dir, place, 256 << 10)?;
        let Some((_, last)) = records.last().filter(|(at, _)| at.segment == segment) else {
            return Ok(ended);
        };
        ended = match last.kind {
            Kind::End => true,
            Kind::Gap => last.payload.iter().all(|byte| *byte == 0),
            Kind::Data | Kind::Unreadable => false,
        };
        place = next;
    }
}

fn nanoseconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

fn create(dir: &Path, segment: u64) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(segment_path(dir, segment))
}

fn header(kind: Kind, stream: u8, sequence: u64, time_ns: i64, payload: &[u8]) -> [u8; HEADER] {
    let mut out = [0; HEADER];
    let kind = match kind {
        Kind::Data => 0,
        Kind::Gap => 1,
        Kind::End => 2,
        // None that is read.
        Kind::Unreadable => u8::MAX,
    };
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let fields = MAGIC
        .to_le_bytes()
        .into_iter()
        .chain([kind, stream])
        .chain(length.to_le_bytes())
        .chain(sequence.to_le_bytes())
        .chain(time_ns.to_le_bytes());
    for (place, byte) in out.iter_mut().zip(fields) {
        *place = byte;
    }
    let crc = checksum(out.get(..24).unwrap_or_default(), payload);
    for (place, byte) in out.iter_mut().skip(24).zip(crc.to_le_bytes()) {
        *place = byte;
    }
    out
}

fn checksum(head: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(head);
    hasher.update(payload);
    hasher.finalize()
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

/// Reads from `from`: about `max_bytes` of records with their places, and the place after them. An empty answer means
/// that nothing more is there yet. Segments that were trimmed away are skipped.
pub fn read(dir: &Path, from: Place, max_bytes: usize) -> io::Result<(Vec<(Place, Record)>, Place)> {
    read_how(dir, from, max_bytes, stretch)
}

/// The same of what the kernel has in memory, as all that was written lately; `WouldBlock` if something is not there.
pub fn read_cached(dir: &Path, from: Place, max_bytes: usize) -> io::Result<(Vec<(Place, Record)>, Place)> {
    read_how(dir, from, max_bytes, stretch_cached)
}

fn read_how(
    dir: &Path,
    from: Place,
    max_bytes: usize,
    stretch: fn(&File, u64, usize) -> io::Result<Bytes>,
) -> io::Result<(Vec<(Place, Record)>, Place)> {
    let mut place = from;
    loop {
        let present = segments(dir)?;
        let Some(&segment) = present.iter().find(|s| **s >= place.segment) else {
            return Ok((Vec::new(), place));
        };
        if segment != place.segment {
            place = Place { segment, offset: 0 };
        }
        // Known before reading: what is torn below is torn for good.
        let newer = present.iter().any(|s| *s > segment);
        let file = match File::open(segment_path(dir, segment)) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            Err(e) => return Err(e),
        };
        let found = file.metadata()?;
        let there = usize::try_from(found.len().saturating_sub(place.offset)).unwrap_or(usize::MAX);
        // Two records of the longest: what cannot be read, and what follows it.
        let most = max_bytes.max(2 * HEADER + (128 << 10)).min(there);
        let buffer = stretch(&file, place.offset, most)?;
        let records = parse(&buffer, place);
        match records.last() {
            Some((at, last)) => {
                let next = Place { segment, offset: at.offset + (HEADER + last.payload.len()) as u64 };
                return Ok((records, next));
            }
            None if !newer => return Ok((Vec::new(), place)),
            None if buffer.is_empty() => place = Place { segment: segment + 1, offset: 0 },
            None => return Ok(unreadable(&buffer, place, found.modified())),
        }
    }
}

/// Stands for what begins at a place of a final segment and is no record. Nothing in it depends on when it is read: who
/// reads it again must meet the same.
fn unreadable(buffer: &Bytes, at: Place, written: io::Result<SystemTime>) -> (Vec<(Place, Record)>, Place) {
    let (next, time_ns) = match after_unreadable(buffer) {
        Some((skipped, time_ns)) => (Place { offset: at.offset + skipped as u64, ..at }, time_ns),
        None => {
            let time_ns = nanoseconds(written.unwrap_or(UNIX_EPOCH));
            (Place { segment: at.segment + 1, offset: 0 }, time_ns)
        }
    };
    let told = Record { kind: Kind::Unreadable, stream: 0, sequence: 0, time_ns, payload: Bytes::new() };
    (vec![(at, told)], next)
}

/// Where the next record begins, and its time, if the header of the unreadable one leads there and the numbers follow each
/// other. It is not searched for: a payload may hold what looks like a record.
fn after_unreadable(buffer: &Bytes) -> Option<(usize, i64)> {
    if buffer.get(..2)? != MAGIC.to_le_bytes() {
        return None;
    }
    let length = u32::from_le_bytes(buffer.get(4..8)?.try_into().ok()?);
    let sequence = u64::from_le_bytes(buffer.get(8..16)?.try_into().ok()?);
    let next = HEADER.checked_add(length as usize)?;
    let follows = parse_one(buffer, next)?;
    (Some(follows.sequence) == sequence.checked_add(1)).then_some((next, follows.time_ns))
}

/// At most `most` bytes from `offset` on, as one piece of memory that all records in it share.
fn stretch(file: &File, offset: u64, most: usize) -> io::Result<Bytes> {
    let mut buffer = Vec::with_capacity(most);
    while buffer.len() < most {
        let at = offset + buffer.len() as u64;
        match rustix::io::pread(file, rustix::buffer::spare_capacity(&mut buffer), at) {
            Ok(0) => break,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(Bytes::from(buffer))
}

fn stretch_cached(file: &File, offset: u64, most: usize) -> io::Result<Bytes> {
    use rustix::io::{Errno, ReadWriteFlags, preadv2};
    let mut buffer = vec![0; most];
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let mut slices = [io::IoSliceMut::new(rest)];
        match preadv2(file, &mut slices, offset + filled as u64, ReadWriteFlags::NOWAIT) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(Errno::INTR) => {}
            // Not every file system can tell.
            Err(Errno::OPNOTSUPP) => return Err(io::ErrorKind::WouldBlock.into()),
            Err(e) => return Err(e.into()),
        }
    }
    buffer.truncate(filled);
    Ok(Bytes::from(buffer))
}

/// The whole records at the start of `buffer`, which begins at `start`.
fn parse(buffer: &Bytes, start: Place) -> Vec<(Place, Record)> {
    let mut out = Vec::new();
    let mut used = 0;
    while let Some(record) = parse_one(buffer, used) {
        let place = Place { offset: start.offset + used as u64, ..start };
        used += HEADER + record.payload.len();
        out.push((place, record));
    }
    out
}

fn parse_one(all: &Bytes, from: usize) -> Option<Record> {
    let buffer = all.get(from..)?;
    let word = |at: usize| buffer.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
    let long = |at: usize| buffer.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
    let length = word(4)? as usize;
    if buffer.get(..2)? != MAGIC.to_le_bytes() {
        return None;
    }
    let end = HEADER.checked_add(length)?;
    if checksum(buffer.get(..24)?, buffer.get(HEADER..end)?) != word(24)? {
        return None;
    }
    let kind = match buffer.get(2)? {
        0 => Kind::Data,
        1 => Kind::Gap,
        2 => Kind::End,
        _ => return None,
    };
    let time_ns = long(16)?.cast_signed();
    let payload = all.slice(from + HEADER..from + end);
    Some(Record { kind, stream: *buffer.get(3)?, sequence: long(8)?, time_ns, payload })
}

/// Deletes the segments that are not to be kept.
pub fn trim(dir: &Path, keep: impl Fn(u64) -> bool) -> io::Result<()> {
    for number in segments(dir)?.into_iter().filter(|n| !keep(*n)) {
        match std::fs::remove_file(segment_path(dir, number)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    Ok(())
}

/// The segments present, ascending, and the bytes in each.
pub fn extent(dir: &Path) -> io::Result<Vec<(u64, u64)>> {
    let mut out = Vec::new();
    for number in segments(dir)? {
        match std::fs::metadata(segment_path(dir, number)) {
            Ok(found) => out.push((number, found.len())),
            // Deleted since they were listed.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    Ok(out)
}

/// The place after the last whole record.
pub fn end(dir: &Path) -> io::Result<Place> {
    let mut place = Place { segment: segments(dir)?.last().copied().unwrap_or(0), offset: 0 };
    loop {
        let (records, next) = read(dir, place, 1 << 20)?;
        if records.is_empty() {
            return Ok(place);
        }
        place = next;
    }
}

#[cfg(test)]
mod tests;
