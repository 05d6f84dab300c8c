//! Supervision: actors that panic are rebuilt fresh from their factory, callers keep one stable
//! [`Link`], and a [`Registry`] shows the live tree.
//!
//! `actix::Supervisor` does not restart after a panic, reuses the same struct and has no limit, so
//! the restart loop lives here.

mod catch;
mod child;
mod fault;
mod intensity;
mod link;
mod root;
mod tree;

#[cfg(test)]
mod tests;

pub use actix::{ActorContext, ArbiterHandle, AsyncContext, Message};
pub use catch::install_panic_hook;
pub use child::{Answer, ChildSpec, Ctx, Hosted, Member, Policy, spawn};
pub use intensity::{Backoff, Intensity, OverLimit};
pub use link::{Link, Reply, Unavailable, Why};
pub use root::{Root, RootHandle};
pub use tree::{ActorInfo, Ended, Registry, State};
