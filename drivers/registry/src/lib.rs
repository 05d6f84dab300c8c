//! Fetches images from registries by the OCI distribution protocol (distribution-spec 1.1) and Docker's older types.

mod auth;
mod blob;
mod client;
mod download;
mod endpoint;
mod fault;
mod follow;
mod landing;
mod layers;
mod manifest;
mod platform;
mod progress;
mod pull;
mod session;

pub use client::{Proxies, RegistryClient, RegistryConfig};
