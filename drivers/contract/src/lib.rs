//! The ports between gantry's actors and the code that touches the system.
//!
//! Actors know only these traits and plain types; each driver crate implements one of them.
//! Nothing here does I/O.

pub mod archive;
pub mod build;
pub mod error;
#[cfg(feature = "fake")]
pub mod fake;
pub mod id;
pub mod image;
pub mod incoming;
pub mod log;
pub mod network;
pub mod record;
pub mod runtime;
pub mod storage;
pub mod usage;
pub mod volume;

pub use error::{Kind, PortError};
pub use id::{ContainerId, ExecId, ImageId};
