//! Logging: spool records become lines, a router per container brings them to its sinks, readers follow.

pub mod feed;
pub mod follow;
pub mod framer;
pub mod gap;
mod gauge;
pub mod held;
pub mod lane;
pub mod record;
pub mod router;
pub mod sink;
pub mod swap;

pub use feed::Feed;
pub use follow::{FollowRequest, Lines, Origin, Run, read_logs};
pub use gauge::{Change, Reading};
pub use router::actor::{RouterApi, RouterSpec};
pub use sink::{Purpose, SinkSpec, sinks_for};

#[cfg(test)]
mod tests;
