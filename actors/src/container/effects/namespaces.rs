//! Other containers whose namespaces a container shares, looked up as it starts.

use crate::Snapshot;
use crate::Status;
use crate::shared::Shared;
use contract::record::{ContainerSpec, Namespaces};
use contract::runtime::Joined;
use contract::{Kind, PortError};
use std::sync::Arc;

/// The first processes of those that run.
pub(super) fn joined(shared: &Shared, spec: &ContainerSpec) -> Result<Joined, PortError> {
    let mut joined = Joined::default();
    if let Some(other) = Namespaces::other(&spec.namespaces.ipc) {
        let framed =
            |e: PortError| PortError::new(e.kind, format!("failed to join IPC namespace: {}", e.chain()));
        let found = running(shared, other).map_err(framed)?;
        if !shareable(&found.spec.namespaces.ipc) {
            let text = format!(
                "container {other}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)"
            );
            return Err(framed(PortError::new(Kind::Invalid, text)));
        }
        joined.ipc = Some(found.pid);
    }
    if let Some(other) = Namespaces::other(&spec.namespaces.pid) {
        let found = running(shared, other).map_err(|e| {
            // Docker finds this out while it writes the runtime's configuration, and answers 500 to all of that.
            let text = format!("failed to join PID namespace: {}", e.chain());
            PortError::new(Kind::Exhausted, text)
        })?;
        joined.pid = Some(found.pid);
    }
    Ok(joined)
}

/// Whether others may use a container's memory: those that it has to itself are its own.
fn shareable(mode: &str) -> bool {
    !matches!(mode, "" | "private" | "none")
}

fn running(shared: &Shared, name: &str) -> Result<Arc<Snapshot>, PortError> {
    // The request named a container that is not there.
    let found = shared.board.find(name).map_err(|e| PortError::new(Kind::Invalid, e.chain()))?;
    match found.status {
        Status::Running | Status::Paused if found.pid != 0 => Ok(found),
        Status::Restarting => {
            let text = format!("Container {name} is restarting, wait until the container is running");
            Err(PortError::new(Kind::Conflict, text))
        }
        _ => Err(PortError::new(Kind::Conflict, format!("container {name} is not running"))),
    }
}
