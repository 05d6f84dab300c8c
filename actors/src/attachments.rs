//! Who is attached to the containers' main processes: so that an attachment ends when there is nothing more to wait for,
//! and output still on its way to a client is not removed under it.

use crate::shared::lock;
use contract::runtime::{Attachment, Output};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Pieces of output between the process's side and the client's.
const WINDOW: usize = 8;

struct Room {
    /// Changes when those inside are to leave.
    cut: watch::Sender<u64>,
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
    /// The attachment, ending also when its container is cut off.
    pub fn enter(&self, id: &str, mut attachment: Attachment) -> Attachment {
        let room = Arc::clone(lock(&self.0).entry(id.to_owned()).or_insert_with(|| {
            Arc::new(Room { cut: watch::Sender::new(0), life: watch::Sender::new((0, 0)) })
        }));
        room.life.send_modify(|(inside, _)| *inside += 1);
        let cut = room.cut.subscribe();
        let (to, output) = mpsc::channel(WINDOW);
        let from = std::mem::replace(&mut attachment.output, output);
        tokio::spawn(relay(Seat(room), from, to, cut));
        attachment
    }

    /// Ends all attachments of a container that are there now.
    pub fn cut(&self, id: &str) {
        if let Some(room) = lock(&self.0).get(id) {
            room.cut.send_modify(|n| *n += 1);
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

async fn relay(
    seat: Seat,
    mut from: Output,
    to: mpsc::Sender<(contract::log::Stream, bytes::Bytes)>,
    mut cut: watch::Receiver<u64>,
) {
    loop {
        let piece = tokio::select! {
            biased;
            piece = from.recv() => piece,
            _ = cut.changed() => return,
            () = to.closed() => return,
        };
        let Some(piece) = piece else { return };
        tokio::select! {
            biased;
            sent = to.send(piece) => if sent.is_err() { return },
            _ = cut.changed() => return,
        }
        seat.0.life.send_modify(|(_, moved)| *moved += 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::log::Stream;

    fn attachment() -> (mpsc::Sender<(Stream, bytes::Bytes)>, Attachment) {
        let (to, output) = mpsc::channel(1);
        (to, Attachment { input: None, output })
    }

    #[tokio::test(start_paused = true)]
    async fn a_cut_ends_those_inside_and_not_those_who_come_later() {
        let all = Attachments::default();
        let (_silent, first) = attachment();
        let mut first = all.enter("c", first);
        all.cut("c");
        assert_eq!(first.output.recv().await, None);
        let (to, second) = attachment();
        let mut second = all.enter("c", second);
        to.send((Stream::Stdout, "x".into())).await.unwrap();
        assert!(second.output.recv().await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn draining_waits_for_a_slow_client_and_not_for_a_stuck_one() {
        let all = Attachments::default();
        let (to, slow) = attachment();
        let mut slow = all.enter("c", slow);
        let feeding = tokio::spawn(async move {
            for _ in 0..50 {
                to.send((Stream::Stdout, "x".into())).await.unwrap();
            }
        });
        let taking = tokio::spawn(async move {
            let mut taken = 0;
            while slow.output.recv().await.is_some() {
                tokio::time::sleep(Duration::from_secs(1)).await;
                taken += 1;
            }
            taken
        });
        all.drained("c", Duration::from_secs(2)).await;
        feeding.await.unwrap();
        assert_eq!(taking.await.unwrap(), 50);
        let (to, _stuck) = attachment();
        let _kept = all.enter("c", _stuck);
        to.send((Stream::Stdout, "x".into())).await.unwrap();
        all.drained("c", Duration::from_secs(2)).await;
    }
}
