//! The control plane: supervised actors, their messages and their machines.

pub mod supervise;
