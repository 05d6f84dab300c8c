//! Members of a tar stream, with every header bounded: a hostile archive cannot make us hold it in memory.

use std::collections::BTreeMap;
use std::io::{self, Read};

const BLOCK: usize = 512;
/// Long names and pax records beyond this are refused.
const EXTENSION_LIMIT: u64 = 1 << 20;

/// One member's header, extensions applied.
pub(crate) struct Member {
    pub(crate) header: tar::Header,
    pub(crate) path: Vec<u8>,
    pub(crate) link: Vec<u8>,
    pub(crate) size: u64,
    pub(crate) pax: BTreeMap<String, Vec<u8>>,
}

pub(crate) fn bad(text: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text.into())
}

/// Reads members one after another.
pub(crate) struct Members<R> {
    reader: R,
    /// Payload and padding of the current member not read yet.
    payload: u64,
    padding: u64,
    ended: bool,
}

impl<R: Read> Members<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { reader, payload: 0, padding: 0, ended: false }
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
        let rest = self.payload + self.padding;
        let skipped = io::copy(&mut (&mut self.reader).take(rest), &mut io::sink())?;
        (self.payload, self.padding) = (0, 0);
        if skipped < rest { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    fn block(&mut self) -> io::Result<Option<tar::Header>> {
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
        if block.iter().all(|b| *b == 0) {
            return Ok(None);
        }
        let sum: u32 = block
            .iter()
            .enumerate()
            .map(|(i, b)| if (148..156).contains(&i) { 32 } else { u32::from(*b) })
            .sum();
        let header = tar::Header::from_byte_slice(&block).clone();
        if header.cksum()? != sum {
            return Err(bad("archive/tar: invalid tar header"));
        }
        Ok(Some(header))
    }

    fn extension(&mut self, size: u64) -> io::Result<Vec<u8>> {
        if size > EXTENSION_LIMIT {
            return Err(bad("archive/tar: header field too long"));
        }
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
        let (mut long_path, mut long_link, mut pax) = (None, None, BTreeMap::new());
        let mut extensions = 0u64;
        while !self.ended {
            self.skip_rest()?;
            let Some(header) = self.block()? else {
                self.ended = true;
                break;
            };
            let size = header.entry_size()?;
            if size > i64::MAX as u64 {
                return Err(bad("archive/tar: invalid tar header"));
            }
            let kind = header.entry_type();
            let extends = kind.is_gnu_longname()
                || kind.is_gnu_longlink()
                || kind.is_pax_local_extensions()
                || kind.is_pax_global_extensions();
            if extends {
                extensions += size + BLOCK as u64;
                if extensions > EXTENSION_LIMIT {
                    return Err(bad("archive/tar: header field too long"));
                }
                let bytes = self.extension(size)?;
                let text = || bytes.split(|b| *b == 0).next().unwrap_or_default().to_vec();
                if kind.is_gnu_longname() {
                    long_path = Some(text());
                } else if kind.is_gnu_longlink() {
                    long_link = Some(text());
                } else if kind.is_pax_local_extensions() {
                    for record in tar::PaxExtensions::new(&bytes) {
                        let record = record?;
                        let key = record.key().map_err(|_| bad("archive/tar: invalid pax key"))?;
                        pax.insert(key.to_owned(), record.value_bytes().to_vec());
                    }
                }
                continue;
            }
            if kind.is_gnu_sparse() || pax.keys().any(|k| k.starts_with("GNU.sparse.")) {
                return Err(bad("archive/tar: sparse members are not supported"));
            }
            let number =
                |key: &str| pax.get(key).and_then(|v| std::str::from_utf8(v).ok()?.parse::<u64>().ok());
            let size = if kind.is_file() || kind.is_contiguous() {
                number("size").unwrap_or(size)
            } else if kind.is_hard_link() || kind.is_symlink() {
                0
            } else {
                size
            };
            if size > i64::MAX as u64 {
                return Err(bad("archive/tar: invalid tar header"));
            }
            self.set_payload(size);
            let path =
                pax.get("path").cloned().or(long_path).unwrap_or_else(|| header.path_bytes().into_owned());
            let link = pax
                .get("linkpath")
                .cloned()
                .or(long_link)
                .unwrap_or_else(|| header.link_name_bytes().map(|l| l.into_owned()).unwrap_or_default());
            return Ok(Some(Member { header, path, link, size, pax }));
        }
        Ok(None)
    }
}

/// The content of the current member.
pub(crate) struct Content<'a, R> {
    members: &'a mut Members<R>,
}

impl<R: Read> Read for Content<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.members.payload == 0 || buffer.is_empty() {
            return Ok(0);
        }
        let limit = self.members.payload;
        let count = (&mut self.members.reader).take(limit).read(buffer)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.members.payload -= count as u64;
        Ok(count)
    }
}

impl Member {
    /// Modification time, seconds and nanoseconds.
    pub(crate) fn mtime(&self) -> (i64, i64) {
        let pax = self.pax.get("mtime").and_then(|v| std::str::from_utf8(v).ok());
        if let Some(text) = pax {
            let (whole, part) = text.split_once('.').unwrap_or((text, ""));
            let nanos = format!("{part:0<9}").get(..9).and_then(|p| p.parse().ok()).unwrap_or(0);
            if let Ok(seconds) = whole.parse() {
                return (seconds, nanos);
            }
        }
        (self.header.mtime().map_or(0, |m| i64::try_from(m).unwrap_or(0)), 0)
    }

    /// Owner and group.
    pub(crate) fn owner(&self) -> (u32, u32) {
        let pax =
            |key: &str| self.pax.get(key).and_then(|v| std::str::from_utf8(v).ok()?.parse::<u32>().ok());
        let fit = |n: u64| u32::try_from(n).ok().filter(|n| *n != u32::MAX).unwrap_or(0);
        (
            pax("uid").or_else(|| self.header.uid().ok().map(fit)).unwrap_or(0),
            pax("gid").or_else(|| self.header.gid().ok().map(fit)).unwrap_or(0),
        )
    }
}
