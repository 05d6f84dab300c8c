//! Containers: the directory of names, and an actor for each container.

pub mod actor;
mod adoption;
mod borrowing;
mod checks;
pub mod claims;
pub mod effects;
mod health;
mod keeping;
pub mod lane;
mod lifecycle;
mod linking;
pub mod machine;
pub mod messages;
pub mod names;
mod networking;
mod quitting;
mod removal;
mod shortage;
pub mod signals;
pub mod snapshot;
mod stopping;
pub mod update;
mod waiting;

use crate::shared::{Shared, lock};
use crate::supervise::{Answer, ChildSpec, Ctx, Intensity, Member, Message, OverLimit, State, spawn};
use actor::{Container, Seed};
use claims::Claim;
use contract::record::ContainerRecord;
use contract::{ContainerId, PortError};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Hands out names; spawns the container actors. It holds nothing that is not published or claimed.
pub struct Containers {
    shared: Arc<Shared>,
}

impl Containers {
    /// A directory over what is published.
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    fn spawn(&self, id: &ContainerId, seed: Option<ContainerRecord>) {
        let known = lock(&self.shared.containers).get(id.as_str()).cloned();
        if known.is_some_and(|link| !matches!(link.state(), State::Stopped | State::GaveUp)) {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let seed: Seed = Arc::new(Mutex::new(seed));
        let own = id.clone();
        let mut spec = ChildSpec::new(format!("container:{}", id.short()), "container", move |me| {
            Container::new(Arc::clone(&shared), own.clone(), me, &seed)
        })
        .under("containers");
        // The directory's fault is not the container's.
        spec.outlives_parent = true;
        spec.intensity = Intensity { max_respawns: 20, window: Duration::from_secs(60) };
        // Its process goes on: somebody must look after it again.
        spec.over_limit = OverLimit::Park;
        let link = spawn(spec, &self.shared.registry);
        lock(&self.shared.containers).insert(id.to_string(), link);
    }
}

impl Member for Containers {}

/// Claims a name for a container that will publish it.
#[derive(Debug, Clone)]
pub struct ClaimName {
    /// The name.
    pub name: String,
    /// The container.
    pub id: String,
}

impl Message for ClaimName {
    type Result = Result<Claim, PortError>;
}

impl Answer<ClaimName> for Containers {
    fn answer(&mut self, message: ClaimName, _: &mut Ctx<Self>) -> Result<Claim, PortError> {
        self.shared.claims.claim(&self.shared.board, &message.name, &message.id)
    }
}

/// Gives a container (newly recorded, or found on disk) its actor; may be repeated.
#[derive(Debug, Clone)]
pub struct Adopt {
    /// The container.
    pub id: ContainerId,
    /// Its record, if just written.
    pub seed: Option<ContainerRecord>,
}

impl Message for Adopt {
    type Result = ();
}

impl Answer<Adopt> for Containers {
    fn answer(&mut self, message: Adopt, _: &mut Ctx<Self>) {
        self.spawn(&message.id, message.seed);
    }
}
