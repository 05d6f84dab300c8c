//! Bytes on their way from where nothing may block to where that is allowed.

use bytes::Bytes;
use std::collections::VecDeque;
use std::io;
use tokio::sync::mpsc;

/// Bytes that are gathered before they are handed over: each time somebody is woken.
const GATHER: usize = 1 << 17;
/// Pieces that are handed over as they are. More of them are put together: each takes room of its own.
const PIECES: usize = 64;
/// How often so much may wait to be taken.
const WAITING: usize = 16;

/// Where bytes are put in. Dropped before [`Inlet::end`], it cuts them short.
pub struct Inlet {
    to: mpsc::Sender<Vec<Bytes>>,
    gathered: Vec<Bytes>,
    bytes: usize,
}

/// Where they are taken out.
pub struct Incoming {
    from: mpsc::Receiver<Vec<Bytes>>,
    here: VecDeque<Bytes>,
    ended: bool,
}

/// Both ends.
pub fn incoming() -> (Inlet, Incoming) {
    let (to, from) = mpsc::channel(WAITING);
    (Inlet { to, gathered: Vec::new(), bytes: 0 }, Incoming { from, here: VecDeque::new(), ended: false })
}

impl Inlet {
    /// Puts a piece in; `false` when nobody takes any more.
    pub async fn put(&mut self, piece: Bytes) -> bool {
        self.bytes += piece.len();
        self.gathered.push(piece);
        self.bytes < GATHER || self.hand_over().await
    }

    async fn hand_over(&mut self) -> bool {
        self.bytes = 0;
        // None at all would be the end.
        self.gathered.retain(|piece| !piece.is_empty());
        if self.gathered.len() > PIECES {
            self.gathered = vec![self.gathered.concat().into()];
        }
        self.gathered.is_empty() || self.to.send(std::mem::take(&mut self.gathered)).await.is_ok()
    }

    /// That was all.
    pub async fn end(mut self) {
        self.hand_over().await;
        // Whoever took them may have left.
        let _left = self.to.send(Vec::new()).await;
    }
}

impl Incoming {
    /// The next bytes, none at the end. Blocks.
    pub fn take(&mut self) -> io::Result<Bytes> {
        if self.here.is_empty() && !self.ended {
            let cut = || io::Error::new(io::ErrorKind::UnexpectedEof, "it was cut short");
            self.here = self.from.blocking_recv().ok_or_else(cut)?.into();
            self.ended = self.here.is_empty();
        }
        Ok(self.here.pop_front().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_what_was_ended_comes_to_an_end() {
        for good in [true, false] {
            let (mut to, mut from) = incoming();
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
    async fn crumbs_come_as_one_piece() {
        let (mut to, mut from) = incoming();
        for crumb in 0..=u8::MAX {
            assert!(to.put(vec![crumb].into()).await);
        }
        to.end().await;
        let taken = tokio::task::spawn_blocking(move || from.take()).await.unwrap().unwrap();
        assert_eq!(taken, (0..=u8::MAX).collect::<Vec<u8>>());
    }

    #[tokio::test]
    async fn nobody_puts_in_what_nobody_takes_out() {
        let (mut to, from) = incoming();
        drop(from);
        assert!(!to.put(vec![0; GATHER].into()).await);
    }
}
