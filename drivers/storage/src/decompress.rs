//! Streams told apart by their first bytes, and counted while they are read.

use crate::tar::bad;
use std::io::{self, BufReader, Read};
use std::sync::Arc;

/// Largest zstd window taken, as a power of two: 128 MiB, what `zstd --ultra` makes without `--long`.
const ZSTD_WINDOW: u32 = 27;

/// Whether these first bytes are those of a plain tar stream (or of nothing we know).
pub(crate) fn is_plain(magic: &[u8]) -> bool {
    !matches!(kind(magic), Compression::Gzip | Compression::Zstd | Compression::Unknown(_))
}

enum Compression {
    None,
    Gzip,
    Zstd,
    Unknown(&'static str),
}

fn kind(magic: &[u8]) -> Compression {
    match magic {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Compression::Zstd,
        // A skippable frame, with which seekable zstd begins.
        [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Compression::Zstd,
        [b'B', b'Z', b'h', ..] => Compression::Unknown("bzip2"),
        [0xfd, b'7', b'z', b'X', ..] => Compression::Unknown("xz"),
        _ => Compression::None,
    }
}

/// The decompressed stream.
pub(crate) fn decompress<'a>(reader: impl Read + Send + 'a) -> io::Result<Box<dyn Read + Send + 'a>> {
    let mut reader = BufReader::with_capacity(1 << 17, reader);
    let mut magic = Vec::new();
    (&mut reader).take(4).read_to_end(&mut magic)?;
    let found = kind(&magic);
    let whole = io::Cursor::new(magic).chain(reader);
    Ok(match found {
        Compression::None => Box::new(whole),
        Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(whole)),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::new(whole)?;
            decoder.window_log_max(ZSTD_WINDOW)?;
            Box::new(decoder)
        }
        Compression::Unknown(name) => return Err(bad(format!("{name} archives are not supported"))),
    })
}

/// Tells how much has passed.
pub(crate) struct Counted<R> {
    inner: R,
    passed: u64,
    report: Option<Arc<dyn Fn(u64) + Send + Sync>>,
}

impl<R> Counted<R> {
    pub(crate) fn new(inner: R, report: Option<Arc<dyn Fn(u64) + Send + Sync>>) -> Self {
        Self { inner, passed: 0, report }
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.passed += count as u64;
        if let Some(report) = &self.report {
            report(self.passed);
        }
        Ok(count)
    }
}
