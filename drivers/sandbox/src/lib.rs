//! gantry-sandbox
