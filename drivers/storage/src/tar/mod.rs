//! Members of a tar stream, with every header bounded: a hostile archive cannot make us hold it in memory.
//!
//! Where writers and readers disagree, this reads as Go's `archive/tar` does, for that is what made the images.

pub(crate) mod pax;
pub(crate) mod sparse;
pub(crate) mod write;

use crate::pieces::{Joined, Pieces};
use ::tar::{EntryType, Header};
use bytes::Bytes;
use sparse::Sparse;
use std::collections::BTreeMap;
use std::io::{self, BufRead, Read};

/// Bytes of a tar block.
pub(crate) const BLOCK: usize = 512;
/// Bytes of long names and pax records that one member may have (Go's limit too).
const EXTENSION_LIMIT: u64 = 1 << 20;

/// One member's header, extensions applied.
pub(crate) struct Member {
    pub(crate) header: Header,
    pub(crate) kind: EntryType,
    pub(crate) path: Vec<u8>,
    pub(crate) link: Vec<u8>,
    /// Bytes of content that follow.
    pub(crate) size: u64,
    /// Where that content belongs, when it has holes.
    pub(crate) sparse: Option<Sparse>,
    pub(crate) pax: BTreeMap<String, Vec<u8>>,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Modification time, seconds and nanoseconds since the epoch.
    pub(crate) mtime: (i64, i64),
}

pub(crate) fn bad(text: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text.into())
}

fn invalid() -> io::Error {
    bad("archive/tar: invalid tar header")
}

/// Reads members one after another.
pub(crate) struct Members<R> {
    reader: R,
    /// Payload and padding of the current member not read yet.
    payload: u64,
    padding: u64,
    ended: bool,
    tail: Tail,
}

/// Whether the last member's padding has to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tail {
    /// A stream that ends before it was cut short.
    Needed,
    /// Docker's own client leaves the end of a context out, the last member's padding with it.
    Optional,
}

impl<R: BufRead> Members<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { reader, payload: 0, padding: 0, ended: false, tail: Tail::Needed }
    }

    /// Reads what may end with its last member's content.
    pub(crate) fn open_ended(reader: R) -> Self {
        Self { tail: Tail::Optional, ..Self::new(reader) }
    }

    /// What is read from, to be told something.
    pub(crate) fn reader_mut(&mut self) -> &mut R {
        &mut self.reader
    }

    /// The current member's content.
    pub(crate) fn content(&mut self) -> Content<'_, R> {
        Content { members: self }
    }

    /// Reads to the end of the stream and gives the reader back.
    pub(crate) fn finish(mut self) -> io::Result<R> {
        io::copy(&mut self.reader, &mut io::sink())?;
        Ok(self.reader)
    }

    fn skip_rest(&mut self) -> io::Result<()> {
        let (payload, rest) = (self.payload, self.payload + self.padding);
        let skipped = io::copy(&mut (&mut self.reader).take(rest), &mut io::sink())?;
        (self.payload, self.padding) = (0, 0);
        let needed = if self.tail == Tail::Optional { payload } else { rest };
        if skipped < needed { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    /// A block, `None` at the end of the stream.
    fn block(&mut self) -> io::Result<Option<[u8; BLOCK]>> {
        let mut block = [0u8; BLOCK];
        let mut filled = 0;
        while let Some(free) = block.get_mut(filled..).filter(|f| !f.is_empty()) {
            match self.reader.read(free) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => filled += count,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(Some(block))
    }

    /// A header, `None` at the archive's end: two blocks of zeros, or where the stream ends.
    fn header(&mut self) -> io::Result<Option<Header>> {
        let zero = |block: &[u8; BLOCK]| block.iter().all(|b| *b == 0);
        let Some(block) = self.block()? else { return Ok(None) };
        if zero(&block) {
            return match self.block()? {
                Some(second) if !zero(&second) => Err(invalid()),
                _ => Ok(None),
            };
        }
        let header = Header::from_byte_slice(&block).clone();
        if is_header(&block) { Ok(Some(header)) } else { Err(invalid()) }
    }

    fn extension(&mut self, size: u64) -> io::Result<Vec<u8>> {
        self.set_payload(size);
        let mut bytes = Vec::new();
        self.content().read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn set_payload(&mut self, size: u64) {
        self.payload = size;
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
    }

    /// The next member, or `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<Member>> {
        let mut extensions = Extensions::default();
        let mut read = 0u64;
        while !self.ended {
            self.skip_rest()?;
            let Some(header) = self.header()? else {
                self.ended = true;
                break;
            };
            let size =
                number(&header.as_old().size).ok().filter(|s| *s <= i64::MAX as u64).ok_or_else(invalid)?;
            if !extends(header.entry_type()) {
                return self.member(header, size, extensions).map(Some);
            }
            read = read.saturating_add(size).saturating_add(BLOCK as u64);
            if read > EXTENSION_LIMIT {
                return Err(bad("archive/tar: header field too long"));
            }
            let bytes = self.extension(size)?;
            extensions.take(header.entry_type(), &bytes)?;
        }
        Ok(None)
    }

    fn member(&mut self, header: Header, size: u64, extensions: Extensions) -> io::Result<Member> {
        let Extensions { path, link, pax } = extensions;
        let recorded = |key: &str| {
            let parse = |v: &Vec<u8>| std::str::from_utf8(v).ok()?.parse::<u64>().ok();
            pax.get(key).map(|v| parse(v).ok_or_else(invalid)).transpose()
        };
        let (uid, gid) =
            (owner(recorded("uid")?, &header.as_old().uid)?, owner(recorded("gid")?, &header.as_old().gid)?);
        let mtime = match pax.get("mtime") {
            Some(text) => std::str::from_utf8(text).ok().and_then(seconds).ok_or_else(invalid)?,
            None => (signed(&header.as_old().mtime)?, 0),
        };
        let mut stored = recorded("size")?.filter(|s| *s <= i64::MAX as u64).unwrap_or(size);
        let path = pax.get("GNU.sparse.name").or(pax.get("path")).cloned().or(path);
        let path = path.unwrap_or_else(|| header.path_bytes().into_owned());
        let link = pax.get("linkpath").cloned().or(link);
        let link =
            link.unwrap_or_else(|| header.link_name_bytes().map(|l| l.into_owned()).unwrap_or_default());
        let mut kind = header.entry_type();
        // Before POSIX, a folder was a file whose name ends in a slash.
        if header.as_old().linkflag == [0] && path.ends_with(b"/") {
            kind = EntryType::Directory;
        }
        // Other members have no payload, whatever their size says.
        let content = kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse();
        if !content {
            stored = 0;
        }
        let mut sparse = None;
        if kind.is_gnu_sparse() {
            sparse = Some(Sparse::gnu(&header, stored, &mut self.reader)?);
            kind = EntryType::Regular;
            self.set_payload(stored);
        } else if content && let Some((map, used)) = Sparse::pax(&pax, stored, &mut self.reader)? {
            sparse = Some(map);
            self.set_payload(stored);
            self.payload -= used;
            stored -= used;
        } else {
            self.set_payload(stored);
        }
        Ok(Member { header, kind, path, link, size: stored, sparse, pax, uid, gid, mtime })
    }
}

/// Whether a block is a header by its checksum.
fn is_header(block: &[u8; BLOCK]) -> bool {
    let counted = |(i, b): (usize, &u8)| if (148..156).contains(&i) { 32 } else { u32::from(*b) };
    let sum: u32 = block.iter().enumerate().map(counted).sum();
    Header::from_byte_slice(block).cksum().is_ok_and(|wanted| wanted == sum)
}

/// Whether these bytes begin as an archive with something in it does.
pub(crate) fn is_archive(begin: &[u8]) -> bool {
    begin.first_chunk().is_some_and(is_header)
}

impl<P: Pieces> Members<Joined<P>> {
    /// The first bytes of what is left of the current member's content, at least so many where there are.
    pub(crate) fn begin(&mut self, least: usize) -> io::Result<&[u8]> {
        let left = usize::try_from(self.payload).unwrap_or(usize::MAX);
        let there = self.reader.gather(least.min(left))?;
        if there.len() < least.min(left) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(there.get(..left).unwrap_or(there))
    }

    /// More of the current member's content as it came, nothing at its end.
    pub(crate) fn piece(&mut self) -> io::Result<Bytes> {
        if self.payload == 0 {
            return Ok(Bytes::new());
        }
        let piece = self.reader.take_piece(self.payload)?;
        if piece.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.payload -= piece.len() as u64;
        Ok(piece)
    }
}

fn extends(kind: EntryType) -> bool {
    kind.is_gnu_longname()
        || kind.is_gnu_longlink()
        || kind.is_pax_local_extensions()
        || kind.is_pax_global_extensions()
}

/// What the headers before a member's own say about it.
#[derive(Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    pax: BTreeMap<String, Vec<u8>>,
}

impl Extensions {
    fn take(&mut self, kind: EntryType, bytes: &[u8]) -> io::Result<()> {
        let text = || Some(bytes.split(|b| *b == 0).next().unwrap_or_default().to_vec());
        if kind.is_gnu_longname() {
            self.path = text();
        } else if kind.is_gnu_longlink() {
            self.link = text();
        } else if kind.is_pax_local_extensions() {
            pax::merge(&mut self.pax, pax::records(bytes)?);
        }
        // Global records describe the archive (git writes its commit there); Docker ignores them too.
        Ok(())
    }
}

/// A header's number: octal digits between spaces and zeros, none of which is zero, or GNU's binary form.
fn signed(field: &[u8]) -> io::Result<i64> {
    if let [first, rest @ ..] = field
        && *first >= 0x80
    {
        // Two's complement in all bits but the highest.
        let start = if first & 0x40 == 0 { 0 } else { -1i128 };
        let fold = |sum: i128, byte: &u8| sum.checked_mul(256).map(|s| s | i128::from(*byte));
        let sum = rest.iter().try_fold((start << 6) | i128::from(first & 0x3f), fold);
        return sum.and_then(|s| i64::try_from(s).ok()).ok_or_else(invalid);
    }
    let blank = |b: &u8| matches!(b, b' ' | 0);
    let text: Vec<u8> = field.iter().copied().skip_while(blank).take_while(|b| *b != 0).collect();
    let text = std::str::from_utf8(&text).map_err(|_| invalid())?.trim_end_matches(' ');
    if text.is_empty() {
        return Ok(0);
    }
    if text.starts_with('+') {
        return Err(invalid());
    }
    i64::from_str_radix(text, 8).ok().filter(|n| *n >= 0).ok_or_else(invalid)
}

/// The same where nothing is below zero.
fn number(field: &[u8]) -> io::Result<u64> {
    u64::try_from(signed(field)?).map_err(|_| invalid())
}

fn owner(pax: Option<u64>, header: &[u8]) -> io::Result<u32> {
    let wanted = match pax {
        Some(number) => number,
        None => number(header)?,
    };
    // The highest number means "leave as it is" to the kernel.
    u32::try_from(wanted).ok().filter(|n| *n != u32::MAX).ok_or_else(|| bad("owner is out of range"))
}

/// The content of the current member.
pub(crate) struct Content<'a, R> {
    members: &'a mut Members<R>,
}

impl<R: BufRead> BufRead for Content<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let left = usize::try_from(self.members.payload).unwrap_or(usize::MAX);
        if left == 0 {
            return Ok(&[]);
        }
        let there = self.members.reader.fill_buf()?;
        if there.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(there.get(..left).unwrap_or(there))
    }

    fn consume(&mut self, count: usize) {
        self.members.payload -= count as u64;
        self.members.reader.consume(count);
    }
}

impl<R: BufRead> Read for Content<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

impl Member {
    /// Permissions and set-id bits.
    pub(crate) fn mode(&self) -> io::Result<u32> {
        Ok((number(&self.header.as_old().mode)? & 0o7777) as u32)
    }

    /// Major and minor number of a device; the oldest headers have none.
    pub(crate) fn device(&self) -> io::Result<(u32, u32)> {
        let fields = match (self.header.as_ustar(), self.header.as_gnu()) {
            (Some(ustar), _) => (&ustar.dev_major, &ustar.dev_minor),
            (_, Some(gnu)) => (&gnu.dev_major, &gnu.dev_minor),
            _ => return Ok((0, 0)),
        };
        let part = |field: &[u8]| u32::try_from(number(field)?).map_err(|_| invalid());
        Ok((part(fields.0)?, part(fields.1)?))
    }
}

/// `-1.5` is half a second before second -1.
fn seconds(text: &str) -> Option<(i64, i64)> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let nanos: i64 = format!("{part:0<9}").get(..9)?.parse().ok()?;
    let whole: i64 = whole.parse().ok()?;
    match nanos {
        0 => Some((whole, 0)),
        _ if text.starts_with('-') => Some((whole.checked_sub(1)?, 1_000_000_000 - nanos)),
        _ => Some((whole, nanos)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_binary_and_only_times_negative() {
        assert_eq!(number(b"0000755\0").unwrap(), 0o755);
        assert_eq!(number(b" 755 \0 7").unwrap(), 0o755);
        assert_eq!(number(&[0; 8]).unwrap(), 0);
        assert_eq!(signed(&[0xff; 12]).unwrap(), -1);
        assert_eq!(number(&[0x80, 0, 0, 0, 0, 0, 1, 0]).unwrap(), 256);
        for bad in [&b"8"[..], b"-7", b"+7", b"7 7", &[0xff; 12], &[0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0]] {
            assert!(number(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn times_before_the_epoch_keep_their_fraction() {
        assert_eq!(seconds("-1.5"), Some((-2, 500_000_000)));
        assert_eq!(seconds("1.000000001"), Some((1, 1)));
        assert_eq!(seconds("x"), None);
    }

    #[test]
    fn a_folder_has_no_payload_whatever_its_size_says() {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Directory);
        header.set_path("d").unwrap();
        header.set_uid(0);
        header.set_gid(0);
        header.set_mode(0o755);
        header.set_size(512);
        header.set_cksum();
        let mut second = Header::new_gnu();
        second.set_path("f").unwrap();
        second.set_uid(0);
        second.set_gid(0);
        second.set_mode(0o644);
        second.set_size(0);
        second.set_cksum();
        let stream = [header.as_bytes().as_slice(), second.as_bytes(), &[0; 1024]].concat();
        let mut members = Members::new(stream.as_slice());
        assert_eq!(members.next().unwrap().unwrap().path, b"d");
        assert_eq!(members.next().unwrap().unwrap().path, b"f");
        assert!(members.next().unwrap().is_none());
    }
}
