//! Network attachments that are being cleared up behind their containers' backs: the kernel takes its time over an
//! interface, and nobody but the container's next start and the daemon's end has to wait for it.

use crate::shared::lock;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tokio::sync::OwnedMutexGuard;

/// One at a time, in order.
type Queue = Arc<tokio::sync::Mutex<()>>;

/// By container.
#[derive(Debug, Clone, Default)]
pub struct Departures(Arc<Mutex<HashMap<String, Queue>>>);

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
        let lane = Arc::clone(lock(&self.0).entry(container.to_owned()).or_default());
        let lane = Some(lane.lock_owned().await);
        Departing { all: self.clone(), container: container.to_owned(), lane }
    }

    /// Resolves once nothing of the container's is departing.
    pub async fn over(&self, container: &str) {
        let found = lock(&self.0).get(container).cloned();
        if let Some(lane) = found {
            drop(lane.lock().await);
        }
    }

    /// Resolves once nothing is departing.
    pub async fn all_over(&self) {
        let containers: Vec<String> = lock(&self.0).keys().cloned().collect();
        for container in containers {
            self.over(&container).await;
        }
    }
}

impl Drop for Departing {
    fn drop(&mut self) {
        self.lane = None;
        let mut map = lock(&self.all.0);
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
        assert!(lock(&all.0).is_empty());
    }
}
