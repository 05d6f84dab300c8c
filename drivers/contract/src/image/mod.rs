//! Images: names, stored images, and the pull port.

use crate::archive::{BlockingStream, Stream};
use crate::error::PortError;
use crate::id::ImageId;
use crate::incoming::Incoming;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::mpsc;

mod pull;
mod push;
mod registries;
mod step;

pub use pull::{LayerSink, Passed, Pulled, Puller, RemoteName};
pub use push::{KnownBlob, LayerSource, Pushed, PushedImage, PushedLayer, Pusher};
pub use registries::{FoundImage, Inspected, Registries};
pub use step::{StepLayer, StepSpec, Steps};

/// A progress line as Docker's CLI reads it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// `Downloading`, `Pull complete`, …
    pub status: String,
    /// Layer's short id; empty for lines about the whole.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// Bytes done.
    #[serde(default)]
    pub current: u64,
    /// Bytes in all; 0 = unknown.
    #[serde(default)]
    pub total: u64,
}

/// Where progress goes; sends never wait (a slow client loses intermediate lines).
pub type ProgressSink = mpsc::Sender<Progress>;

/// What an image says of itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageSummary {
    /// `sha256:…` of the configuration.
    pub id: String,
    /// `name:tag`, familiar form (`busybox:latest`).
    pub tags: Vec<String>,
    /// `name@sha256:…`.
    pub digests: Vec<String>,
    /// ns since epoch.
    pub created_ns: i64,
    /// When it last got a name, ns since epoch; 0 = never.
    pub tagged_ns: i64,
    /// Unpacked bytes.
    pub size: u64,
    /// The OCI/Docker configuration whole (`config`, `rootfs`, `history`, `architecture`, …).
    pub config: serde_json::Value,
    /// Diff ids, lowest first.
    pub layers: Vec<String>,
    /// Unpacked bytes of each layer.
    pub sizes: Vec<u64>,
    /// Where each layer is unpacked.
    pub folders: Vec<std::path::PathBuf>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// The image it was made from here; empty = none.
    pub parent: String,
}

/// What a root file system becomes an image with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportSpec {
    /// Its name, if it gets one.
    pub name: Option<String>,
    /// Its history's comment.
    pub message: String,
    /// Dockerfile lines.
    pub changes: Vec<String>,
    /// Of what machine the programs are, and of which variant of it; empty = this one.
    pub architecture: (String, String),
}

/// What a container becomes an image with.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CommitSpec {
    /// The container's id.
    pub container: String,
    /// Its name as an image, if it gets one.
    pub name: Option<String>,
    /// Who made it.
    pub author: String,
    /// Its history's comment.
    pub comment: String,
    /// The container's configuration (Docker's JSON), for what else is left open.
    pub container_config: serde_json::Value,
    /// The configuration asked for, `None` = the container's.
    pub config: Option<serde_json::Value>,
    /// Dockerfile lines.
    pub changes: Vec<String>,
}

/// Credentials from `X-Registry-Auth`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Credentials {
    /// User.
    pub username: String,
    /// Password.
    pub password: String,
    /// Registry.
    pub serveraddress: String,
    /// Identity token.
    pub identitytoken: String,
    /// A token to be shown to the registry as it is.
    pub registrytoken: String,
}

/// What an untag or delete did, as `DELETE /images` answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removed {
    /// A name was taken away.
    Untagged(String),
    /// An image is gone.
    Deleted(String),
    /// A layer is no image's any more; by its chain id (OCI image specification, "ChainID").
    Layer(String),
}

/// What conflicts a removal passes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// None.
    No,
    /// All but running containers and images made from this one.
    Yes,
}

/// What becomes of the nameless images that a deleted one was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parents {
    /// They go too, as far as nothing else needs them.
    Prune,
    /// They stay.
    Keep,
}

/// A container that uses an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageUser {
    /// The image's id.
    pub image: String,
    /// The container's id.
    pub container: String,
    /// It has a process.
    pub running: bool,
}

/// How an image is to be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// What it passes over.
    pub force: Force,
    /// How far it goes.
    pub parents: Parents,
    /// All containers that use images.
    pub users: Vec<ImageUser>,
}

/// Images that are for one platform.
#[derive(Clone)]
pub struct WantedPlatform {
    /// As Docker shows it: `linux/arm64`.
    pub shown: String,
    /// Whether a document with the keys `os`, `architecture` and `variant` is for it.
    pub fits: Arc<dyn Fn(&serde_json::Value) -> bool + Send + Sync>,
}

/// An archive of images.
pub struct Saved {
    /// Ids of the images in it.
    pub images: Vec<String>,
    /// The archive.
    pub stream: Stream,
}

/// The image store: content, layers, names.
#[async_trait]
pub trait Images: Send + Sync {
    /// All images.
    async fn list(&self) -> Result<Vec<ImageSummary>, PortError>;
    /// By name, `name:tag`, `name@digest`, id or unique id prefix. Missing: `No such image: x:latest`.
    async fn find(&self, name: &str) -> Result<ImageSummary, PortError>;
    /// Gives an image another name.
    async fn tag(&self, image: &ImageId, name: &str) -> Result<(), PortError>;
    /// Untags, or deletes when the last name goes. Conflicts come in Docker's words. An image deleted under a stopped
    /// container is kept without being shown until [`Images::disused`].
    async fn remove(&self, name: &str, how: Removal) -> Result<Vec<Removed>, PortError>;
    /// No container uses the image any more: if it was deleted before, what was kept of it goes.
    async fn disused(&self, image: &ImageId) -> Result<(), PortError>;
    /// Bytes of all layers, each counted once, also of those that are only kept.
    async fn layers_size(&self) -> Result<u64, PortError>;
    /// Takes in a docker or OCI archive (plain or compressed tar) while it comes; answers the loaded names (or ids). Of
    /// an archive that has images, but none that is wanted: `Kind::NotFound`.
    async fn load(
        &self,
        archive: Incoming,
        wanted: Option<WantedPlatform>,
        progress: ProgressSink,
    ) -> Result<Vec<String>, PortError>;
    /// Images by name or id as one archive, as `docker save` writes it. What is missing is said before the stream begins;
    /// until it ends, nothing of it is removed.
    async fn save(&self, names: &[String]) -> Result<Saved, PortError>;
    /// Makes an image of one (compressed) tar stream.
    async fn import(&self, content: Incoming, spec: ImportSpec) -> Result<ImageId, PortError>;
    /// Makes an image of a container's own layer (an uncompressed OCI layer) over the image it runs on.
    async fn commit(
        &self,
        parent: &ImageId,
        layer: BlockingStream,
        spec: CommitSpec,
    ) -> Result<ImageId, PortError>;
    /// Pulls from a registry.
    async fn pull(
        &self,
        name: &str,
        platform: Option<String>,
        auth: Option<Credentials>,
        progress: ProgressSink,
    ) -> Result<ImageId, PortError>;
    /// The names (`name:tag`) that a push of this name is about: all tags of the repository if it has none. None at all
    /// is an error in Docker's words.
    async fn pushed_names(&self, name: &str) -> Result<Vec<String>, PortError>;
    /// Brings what a `name:tag` stands for to its registry.
    async fn push(
        &self,
        name: &str,
        auth: Option<Credentials>,
        progress: ProgressSink,
    ) -> Result<Pushed, PortError>;
    /// Removes what a killed daemon left half made. `used`: ids of the images that containers use.
    async fn sweep(&self, used: Vec<String>) -> Result<(), PortError>;
}
