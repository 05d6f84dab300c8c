//! Logging: spool records become lines, a router per container brings them to its sinks, readers follow.

mod chain;
mod cut;
pub mod feed;
pub mod follow;
pub mod framer;
pub mod gap;
mod gauge;
pub mod held;
pub mod lane;
pub mod record;
mod remote;
pub mod replay;
pub mod router;
mod sieve;
pub mod sink;
mod spec;
pub mod stores;
mod survey;
pub mod swap;
mod trim;

pub use chain::chain;
pub use feed::Feed;
pub use follow::{FollowRequest, Lines, Origin, Run, read_logs};
pub use gauge::{Change, Reading};
pub use remote::read_remote;
pub use router::actor::{RouterApi, RouterSpec};
pub use spec::{Purpose, SinkSpec, sinks_for};
pub use stores::{Stores, past};
pub use survey::{Lag, Place, Survey};

#[cfg(test)]
mod tests;
