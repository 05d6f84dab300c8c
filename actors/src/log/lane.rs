//! Whose turn it is with a sink's driver.

use contract::log::LogDriver;
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
