//! Logging: spool records become lines, a router per container brings them to its sinks, readers follow.

pub mod follow;
pub mod framer;
mod gauge;
pub mod held;
pub mod router;
pub mod sink;
mod survey;

pub use follow::{FollowRequest, Origin, Run, read_logs};
pub use gauge::{Change, Reading};
pub use router::actor::{RouterApi, RouterSpec};
pub use sink::{Purpose, SinkSpec, sinks_for};
pub use survey::{Lag, Survey};

#[cfg(test)]
mod tests;
