//! What running containers use, sampled once a second while somebody looks: one sampler for each container, however many
//! look at it.

use crate::Snapshot;
use crate::shared::{Shared, lock};
use contract::ContainerId;
use contract::usage::Usage;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::time::MissedTickBehavior;

/// Between two samples (moby's stats collector).
const PERIOD: Duration = Duration::from_secs(1);
/// Samples that a client who takes nothing may lag behind.
const KEPT: usize = 4;

/// A sample; `None` while the container does not run.
pub type Sample = Option<Arc<Usage>>;

/// The samplers there are, by container.
#[derive(Default)]
pub struct Samplers(Mutex<HashMap<String, broadcast::Sender<Sample>>>);

#[cfg(test)]
impl Samplers {
    pub(crate) fn runs(&self, id: &str) -> bool {
        lock(&self.0).contains_key(id)
    }
}

/// Samples to come, the first at once or within a period; ends when the container is removed.
pub fn subscribe(shared: &Arc<Shared>, id: &str) -> broadcast::Receiver<Sample> {
    let mut samplers = lock(&shared.samplers.0);
    if let Some(sampler) = samplers.get(id) {
        return sampler.subscribe();
    }
    let (sender, receiver) = broadcast::channel(KEPT);
    samplers.insert(id.to_owned(), sender.clone());
    tokio::spawn(run(Arc::clone(shared), id.to_owned(), sender));
    receiver
}

async fn run(shared: Arc<Shared>, id: String, sender: broadcast::Sender<Sample>) {
    let mut due = tokio::time::interval(PERIOD);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        let snapshot = shared.board.get(&id);
        {
            // Whoever subscribes does so under the same lock.
            let mut samplers = lock(&shared.samplers.0);
            if snapshot.is_none() || sender.receiver_count() == 0 {
                samplers.remove(&id);
                return;
            }
        }
        if let Some(snapshot) = snapshot {
            // The last one may just have left.
            let _nobody = sender.send(sample(&shared, &snapshot).await);
        }
    }
}

/// One sample now.
pub async fn sample(shared: &Shared, snapshot: &Snapshot) -> Sample {
    let spec = &snapshot.spec;
    if snapshot.pid == 0 {
        return None;
    }
    // The host's interfaces are not the container's.
    let network = (spec.network_mode != "host").then_some(snapshot.pid);
    let id = ContainerId::new(spec.id.clone());
    // It may have ended since.
    shared.ports.runtime.usage(&id, network).await.ok().map(Arc::new)
}
