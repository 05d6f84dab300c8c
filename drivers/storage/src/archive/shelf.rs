//! A nameless file for what has to wait; gone with its handle.

use super::Extent;
use bytes::Bytes;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// The file, and how much is in it.
pub(super) struct Shelf {
    file: File,
    end: Mutex<u64>,
}

impl Shelf {
    /// An empty one in that folder.
    pub(super) fn new(folder: &Path) -> io::Result<Self> {
        Ok(Self { file: tempfile::tempfile_in(folder)?, end: Mutex::new(0) })
    }

    /// Puts bytes behind all others.
    pub(super) fn put(&self, bytes: &[u8]) -> io::Result<Extent> {
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        self.file.write_all_at(bytes, *end)?;
        let there = Extent { offset: *end, size: bytes.len() as u64 };
        *end += there.size;
        Ok(there)
    }

    /// Where the next bytes will go.
    pub(super) fn end(&self) -> u64 {
        *self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All bytes of a piece that was put there.
    pub(super) fn get(&self, piece: Extent) -> io::Result<Bytes> {
        let mut bytes = vec![0; usize::try_from(piece.size).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut bytes, piece.offset)?;
        Ok(bytes.into())
    }

    /// Reads without moving anybody's position.
    pub(super) fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }
}
