//! Names answered inside containers, at 127.0.0.11 as Docker does.

mod answer;
mod exchange;
mod forward;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod host;
mod inside;
mod listen;
mod open;
mod server;
mod upstream;

pub use open::Open;
pub use server::Serving;

use std::net::Ipv4Addr;

/// Where containers ask.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);

/// The way a query came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// In a datagram.
    Udp,
    /// Over a connection.
    Tcp,
}
