//! Another log driver for a container that has one, running or not.
//!
//! The router ends, the new sinks are told where they begin, the wish is written, a router for them starts. Whenever the daemon
//! dies in between, the wish on disk is one or the other as a whole, and the cursors fit it: those of sinks that stay are not
//! touched, and those of new ones mean nothing to the old wish.

use crate::log::SinkSpec;
use crate::log::swap::{self, Begin};
use crate::shared::{Logging, Shared};
use contract::log::Cursor;
use contract::record::ContainerSpec;
use contract::runtime::{Spool, TaskStatus, WhenFull};
use contract::storage::Durability;
use contract::{ContainerId, Kind, PortError};
use std::sync::Arc;
use std::time::Duration;

/// How long a delivery under way may take to come to its end before it is given up.
const GRACE: Duration = Duration::from_millis(500);

/// A change from one wish to the other.
pub struct Change<'a> {
    /// What is.
    pub before: &'a ContainerSpec,
    /// What is to be; the same in all but its logging.
    pub after: &'a ContainerSpec,
    /// The container's name.
    pub name: &'a str,
    /// It has a shim.
    pub alive: bool,
}

/// Has the container's lines go elsewhere from here on and writes that; a failure leaves everything as it was.
pub async fn swap(shared: &Arc<Shared>, change: Change<'_>) -> Result<(), PortError> {
    let Change { before, after, name, alive } = change;
    shared.fits(after, name)?;
    let id = ContainerId::new(after.id.clone());
    let logging = shared.logging(before, name)?;
    let sinks: Vec<SinkSpec> = shared.sinks(after)?.into_iter().map(|s| s.anew(&logging.sinks)).collect();
    let (from, to) = (before.when_full(), after.when_full());
    if alive
        && from != to
        && let Err(error) = set_when_full(shared, &id, to).await
    {
        // It may have been heard all the same.
        take_back(shared, &id, from).await;
        return Err(error);
    }
    // A driver that panics must not leave the container without a router.
    let work = tokio::spawn(take_over(Arc::clone(shared), logging.clone(), sinks.clone(), after.clone()));
    let outcome =
        work.await.unwrap_or_else(|e| Err(PortError::caused(Kind::Bug, "a log driver panicked", e)));
    match outcome {
        Ok(()) => {
            let names: Vec<String> = sinks.iter().map(|s| s.name.clone()).collect();
            shared.route_anew((after, name), sinks);
            if let Err(error) = logging.spool.keep_cursors(&names).await {
                tracing::warn!(container = id.short(), error = error.chain(), "old cursors remain");
            }
            Ok(())
        }
        Err(error) => {
            let sinks = logging.sinks.iter().map(SinkSpec::again).collect();
            shared.route_anew((before, name), sinks);
            if alive && from != to {
                take_back(shared, &id, from).await;
            }
            Err(error)
        }
    }
}

/// Takes away what a change left that a daemon's end broke off: the shim was told of it, cursors were written, and the wish on
/// disk is another.
pub async fn settle(shared: &Shared, spec: &ContainerSpec, logging: &Logging, alive: bool) {
    let id = ContainerId::new(spec.id.clone());
    let names: Vec<String> = logging.sinks.iter().map(|s| s.name.clone()).collect();
    if let Err(error) = logging.spool.keep_cursors(&names).await {
        tracing::warn!(container = id.short(), error = error.chain(), "old cursors remain");
    }
    if alive && let Err(error) = shared.ports.runtime.set_when_full(&id, spec.when_full()).await {
        // That of an older gantry was never told anything else.
        tracing::debug!(container = id.short(), error = error.chain(), "its shim was not told its mode");
    }
}

async fn set_when_full(shared: &Shared, id: &ContainerId, to: WhenFull) -> Result<(), PortError> {
    let Err(error) = shared.ports.runtime.set_when_full(id, to).await else { return Ok(()) };
    // One that has just ended has it with its next start.
    match shared.ports.runtime.status(id).await? {
        TaskStatus::Running { .. } | TaskStatus::Paused { .. } => Err(error),
        _ => Ok(()),
    }
}

async fn take_back(shared: &Shared, id: &ContainerId, from: WhenFull) {
    if let Err(error) = set_when_full(shared, id, from).await {
        tracing::warn!(container = id.short(), "taking a change back: {}", error.chain());
    }
}

async fn take_over(
    shared: Arc<Shared>,
    old: Logging,
    sinks: Vec<SinkSpec>,
    after: ContainerSpec,
) -> Result<(), PortError> {
    let stood = old.router.retire(&old.source, &*old.spool, GRACE).await?;
    for (sink, begin) in sinks.iter().zip(swap::begins(&stood, &sinks)) {
        match begin {
            Begin::At(cursor) => {
                begin_at(&old, sink, &cursor).await?;
                // One that was there before is not known to stand further on.
                sink.gauge.begin_at(cursor);
            }
            // One file a kind. Where the name is another sink's, the old wish still needs what stands under it.
            Begin::WhereItEnded if stood.iter().all(|s| s.sink.name != sink.name) => {
                if let Some(before) = stood.iter().find(|s| s.sink.kind.name() == sink.kind.name()) {
                    sink.inherit(&before.sink, &*old.spool).await?;
                }
            }
            Begin::WhereItEnded => {}
        }
    }
    let id = ContainerId::new(after.id.clone());
    shared.ports.records.save_spec(&id, &after, Durability::of(&after)).await
}

async fn begin_at(logging: &Logging, sink: &SinkSpec, cursor: &Cursor) -> Result<(), PortError> {
    if sink.kind.reader().is_some() {
        let mut driver = sink.kind.open(&logging.source, &sink.options).await?;
        if driver.cursor().is_some() {
            let told = |e| PortError::caused(Kind::Unavailable, format!("begin the {} log", sink.name), e);
            driver.begin_at(cursor).await.map_err(told)?;
            return driver.close().await.map_err(told);
        }
    }
    logging.spool.store_cursor(&sink.name, cursor).await
}
