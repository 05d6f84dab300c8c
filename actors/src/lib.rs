//! The control plane: supervised actors, their messages and their machines.

pub mod log;
pub mod supervise;
