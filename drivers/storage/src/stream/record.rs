//! The record of a stream, written while the stream is unpacked.

use super::{END, HEAD, LITERAL, MAGIC, PIECES, WHOLE, put, put_bytes};
use std::fs::File;
use std::io::{self, BufRead, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes gathered before they go to the compressor.
const GATHER: usize = 1 << 16;

/// Passes a stream on and records it, except what goes into files.
pub(crate) struct Recorder<R> {
    inner: R,
    out: zstd::Encoder<'static, File>,
    /// Steps on their way to the compressor.
    steps: Vec<u8>,
    /// Bytes that no file has, not yet a step.
    literal: Vec<u8>,
    /// Content read since it was said to be content.
    content: Option<u64>,
    length: u64,
}

impl<R: BufRead> Recorder<R> {
    /// Records what is read to a new file.
    pub(crate) fn new(inner: R, path: &Path) -> io::Result<Self> {
        let mut file = File::create_new(path)?;
        file.write_all(MAGIC)?;
        file.write_all(&[0; 8])?;
        // The fastest level: headers are mostly zeros and repeat each other.
        let out = zstd::Encoder::new(file, 1)?;
        Ok(Self { inner, out, steps: Vec::new(), literal: Vec::new(), content: None, length: 0 })
    }

    /// What is read from now on goes into a file.
    pub(crate) fn begin(&mut self) {
        self.content = Some(0);
    }

    /// The content has been read: into which file and which pieces of it, `None` when it is whole.
    pub(crate) fn end(&mut self, file: Option<&[u8]>, pieces: Option<&[(u64, u64)]>) -> io::Result<()> {
        let (read, Some(path)) = (self.content.take().unwrap_or(0), file) else { return Ok(()) };
        self.settle()?;
        self.steps.push(if pieces.is_some() { PIECES } else { WHOLE });
        put_bytes(&mut self.steps, path);
        match pieces {
            None => put(&mut self.steps, read),
            Some(pieces) => {
                put(&mut self.steps, pieces.len() as u64);
                for (offset, length) in pieces {
                    put(&mut self.steps, *offset);
                    put(&mut self.steps, *length);
                }
            }
        }
        self.flush(GATHER)
    }

    /// Makes a step of the bytes that no file has.
    fn settle(&mut self) -> io::Result<()> {
        if !self.literal.is_empty() {
            self.steps.push(LITERAL);
            put_bytes(&mut self.steps, &self.literal);
            self.literal.clear();
        }
        self.flush(GATHER)
    }

    fn flush(&mut self, least: usize) -> io::Result<()> {
        if self.steps.len() >= least {
            self.out.write_all(&self.steps)?;
            self.steps.clear();
        }
        Ok(())
    }

    /// Ends the record of a stream that was read to its end, and gives the reader back.
    pub(crate) fn finish(mut self) -> io::Result<R> {
        self.settle()?;
        self.steps.push(END);
        self.flush(0)?;
        let file = self.out.finish()?;
        file.write_all_at(&self.length.to_le_bytes(), HEAD - 8)?;
        Ok(self.inner)
    }
}

impl<R: BufRead> BufRead for Recorder<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.literal.len() >= GATHER {
            self.settle()?;
        }
        self.inner.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.length += count as u64;
        match (&mut self.content, self.inner.fill_buf()) {
            (Some(read), _) => *read += count as u64,
            // What is consumed is there: nothing is read for it.
            (None, there) => {
                self.literal.extend_from_slice(there.unwrap_or_default().get(..count).unwrap_or_default())
            }
        }
        self.inner.consume(count);
    }
}

impl<R: BufRead> Read for Recorder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}
