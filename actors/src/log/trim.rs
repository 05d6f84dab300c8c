//! Spools that could not be trimmed are trimmed later.

use crate::shared::lock;
use contract::PortError;
use contract::log::Stretch;
use contract::runtime::Spool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Between two tries.
const AGAIN: Duration = Duration::from_secs(1);

/// Trims a spool until that is done, or somebody later sees to it: the container may be waiting for the room, and then there is
/// no news that would lead to another try.
pub async fn until_done<F: Future<Output = Result<(), PortError>>>(
    trim: impl Fn() -> F,
    latest: impl Fn() -> bool,
) {
    while let Err(error) = trim().await {
        tracing::warn!(error = error.chain(), "spool not trimmed");
        tokio::time::sleep(AGAIN).await;
        if !latest() {
            return;
        }
    }
}

/// What is to be kept of a spool, of which the latest counts: two that were asked for one after the other may come to their
/// turns the other way round.
#[derive(Debug, Default)]
pub struct Trims {
    /// The how manieth it is, and what it keeps.
    latest: Mutex<(u64, Vec<Stretch>)>,
    turn: tokio::sync::Mutex<()>,
}

impl Trims {
    /// Nothing else is to be kept from now on; the number of this.
    pub fn keep(&self, kept: Vec<Stretch>) -> u64 {
        let mut latest = lock(&self.latest);
        *latest = (latest.0 + 1, kept);
        latest.0
    }

    /// Whether nothing came after that.
    pub fn is_latest(&self, number: u64) -> bool {
        lock(&self.latest).0 == number
    }

    /// Trims the spool to what is to be kept by now.
    pub async fn carry_out(self: Arc<Self>, spool: Arc<dyn Spool>) -> Result<(), PortError> {
        let _turn = self.turn.lock().await;
        let kept = lock(&self.latest).1.clone();
        spool.trim(&kept).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::Kind;
    use contract::fake::FakeSpool;
    use contract::log::{Position, Stream};

    #[tokio::test]
    async fn whichever_trim_comes_last_to_its_turn_the_latest_counts() {
        // The one before it came after it: what a reader then let go of stayed, and a container waited for that room for ever.
        let spool = Arc::new(FakeSpool::default());
        for n in 0..40 {
            spool.write(Stream::Stdout, format!("{n}\n"));
        }
        let held = crate::log::held::HeldSpool::new(Arc::clone(&spool) as Arc<dyn Spool>);
        let reader = held.hold();
        let trims = Arc::new(Trims::default());
        let keep = |segment| vec![Stretch::from(Position { segment, offset: 0 })];
        let first = trims.keep(keep(2));
        let before = Arc::clone(&trims).carry_out(held.clone());
        let second = trims.keep(keep(5));
        assert!(!trims.is_latest(first) && trims.is_latest(second));
        Arc::clone(&trims).carry_out(held.clone()).await.unwrap();
        before.await.unwrap();
        assert_eq!(spool.segments(), 5);
        drop(reader);
        tokio::task::yield_now().await;
        assert_eq!(spool.segments(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_spool_that_could_not_be_trimmed_is_trimmed_later_unless_it_was_to_be_again() {
        // A container waited for the room until the next daemon.
        let tries = std::cell::Cell::new(0);
        let trim = || {
            tries.set(tries.get() + 1);
            let done = tries.get() == 3;
            async move {
                if done { Ok(()) } else { Err(PortError::new(Kind::Unavailable, "too many open files")) }
            }
        };
        until_done(trim, || true).await;
        assert_eq!(tries.get(), 3);
        tries.set(0);
        until_done(trim, || false).await;
        assert_eq!(tries.get(), 1);
    }
}
