//! The host's side of networks: an interface may carry several of them, and goes with the last.

use super::Engine;
use contract::PortError;
use contract::record::NetworkSpec;

impl Engine {
    /// Makes what a network stands on. Whoever calls has the turn of its interface.
    pub(super) async fn ensure_segment(&self, network: &NetworkSpec) -> Result<(), PortError> {
        match network.configuration {
            Some(_) => Ok(()),
            None => self.shared.ports.networks.ensure_segment(&network.segment).await,
        }
    }

    /// Takes away what a network stands on, unless another does too. Whoever calls has the turn of its interface.
    pub(super) async fn remove_segment(&self, network: &NetworkSpec) -> Result<(), PortError> {
        let other = |n: &NetworkSpec| {
            n.id != network.id && n.configuration.is_none() && n.segment.name == network.segment.name
        };
        if network.configuration.is_some()
            || self.shared.networks.list().iter().any(|n| other(&n.spec))
            || self.shared.planned.any(other)
        {
            return Ok(());
        }
        self.shared.ports.networks.remove_segment(&network.segment).await
    }
}
