//! What the engine counts and times of its own work: written by effects, read by whoever looks, asking no actor.

use crate::shared::lock;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Upper bounds of a timing's classes, in seconds; those of Docker's metrics.
pub const BOUNDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// How long something took, over all times it was done.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Timing {
    /// How often it took at most so long, each class for itself.
    pub classes: [u64; BOUNDS.len()],
    /// How often it was done.
    pub count: u64,
    /// Seconds altogether.
    pub sum: f64,
}

impl Timing {
    fn add(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        let class = BOUNDS.iter().zip(&mut self.classes).find(|(bound, _)| seconds <= **bound);
        if let Some((_, class)) = class {
            *class += 1;
        }
        self.count += 1;
        self.sum += seconds;
    }
}

/// The engine's own counts, from the daemon's start.
#[derive(Debug, Default)]
pub struct Meters {
    actions: Mutex<BTreeMap<&'static str, Timing>>,
    events: AtomicU64,
    checks: AtomicU64,
    failed_checks: AtomicU64,
}

/// The counts at one moment.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// What was done to containers, in Docker's words: `create`, `start`, `delete`, `commit`, `changes`.
    pub actions: BTreeMap<&'static str, Timing>,
    /// Events told.
    pub events: u64,
    /// Probes of health checks.
    pub checks: u64,
    /// Those that failed.
    pub failed_checks: u64,
}

impl Meters {
    /// Does this, and notes how long it took if it succeeded.
    pub async fn timed<T, E>(
        &self,
        action: &'static str,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let begun = Instant::now();
        let outcome = work.await;
        if outcome.is_ok() {
            lock(&self.actions).entry(action).or_default().add(begun.elapsed());
        }
        outcome
    }

    /// An event is told.
    pub fn event(&self) {
        self.events.fetch_add(1, Ordering::Relaxed);
    }

    /// A probe ended with this code.
    pub fn checked(&self, code: i32) {
        self.checks.fetch_add(1, Ordering::Relaxed);
        if code != 0 {
            self.failed_checks.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// All of them.
    pub fn counts(&self) -> Counts {
        Counts {
            actions: lock(&self.actions).clone(),
            events: self.events.load(Ordering::Relaxed),
            checks: self.checks.load(Ordering::Relaxed),
            failed_checks: self.failed_checks.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_took_long_is_in_no_class_but_counted() {
        let mut timing = Timing::default();
        for millis in [3, 5, 80, 60_000] {
            timing.add(Duration::from_millis(millis));
        }
        assert_eq!((timing.classes[0], timing.classes[4], timing.classes.iter().sum::<u64>()), (2, 1, 3));
        assert_eq!(timing.count, 4);
        assert!((timing.sum - 60.088).abs() < 1e-9);
    }

    #[tokio::test]
    async fn failures_are_not_timed() {
        let meters = Meters::default();
        meters.timed("start", async { Ok::<_, ()>(()) }).await.unwrap();
        meters.timed("start", async { Err::<(), _>(()) }).await.unwrap_err();
        assert_eq!(meters.counts().actions["start"].count, 1);
    }
}
