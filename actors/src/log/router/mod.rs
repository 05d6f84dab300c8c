//! One router per container: from the spool to every sink, each at its own cursor.

pub mod actor;
pub mod machine;
pub(crate) mod pass;
pub mod report;
mod retire;
