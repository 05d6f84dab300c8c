//! gantry-storage
