//! Fetches images from registries and brings them there, by the OCI distribution protocol (distribution-spec 1.1) and Docker's older types.

mod auth;
mod backoff;
mod blob;
mod certificates;
mod client;
mod download;
mod endpoint;
mod fault;
mod follow;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod handshake;
mod inspect;
mod landing;
mod layers;
mod login;
mod manifest;
mod platform;
mod progress;
mod pull;
mod push;
mod search;
mod session;
mod tags;
mod tls;

pub use client::{Proxies, RegistryClient, RegistryConfig};
