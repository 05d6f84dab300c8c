//! Streams in pieces that threads hand on and share without copying them.

use bytes::{Buf, Bytes};
use contract::incoming::Incoming;
use sha2::{Digest, Sha256};
use std::collections::VecDeque;
use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Bytes of a piece that is made here: small enough to be still in a core's cache when the next thread takes it.
const PIECE: usize = 1 << 17;
/// Pieces that may wait between two threads.
const WAITING: usize = 8;

/// A stream that comes in pieces.
pub(crate) trait Pieces: Send {
    /// The next one; an empty one is the end.
    fn next(&mut self) -> io::Result<Bytes>;
}

impl<P: Pieces + ?Sized> Pieces for Box<P> {
    fn next(&mut self) -> io::Result<Bytes> {
        (**self).next()
    }
}

impl Pieces for Incoming {
    fn next(&mut self) -> io::Result<Bytes> {
        self.take()
    }
}

impl<P: Pieces + ?Sized> Pieces for &mut P {
    fn next(&mut self) -> io::Result<Bytes> {
        (**self).next()
    }
}

/// Makes pieces of what is read.
pub(crate) struct Cut<R>(pub(crate) R);

impl<R: Read + Send> Pieces for Cut<R> {
    fn next(&mut self) -> io::Result<Bytes> {
        let (mut piece, mut filled) = (vec![0; PIECE], 0);
        while let Some(free) = piece.get_mut(filled..).filter(|f| !f.is_empty()) {
            match self.0.read(free) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        piece.truncate(filled);
        Ok(piece.into())
    }
}

/// Reads pieces as one stream.
pub(crate) struct Joined<P> {
    pieces: P,
    current: Bytes,
    ended: bool,
}

impl<P: Pieces> Joined<P> {
    pub(crate) fn new(pieces: P) -> Self {
        Self { pieces, current: Bytes::new(), ended: false }
    }

    /// Makes so many bytes be there at once, or all that are left.
    pub(crate) fn gather(&mut self, least: usize) -> io::Result<&[u8]> {
        while self.current.len() < least && !self.ended {
            let next = self.pieces.next()?;
            self.ended = next.is_empty();
            self.current = match self.current.len() {
                0 => next,
                _ => [self.current.as_ref(), next.as_ref()].concat().into(),
            };
        }
        Ok(&self.current)
    }

    /// Takes what is there, at most so many bytes; nothing at the end.
    pub(crate) fn take_piece(&mut self, most: u64) -> io::Result<Bytes> {
        let there = self.fill_buf()?.len();
        Ok(self.current.split_to(usize::try_from(most).unwrap_or(there).min(there)))
    }

    /// The pieces not read yet, the rest of the current one among them.
    pub(crate) fn rest(self) -> Rest<P> {
        Rest { first: self.current, pieces: self.pieces }
    }
}

/// A piece and those that follow it.
pub(crate) struct Rest<P> {
    first: Bytes,
    pieces: P,
}

impl<P: Pieces> Pieces for Rest<P> {
    fn next(&mut self) -> io::Result<Bytes> {
        if self.first.is_empty() { self.pieces.next() } else { Ok(std::mem::take(&mut self.first)) }
    }
}

impl<P: Pieces> BufRead for Joined<P> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.current.is_empty() && !self.ended {
            self.current = self.pieces.next()?;
            self.ended = self.current.is_empty();
        }
        Ok(&self.current)
    }

    fn consume(&mut self, count: usize) {
        self.current.advance(count.min(self.current.len()));
    }
}

impl<P: Pieces> Read for Joined<P> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

/// Tells how much has passed.
pub(crate) struct Counted<P> {
    pieces: P,
    passed: u64,
    report: Option<Arc<dyn Fn(u64) + Send + Sync>>,
}

impl<P> Counted<P> {
    pub(crate) fn new(pieces: P, report: Option<Arc<dyn Fn(u64) + Send + Sync>>) -> Self {
        Self { pieces, passed: 0, report }
    }
}

impl<P: Pieces> Pieces for Counted<P> {
    fn next(&mut self) -> io::Result<Bytes> {
        let piece = self.pieces.next()?;
        self.passed += piece.len() as u64;
        if let Some(report) = &self.report {
            report(self.passed);
        }
        Ok(piece)
    }
}

/// Digests what passes.
pub(crate) struct Digesting<P> {
    pieces: P,
    sha: Sha256,
}

impl<P> Digesting<P> {
    pub(crate) fn new(pieces: P) -> Self {
        Self { pieces, sha: Sha256::new() }
    }

    /// The pieces, no longer digested.
    pub(crate) fn into_inner(self) -> P {
        self.pieces
    }

    /// `sha256:…` of what has passed.
    pub(crate) fn digest(self) -> String {
        format!("sha256:{}", hex::encode(self.sha.finalize()))
    }
}

impl<P: Pieces> Pieces for Digesting<P> {
    fn next(&mut self) -> io::Result<Bytes> {
        let piece = self.pieces.next()?;
        self.sha.update(&piece);
        Ok(piece)
    }
}

/// Pieces, or why there are no more; none are the end.
type Batch = io::Result<Vec<Bytes>>;

/// The end of a channel that pieces are put into; without its good end the stream is cut short.
pub(crate) struct Feed {
    to: SyncSender<Batch>,
    gathered: Vec<Bytes>,
    bytes: usize,
}

/// The end they are taken from.
pub(crate) struct Fed {
    from: Receiver<Batch>,
    here: VecDeque<Bytes>,
}

/// Both ends, for two threads.
pub(crate) fn channel() -> (Feed, Fed) {
    let (to, from) = sync_channel(WAITING);
    (Feed { to, gathered: Vec::new(), bytes: 0 }, Fed { from, here: VecDeque::new() })
}

impl Feed {
    /// Hands on a piece, the end or an error; `false` when nobody takes them any more.
    pub(crate) fn send(&mut self, piece: io::Result<Bytes>) -> bool {
        let last = match piece {
            Ok(piece) if piece.is_empty() => Ok(Vec::new()),
            Ok(piece) => {
                self.bytes += piece.len();
                self.gathered.push(piece);
                // Small ones go together: each time somebody is woken.
                return self.bytes < PIECE || self.flush();
            }
            Err(error) => Err(error),
        };
        self.flush() && self.to.send(last).is_ok()
    }

    fn flush(&mut self) -> bool {
        self.bytes = 0;
        self.gathered.is_empty() || self.to.send(Ok(std::mem::take(&mut self.gathered))).is_ok()
    }
}

impl Pieces for Fed {
    fn next(&mut self) -> io::Result<Bytes> {
        if self.here.is_empty() {
            let batch = self.from.recv().unwrap_or_else(|_| Err(io::ErrorKind::UnexpectedEof.into()));
            self.here = batch?.into();
        }
        Ok(self.here.pop_front().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_and_joined_is_the_same() {
        let bytes: Vec<u8> = (0..500_000u32).flat_map(u32::to_le_bytes).collect();
        let mut joined = Joined::new(Cut(bytes.as_slice()));
        let mut out = vec![0; 1000];
        joined.read_exact(&mut out).unwrap();
        Joined::new(joined.rest()).read_to_end(&mut out).unwrap();
        assert_eq!(out, bytes);
    }

    #[test]
    fn what_was_gathered_is_taken_once() {
        let mut pieces = [&b"ab"[..], b"c", b"defg", b""].into_iter().map(Bytes::from_static);
        struct List<'a>(&'a mut (dyn Iterator<Item = Bytes> + Send));
        impl Pieces for List<'_> {
            fn next(&mut self) -> io::Result<Bytes> {
                Ok(self.0.next().unwrap_or_default())
            }
        }
        let mut joined = Joined::new(List(&mut pieces));
        assert_eq!(joined.gather(4).unwrap(), b"abcdefg");
        assert_eq!(joined.take_piece(3).unwrap(), "abc");
        assert_eq!(joined.gather(9).unwrap(), b"defg");
        assert_eq!(joined.take_piece(9).unwrap(), "defg");
        assert_eq!(joined.take_piece(9).unwrap(), "");
    }

    #[test]
    fn a_feed_that_goes_without_its_end_is_an_error() {
        let (mut to, mut from) = channel();
        assert!(to.send(Ok(vec![7; PIECE].into())));
        drop(to);
        assert_eq!(from.next().unwrap().len(), PIECE);
        assert_eq!(from.next().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
