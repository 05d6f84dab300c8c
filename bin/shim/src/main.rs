//! gantry-shim
fn main() {}
