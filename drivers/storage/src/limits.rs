//! How much an archive may make of itself.

use crate::tar::bad;
use std::io::{self, Read};
use std::path::Path;

/// Bounds of what one archive may unpack to. The least of each and of what the disk has left counts.
///
/// A kilobyte of gzip can name a gigabyte of zeros, so no bound on what is received bounds what is written. A ratio
/// would not do either: honest layers of empty databases compress a thousandfold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a layer's (or a loaded archive's) uncompressed stream. The largest honest layers, machine learning
    /// images with their models, have some 20 GiB.
    pub bytes: u64,
    /// Members of a layer. Large images have some 300,000 files in all their layers.
    pub members: u64,
    /// Members of a loaded archive: an image has at most 128 layers, an archive of a hundred images some 10,000 files.
    pub files: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 64 << 30, members: 2_000_000, files: 100_000 }
    }
}

impl Limits {
    /// Also bounded by nine tenths of what the disk has left: an engine whose disk is full can do nothing any more.
    pub(crate) fn on_disk(self, path: &Path) -> Self {
        let Ok(disk) = rustix::fs::statvfs(path) else { return self };
        let free = disk.f_bavail.saturating_mul(disk.f_frsize) / 10 * 9;
        // Some file systems do not count inodes.
        let inodes = if disk.f_files == 0 { u64::MAX } else { disk.f_favail / 10 * 9 };
        Self { bytes: self.bytes.min(free), members: self.members.min(inodes), ..self }
    }
}

/// A stream that breaks off with an error where the limit is passed.
pub(crate) struct Bounded<R> {
    pub(crate) inner: R,
    pub(crate) left: u64,
}

/// The error of a passed limit.
pub(crate) fn exceeded(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::QuotaExceeded, format!("archive {what} than is allowed"))
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(count as u64).ok_or_else(|| exceeded("unpacks to more bytes"))?;
        Ok(count)
    }
}

/// Counts members against a bound.
pub(crate) fn count(so_far: &mut u64, limit: u64) -> io::Result<()> {
    *so_far += 1;
    if *so_far > limit { Err(exceeded("has more members")) } else { Ok(()) }
}

/// Bytes of names an archive may make us remember.
pub(crate) const NAMES: usize = 64 << 20;

/// Adds a remembered name's length to the sum.
pub(crate) fn remember(sum: &mut usize, name: &[u8]) -> io::Result<()> {
    *sum = sum.saturating_add(name.len());
    if *sum > NAMES { Err(bad("archive has too many long names")) } else { Ok(()) }
}
