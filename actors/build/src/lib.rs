//! `docker build`: Dockerfiles carried out step by step in containers.
//!
//! ```text
//! root ─ builds ── build:<number>
//! ```
//!
//! A build is an actor; its steps are carried out by a task of its own that ends with it, and each step that changes files
//! is a container like any other.

mod actor;
mod arguments;
mod cache;
mod feed;
mod ledger;
mod options;
mod probe;
mod stage;
mod work;

pub use actor::{Builds, Place, Running};
pub use feed::{Failure, Line};
pub use options::{Cache, Options, Pull, Removal, Source, Telling};

use actors::Engine;
use async_trait::async_trait;
use contract::PortError;
use contract::build::Contexts;
use contract::record::ContainerSpec;
use serde_json::Value;
use std::sync::Arc;

/// Makes specifications of containers out of Docker's JSON.
#[async_trait]
pub trait Specifications: Send + Sync {
    /// The specification that `POST /containers/create` with this body would make, and its warnings. `Image` is an id, or
    /// empty for an empty root.
    async fn make(&self, body: Value) -> Result<(ContainerSpec, Vec<String>), PortError>;
}

/// What builds work with.
#[derive(Clone)]
pub struct Ports {
    /// Containers and images.
    pub engine: Engine,
    /// Files.
    pub contexts: Arc<dyn Contexts>,
    /// Specifications.
    pub specifications: Arc<dyn Specifications>,
}
