//! Members written as a POSIX tar stream (POSIX.1-2008, `pax`): what the old header cannot hold goes into pax records.

use super::BLOCK;
use ::tar::EntryType;
use std::io::{self, Read, Write};

/// Largest number in an octal field of 7 and of 11 digits.
const SMALL: u64 = 0o7_777_777;
const LARGE: u64 = 0o77_777_777_777;

/// What a member's header says.
#[derive(Debug, Clone)]
pub(crate) struct Entry<'a> {
    pub(crate) path: &'a [u8],
    pub(crate) kind: EntryType,
    pub(crate) link: &'a [u8],
    /// Permissions and set-id bits.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Seconds since the epoch.
    pub(crate) mtime: i64,
    /// Bytes of content that follow.
    pub(crate) size: u64,
    /// Major and minor number of a device.
    pub(crate) device: (u32, u32),
    /// Further pax records.
    pub(crate) records: Vec<(String, Vec<u8>)>,
}

/// Writes members one after another.
pub(crate) struct Writer<W> {
    out: W,
}

impl<W: Write> Writer<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out }
    }

    /// Writes a member's headers.
    pub(crate) fn entry(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        let mut records = entry.records.clone();
        for (key, value) in [("path", entry.path), ("linkpath", entry.link)] {
            if value.len() > 100 || !value.is_ascii() {
                records.push((key.into(), value.to_vec()));
            }
        }
        for (key, value, limit) in [
            ("uid", u64::from(entry.uid), SMALL),
            ("gid", u64::from(entry.gid), SMALL),
            ("size", entry.size, LARGE),
        ] {
            if value > limit {
                records.push((key.into(), value.to_string().into_bytes()));
            }
        }
        if !(0..=LARGE as i64).contains(&entry.mtime) {
            records.push(("mtime".into(), entry.mtime.to_string().into_bytes()));
        }
        if !records.is_empty() {
            let body: Vec<u8> = records.iter().flat_map(|(key, value)| record(key, value)).collect();
            let extension = Entry {
                path: b"PaxHeaders.0/member",
                kind: EntryType::XHeader,
                link: b"",
                mode: 0o644,
                uid: 0,
                gid: 0,
                mtime: 0,
                size: body.len() as u64,
                device: (0, 0),
                records: Vec::new(),
            };
            self.out.write_all(&header(&extension))?;
            self.out.write_all(&body)?;
            self.pad(body.len() as u64)?;
        }
        self.out.write_all(&header(entry))
    }

    /// Writes exactly `size` bytes of content: what the reader lacks is filled up with zeros.
    pub(crate) fn content(&mut self, reader: &mut impl Read, size: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut left = size;
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let Some(piece) = buffer.get_mut(..most) else { break };
            let count = match reader.read(piece) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                // The header has promised this many: a file that shrinks or breaks under our eyes cannot be taken back.
                Ok(0) | Err(_) => {
                    piece.fill(0);
                    most
                }
                Ok(count) => count,
            };
            self.out.write_all(piece.get(..count).unwrap_or_default())?;
            left -= count as u64;
        }
        Ok(())
    }

    /// Writes bytes of content that are at hand.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)
    }

    /// Fills the last block of a content of so many bytes.
    pub(crate) fn pad(&mut self, size: u64) -> io::Result<()> {
        let rest = (size.next_multiple_of(BLOCK as u64) - size) as usize;
        self.out.write_all([0u8; BLOCK].get(..rest).unwrap_or_default())
    }

    /// Writes the archive's end.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        self.out.write_all(&[0u8; 2 * BLOCK])?;
        self.out.flush()
    }

    /// Ends the archive.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.end()
    }

    /// What is written to.
    pub(crate) fn into_inner(self) -> W {
        self.out
    }
}

/// `LENGTH KEY=VALUE\n`, LENGTH counting all of it.
fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length.to_string().len() + rest > length {
        length += 1;
    }
    [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
}

fn put(block: &mut [u8; BLOCK], at: usize, text: &[u8], most: usize) {
    for (to, from) in block.iter_mut().skip(at).zip(text.iter().take(most)) {
        *to = *from;
    }
}

fn octal(block: &mut [u8; BLOCK], at: usize, digits: usize, value: u64) {
    put(block, at, format!("{value:0digits$o}").as_bytes(), digits);
}

fn header(entry: &Entry<'_>) -> [u8; BLOCK] {
    let mut block = [0u8; BLOCK];
    let fits = |value: u64, limit: u64| if value > limit { 0 } else { value };
    put(&mut block, 0, entry.path, 100);
    octal(&mut block, 100, 7, u64::from(entry.mode));
    octal(&mut block, 108, 7, fits(u64::from(entry.uid), SMALL));
    octal(&mut block, 116, 7, fits(u64::from(entry.gid), SMALL));
    octal(&mut block, 124, 11, fits(entry.size, LARGE));
    octal(&mut block, 136, 11, fits(u64::try_from(entry.mtime).unwrap_or(0), LARGE));
    put(&mut block, 148, b"        ", 8);
    put(&mut block, 156, &[entry.kind.as_byte()], 1);
    put(&mut block, 157, entry.link, 100);
    put(&mut block, 257, b"ustar\x0000", 8);
    octal(&mut block, 329, 7, u64::from(entry.device.0));
    octal(&mut block, 337, 7, u64::from(entry.device.1));
    let sum: u64 = block.iter().map(|b| u64::from(*b)).sum();
    octal(&mut block, 148, 6, sum);
    put(&mut block, 154, b"\x00 ", 2);
    block
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tar::Members;

    #[test]
    fn what_is_written_is_read_again_however_large_or_strange() {
        let long = [b"caf\xe9\n/".repeat(40), b"name".to_vec()].concat();
        for (path, uid, mtime) in [(&b"a"[..], 0, 1), (&long, 4_000_000_000, -5), (b"\xff", 70_000, 1 << 40)]
        {
            let entry = Entry {
                path,
                kind: EntryType::Regular,
                link: b"",
                mode: 0o4755,
                uid,
                gid: uid,
                mtime,
                size: 3,
                device: (0, 0),
                records: vec![("SCHILY.xattr.user.x".into(), b"1\n2".to_vec())],
            };
            let mut out = Vec::new();
            let mut writer = Writer::new(&mut out);
            writer.entry(&entry).unwrap();
            writer.content(&mut &b"x"[..], 3, &mut [0; 16]).unwrap();
            writer.pad(3).unwrap();
            writer.finish().unwrap();
            let mut members = Members::new(out.as_slice());
            let member = members.next().unwrap().unwrap();
            assert_eq!((member.path.as_slice(), member.uid, member.mtime), (path, uid, (mtime, 0)));
            assert_eq!(member.pax["SCHILY.xattr.user.x"], b"1\n2");
            assert_eq!(member.mode().unwrap(), 0o4755);
            let mut content = Vec::new();
            members.content().read_to_end(&mut content).unwrap();
            assert_eq!(content, b"x\0\0");
            assert!(members.next().unwrap().is_none());
        }
    }

    #[test]
    fn a_record_counts_its_own_length() {
        assert_eq!(record("a", b"bc"), b"7 a=bc\n");
        assert!(record("path", &[b'x'; 90]).starts_with(b"99 path="));
        assert!(record("path", &[b'x'; 91]).starts_with(b"101 path="));
    }
}
