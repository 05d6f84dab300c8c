//! Containers: the directory of names, and an actor for each container.

pub mod actor;
mod adoption;
pub mod effects;
mod lifecycle;
pub mod machine;
pub mod messages;
pub mod names;
mod removal;
pub mod signals;
pub mod snapshot;
mod stopping;
mod waiting;

use crate::shared::{Shared, lock};
use crate::supervise::{Answer, ChildSpec, Ctx, Intensity, Member, Message, spawn};
use actor::{Container, Seed};
use contract::error::Kind;
use contract::record::ContainerRecord;
use contract::{ContainerId, PortError};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Owns the names; spawns the container actors.
pub struct Containers {
    shared: Arc<Shared>,
    names: HashMap<String, String>,
    /// Claimed and not recorded yet.
    making: HashSet<String>,
}

impl Containers {
    /// Names are rebuilt from the published board.
    pub fn new(shared: Arc<Shared>) -> Self {
        let names = shared.board.list().iter().map(|s| (s.state.name.clone(), s.spec.id.clone())).collect();
        Self { shared, names, making: HashSet::new() }
    }

    fn spawn(&self, id: &ContainerId, seed: Option<ContainerRecord>) {
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
        let link = spawn(spec, &self.shared.registry);
        lock(&self.shared.containers).insert(id.to_string(), link);
    }

    /// Fails with Docker's text when another container has the name.
    fn claim(&mut self, name: &str, id: &str) -> Result<(), PortError> {
        // A name whose container is neither alive nor being made is free.
        let (making, containers) = (&self.making, lock(&self.shared.containers));
        self.names.retain(|_, h| h == id || containers.contains_key(h) || making.contains(h));
        drop(containers);
        match self.names.get(name).filter(|holder| *holder != id) {
            None => {
                self.names.insert(name.to_owned(), id.to_owned());
                Ok(())
            }
            Some(holder) => Err(PortError::new(
                Kind::Conflict,
                format!(
                    "Conflict. The container name \"/{name}\" is already in use by container \"{holder}\". You have \
                     to remove (or rename) that container to be able to reuse that name."
                ),
            )),
        }
    }
}

impl Member for Containers {}

/// Claims a name for a container about to be recorded.
pub struct Claim {
    /// The name.
    pub name: String,
    /// The container.
    pub id: String,
}

impl Message for Claim {
    type Result = Result<(), PortError>;
}

impl Answer<Claim> for Containers {
    fn answer(&mut self, message: Claim, _: &mut Ctx<Self>) -> Result<(), PortError> {
        self.claim(&message.name, &message.id)?;
        self.making.insert(message.id);
        Ok(())
    }
}

/// Gives a container (newly recorded, or found on disk) its actor.
pub struct Adopt {
    /// The container.
    pub id: ContainerId,
    /// Its name.
    pub name: String,
    /// Its record, if just written.
    pub seed: Option<ContainerRecord>,
}

impl Message for Adopt {
    type Result = ();
}

impl Answer<Adopt> for Containers {
    fn answer(&mut self, message: Adopt, _: &mut Ctx<Self>) {
        self.making.remove(message.id.as_str());
        self.names.insert(message.name, message.id.to_string());
        self.spawn(&message.id, message.seed);
    }
}

/// Gives a claim up: the record could not be written.
pub struct Unclaim {
    /// The container.
    pub id: String,
}

impl Message for Unclaim {
    type Result = ();
}

impl Answer<Unclaim> for Containers {
    fn answer(&mut self, message: Unclaim, _: &mut Ctx<Self>) {
        self.making.remove(&message.id);
    }
}

/// Replaces a container's name.
pub struct Rename {
    /// The container.
    pub id: String,
    /// New name.
    pub name: String,
}

impl Message for Rename {
    type Result = Result<(), PortError>;
}

impl Answer<Rename> for Containers {
    fn answer(&mut self, message: Rename, _: &mut Ctx<Self>) -> Result<(), PortError> {
        self.claim(&message.name, &message.id)?;
        self.names.retain(|name, holder| *holder != message.id || *name == message.name);
        Ok(())
    }
}
