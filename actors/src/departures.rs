//! Network attachments that are being cleared up behind their containers' backs: the kernel takes its time over an
//! interface, and nobody but the container's next start and the daemon's end has to wait for it.

use crate::shared::lock;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{OwnedMutexGuard, watch};

/// One at a time, in order.
type Queue = Arc<tokio::sync::Mutex<()>>;

/// How long anybody waits for what others leave: it is a matter of milliseconds, and the kernel may be stuck.
const PATIENCE: Duration = Duration::from_secs(5);

/// By container.
#[derive(Debug, Clone)]
pub struct Departures {
    lanes: Arc<Mutex<HashMap<String, Queue>>>,
    /// How many will begin soon.
    expected: Arc<watch::Sender<usize>>,
}

impl Default for Departures {
    fn default() -> Self {
        Self { lanes: Arc::default(), expected: Arc::new(watch::Sender::new(0)) }
    }
}

/// Held from a container's end until its departure has begun.
#[derive(Debug)]
#[must_use]
pub struct Expected(Arc<watch::Sender<usize>>);

impl Drop for Expected {
    fn drop(&mut self) {
        self.0.send_modify(|n| *n = n.saturating_sub(1));
    }
}

/// Held while one is under way.
#[derive(Debug)]
pub struct Departing {
    all: Departures,
    container: String,
    lane: Option<OwnedMutexGuard<()>>,
}

impl Departures {
    /// Begins a departure, after the container's earlier ones.
    pub async fn begin(&self, container: &str) -> Departing {
        let lane = Arc::clone(lock(&self.lanes).entry(container.to_owned()).or_default());
        let lane = Some(lane.lock_owned().await);
        Departing { all: self.clone(), container: container.to_owned(), lane }
    }

    /// Resolves once nothing of the container's is departing.
    pub async fn over(&self, container: &str) {
        let found = lock(&self.lanes).get(container).cloned();
        if let Some(lane) = found {
            drop(lane.lock().await);
        }
    }

    /// Says that a container has ended, of which others may know before its departure begins.
    pub fn expect(&self) -> Expected {
        self.expected.send_modify(|n| *n += 1);
        Expected(Arc::clone(&self.expected))
    }

    /// Waits for those who have ended to leave, for as long as that may take; false when there are none. Whoever is refused
    /// an address or a port asks again afterwards: it may have been theirs.
    pub async fn settled(&self) -> bool {
        let mut expected = self.expected.subscribe();
        let any = *expected.borrow_and_update() > 0 || !lock(&self.lanes).is_empty();
        if any {
            let gone = async {
                // The sender lives as long as this.
                let _none = expected.wait_for(|n| *n == 0).await.is_ok();
                self.all_over().await;
            };
            let _late = tokio::time::timeout(PATIENCE, gone).await;
        }
        any
    }

    /// Resolves once nothing is departing.
    pub async fn all_over(&self) {
        let containers: Vec<String> = lock(&self.lanes).keys().cloned().collect();
        for container in containers {
            self.over(&container).await;
        }
    }
}

impl Drop for Departing {
    fn drop(&mut self) {
        self.lane = None;
        let mut map = lock(&self.all.lanes);
        if map.get(&self.container).is_some_and(|lane| Arc::strong_count(lane) == 1) {
            map.remove(&self.container);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[test]
    fn a_departure_is_waited_for_and_leaves_nothing_behind() {
        let all = Departures::default();
        let one = all.begin("a").now_or_never().unwrap();
        assert!(all.over("b").now_or_never().is_some());
        assert!(all.over("a").now_or_never().is_none());
        drop(one);
        assert!(all.all_over().now_or_never().is_some());
        assert!(lock(&all.lanes).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_refused_waits_for_those_who_have_ended() {
        let all = Departures::default();
        assert!(!all.settled().await, "nobody is leaving");
        let expected = all.expect();
        let waiting = tokio::spawn({
            let all = all.clone();
            async move { all.settled().await }
        });
        tokio::task::yield_now().await;
        let departing = all.begin("a").await;
        drop(expected);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!waiting.is_finished());
        drop(departing);
        assert!(waiting.await.unwrap());
        // One that never goes holds nobody up for ever.
        let _stuck = all.expect();
        assert!(all.settled().await);
    }
}
