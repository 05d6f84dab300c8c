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
