//! Containers whose lines go to several receivers, while everything that can fail does, at random.

mod watch;
mod weather;

pub use weather::{Chaos, Scale};
