//! A container's attachment to its networks: addresses, ports, names, and their return.

use crate::network::actor::{Lease, Release, Reserve, Wish};
use crate::network::allocator::mac;
use crate::network::{DEFAULT, Known, is_built_in};
use crate::shared::Shared;
use contract::PortError;
use contract::error::Kind;
use contract::network::{Endpoint, Family, PortSpec, Resolver, SegmentKind};
use contract::record::{Attachment, ContainerSpec, ContainerState, NetworkSpec};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long an ask between actors may take.
const ASK: Duration = Duration::from_secs(10);

/// Docker's frame around everything about the network.
pub(super) const NETWORKING: &str = "failed to set up container networking";

fn networking(error: &PortError) -> PortError {
    PortError::new(error.kind, format!("{NETWORKING}: {}", error.chain()))
}

/// Docker's frame around what keeps a container from being reached.
pub(super) fn not_reachable(endpoint: Option<&Endpoint>, name: &str, error: &PortError) -> PortError {
    let id = endpoint.map(Endpoint::id).unwrap_or_default();
    let text = format!(
        "{NETWORKING}: driver failed programming external connectivity on endpoint {name} ({id}): {}",
        error.chain()
    );
    // Docker answers 500, whatever stands in the way.
    PortError::new(Kind::Exhausted, text)
}

/// Addresses in all of a container's networks, and held host ports. What was got stands in `state` also on failure.
pub(super) async fn lease(
    shared: &Shared,
    spec: &ContainerSpec,
    state: &mut ContainerState,
) -> Result<(), PortError> {
    shared.departures.over(&spec.id).await;
    let mut names: Vec<String> = state.networks.keys().filter(|n| is_bridge(n)).cloned().collect();
    // The first interface is that of the network the container was made on.
    names.sort_by_key(|name| !is_mode(&spec.network_mode, name, state.networks.get(name)));
    for name in names {
        let Some(attachment) = state.networks.get_mut(&name) else { continue };
        let endpoint = reserve(shared, &spec.id, &name, attachment).await.map_err(|e| networking(&e))?;
        attachment.network.clone_from(&endpoint.network);
        state.endpoints.push(endpoint);
    }
    route(&mut state.endpoints, &state.networks);
    let reserved = publish(shared, spec, &mut state.endpoints).await;
    reserved.map_err(|e| not_reachable(gate(&mut state.endpoints).map(|e| &*e), &state.name, &e))
}

fn is_bridge(name: &str) -> bool {
    name == DEFAULT || !is_built_in(name)
}

fn is_mode(mode: &str, name: &str, attachment: Option<&Attachment>) -> bool {
    mode == name || attachment.is_some_and(|a| !a.network.is_empty() && a.network.starts_with(mode))
}

/// An address on one network.
pub(super) async fn reserve(
    shared: &Shared,
    container: &str,
    name: &str,
    attachment: &Attachment,
) -> Result<Endpoint, PortError> {
    // By its id: another network of this name is not the one the container was attached to.
    let term = if attachment.network.is_empty() { name } else { &attachment.network };
    let network = shared.networks.find(term)?;
    if network.spec.configuration.is_some() {
        return Err(PortError::new(Kind::Denied, "cannot create endpoint on configuration-only network"));
    }
    if matches!(network.spec.segment.kind, SegmentKind::Ipvlan { .. }) && !attachment.mac.is_empty() {
        let own = shared.board.get(container).map(|s| s.state.name.clone()).unwrap_or_default();
        let text = format!(
            "failed to create endpoint {own} on network {}: ipvlan interfaces do not support custom mac address assignment",
            network.spec.name
        );
        return Err(PortError::new(Kind::Exhausted, text));
    }
    let wanted = Reserve {
        container: container.to_owned(),
        four: attachment.address.map_or(Wish::Any, |a| Wish::This(a.into())),
        six: attachment.address6.map_or(Wish::Any, |a| Wish::This(a.into())),
    };
    let lease = match ask(&network, wanted.clone()).await {
        // It may be that of one who has ended, and whose interface is on its way out.
        Err(_) if shared.departures.settled().await => ask(&network, wanted).await,
        first => first,
    };
    let lease = lease?;
    let spec = &network.spec;
    Ok(Endpoint {
        container: container.to_owned(),
        segment: spec.segment.clone(),
        address: lease.four,
        address6: lease.six,
        mac: hardware_address(spec, &lease, attachment),
        interface: attachment.interface(),
        network: spec.id.clone(),
        network_name: spec.name.clone(),
        ..Endpoint::default()
    })
}

/// The MAC that is asked for, or one that follows from the address; where interfaces share their parent's, none.
fn hardware_address(network: &NetworkSpec, lease: &Lease, attachment: &Attachment) -> String {
    match network.segment.kind {
        SegmentKind::Ipvlan { .. } => String::new(),
        _ => match lease.four.map(std::net::IpAddr::V4).or(lease.six.map(std::net::IpAddr::V6)) {
            Some(address) if attachment.mac.is_empty() => mac(address),
            _ => attachment.mac.clone(),
        },
    }
}

async fn ask(network: &Known, reserve: Reserve) -> Result<Lease, PortError> {
    let asked = network.link.insist(|| reserve.clone(), ASK).await;
    asked.map_err(|e| PortError::caused(Kind::Unavailable, "reserve an address", e))?
}

/// Chooses who gives the default route of each family: the highest priority, then who has both, then the first name, as
/// Docker does; never an internal network. True when one is another than before.
pub(super) fn route(endpoints: &mut [Endpoint], networks: &BTreeMap<String, Attachment>) -> bool {
    let priority = |e: &Endpoint| networks.get(&e.network_name).map_or(0, |a| a.gateway_priority);
    let leads = |e: &Endpoint, family| e.segment.leads_out(family);
    let best = |family| {
        let outward = endpoints.iter().filter(|e| leads(e, family));
        let both = |e: &Endpoint| leads(e, Family::Four) && leads(e, Family::Six);
        let chosen = outward.max_by_key(|e| (priority(e), both(e), Reverse(e.network_name.clone())));
        chosen.map(|e| e.network.clone())
    };
    let (four, six) = (best(Family::Four), best(Family::Six));
    let mut changed = false;
    for endpoint in endpoints {
        let now = [&four, &six].map(|chosen| chosen.as_ref() == Some(&endpoint.network));
        changed |= now != [endpoint.default_route, endpoint.default_route6];
        [endpoint.default_route, endpoint.default_route6] = now;
    }
    changed
}

/// The endpoint that ports are published on: the one of the default route, and of IPv6 alone where there is no other.
pub(super) fn gate(endpoints: &mut [Endpoint]) -> Option<&mut Endpoint> {
    let four = endpoints.iter().position(|e| e.default_route);
    let place = four.or_else(|| endpoints.iter().position(|e| e.default_route6))?;
    endpoints.get_mut(place)
}

/// Holds the published ports on the endpoint that has the default route.
pub(super) async fn publish(
    shared: &Shared,
    spec: &ContainerSpec,
    endpoints: &mut [Endpoint],
) -> Result<(), PortError> {
    let Some(endpoint) = gate(endpoints) else { return Ok(()) };
    if endpoint.segment.kind != SegmentKind::Bridge {
        if !spec.ports.is_empty() {
            let driver = endpoint.segment.kind.driver();
            tracing::warn!(container = spec.id, "{driver} driver does not support port mappings");
        }
        return Ok(());
    }
    let binding = shared.networks.get(&endpoint.network).and_then(|n| n.spec.host_binding);
    let mut ports = spec.ports.clone();
    for port in &mut ports {
        port.host_ip = port.host_ip.or(binding);
    }
    let networks = &shared.ports.networks;
    endpoint.ports = match networks.reserve_ports(endpoint, ports.clone()).await {
        Err(_) if shared.departures.settled().await => networks.reserve_ports(endpoint, ports).await?,
        first => first?,
    };
    Ok(())
}

/// The namespace a container joins; `None` is the host's.
pub(super) async fn namespace(
    shared: &Shared,
    spec: &ContainerSpec,
    owner: Option<&crate::Snapshot>,
) -> Result<Option<PathBuf>, PortError> {
    match owner {
        Some(owner) => Ok(Some(format!("/proc/{}/ns/net", owner.pid).into())),
        None if spec.network_mode == "host" => Ok(None),
        None => Ok(Some(shared.ports.networks.ensure_sandbox(&spec.id).await?)),
    }
}

/// Puts a container on its networks, with their names where users made them.
pub(super) async fn join(
    shared: &Shared,
    spec: &ContainerSpec,
    state: &ContainerState,
    netns: Option<&Path>,
) -> Result<(), PortError> {
    let (Some(netns), false) = (netns, state.endpoints.is_empty()) else { return Ok(()) };
    let networks = &shared.ports.networks;
    for endpoint in &state.endpoints {
        let joined = networks.ensure_endpoint(endpoint, netns.to_owned()).await;
        joined.map_err(|e| not_reachable(Some(endpoint), &state.name, &e))?;
    }
    answer(shared, spec, state, netns).await.map_err(|e| networking(&e))
}

/// Whether the daemon answers this container's questions for names.
pub(super) fn is_answered(endpoints: &[Endpoint]) -> bool {
    endpoints.iter().any(|e| e.network_name != DEFAULT)
}

/// Makes a container known to its neighbours, and them to it.
pub(super) async fn answer(
    shared: &Shared,
    spec: &ContainerSpec,
    state: &ContainerState,
    netns: &Path,
) -> Result<(), PortError> {
    // Leaves where there is nothing to be entered.
    shared.zone.enter(spec, state);
    let resolver = Resolver {
        container: spec.id.clone(),
        servers: spec.dns.iter().filter_map(|s| s.parse().ok()).collect(),
        outward: state.endpoints.iter().any(|e| !e.segment.is_internal()),
        options: spec.dns_options.clone(),
        names: Arc::new(shared.zone.clone()),
    };
    if is_answered(&state.endpoints) {
        return shared.ports.networks.ensure_resolver(resolver, netns.to_owned()).await;
    }
    shared.ports.networks.change_resolver(resolver);
    Ok(())
}

/// Gives an address back. While its actor is being rebuilt this waits: a lease given up on would be lost for good.
pub(super) async fn release(shared: &Shared, endpoint: &Endpoint) {
    let Some(network) = shared.networks.get(&endpoint.network) else { return };
    let container = &endpoint.container;
    let message = Release { container: container.clone() };
    if let Err(error) = network.link.insist(|| message.clone(), ASK).await {
        tracing::warn!(%error, container, "an address was not given back");
    }
}

/// Takes a container off its networks.
pub(super) async fn detach(
    shared: &Arc<Shared>,
    spec: &ContainerSpec,
    endpoints: &[Endpoint],
) -> Vec<PortError> {
    let networks = &shared.ports.networks;
    let mut errors = Vec::new();
    shared.zone.leave(&spec.id);
    errors.extend(networks.remove_sandbox(&spec.id).await.err());
    let mut endpoints = endpoints.to_vec();
    for unrecorded in shared.joining.take(&spec.id) {
        if endpoints.iter().all(|e| e.network != unrecorded.network) {
            endpoints.push(unrecorded);
        }
    }
    if endpoints.is_empty() {
        return errors;
    }
    for endpoint in &endpoints {
        errors.extend(networks.remove_ports(endpoint).await.err());
    }
    // Nobody waits for the kernel to delete an interface; only its address, and the container's next start, do.
    let departing = shared.departures.begin(&spec.id).await;
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        let _departing = departing;
        let leaving = endpoints.iter().map(|endpoint| leave(&shared, endpoint));
        for (endpoint, left) in endpoints.iter().zip(futures::future::join_all(leaving).await) {
            if let Err(error) = left {
                tracing::warn!(container = endpoint.container, "removing an endpoint: {}", error.chain());
            }
        }
    });
    errors
}

/// Takes an interface away and gives its address back.
pub(super) async fn leave(shared: &Shared, endpoint: &Endpoint) -> Result<(), PortError> {
    // On an error its address stays held: an interface that answers for it may still be there.
    shared.ports.networks.remove_endpoint(endpoint).await?;
    release(shared, endpoint).await;
    Ok(())
}

/// Puts a running container back on its networks, whose rules or held ports may have been lost with an earlier daemon.
pub async fn readopt(shared: &Shared, spec: &ContainerSpec, pid: i32, state: &ContainerState) {
    let networks = &shared.ports.networks;
    let netns = PathBuf::from(format!("/proc/{pid}/ns/net"));
    let told = |error: PortError| {
        tracing::warn!(container = spec.id, "re-attaching to a network: {}", error.chain());
    };
    for endpoint in &state.endpoints {
        let outcome = async {
            let network = shared.networks.find(&endpoint.network)?;
            ask(&network, Reserve::known(endpoint)).await?;
            let ports = endpoint.ports.iter().map(PortSpec::from).collect();
            if let Err(error) = networks.reserve_ports(endpoint, ports).await {
                // Another program has one by now, which does not end what leads to the container.
                told(error);
            }
            networks.ensure_endpoint(endpoint, netns.clone()).await
        };
        if let Err(error) = outcome.await {
            told(error);
        }
    }
    if let Err(error) = answer(shared, spec, state, &netns).await {
        told(error);
    }
}
