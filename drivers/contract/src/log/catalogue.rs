//! The log drivers there are. Some are found while the daemon runs, so nobody holds a list of them.

use super::{LogDriverKind, Options};
use crate::error::PortError;
use async_trait::async_trait;

/// The kinds of log drivers, by name.
#[async_trait]
pub trait Catalogue: Send + Sync {
    /// The kind of that name. That of a plugin is given also while nothing is known of the plugin: a container that was
    /// made with it may be taken over by a daemon that started before it. Whether a name may be asked for, `validate` says.
    fn find(&self, name: &str) -> Option<&'static dyn LogDriverKind>;
    /// What may be asked for now, in order; of plugins those that answer within a short time.
    async fn names(&self) -> Vec<String>;
    /// Checks a driver's name and all the options given with it, in Docker's order and with its texts. A plugin is asked
    /// what it is, within a short time; one that does not answer is believed.
    async fn validate(&self, driver: &str, options: &Options) -> Result<(), PortError>;
}
