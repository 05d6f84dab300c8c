//! The control plane: supervised actors, their messages and their machines.
//!
//! ```text
//! root (rest-for-one)
//! ├─ events
//! ├─ images ── pull:<reference>
//! ├─ networks ── network:<name>
//! ├─ volumes
//! ├─ logs ── router:<container> ── sink
//! │       └─ replay:<number>
//! └─ containers ── container:<id>
//! ```
//!
//! Pulls, networks, routers and containers outlive the actor above them: its fault is not theirs.

mod attachments;
pub mod container;
mod departures;
pub mod engine;
pub mod events;
pub mod exec;
pub mod image;
mod links;
pub mod log;
pub mod meters;
pub mod network;
mod shared;
mod stats;
pub mod supervise;
pub mod volume;

#[cfg(test)]
mod tests;

pub use container::messages::WaitCondition;
pub use container::snapshot::{Snapshot, Status};
pub use container::update::Changes;
pub use engine::{
    AttachRequest, CommitRequest, DriverInfo, Engine, LogsRequest, NetworkDefaults, Probed, PushNews,
    SinkReport,
};
pub use events::{Event, Subscription};
pub use exec::ExecInfo;
pub use log::replay::{News as ReplayNews, Progress as ReplayProgress};
pub use log::{Lag, Purpose, Reading};
pub use meters::{Counts, Timing};
pub use network::default_spec as default_network;
pub use network::plan::{Asked, Pool, Wanted};
pub use shared::Ports;
pub use stats::Sample;
pub use supervise::ActorInfo;

/// 64 random hex digits.
fn random_id() -> Result<String, contract::PortError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|e| contract::PortError::new(contract::Kind::Bug, format!("random bytes: {e}")))?;
    Ok(hex::encode(bytes))
}

/// ns since the epoch.
fn now_ns() -> i64 {
    i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX)
}
