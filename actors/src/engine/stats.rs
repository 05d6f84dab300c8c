//! What containers use.

use super::Engine;
use crate::Snapshot;
use crate::stats::{self, Sample};
use tokio::sync::broadcast;

impl Engine {
    /// One sample now; `None` for what does not run.
    pub async fn sample(&self, snapshot: &Snapshot) -> Sample {
        stats::sample(&self.shared, snapshot).await
    }

    #[cfg(test)]
    pub(crate) fn is_sampled(&self, id: &contract::ContainerId) -> bool {
        self.shared.samplers.runs(id.as_str())
    }

    /// A sample a second, until the container is removed.
    pub fn samples(&self, snapshot: &Snapshot) -> broadcast::Receiver<Sample> {
        stats::subscribe(&self.shared, &snapshot.spec.id)
    }
}
