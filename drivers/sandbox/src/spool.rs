//! The spool: what a container wrote and no sink has acknowledged yet, as checksummed records in segment files.
//!
//! One writer (the shim) appends to the newest segment; readers follow at their own positions and delete what every
//! sink has. A segment is never reopened for writing: each start of a container begins a new one, so a torn record can
//! only be a segment's last, and is final as soon as a newer segment exists. What cannot be read in a segment that is
//! final is answered as a record of its own, at the place where it begins.
//!
//! Record, little-endian, 32 bytes and the payload:
//! `magic u16 · kind u8 · stream u8 · length u32 · sequence u64 · time i64 (ns since epoch) · crc32 u32 · held u24 (ms) ·
//! parity u8`, the checksum covering the first 24 bytes and the payload, the parity what was held.

mod reader;
mod writer;

pub use reader::{owes, read, read_cached};
pub use writer::{Appended, Writer};

use bytes::Bytes;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Bytes of a record before its payload.
pub const HEADER: usize = 32;
/// Bytes after which a segment is closed, unless the budget is small.
pub const SEGMENT: u64 = 4 << 20;
const MAGIC: u16 = 0x4753;
/// Where a record says for how long there was no room. Not under its checksum: older readers know only zero there.
const HELD: std::ops::Range<usize> = 28..HEADER;

/// The bytes that say so: three of milliseconds, and their parity.
fn held(time: std::time::Duration) -> [u8; 4] {
    let [a, b, c, _] = u32::try_from(time.as_millis()).unwrap_or(u32::MAX).min(0xff_ffff).to_le_bytes();
    [a, b, c, a ^ b ^ c]
}

/// Milliseconds that they say; none if they are damaged.
fn held_ms([a, b, c, parity]: [u8; 4]) -> u32 {
    if a ^ b ^ c == parity { u32::from_le_bytes([a, b, c, 0]) } else { 0 }
}

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
    /// For so long before it was read there was no room for what had been read, and so nothing was. Milliseconds.
    pub held_ms: u32,
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

fn nanoseconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
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
    let held_ms = held_ms(buffer.get(HELD)?.try_into().ok()?);
    Some(Record { kind, stream: *buffer.get(3)?, sequence: long(8)?, time_ns, held_ms, payload })
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
