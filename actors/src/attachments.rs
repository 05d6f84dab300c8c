//! Who is attached to the containers' main processes: so that an attachment ends when there is nothing more to wait for,
//! and output still on its way to a client is not removed under it.

use crate::log::held::{HeldSpool, Hold};
use crate::shared::lock;
use bytes::Bytes;
use contract::PortError;
use contract::log::{Position, Stream};
use contract::runtime::{Output, Spool, SpoolRecord};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Bytes read at once.
const READ: usize = 256 * 1024;

/// Pieces of output between the process's side and the client's.
const WINDOW: usize = 8;

struct Room {
    /// Changes when those inside are to leave.
    cut: watch::Sender<u64>,
    /// Changes when nothing follows what is in the spool: a shim that was lost has left no end mark there.
    over: watch::Sender<u64>,
    /// How many are inside, and how much has moved.
    life: watch::Sender<(usize, u64)>,
}

/// All attachments to main processes.
#[derive(Clone, Default)]
pub struct Attachments(Arc<Mutex<HashMap<String, Arc<Room>>>>);

struct Seat(Arc<Room>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.life.send_modify(|(inside, _)| *inside = inside.saturating_sub(1));
    }
}

impl Attachments {
    /// Output from now on to the next end, or until the container is cut off.
    pub async fn follow(&self, id: &str, spool: Arc<HeldSpool>) -> Result<Output, PortError> {
        let room = Arc::clone(lock(&self.0).entry(id.to_owned()).or_insert_with(|| {
            Arc::new(Room {
                cut: watch::Sender::new(0),
                over: watch::Sender::new(0),
                life: watch::Sender::new((0, 0)),
            })
        }));
        room.life.send_modify(|(inside, _)| *inside += 1);
        let (seat, cut, over) = (Seat(Arc::clone(&room)), room.cut.subscribe(), room.over.subscribe());
        let hold = spool.hold();
        let at = spool.end().await?;
        hold.advance(at);
        let (to, output) = mpsc::channel(WINDOW);
        let mut reader = Reader { seat, hold, spool, at, to, cut, over };
        tokio::spawn(async move {
            if let Err(error) = reader.run().await {
                tracing::warn!("an attachment's output ends early: {}", error.chain());
            }
        });
        Ok(output)
    }

    /// Ends all attachments of a container that are there now.
    pub fn cut(&self, id: &str) {
        if let Some(room) = lock(&self.0).get(id) {
            room.cut.send_modify(|n| *n += 1);
        }
    }

    /// The process has ended: those inside leave when they have read what there is.
    pub fn over(&self, id: &str) {
        if let Some(room) = lock(&self.0).get(id) {
            room.over.send_modify(|n| *n += 1);
        }
    }

    /// Waits until nobody is attached any more; gives up on those who take nothing for so long.
    pub async fn drained(&self, id: &str, patience: Duration) {
        let Some(room) = lock(&self.0).get(id).cloned() else { return };
        let mut life = room.life.subscribe();
        while life.borrow_and_update().0 != 0 {
            if tokio::time::timeout(patience, life.changed()).await.is_err() {
                return;
            }
        }
    }

    /// The container is gone.
    pub fn forget(&self, id: &str) {
        self.cut(id);
        lock(&self.0).remove(id);
    }
}

struct Reader {
    seat: Seat,
    hold: Hold,
    spool: Arc<HeldSpool>,
    at: Position,
    to: mpsc::Sender<(Stream, Bytes)>,
    cut: watch::Receiver<u64>,
    over: watch::Receiver<u64>,
}

impl Reader {
    async fn run(&mut self) -> Result<(), PortError> {
        let mut more = self.spool.more();
        let mut over = false;
        loop {
            more.mark_unchanged();
            // Noticed before reading: all there is will then be read.
            over |= self.over.has_changed().unwrap_or(true);
            let (records, next) = self.spool.read(self.at, READ).await?;
            if records.is_empty() {
                if over {
                    return Ok(());
                }
                tokio::select! {
                    changed = more.changed() => if changed.is_err() { return Ok(()) },
                    _ = self.over.changed() => over = true,
                    _ = self.cut.changed() => return Ok(()),
                    () = self.to.closed() => return Ok(()),
                }
            }
            for record in records {
                match record {
                    SpoolRecord::Data { stream, data, .. } => {
                        tokio::select! {
                            biased;
                            sent = self.to.send((stream, data)) => if sent.is_err() { return Ok(()) },
                            _ = self.cut.changed() => return Ok(()),
                        }
                        self.seat.0.life.send_modify(|(_, moved)| *moved += 1);
                    }
                    SpoolRecord::Gap { .. } => {}
                    SpoolRecord::End { .. } => return Ok(()),
                }
            }
            self.at = next;
            self.hold.advance(next);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::fake::FakeSpool;
    use contract::log::Stretch;

    fn spool() -> (Arc<FakeSpool>, Arc<HeldSpool>) {
        let spool = Arc::new(FakeSpool::default());
        (Arc::clone(&spool), HeldSpool::new(spool))
    }

    #[tokio::test(start_paused = true)]
    async fn a_cut_ends_those_inside_and_not_those_who_come_later() {
        let (all, (process, held)) = (Attachments::default(), spool());
        let mut first = all.follow("c", Arc::clone(&held)).await.unwrap();
        all.cut("c");
        assert_eq!(first.recv().await, None);
        let mut second = all.follow("c", held).await.unwrap();
        process.write(Stream::Stdout, "x");
        assert_eq!(second.recv().await, Some((Stream::Stdout, "x".into())));
        process.end();
        assert_eq!(second.recv().await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn draining_waits_for_a_slow_client_and_not_for_a_stuck_one() {
        let (all, (process, held)) = (Attachments::default(), spool());
        let mut slow = all.follow("c", Arc::clone(&held)).await.unwrap();
        for _ in 0..50 {
            process.write(Stream::Stdout, "x");
        }
        process.end();
        let taking = tokio::spawn(async move {
            let mut taken = 0;
            while slow.recv().await.is_some() {
                tokio::time::sleep(Duration::from_secs(1)).await;
                taken += 1;
            }
            taken
        });
        all.drained("c", Duration::from_secs(2)).await;
        assert_eq!(taking.await.unwrap(), 50);
        let _stuck = all.follow("c", held).await.unwrap();
        for _ in 0..50 {
            process.write(Stream::Stdout, "x");
        }
        all.drained("c", Duration::from_secs(2)).await;
    }

    /// A driver that keeps nothing let the spool go before an attached client had read it, who then waited for ever.
    #[tokio::test(start_paused = true)]
    async fn what_an_attached_client_has_not_read_stays_in_the_spool() {
        let (all, (process, held)) = (Attachments::default(), spool());
        let mut client = all.follow("c", Arc::clone(&held)).await.unwrap();
        for n in 0..100 {
            process.write(Stream::Stdout, n.to_string());
        }
        process.end();
        let end = Spool::end(&*process).await.unwrap();
        held.trim(&[Stretch::from(end)]).await.unwrap();
        for n in 0..100 {
            assert_eq!(client.recv().await, Some((Stream::Stdout, n.to_string().into())));
        }
        assert_eq!(client.recv().await, None);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(process.segments(), 1, "let go once it was read");
    }
}
