//! What there is to say of networks.

use super::Engine;
use crate::network::explain::{Explanation, Facts, NetworkFacts, explain};
use contract::PortError;
use futures::future::join_all;
use std::sync::Arc;

impl Engine {
    /// Explains all networks, or one: pools, holders, names, ports, and what the kernel has of it all. Nothing is asked of
    /// an actor.
    pub async fn explain_networks(&self, term: Option<&str>) -> Result<Explanation, PortError> {
        let only = match term {
            Some(term) => Some(match self.network_name(term)?.as_str() {
                name @ ("host" | "none") => crate::network::id(name),
                name => self.find_network(name)?.id.clone(),
            }),
            None => None,
        };
        let networks = &self.shared.ports.networks;
        let known = self.shared.networks.list();
        // Of the others only the subnets are told.
        let surveys = known.iter().map(|network| {
            let wanted =
                network.spec.configuration.is_none() && only.as_ref().is_none_or(|id| *id == network.spec.id);
            let segment = &network.spec.segment;
            async move { if wanted { networks.survey(segment).await } else { Ok(Default::default()) } }
        });
        let surveys = join_all(surveys).await;
        let facts = Facts {
            pools: Arc::clone(&self.pools),
            taken: networks.taken().await?,
            networks: known
                .into_iter()
                .zip(surveys)
                .map(|(network, survey)| NetworkFacts {
                    leases: network.leases.all(),
                    spec: network.spec,
                    survey: survey.map_err(|error| error.chain()),
                })
                .collect(),
            containers: self.list(),
        };
        Ok(explain(&facts, only.as_deref()))
    }
}
