//! Between the tar crate, which blocks, and the connection, which does not.

use std::io::{Error, ErrorKind, Read, Result, Write};

use bytes::{Buf, Bytes};
use tokio::sync::mpsc::{Receiver, Sender};

/// Pieces on the way; a few, so that neither side runs ahead.
pub const DEPTH: usize = 8;

/// Reads what the other end sends. For blocking threads.
pub struct Incoming {
    pieces: Receiver<Result<Bytes>>,
    current: Bytes,
}

impl Incoming {
    /// Reads from `pieces`.
    pub fn new(pieces: Receiver<Result<Bytes>>) -> Self {
        Self { pieces, current: Bytes::new() }
    }
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        while self.current.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.current = piece?,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.current.len());
        self.current.copy_to_slice(buffer.get_mut(..count).unwrap_or_default());
        Ok(count)
    }
}

/// Sends what is written to the other end. For blocking threads.
pub struct Outgoing {
    pieces: Sender<Result<Bytes>>,
    /// Bytes written so far.
    pub count: i64,
}

impl Outgoing {
    /// Writes to `pieces`.
    pub fn new(pieces: Sender<Result<Bytes>>) -> Self {
        Self { pieces, count: 0 }
    }
}

impl Write for Outgoing {
    fn write(&mut self, data: &[u8]) -> Result<usize> {
        let gone = |_| Error::from(ErrorKind::BrokenPipe);
        self.pieces.blocking_send(Ok(Bytes::copy_from_slice(data))).map_err(gone)?;
        self.count += data.len() as i64;
        Ok(data.len())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}
