//! gantry-wire
