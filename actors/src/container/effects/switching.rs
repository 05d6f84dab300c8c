//! A running container joins one more network, or leaves one.

use super::network::{answer, gate, is_answered, leave, publish, release, reserve, route};
use crate::shared::Shared;
use contract::network::Endpoint;
use contract::record::{Attachment, ContainerSpec, ContainerState};
use contract::storage::Durability;
use contract::{ContainerId, PortError};
use std::path::{Path, PathBuf};

fn inside(pid: i32) -> PathBuf {
    format!("/proc/{pid}/ns/net").into()
}

/// Joins a network; on failure all is as before. Answers the state that is to be recorded. The attachment stands among
/// `shared.joining` until it is.
pub async fn connect(
    shared: &Shared,
    spec: &ContainerSpec,
    pid: i32,
    before: ContainerState,
    (name, attachment): (String, Attachment),
) -> Result<ContainerState, PortError> {
    let endpoint = reserve(shared, &spec.id, &name, &attachment).await?;
    shared.joining.note(&endpoint);
    let mut state = before.clone();
    // Written down first: what a daemon that ends in between has made inside is found by it.
    let begun = ContainerState { joining: vec![endpoint.clone()], ..before.clone() };
    if let Err(error) = record(shared, spec, &begun).await {
        release(shared, &endpoint).await;
        shared.joining.forget(&endpoint);
        return Err(error);
    }
    state.networks.insert(name, Attachment { network: endpoint.network.clone(), ..attachment });
    state.endpoints.push(endpoint.clone());
    let netns = inside(pid);
    let failed = match arranged(shared, spec, &mut state, &netns).await {
        Ok(()) if is_answered(&state.endpoints) && !is_answered(&before.endpoints) => {
            shared.ports.runtime.rewrite_resolver(spec).await.err()
        }
        outcome => outcome.err(),
    };
    let Some(error) = failed else {
        follow(shared, spec, &before, &state).await;
        return Ok(state);
    };
    let told = |what: &str, error: &PortError| {
        tracing::warn!(container = spec.id, "undoing a connection, {what}: {}", error.chain());
    };
    if let Err(error) = leave(shared, &endpoint).await {
        told("leaving", &error);
    }
    let mut restored = before;
    if let Err(error) = arranged(shared, spec, &mut restored, &netns).await {
        told("as before", &error);
    }
    shared.joining.forget(&endpoint);
    if let Err(error) = record(shared, spec, &restored).await {
        told("its record", &error);
    }
    Err(error)
}

async fn record(shared: &Shared, spec: &ContainerSpec, state: &ContainerState) -> Result<(), PortError> {
    let id = ContainerId::new(spec.id.clone());
    shared.ports.records.save_state(&id, state, Durability::of(spec)).await
}

/// Takes away what an earlier daemon, or an actor that panicked, began to join and did not record.
pub async fn abandon(shared: &Shared, spec: &ContainerSpec, pid: Option<i32>, state: &mut ContainerState) {
    if state.joining.is_empty() {
        return;
    }
    for endpoint in std::mem::take(&mut state.joining) {
        let gone = async {
            if let Some(pid) = pid {
                shared.ports.networks.recall_endpoint(&endpoint, inside(pid)).await?;
            }
            leave(shared, &endpoint).await
        };
        if let Err(error) = gone.await {
            tracing::warn!(container = spec.id, "an unfinished connection: {}", error.chain());
        }
        shared.joining.forget(&endpoint);
    }
    if let Err(error) = record(shared, spec, state).await {
        tracing::warn!(container = spec.id, "an unfinished connection: {}", error.chain());
    }
}

/// Leaves a network. Answers the state that is to be recorded.
pub async fn disconnect(
    shared: &Shared,
    spec: &ContainerSpec,
    pid: i32,
    before: ContainerState,
    name: &str,
) -> Result<ContainerState, PortError> {
    let mut state = before.clone();
    let place = state.endpoints.iter().position(|e| e.network_name == name);
    if let Some(place) = place {
        let endpoint = state.endpoints.remove(place);
        leave(shared, &endpoint).await?;
    }
    state.networks.remove(name);
    arranged(shared, spec, &mut state, &inside(pid)).await?;
    follow(shared, spec, &before, &state).await;
    Ok(state)
}

/// Its own lines of /etc/hosts. Without them it is on its networks all the same.
async fn follow(shared: &Shared, spec: &ContainerSpec, before: &ContainerState, after: &ContainerState) {
    let of =
        |state: &ContainerState| state.endpoints.iter().flat_map(Endpoint::addresses).collect::<Vec<_>>();
    if let Err(error) = shared.ports.runtime.move_hosts(spec, &of(before), &of(after)).await {
        tracing::warn!(container = spec.id, "telling it its addresses: {}", error.chain());
    }
}

/// Brings default route, published ports and names to where they belong now.
async fn arranged(
    shared: &Shared,
    spec: &ContainerSpec,
    state: &mut ContainerState,
    netns: &Path,
) -> Result<(), PortError> {
    let networks = &shared.ports.networks;
    if route(&mut state.endpoints, &state.networks) {
        let gate = gate(&mut state.endpoints).map(|e| e.network.clone());
        let left = |e: &&mut Endpoint| gate.as_ref() != Some(&e.network) && !e.ports.is_empty();
        for endpoint in state.endpoints.iter_mut().filter(left) {
            networks.remove_ports(endpoint).await?;
            endpoint.ports.clear();
        }
        publish(shared, spec, &mut state.endpoints).await?;
    }
    for endpoint in &state.endpoints {
        networks.ensure_endpoint(endpoint, netns.to_owned()).await?;
    }
    answer(shared, spec, state, netns).await
}
