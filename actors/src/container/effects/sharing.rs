//! `--network container:…`: a container in another's network namespace.

use crate::Snapshot;
use crate::shared::Shared;
use contract::record::ContainerSpec;
use contract::{Kind, PortError};
use std::sync::Arc;

/// Namespaces handed on from container to container.
const HOPS: usize = 16;

/// The container whose network this one uses, in a state to be used; `None` for one that has its own.
pub(super) fn owner(shared: &Shared, spec: &ContainerSpec) -> Result<Option<Arc<Snapshot>>, PortError> {
    let Some(mut wanted) = spec.network_mode.strip_prefix("container:").map(str::to_owned) else {
        return Ok(None);
    };
    let refused = |kind, text: String| Err(PortError::new(kind, text));
    for _ in 0..HOPS {
        let found = shared.board.find(&wanted).map_err(|e| {
            // Docker answers 500: that the container itself is missing it does not mean.
            PortError::new(Kind::Bug, format!("joining network namespace of container: {}", e.chain()))
        })?;
        if found.spec.id == spec.id {
            return refused(Kind::Bug, "cannot join own network namespace".into());
        }
        let name = &found.state.name;
        if found.status.as_str() == "restarting" {
            let text = format!("Container {name} is restarting, wait until the container is running");
            return refused(Kind::Conflict, format!("cannot join network namespace of container: {text}"));
        }
        if found.pid == 0 {
            let text = "cannot join network namespace of a non running container";
            return refused(Kind::Conflict, format!("{text}: container {name} is {}", found.status.as_str()));
        }
        match found.spec.network_mode.strip_prefix("container:") {
            // Files are those of the one that has the namespace.
            Some(next) => wanted = next.to_owned(),
            None => return Ok(Some(found)),
        }
    }
    refused(Kind::Bug, "too many containers hand one network namespace on".into())
}
