//! Registries, seen from the store: names as they are asked for there, and what a pull brings in.

use super::{Credentials, KnownBlob, ProgressSink};
use crate::archive::BlockingStream;
use crate::error::PortError;
use async_trait::async_trait;
use bytes::Bytes;

/// A registry name in its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteName {
    /// Host and port, `docker.io` for Docker Hub.
    pub host: String,
    /// `library/busybox`.
    pub repository: String,
    /// Tag; empty when only a digest was given.
    pub tag: String,
    /// `sha256:…`, when asked for by content.
    pub digest: Option<String>,
    /// Name without tag and digest, as Docker shows it (`busybox`).
    pub familiar: String,
}

/// What a pull fetched besides the layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// The image configuration, byte for byte.
    pub config: Bytes,
    /// Digest of what the name stood for (index or manifest).
    pub digest: String,
    /// The forms its layers have there, lowest first.
    pub layers: Vec<KnownBlob>,
}

/// Told how many bytes of a compressed layer were read so far.
pub type Passed = std::sync::Arc<dyn Fn(u64) + Send + Sync>;

/// Where a pull puts layers; the store behind it.
#[async_trait]
pub trait LayerSink: Send + Sync {
    /// Folder for blobs on their way; kept over restarts so that downloads resume.
    fn partial(&self) -> std::path::PathBuf;
    /// The layer is already unpacked; from now to the end of the pull it stays.
    async fn has_layer(&self, diff_id: &str) -> bool;
    /// The image of that id (`sha256:…` of its configuration) is already whole; its layers stay as with `has_layer`.
    async fn has_image(&self, id: &str) -> bool;
    /// Unpacks a (compressed) layer and verifies that it is `diff_id`. The stream may wait for what is still on its way;
    /// the layer is there only if its end was reached without an error of the stream's own.
    async fn unpack(&self, blob: BlockingStream, diff_id: &str, passed: Passed) -> Result<(), PortError>;
}

/// Fetches images from registries.
#[async_trait]
pub trait Puller: Send + Sync {
    /// Fetches what is missing into the sink and answers the configuration.
    async fn pull(
        &self,
        name: &RemoteName,
        platform: Option<String>,
        auth: Option<Credentials>,
        sink: std::sync::Arc<dyn LayerSink>,
        progress: ProgressSink,
    ) -> Result<Pulled, PortError>;
}
