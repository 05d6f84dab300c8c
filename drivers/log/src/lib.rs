//! gantry-log
