//! One router per container: from the spool to every sink, each at its own cursor.

pub mod actor;
pub mod machine;
mod pass;
mod retire;
