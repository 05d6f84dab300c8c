//! What a container's machine decides, done: starts with their undoing, ends, removals. Runs outside the actors,
//! under the container's lane.

use crate::network::allocator::mac;
use crate::network::{Release, Reserve};
use crate::shared::{Shared, lock};
use contract::error::Kind;
use contract::network::{Endpoint, PortBinding};
use contract::record::{ContainerSpec, ContainerState};
use contract::runtime::{Created, SandboxSpec};
use contract::{ContainerId, PortError};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

/// How long an ask between actors may take.
const ASK: Duration = Duration::from_secs(10);

/// What a successful start yields.
#[derive(Debug, Clone)]
pub struct Started {
    /// Host pid.
    pub pid: i32,
    /// Its attachment to the bridge.
    pub endpoint: Option<Endpoint>,
}

/// A failed start: what to tell, and the exit code Docker gives it.
#[derive(Debug)]
pub struct StartFailure {
    /// The first error.
    pub error: PortError,
    /// 126, 127 or 128.
    pub code: i32,
}

/// Starts a container; on failure everything done is undone.
pub async fn start(shared: &Shared, spec: &ContainerSpec, name: &str) -> Result<Started, StartFailure> {
    let id = ContainerId::new(spec.id.clone());
    let mut endpoint = None;
    match steps(shared, &id, spec, name, &mut endpoint).await {
        Ok(pid) => Ok(Started { pid, endpoint }),
        Err(error) => {
            if let Err(error) = shared.ports.runtime.remove(&id).await {
                tracing::warn!(container = id.short(), "undoing a start: {}", error.chain());
            }
            detach(shared, spec, endpoint.as_ref()).await;
            let code = match error.kind {
                Kind::NotFound => 127,
                Kind::Denied => 126,
                _ => 128,
            };
            Err(StartFailure { error, code })
        }
    }
}

async fn steps(
    shared: &Shared,
    id: &ContainerId,
    spec: &ContainerSpec,
    name: &str,
    endpoint: &mut Option<Endpoint>,
) -> Result<i32, PortError> {
    let root = shared.ports.roots.ensure_root(id, &spec.image).await?;
    if spec.network_mode == "bridge" {
        *endpoint = Some(lease(shared, spec).await?);
    }
    shared.logging(spec, name)?;
    let networks = &shared.ports.networks;
    let netns = match spec.network_mode.as_str() {
        "host" => None,
        _ => Some(networks.ensure_sandbox(&spec.id).await?),
    };
    let sandbox = SandboxSpec {
        container: spec.clone(),
        root,
        directory: shared.directory(&spec.id),
        address: endpoint.as_ref().map(|e| e.address),
        gateway: endpoint.as_ref().map(|e| e.bridge.gateway),
        netns,
    };
    let runtime = &shared.ports.runtime;
    let joined = async {
        match (&endpoint, &sandbox.netns) {
            (Some(endpoint), Some(netns)) => networks.ensure_endpoint(endpoint, netns.clone()).await,
            _ => Ok(()),
        }
    };
    // The namespace stands already: interfaces and processes are made side by side.
    let (created, joined) = futures::join!(runtime.ensure_created(&sandbox), joined);
    let Created { pid } = created.map_err(in_docker_words)?;
    joined?;
    runtime.ensure_started(id).await.map_err(in_docker_words)?;
    Ok(pid)
}

/// Docker's frame around what went wrong inside; its CLI recognizes the causes in it.
fn in_docker_words(error: PortError) -> PortError {
    let text = format!(
        "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create \
         failed: unable to start container process: error during container init: {}: unknown",
        error.chain()
    );
    PortError { kind: error.kind, text, source: None }
}

/// An address and held host ports.
async fn lease(shared: &Shared, spec: &ContainerSpec) -> Result<Endpoint, PortError> {
    drop(shared.departure(&spec.id).lock_owned().await);
    let network =
        shared.network().ok_or_else(|| PortError::new(Kind::Unavailable, "networks are not up yet"))?;
    let asked = network.ask(Reserve { container: spec.id.clone(), known: None }, ASK).await;
    let address = asked.map_err(|e| PortError::caused(Kind::Unavailable, "reserve an address", e))??;
    let reserved = shared.ports.networks.reserve_ports(&spec.id, address, wanted_ports(spec)).await;
    let ports = match reserved {
        Ok(ports) => ports,
        Err(error) => {
            release(shared, &spec.id);
            return Err(error);
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

fn release(shared: &Shared, container: &str) {
    if let Some(network) = shared.network() {
        let container = container.to_owned();
        tokio::spawn(async move {
            if let Err(error) = network.push(Release { container }).await {
                tracing::warn!(%error, "an address was not given back");
            }
        });
    }
}

/// Takes a container off its network.
pub async fn detach(shared: &Shared, spec: &ContainerSpec, endpoint: Option<&Endpoint>) {
    if let Err(error) = shared.ports.networks.remove_sandbox(&spec.id).await {
        tracing::warn!(container = spec.id, "letting go of a network namespace: {}", error.chain());
    }
    let Some(endpoint) = endpoint.cloned() else { return };
    if let Err(error) = shared.ports.networks.remove_ports(&endpoint).await {
        tracing::warn!(container = spec.id, "removing published ports: {}", error.chain());
    }
    // Nobody waits for the kernel to delete an interface; only its address, and the container's next start, do.
    let departing = shared.departure(&spec.id).lock_owned().await;
    let (networks, network) = (Arc::clone(&shared.ports.networks), shared.network());
    tokio::spawn(async move {
        let _departing = departing;
        if let Err(error) = networks.remove_endpoint(&endpoint).await {
            // Its address stays held: an interface that answers for it may still be there.
            tracing::warn!(container = endpoint.container, "removing an endpoint: {}", error.chain());
        } else if let Some(network) = network
            && let Err(error) = network.ask(Release { container: endpoint.container }, ASK).await
        {
            tracing::warn!(%error, "an address was not given back");
        }
    });
}

/// Clears up after a process that has ended.
pub async fn settle(shared: &Shared, spec: &ContainerSpec, endpoint: Option<&Endpoint>) {
    let id = ContainerId::new(spec.id.clone());
    detach(shared, spec, endpoint).await;
    if let Err(error) = shared.ports.runtime.remove(&id).await {
        tracing::warn!(container = id.short(), "clearing up after an exit: {}", error.chain());
    }
}

/// Puts a running container back on its network, whose rules or held ports may have been lost with an earlier daemon.
pub async fn readopt(shared: &Shared, pid: i32, state: &ContainerState) {
    let Some(endpoint) = &state.endpoint else { return };
    let networks = &shared.ports.networks;
    let known = Some(endpoint.address);
    let outcome = async {
        if let Some(network) = shared.network() {
            let asked = network.ask(Reserve { container: endpoint.container.clone(), known }, ASK).await;
            asked.map_err(|e| PortError::caused(Kind::Unavailable, "reserve an address", e))??;
        }
        networks.reserve_ports(&endpoint.container, endpoint.address, endpoint.ports.clone()).await?;
        networks.ensure_endpoint(endpoint, format!("/proc/{pid}/ns/net").into()).await
    };
    if let Err(error) = outcome.await {
        tracing::warn!(container = endpoint.container, "re-attaching to the network: {}", error.chain());
    }
}

/// Removes all of a stopped container; goes on past errors and reports them together.
pub async fn remove(
    shared: &Shared,
    spec: &ContainerSpec,
    endpoint: Option<&Endpoint>,
) -> Result<(), PortError> {
    let id = ContainerId::new(spec.id.clone());
    let mut errors = Vec::new();
    detach(shared, spec, endpoint).await;
    errors.extend(shared.ports.runtime.remove(&id).await.err());
    let logging = lock(&shared.logging).remove(&spec.id);
    if let Some(logging) = logging {
        // What a sink does not take at once is lost with the container, as the user asked.
        logging.router.close(Duration::from_millis(200)).await;
    }
    errors.extend(shared.ports.roots.remove_root(&id).await.err());
    errors.extend(shared.ports.records.remove(&id).await.err());
    if errors.is_empty() {
        return Ok(());
    }
    let all: Vec<String> = errors.iter().map(PortError::chain).collect();
    Err(PortError::new(
        Kind::Bug,
        format!("container {}: driver failed to remove: {}", spec.id, all.join("; ")),
    ))
}
