//! What runs on the container's side of the fork, synchronous and small: namespaces, root file system, cgroups,
//! system call filter, the start gate; and the two formats shared with the daemon, spool and shim protocol.

pub mod bundle;
pub mod cgroup;
pub mod config;
mod devices;
pub mod error;
pub mod identity;
pub mod image;
pub mod init;
pub mod launch;
mod process;
pub mod protocol;
mod rootfs;
pub mod seccomp;
pub mod socket;
pub mod spool;
pub mod terminal;

pub use identity::look_up;
pub use rootfs::view;
