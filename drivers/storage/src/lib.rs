//! Storage driver: container records, the image store, container roots.

mod archive;
mod commit;
mod config;
mod context;
mod core;
mod decompress;
mod erase;
mod file;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod import;
mod index;
mod inside;
mod known;
mod layers;
mod limits;
mod making;
mod network_records;
mod pipe;
mod place;
mod pull;
mod push;
mod quota;
mod records;
mod reference;
mod removal;
mod reserve;
mod roots;
mod save;
mod settle;
mod step;
mod store;
mod stream;
mod tar;
pub mod transfer;
mod unpack;
mod volumes;

pub use context::BuildContexts;
pub use limits::Limits;
pub use network_records::FileNetworkRecords;
pub use quota::sizes_supported;
pub use records::FileRecords;
pub use reference::Reference;
pub use roots::OverlayRoots;
pub use store::Store;
pub use volumes::LocalVolumes;
