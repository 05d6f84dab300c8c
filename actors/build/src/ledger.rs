//! The containers of a build: whatever ends it, none of them stays.

use actors::Engine;
use contract::record::ContainerSpec;
use contract::{ContainerId, Kind, PortError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Which containers a build has. Outlives its actor.
#[derive(Clone)]
pub struct Ledger {
    engine: Engine,
    held: Arc<Mutex<Held>>,
}

#[derive(Default)]
struct Held {
    containers: Vec<ContainerId>,
    over: bool,
}

impl Ledger {
    /// None yet.
    pub fn new(engine: Engine) -> Self {
        Self { engine, held: Arc::default() }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Every change is a single one.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a container. It goes on to its end when whoever asked leaves, and is removed at once if the build is over.
    pub async fn make(&self, spec: ContainerSpec) -> Result<ContainerId, PortError> {
        let this = self.clone();
        let made = tokio::spawn(async move {
            let id = this.engine.create(None, spec).await?;
            let over = {
                let mut held = this.held();
                held.containers.push(id.clone());
                held.over
            };
            if over {
                this.clear().await;
                return Err(PortError::new(Kind::Conflict, "build cancelled"));
            }
            Ok(id)
        });
        made.await.map_err(|e| PortError::caused(Kind::Bug, "making a container was interrupted", e))?
    }

    /// The containers there are, which are somebody else's to remove from now on.
    pub fn take(&self) -> Vec<ContainerId> {
        std::mem::take(&mut self.held().containers)
    }

    /// Removes a container with its volumes.
    pub async fn remove(&self, id: &ContainerId) -> Result<(), PortError> {
        match self.engine.remove(id, true, true).await {
            Err(error) if error.kind == Kind::NotFound => Ok(()),
            outcome => outcome,
        }
    }

    /// Removes them all.
    pub async fn clear(&self) {
        for id in self.take() {
            if let Err(error) = self.remove(&id).await {
                tracing::warn!(container = id.short(), "removing a build's container: {}", error.chain());
            }
        }
    }

    /// The build is over: what it has, and what it is still making, goes.
    pub async fn end(&self) {
        self.held().over = true;
        self.clear().await;
    }
}
