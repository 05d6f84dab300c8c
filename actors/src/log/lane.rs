//! Whose turn it is with a sink's driver.

use contract::log::{Certain, Cursor, LogDriver};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard, watch};

/// The one open driver of a sink: whoever holds it delivers, so two deliveries never write one file. It is owned
/// above the sink and its router and outlives both.
pub type Lane = Arc<Turns>;

/// A lane's driver, and whether it is to be let go of.
#[derive(Default)]
pub struct Turns {
    opened: Mutex<Opened>,
    given_up: watch::Sender<bool>,
    /// The lane that this one takes the place of, where something could not be dropped.
    before: Option<Lane>,
}

/// What a lane holds.
#[derive(Default)]
pub struct Opened {
    /// The driver, if it is open.
    pub driver: Option<Box<dyn LogDriver>>,
    /// The try that came here last: what was begun before it comes too late.
    attempt: u64,
    /// Nothing is done here any more.
    ended: bool,
    /// Somebody looks after what was delivered last.
    pub watched: bool,
    /// Where the driver stood when it was opened,
    pub began: Option<Cursor>,
    /// and what it delivered last ends here.
    pub delivered: Option<Cursor>,
}

impl Opened {
    /// False when something later was here before.
    pub fn is_next(&mut self, attempt: u64) -> bool {
        let next = attempt > self.attempt && !self.ended;
        self.attempt = self.attempt.max(attempt);
        next
    }
}

/// What was open in a lane that has ended.
pub type Last = Option<Box<dyn LogDriver>>;

impl Turns {
    /// Ends the lane and closes its driver in order. Where what was delivered ends, if that was not certain to have been read
    /// before, and is now.
    pub async fn conclude(&self, grace: Duration) -> Option<Cursor> {
        let driver = self.end(grace).await??;
        let known = driver.certain() == Certain::All;
        tokio::time::timeout(grace, driver.close()).await.ok()?.ok()?;
        if known { None } else { self.lock().await.delivered.clone() }
    }

    /// A lane in the place of one in which something may go on.
    pub fn after(before: &Lane) -> Lane {
        Arc::new(Self { before: Some(Arc::clone(before)), ..Self::default() })
    }

    /// Resolves once nothing goes on any more in the lanes before this one.
    pub async fn alone(&self) {
        let mut next = self.before.as_ref();
        while let Some(before) = next {
            let mut opened = before.lock().await;
            opened.ended = true;
            opened.driver = None;
            next = before.before.as_ref();
        }
    }

    /// Waits for its turn.
    pub async fn lock(&self) -> MutexGuard<'_, Opened> {
        self.opened.lock().await
    }

    /// Resolves once what is under way is to be dropped.
    pub async fn given_up(&self) {
        let mut given_up = self.given_up.subscribe();
        // The sender is in self.
        let _present = given_up.wait_for(|it| *it).await.is_ok();
    }

    /// Lets the driver rest. One that hangs in that is dropped with the lane's end, as one that delivers.
    pub async fn rest(&self) {
        let mut opened = self.lock().await;
        let Some(mut driver) = opened.driver.take() else { return };
        let rests = tokio::select! {
            () = driver.rest() => true,
            () = self.given_up() => false,
        };
        if rests {
            opened.driver = Some(driver);
        }
    }

    /// Ends the lane: nothing is delivered here afterwards. What is under way has `grace` to come to its end and is dropped
    /// then. `None` if it cannot be dropped and goes on.
    pub async fn end(&self, grace: Duration) -> Option<Last> {
        let mut opened = match tokio::time::timeout(grace, self.lock()).await {
            Ok(opened) => opened,
            Err(_) => {
                self.given_up.send_replace(true);
                tokio::time::timeout(grace, self.lock()).await.ok()?
            }
        };
        opened.ended = true;
        tokio::time::timeout(grace, self.alone()).await.ok()?;
        Some(opened.driver.take())
    }
}

/// Between two looks after what was delivered last: at least and at most.
const LOOKS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];

/// Sees to it that the last lines, too, come again when their connection broke: only a further one would notice. Tells of
/// the end of those that are certain to have been read at last.
pub fn look_after<F: Future<Output = ()> + Send>(
    of: Lane,
    sink: String,
    read: impl Fn(Cursor) -> F + Send + 'static,
) {
    tokio::spawn(async move {
        let [shortest, longest] = LOOKS;
        let (mut pause, mut seen) = (shortest, 0);
        loop {
            tokio::time::sleep(pause).await;
            let mut lane = of.lock().await;
            // Set again below, so that one that panics is looked after by another, with the next delivery.
            lane.watched = false;
            let Some(mut driver) = lane.driver.take() else { return };
            let looked = tokio::select! {
                looked = driver.look_after() => looked,
                () = of.given_up() => return,
            };
            let certain = driver.certain() == Certain::All;
            lane.driver = Some(driver);
            if certain && let Some(delivered) = lane.delivered.clone() {
                read(delivered).await;
            }
            pause = if lane.attempt == seen { (pause * 2).min(longest) } else { shortest };
            seen = lane.attempt;
            match looked {
                Ok(false) => return,
                Ok(true) => {}
                Err(error) => tracing::debug!(sink, %error, "what may be unread could not be sent again"),
            }
            lane.watched = true;
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;
    use contract::log::{Batch, DeliverError};

    /// Never comes to rest.
    struct Hangs;

    #[async_trait]
    impl LogDriver for Hangs {
        async fn deliver(&mut self, _: &Batch) -> Result<(), DeliverError> {
            Ok(())
        }

        async fn rest(&mut self) {
            std::future::pending().await
        }

        async fn close(self: Box<Self>) -> Result<(), DeliverError> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_driver_that_hangs_in_resting_does_not_keep_its_lane_from_ending() {
        let lane = Lane::default();
        lane.lock().await.driver = Some(Box::new(Hangs));
        let rests = tokio::spawn({
            let lane = Arc::clone(&lane);
            async move { lane.rest().await }
        });
        tokio::task::yield_now().await;
        assert!(matches!(lane.end(Duration::from_millis(50)).await, Some(None)));
        rests.await.unwrap();
    }

    #[tokio::test]
    async fn what_cannot_be_dropped_in_one_lane_is_over_before_the_next_opens_the_same_file() {
        let short = Duration::from_millis(5);
        let old = Lane::default();
        let writes = old.lock().await;
        assert!(old.end(short).await.is_none());
        let new = Turns::after(&old);
        assert!(tokio::time::timeout(short, new.alone()).await.is_err());
        assert!(new.end(short).await.is_none(), "nor is it over for who takes its place in turn");
        drop(writes);
        new.alone().await;
        assert!(!old.lock().await.is_next(u64::MAX), "nothing is done there any more");
        assert!(new.end(short).await.is_some());
    }
}
