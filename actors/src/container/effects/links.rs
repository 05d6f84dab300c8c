//! Links between containers on the default bridge, when one of them starts.

use crate::links::{Linked, apply, linkers, of_starting as linked};
use crate::network::{DEFAULT, id as network_id};
use crate::shared::Shared;
use contract::record::{ContainerSpec, ContainerState};
use contract::{ContainerId, PortError};
use std::net::IpAddr;

/// What a starting container is given of those it has linked.
pub(super) fn of_starting(
    shared: &Shared,
    spec: &ContainerSpec,
    state: &ContainerState,
) -> Result<Linked, PortError> {
    if !apply(spec) {
        return Ok(Linked::default());
    }
    linked(&shared.board, spec, state)
}

/// Linkers hear of a new address, and a linker of what has changed while it was made: whichever of two containers
/// comes second sees what the first has written.
pub(super) async fn follow(shared: &Shared, spec: &ContainerSpec, state: &ContainerState) {
    if let Some(endpoint) = state.endpoints.iter().find(|e| e.network_name == DEFAULT) {
        for (linker, alias) in linkers(&shared.board, &spec.id) {
            // One that was never started has no file yet.
            if linker.state.started {
                rewrite(shared, &linker.spec.id, &alias, endpoint.addresses()).await;
            }
        }
    }
    if apply(spec) {
        let leases = shared.networks.get(&network_id(DEFAULT)).map(|n| n.leases.all()).unwrap_or_default();
        for link in spec.links.iter().filter(|l| !state.unlinked.contains(&l.alias)) {
            if let Some(lease) = leases.get(&link.target) {
                rewrite(shared, &spec.id, &link.alias, lease.addresses()).await;
            }
        }
    }
}

async fn rewrite(shared: &Shared, container: &str, alias: &str, addresses: impl Iterator<Item = IpAddr>) {
    let id = ContainerId::new(container);
    let addresses: Vec<IpAddr> = addresses.collect();
    if let Err(error) = shared.ports.runtime.rewrite_hosts(&id, alias, &addresses).await {
        tracing::warn!(container, alias, "telling a linked address: {}", error.chain());
    }
}
