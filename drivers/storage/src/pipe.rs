//! Bytes written where blocking is allowed and read where it is not. Whoever stops reading stops the writer.

use bytes::{Buf, Bytes};
use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::mpsc;

/// Bytes of one piece, and how many pieces may wait.
const PIECE: usize = 1 << 17;
const WAITING: usize = 4;

/// The end that is written to.
pub(crate) struct Sender {
    out: mpsc::Sender<io::Result<Bytes>>,
    gathered: Vec<u8>,
}

/// The end that is read. It ends with an error unless the writer said that all is written.
pub(crate) struct Receiver {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    current: Bytes,
    ended: bool,
}

/// Both ends.
pub(crate) fn pipe() -> (Sender, Receiver) {
    let (out, pieces) = mpsc::channel(WAITING);
    (Sender { out, gathered: Vec::new() }, Receiver { pieces, current: Bytes::new(), ended: false })
}

impl Sender {
    fn send(&self, piece: io::Result<Bytes>) -> io::Result<()> {
        self.out.blocking_send(piece).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// All is written, or it went wrong.
    pub(crate) fn end(mut self, outcome: io::Result<()>) {
        let last = outcome.and_then(|()| self.flush()).map(|()| Bytes::new());
        // The reader may have left.
        let _left = self.send(last);
    }
}

impl Write for Sender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        let next = Vec::with_capacity(PIECE);
        let piece = std::mem::replace(&mut self.gathered, next);
        self.send(Ok(piece.into()))
    }
}

impl AsyncRead for Receiver {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.ended && !self.current.has_remaining() {
            match ready!(self.pieces.poll_recv(cx)) {
                Some(Ok(piece)) if piece.is_empty() => self.ended = true,
                Some(Ok(piece)) => self.current = piece,
                Some(Err(error)) => return Poll::Ready(Err(error)),
                None => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            }
        }
        let count = self.current.len().min(buffer.remaining());
        buffer.put_slice(&self.current.split_to(count));
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn what_is_written_is_read_and_only_a_good_end_is_one() {
        for good in [true, false] {
            let (mut to, mut from) = pipe();
            let writer = tokio::task::spawn_blocking(move || {
                to.write_all(&[7; 300_000]).unwrap();
                if good {
                    to.end(Ok(()));
                }
            });
            let mut out = Vec::new();
            assert_eq!(from.read_to_end(&mut out).await.is_ok(), good);
            writer.await.unwrap();
            assert!(!good || out == [7; 300_000]);
        }
    }

    #[tokio::test]
    async fn a_reader_that_leaves_ends_the_writer() {
        let (mut to, from) = pipe();
        drop(from);
        let written = tokio::task::spawn_blocking(move || io::copy(&mut io::repeat(0), &mut to));
        assert_eq!(written.await.unwrap().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
