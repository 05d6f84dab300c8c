//! What a container's machine decides, done: starts with their undoing, ends, removals. Runs outside the actors,
//! under the container's lane.

mod lending;
mod links;
mod namespaces;
mod network;
mod probe;
mod relogging;
mod sharing;
mod switching;
mod volumes;

pub use lending::lend;
pub use probe::probe;
pub use relogging::{Change as Relogging, settle as settle_logging, swap};
pub use switching::{abandon, connect, disconnect};

use network::{detach, is_answered, join, lease, namespace};

use super::messages::Along;
use crate::shared::{CLOSE, Shared, lock};
use contract::error::Kind;
use contract::network::{Endpoint, Family};
use contract::record::{ContainerRecord, ContainerSpec, ContainerState};
use contract::runtime::{Answers, Created, SandboxSpec, Target};
use contract::storage::Durability;
use contract::{ContainerId, PortError};
use futures::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

/// How long a removal waits for an attached client that takes nothing (moby gives streams 2 s after an exit).
pub const PATIENCE: Duration = Duration::from_secs(2);
/// The same for a container that removes itself: nobody waits for that, and its output may be in a pager.
pub const ATTACHED: Duration = Duration::from_secs(30);

/// A failed step, and the exit code Docker gives it.
struct Failure {
    error: PortError,
    code: i32,
}

impl From<PortError> for Failure {
    fn from(error: PortError) -> Self {
        Self { error, code: 128 }
    }
}

/// Starts a container; on failure everything done is undone. Answers its pid and what is recorded of it then.
pub async fn start(
    shared: &Arc<Shared>,
    spec: &ContainerSpec,
    before: ContainerState,
) -> (Result<i32, PortError>, ContainerState) {
    let id = ContainerId::new(spec.id.clone());
    let mut state = ContainerState {
        started: true,
        wanted: true,
        stopped: false,
        started_ns: crate::now_ns(),
        error: String::new(),
        exit_code: 0,
        oom_killed: false,
        endpoints: Vec::new(),
        health: super::health::at_start(before.health.as_ref(), spec.probe().is_some()),
        ..before.clone()
    };
    // A driver that panics must not leave those who wait for the start without an answer.
    let steps = AssertUnwindSafe(steps(shared, &id, spec, &mut state)).catch_unwind();
    let whole =
        async { steps.await.unwrap_or_else(|_| Err(PortError::new(Kind::Bug, "a driver panicked").into())) };
    let failure = match shared.meters.timed("start", whole).await {
        Ok(pid) => return (Ok(pid), state),
        Err(failure) => failure,
    };
    if let Err(error) = shared.ports.runtime.remove(&id).await {
        tracing::warn!(container = id.short(), "undoing a start: {}", error.chain());
    }
    warn(spec, detach(shared, spec, &state.endpoints).await);
    warn(spec, volumes::release(shared, spec).await);
    let state = ContainerState {
        wanted: false,
        error: failure.error.chain(),
        exit_code: failure.code,
        ends: before.ends + 1,
        ended_with: failure.code,
        ..before
    };
    if let Err(error) = shared.ports.records.save_state(&id, &state, Durability::of(spec)).await {
        tracing::error!(container = id.short(), "saving a failed start: {}", error.chain());
    }
    (Err(failure.error), state)
}

async fn steps(
    shared: &Arc<Shared>,
    id: &ContainerId,
    spec: &ContainerSpec,
    state: &mut ContainerState,
) -> Result<i32, Failure> {
    let joined = namespaces::joined(shared, spec)?;
    let root = shared.ports.roots.ensure_root(id, &spec.image).await?;
    let owner = sharing::owner(shared, spec)?;
    let mut container = spec.clone();
    volumes::mount(shared, &mut container).await?;
    lease(shared, spec, state).await?;
    // Before its router is made: that would go on trying.
    shared.fits(spec, &state.name).and_then(|()| shared.logging(spec, &state.name)).map_err(|e| {
        PortError::new(
            e.kind,
            format!(
                "failed to create task for container: failed to initialize logging driver: {}",
                e.chain()
            ),
        )
    })?;
    let linked = links::of_starting(shared, spec, state)?;
    let netns = namespace(shared, spec, owner.as_deref()).await?;
    if let Some(owner) = &owner {
        container.hostname.clone_from(&owner.spec.hostname);
        container.domainname.clone_from(&owner.spec.domainname);
    }
    let sandbox = SandboxSpec {
        container,
        root,
        directory: shared.directory(&spec.id),
        addresses: state.endpoints.iter().flat_map(Endpoint::addresses).collect(),
        hosts: linked.hosts,
        environment: linked.environment,
        gateways: [Family::Four, Family::Six].into_iter().filter_map(|f| shared.segment.gateway(f)).collect(),
        answers: if is_answered(&state.endpoints) { Answers::Daemon } else { Answers::Servers },
        files_of: owner.map(|o| shared.directory(&o.spec.id)),
        netns: netns.clone(),
        joined,
    };
    let runtime = &shared.ports.runtime;
    // The namespace stands already: interfaces and processes are made side by side. The record is written before the
    // process is let go, so that a daemon that ends here leaves no container running that is not known to.
    let recorded = shared.ports.records.save_state(id, state, Durability::of(spec));
    let (created, attached, recorded) = futures::join!(
        runtime.ensure_created(&sandbox),
        join(shared, spec, state, netns.as_deref()),
        recorded
    );
    let Created { pid } = created.map_err(in_docker_words)?;
    attached?;
    recorded?;
    links::follow(shared, spec, state).await;
    if let (true, Some((rows, cols))) = (spec.tty, spec.console_size) {
        runtime.resize(id, &Target::Main, rows, cols).await?;
    }
    shared.network_events(spec, state, "connect");
    if let Err(error) = runtime.ensure_started(id).await {
        shared.network_events(spec, state, "disconnect");
        return Err(in_docker_words(error));
    }
    shared.container_event(spec, &state.name, "start", &[]);
    Ok(pid)
}

/// What Docker finds out itself, before it has a task made.
const DOCKERS_OWN: [&str; 9] = [
    "stat ",
    "unable to find user ",
    "unable to find group ",
    "Unable to find group ",
    "uids and gids must be in range ",
    "error gathering device information ",
    "Decoding seccomp profile failed",
    "both '",
    "unknown or invalid runtime name: ",
];
/// How errors of other runtimes begin, which bring their own frame.
const FOREIGN: &str = "OCI runtime create failed: ";

/// Docker's frame around what went wrong inside; its CLI recognizes the causes in it.
fn in_docker_words(error: PortError) -> Failure {
    let code = match error.kind {
        Kind::NotFound => 127,
        Kind::Denied => 126,
        _ => 128,
    };
    let cause = error.chain();
    if DOCKERS_OWN.iter().any(|t| cause.starts_with(t)) {
        return Failure { error, code: 128 };
    }
    let frame = match () {
        () if cause.starts_with(FOREIGN) => "",
        () if cause.starts_with("sysctl ") => "OCI runtime create failed: runc create failed: ",
        () => {
            "OCI runtime create failed: runc create failed: unable to start container process: error during \
             container init: "
        }
    };
    let text =
        format!("failed to create task for container: failed to create shim task: {frame}{cause}: unknown");
    Failure { error: PortError { kind: error.kind, text, source: None }, code }
}

fn warn(spec: &ContainerSpec, errors: Vec<PortError>) {
    for error in errors {
        tracing::warn!(container = spec.id, "clearing up: {}", error.chain());
    }
}

/// Clears up after a process that has ended.
pub async fn settle(shared: &Arc<Shared>, spec: &ContainerSpec, endpoints: &[Endpoint]) {
    let id = ContainerId::new(spec.id.clone());
    let mut errors = detach(shared, spec, endpoints).await;
    errors.extend(shared.ports.runtime.remove(&id).await.err());
    errors.extend(volumes::release(shared, spec).await);
    if let Some(logging) = lock(&shared.logging).get(&spec.id).cloned() {
        logging.router.rest(REST);
    }
    warn(spec, errors);
}

/// So long a sink that is behind may take before its driver stays as it is.
const REST: Duration = Duration::from_secs(60);

/// How a container is removed.
pub struct Removal<'a> {
    /// Its last network attachments.
    pub endpoints: &'a [Endpoint],
    /// How long attached clients are waited for.
    pub patience: Duration,
    /// What goes with it.
    pub along: Along,
}

/// Puts a running container back on its network and notes which volumes it uses.
pub async fn readopt(shared: &Shared, pid: i32, record: &ContainerRecord) {
    if let Err(error) = volumes::hold(shared, &record.spec).await {
        tracing::warn!(container = record.spec.id, "its volumes: {}", error.chain());
    }
    network::readopt(shared, &record.spec, pid, &record.state).await;
}

/// Removes all of a stopped container; goes on past errors and reports them together. Its record goes last and only
/// when nothing else is left of it: without it nobody could try again.
pub async fn remove(shared: &Arc<Shared>, spec: &ContainerSpec, how: Removal<'_>) -> Result<(), PortError> {
    shared.meters.timed("delete", remove_all(shared, spec, how)).await
}

async fn remove_all(shared: &Arc<Shared>, spec: &ContainerSpec, how: Removal<'_>) -> Result<(), PortError> {
    let id = ContainerId::new(spec.id.clone());
    let Removal { endpoints, patience, along } = how;
    let steps = async {
        let mut errors = detach(shared, spec, endpoints).await;
        errors.extend(shared.ports.runtime.remove(&id).await.err());
        shared.attachments.drained(&spec.id, patience).await;
        let logging = lock(&shared.logging).remove(&spec.id);
        if let Some(logging) = logging {
            // What a sink does not take at once is lost with the container, as the user asked.
            logging.router.close(CLOSE).await;
        }
        errors.extend(shared.ports.roots.remove_root(&id).await.err());
        errors.extend(volumes::release(shared, spec).await);
        if along == Along::Volumes && errors.is_empty() {
            errors.extend(volumes::discard(shared, spec).await);
        }
        if errors.is_empty() {
            errors.extend(shared.ports.records.remove(&id).await.err());
        }
        errors
    };
    let steps = AssertUnwindSafe(steps).catch_unwind().await;
    let errors = steps.unwrap_or_else(|_| vec![PortError::new(Kind::Bug, "a driver panicked")]);
    let Some(first) = errors.first() else { return Ok(()) };
    let all: Vec<String> = errors.iter().map(PortError::chain).collect();
    Err(PortError::new(first.kind, all.join("; ")))
}
