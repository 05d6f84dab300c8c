//! The reading side.

use super::*;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::time::{SystemTime, UNIX_EPOCH};

/// Whether the writer has output for which there is no room.
pub fn owes(dir: &Path) -> io::Result<bool> {
    let Some(&segment) = segments(dir)?.last() else { return Ok(false) };
    let file = match File::open(segment_path(dir, segment)) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(e),
    };
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(false),
        Err(Errno::WOULDBLOCK) => Ok(true),
        Err(e) => Err(e.into()),
    }
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
    let told =
        Record { kind: Kind::Unreadable, stream: 0, sequence: 0, time_ns, held_ms: 0, payload: Bytes::new() };
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
    use rustix::io::{ReadWriteFlags, preadv2};
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
