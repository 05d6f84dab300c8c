//! What a push takes from the store.

use super::{Credentials, ProgressSink, RemoteName};
use crate::archive::BlockingStream;
use crate::error::PortError;
use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A compressed form of a layer that a registry is known to have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownBlob {
    /// `sha256:…` of the compressed bytes.
    pub digest: String,
    /// Compressed bytes.
    pub size: u64,
    /// Media type the manifest gave it.
    pub media_type: String,
    /// Registry, `docker.io` for Docker Hub.
    pub host: String,
    /// Repository there.
    pub repository: String,
    /// Where else it is to be had: a layer that its owner gives out, and no registry is to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
}

/// A layer on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushedLayer {
    /// `sha256:…` of the uncompressed stream.
    pub diff_id: String,
    /// Unpacked bytes, for progress and for how much asking it is worth.
    pub size: u64,
}

/// What is pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushedImage {
    /// The image configuration, byte for byte.
    pub config: Bytes,
    /// Its layers, lowest first.
    pub layers: Vec<PushedLayer>,
}

/// What a registry has of a push: the manifest it stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pushed {
    /// `sha256:…` of the manifest.
    pub digest: String,
    /// Its bytes.
    pub size: u64,
}

/// Where a push takes layers from; the store behind it.
#[async_trait]
pub trait LayerSource: Send + Sync {
    /// The uncompressed layer, byte for byte as its diff id was made; it ends with an error if it is not that.
    async fn open(&self, diff_id: &str) -> Result<BlockingStream, PortError>;
    /// Compressed forms of it seen in earlier pulls and pushes, the latest last.
    async fn known(&self, diff_id: &str) -> Result<Vec<KnownBlob>, PortError>;
    /// Remembers one.
    async fn learn(&self, diff_id: &str, blob: KnownBlob) -> Result<(), PortError>;
}

/// Brings images to registries.
#[async_trait]
pub trait Pusher: Send + Sync {
    /// Uploads what the registry lacks, then the manifest under that name.
    async fn push(
        &self,
        name: &RemoteName,
        image: PushedImage,
        auth: Option<Credentials>,
        source: Arc<dyn LayerSource>,
        progress: ProgressSink,
    ) -> Result<Pushed, PortError>;
}
