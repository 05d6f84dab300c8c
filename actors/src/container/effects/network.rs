//! A container's attachment to its network: an address, ports, and their return.

use crate::network::allocator::mac;
use crate::network::{Release, Reserve};
use crate::shared::Shared;
use contract::PortError;
use contract::error::Kind;
use contract::network::{Endpoint, PortBinding};
use contract::record::{ContainerSpec, ContainerState};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

/// How long an ask between actors may take.
const ASK: Duration = Duration::from_secs(10);

/// Docker's frame around everything about the network.
pub(super) const NETWORKING: &str = "failed to set up container networking";

/// Docker's frame around what keeps a container from being reached; endpoints have their container's id.
pub(super) fn not_reachable(id: &str, name: &str, error: &PortError) -> PortError {
    let text = format!(
        "{NETWORKING}: driver failed programming external connectivity on endpoint {name} ({id}): {}",
        error.chain()
    );
    // Docker answers 500, whatever stands in the way.
    PortError::new(Kind::Exhausted, text)
}

/// An address and held host ports.
pub(super) async fn lease(shared: &Shared, spec: &ContainerSpec, name: &str) -> Result<Endpoint, PortError> {
    shared.departures.over(&spec.id).await;
    let network =
        shared.network().ok_or_else(|| PortError::new(Kind::Unavailable, "networks are not up yet"))?;
    let reserve = Reserve { container: spec.id.clone(), known: None };
    let asked = network.insist(|| reserve.clone(), ASK).await;
    let asked = asked.map_err(|e| PortError::caused(Kind::Unavailable, "reserve an address", e))?;
    let address = asked.map_err(|e| PortError::new(e.kind, format!("{NETWORKING}: {}", e.chain())))?;
    let reserved = shared.ports.networks.reserve_ports(&spec.id, address, wanted_ports(spec)).await;
    let ports = match reserved {
        Ok(ports) => ports,
        Err(error) => {
            release(shared, &spec.id).await;
            return Err(not_reachable(&spec.id, name, &error));
        }
    };
    Ok(Endpoint {
        container: spec.id.clone(),
        bridge: shared.bridge.clone(),
        address,
        mac: mac(address),
        ports,
    })
}

/// The ports asked for; with `-P` every exposed one that is not, on an ephemeral host port.
fn wanted_ports(spec: &ContainerSpec) -> Vec<PortBinding> {
    use contract::network::Protocol;
    let mut ports = spec.ports.clone();
    if spec.publish_all {
        for exposed in &spec.exposed {
            let (number, protocol) = exposed.split_once('/').unwrap_or((exposed, "tcp"));
            let protocol = if protocol == "udp" { Protocol::Udp } else { Protocol::Tcp };
            let Ok(container_port) = number.parse() else { continue };
            if !ports.iter().any(|p| p.container_port == container_port && p.protocol == protocol) {
                let host_ip = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
                ports.push(PortBinding { protocol, host_ip, host_port: 0, container_port });
            }
        }
    }
    ports
}

/// Gives an address back. While its actor is being rebuilt this waits: a lease given up on would be lost for good.
async fn release(shared: &Shared, container: &str) {
    let Some(network) = shared.network() else { return };
    let message = Release { container: container.to_owned() };
    if let Err(error) = network.insist(|| message.clone(), ASK).await {
        tracing::warn!(%error, container, "an address was not given back");
    }
}

/// Takes a container off its network.
pub(super) async fn detach(
    shared: &Arc<Shared>,
    spec: &ContainerSpec,
    endpoint: Option<&Endpoint>,
) -> Vec<PortError> {
    let networks = &shared.ports.networks;
    let mut errors = Vec::new();
    errors.extend(networks.remove_sandbox(&spec.id).await.err());
    let Some(endpoint) = endpoint.cloned() else { return errors };
    errors.extend(networks.remove_ports(&endpoint).await.err());
    // Nobody waits for the kernel to delete an interface; only its address, and the container's next start, do.
    let departing = shared.departures.begin(&spec.id).await;
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        let _departing = departing;
        match shared.ports.networks.remove_endpoint(&endpoint).await {
            Ok(()) => release(&shared, &endpoint.container).await,
            // Its address stays held: an interface that answers for it may still be there.
            Err(error) => {
                tracing::warn!(container = endpoint.container, "removing an endpoint: {}", error.chain());
            }
        }
    });
    errors
}

/// Puts a running container back on its network, whose rules or held ports may have been lost with an earlier daemon.
pub async fn readopt(shared: &Shared, pid: i32, state: &ContainerState) {
    let Some(endpoint) = &state.endpoint else { return };
    let networks = &shared.ports.networks;
    let known = Some(endpoint.address);
    let outcome = async {
        if let Some(network) = shared.network() {
            let reserve = Reserve { container: endpoint.container.clone(), known };
            let asked = network.insist(|| reserve.clone(), ASK).await;
            asked.map_err(|e| PortError::caused(Kind::Unavailable, "reserve an address", e))??;
        }
        networks.reserve_ports(&endpoint.container, endpoint.address, endpoint.ports.clone()).await?;
        networks.ensure_endpoint(endpoint, format!("/proc/{pid}/ns/net").into()).await
    };
    if let Err(error) = outcome.await {
        tracing::warn!(container = endpoint.container, "re-attaching to the network: {}", error.chain());
    }
}
