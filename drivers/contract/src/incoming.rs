//! Bytes on their way from where nothing may block to where that is allowed.

use bytes::Bytes;
use std::io;
use tokio::sync::mpsc;

/// Pieces that may wait to be taken.
const WAITING: usize = 64;

/// Where bytes are put in. Dropped before [`Inlet::end`], it cuts them short.
pub struct Inlet(mpsc::Sender<Bytes>);

/// Where they are taken out.
pub struct Incoming {
    pieces: mpsc::Receiver<Bytes>,
    ended: bool,
}

/// Both ends.
pub fn incoming() -> (Inlet, Incoming) {
    let (to, from) = mpsc::channel(WAITING);
    (Inlet(to), Incoming { pieces: from, ended: false })
}

impl Inlet {
    /// Puts a piece in; `false` when nobody takes any more.
    pub async fn put(&self, piece: Bytes) -> bool {
        // An empty one is the end.
        piece.is_empty() || self.0.send(piece).await.is_ok()
    }

    /// That was all.
    pub async fn end(self) {
        // Whoever took them may have left.
        let _left = self.0.send(Bytes::new()).await;
    }
}

impl Incoming {
    /// The next bytes, none at the end. Blocks.
    pub fn take(&mut self) -> io::Result<Bytes> {
        if self.ended {
            return Ok(Bytes::new());
        }
        let cut = || io::Error::new(io::ErrorKind::UnexpectedEof, "it was cut short");
        let piece = self.pieces.blocking_recv().ok_or_else(cut)?;
        self.ended = piece.is_empty();
        Ok(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_what_was_ended_comes_to_an_end() {
        for good in [true, false] {
            let (to, mut from) = incoming();
            let taken = tokio::task::spawn_blocking(move || {
                let mut all = Vec::new();
                loop {
                    let piece = from.take()?;
                    if piece.is_empty() {
                        assert!(from.take()?.is_empty());
                        return io::Result::Ok(all);
                    }
                    all.extend_from_slice(&piece);
                }
            });
            for piece in ["a", "", "b"] {
                assert!(to.put(piece.into()).await);
            }
            if good {
                to.end().await;
            } else {
                drop(to);
            }
            assert_eq!(taken.await.unwrap().ok(), good.then(|| b"ab".to_vec()));
        }
    }

    #[tokio::test]
    async fn nobody_puts_in_what_nobody_takes_out() {
        let (to, from) = incoming();
        drop(from);
        assert!(!to.put("a".into()).await);
    }
}
