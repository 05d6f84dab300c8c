//! What registries are asked besides for images.

use super::{Credentials, RemoteName};
use crate::error::PortError;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};

/// An image that a search found, in the field names of the search protocol and of Docker's API.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FoundImage {
    /// How many like it.
    pub star_count: i64,
    /// Whether Docker keeps it.
    pub is_official: bool,
    /// Its name.
    pub name: String,
    /// Meaningless today.
    pub is_automated: bool,
    /// What it says of itself.
    pub description: String,
}

/// What a name stands for at a registry, as `GET /distribution/{name}/json` answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inspected {
    /// Media type, digest and size of the manifest or index.
    #[serde(rename = "Descriptor")]
    pub descriptor: serde_json::Value,
    /// What it has images for.
    #[serde(rename = "Platforms")]
    pub platforms: Vec<serde_json::Value>,
}

/// Registries, asked for other things than images.
#[async_trait]
pub trait Registries: Send + Sync {
    /// Shows credentials to the registry they name (Docker Hub if none); answers the identity token that is to be kept
    /// instead of the password, if there is one. `Unauthorized` if a token server does not take them.
    async fn login(&self, credentials: Credentials) -> Result<Option<String>, PortError>;
    /// All tags of a repository.
    async fn tags(&self, name: &RemoteName, auth: Option<Credentials>) -> Result<Vec<String>, PortError>;
    /// Images by a term, which may begin with a registry; `limit` 0 is the default.
    async fn search(
        &self,
        term: &str,
        limit: u32,
        auth: Option<Credentials>,
    ) -> Result<Vec<FoundImage>, PortError>;
    /// What a name stands for. A missing one is `NotFound`, one that is not shown `Unauthorized` or `Denied`.
    async fn inspect(&self, name: &RemoteName, auth: Option<Credentials>) -> Result<Inspected, PortError>;
}
