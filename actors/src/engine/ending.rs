//! The daemon ends, and what of the engine goes with it.

use super::Engine;
use crate::Event;
use crate::container::messages::Quit;
use contract::ContainerId;
use std::collections::BTreeMap;
use std::time::Duration;

/// Seconds beyond a container's own patience that the daemon waits for its end (moby `daemon.ShutdownTimeout`).
const BEYOND: i64 = 5;
/// How long killed containers may take to be gone.
const KILLED: Duration = Duration::from_secs(10);

impl Engine {
    /// Stops every container, each with its own signal and patience; `seconds` bounds all of them together (negative:
    /// nothing does), unless one was given more patience of its own. What is left then is killed. Their restart policies
    /// apply when the next daemon starts. False when something could not be ended.
    pub async fn stop_all(&self, seconds: i64) -> bool {
        let patient =
            self.list().iter().filter_map(|s| s.spec.stop_timeout).try_fold(seconds, |most, own| {
                // One that may take for ever leaves no bound.
                (most >= 0 && own >= 0).then(|| most.max(own.saturating_add(BEYOND)))
            });
        let bound = if seconds < 0 { None } else { patient };
        let gentle = self.quit_all(None);
        let limit = bound.and_then(|s| u64::try_from(s).ok()).map_or(Duration::MAX, Duration::from_secs);
        match tokio::time::timeout(limit, gentle).await {
            Ok(ended) => ended,
            Err(_) => {
                tracing::warn!("containers are killed: they did not stop within {} s", limit.as_secs());
                tokio::time::timeout(KILLED, self.quit_all(Some(0))).await.unwrap_or(false)
            }
        }
    }

    async fn quit_all(&self, grace: Option<i64>) -> bool {
        let all = self.list();
        let quits = all.iter().map(|snapshot| async move {
            let id = ContainerId::new(snapshot.spec.id.clone());
            match self.call(&id, |reply| Quit { grace, reply }).await {
                Ok(_) => true,
                Err(error) => {
                    tracing::error!(container = id.short(), "stopping: {}", error.chain());
                    false
                }
            }
        });
        futures::future::join_all(quits).await.into_iter().all(|ended| ended)
    }

    /// Those who listen to events now.
    pub fn listeners(&self) -> usize {
        self.shared.live.receiver_count()
    }

    /// Publishes an event of the daemon itself; `id` is the daemon's.
    pub fn daemon_event(&self, action: &str, id: &str, attributes: BTreeMap<String, String>) {
        self.shared.event(Event::now("daemon", action, id, attributes));
    }
}
