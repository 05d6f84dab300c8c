//! Storage driver: container records, the image store, container roots.

mod archive;
mod changes;
mod file;
mod index;
mod layers;
mod records;
mod reference;
mod roots;
mod store;
mod tar_stream;
mod unpack;

pub use records::FileRecords;
pub use reference::Reference;
pub use roots::OverlayRoots;
pub use store::Store;
