//! The port to what is inside containers: files copied in and out, changes, whole roots.
//!
//! A container may change its files while they are read, and may do so with malice. So the work is done by a process of
//! its own that has entered the container's root and dies with its client; what crosses to it are the types here.

use crate::build::{Shape, Target};
use crate::error::{Kind, PortError};
use crate::record::ContainerSpec;
use crate::runtime::RootSpec;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::io::AsyncRead;

/// A file as `X-Docker-Container-Path-Stat` describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathStat {
    /// Last name of the path asked for.
    pub name: String,
    /// Bytes.
    pub size: i64,
    /// Go's `os.FileMode`.
    pub mode: u32,
    /// Modification, RFC 3339.
    pub mtime: String,
    /// Where a link leads, all links on the way followed.
    #[serde(rename = "linkTarget")]
    pub link_target: String,
}

/// What is done inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Work {
    /// Describes a path.
    Stat(Vec<u8>),
    /// Describes it and sends it as a tar stream.
    Read(Vec<u8>),
    /// Unpacks a tar stream.
    Write(Put),
    /// Sends the whole root as a tar stream.
    Export,
    /// Sends the list of changes as JSON, without these paths.
    Changes(Vec<String>),
    /// Sends the changes as a layer, without these paths.
    Layer(Vec<String>),
    /// Adds up the bytes of files below folders.
    Usage(Vec<PathBuf>),
    /// Sends what patterns name as a JSON list of [`Sighting`].
    Survey(Vec<String>),
    /// Copies the files that a JSON list of [`Placed`] names.
    Place(Target),
}

/// A file or folder that a pattern named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// Its path, links at its end not followed.
    pub path: Vec<u8>,
    /// What it, or what it leads to, is.
    pub shape: Shape,
    /// `file:…` or `dir:…` over its content.
    pub digest: String,
}

/// Where files are copied from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Beside {
    /// A folder of the host.
    Folder(PathBuf),
    /// An image's layers, topmost first.
    Layers(Vec<PathBuf>),
}

/// A file or folder to be copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    /// Which of the places it is in.
    pub source: usize,
    /// Its path there.
    pub path: Vec<u8>,
    /// How it is copied.
    pub shape: Shape,
    /// It stays its owner's unless somebody else is to get it.
    pub keeps_owner: bool,
}

/// Files to be copied into a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placing {
    /// Where they are.
    pub sources: Vec<Beside>,
    /// What they are, in order.
    pub pieces: Vec<Placed>,
    /// Where they go.
    pub target: Target,
}

/// How a tar stream is unpacked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Put {
    /// The folder, as asked for.
    pub path: Vec<u8>,
    /// A folder and something else never take each other's place.
    pub keep_kinds: bool,
    /// `user[:group]` that gets everything; `None` leaves it to the stream.
    pub owner: Option<String>,
    /// What is mounted inside, and whether it is read-only.
    pub mounts: Vec<(String, bool)>,
    /// The root is read-only.
    pub read_only: bool,
}

/// A line that the process says of its work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Report {
    /// Done, or a stream follows.
    Fine,
    /// The path asked for; its stream may follow.
    Path(PathStat),
    /// Bytes below each folder.
    Sizes(Vec<u64>),
    /// It could not be done.
    Failed {
        /// Class of the failure.
        kind: Kind,
        /// Docker's text.
        text: String,
    },
}

/// The container that is entered.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Its configuration.
    pub spec: Arc<ContainerSpec>,
    /// Its root.
    pub root: RootSpec,
    /// Its main process; 0 when it does not run.
    pub pid: i32,
}

/// Bytes that end with an error unless whatever makes them came to a good end. Dropping it ends that.
pub type Stream = Box<dyn AsyncRead + Send + Unpin>;
/// The same to be read where blocking is allowed.
pub type BlockingStream = Box<dyn std::io::Read + Send>;

/// Reaches into containers. One that has ended since it was said to run is `Kind::Unavailable`.
#[async_trait]
pub trait Archives: Send + Sync {
    /// Describes a path; a missing one is `Kind::NotFound`.
    async fn stat(&self, of: &Subject, path: &[u8]) -> Result<PathStat, PortError>;
    /// A file or folder as a tar stream.
    async fn read(&self, of: &Subject, path: &[u8]) -> Result<(PathStat, Stream), PortError>;
    /// Unpacks a tar stream (plain, gzip or zstd) into a folder.
    async fn write(&self, of: &Subject, put: Put, content: Stream) -> Result<(), PortError>;
    /// The whole root without what is mounted in it, as a tar stream.
    async fn export(&self, of: &Subject) -> Result<Stream, PortError>;
    /// Docker's list of changes as JSON.
    async fn changes(&self, of: &Subject) -> Result<Stream, PortError>;
    /// The container's own layer as an uncompressed OCI layer.
    async fn layer(&self, of: &Subject) -> Result<BlockingStream, PortError>;
    /// Bytes of the files below each of these folders of the host; a missing one has none.
    async fn usage(&self, folders: Vec<PathBuf>) -> Result<Vec<u64>, PortError>;
    /// What patterns of a Dockerfile name in an image's layers, topmost first. One that names nothing is an error.
    async fn survey(&self, layers: Vec<PathBuf>, patterns: Vec<String>) -> Result<Vec<Sighting>, PortError>;
    /// Copies files into a root that nothing runs in, without what would be mounted there.
    async fn place(&self, root: &RootSpec, placing: Placing) -> Result<(), PortError>;
}
