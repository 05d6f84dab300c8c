//! Images of the steps of builds.

use super::ImageSummary;
use crate::archive::BlockingStream;
use crate::error::PortError;
use crate::id::ImageId;
use async_trait::async_trait;
use serde_json::Value;

/// What a step adds to the files.
pub enum StepLayer {
    /// Nothing.
    None,
    /// An uncompressed OCI layer; one without entries counts as none.
    Content(BlockingStream),
    /// A layer that is stored, by its diff id.
    Known(String),
}

/// What a step makes an image of.
pub struct StepSpec {
    /// The image it stands on; `None` = from scratch.
    pub parent: Option<ImageId>,
    /// The image's `config`, as it is to be.
    pub config: Value,
    /// The configuration the step was carried out with: its `Cmd` goes into the history, and the cache finds it by the whole.
    pub container_config: Value,
    /// The container it was carried out in; empty = none.
    pub container: String,
    /// Who made it.
    pub author: String,
    /// Files.
    pub layer: StepLayer,
    /// RFC 3339; `None` = now.
    pub created: Option<String>,
}

/// Makes and finds the images of steps.
#[async_trait]
pub trait Steps: Send + Sync {
    /// Makes an image of a step, and remembers what it was made from.
    async fn make(&self, spec: StepSpec) -> Result<ImageId, PortError>;
    /// The images that were made here on this one (`None`: from scratch).
    async fn children(&self, parent: Option<&ImageId>) -> Result<Vec<ImageSummary>, PortError>;
    /// Remembers that an image stands on another, as if it had been made here.
    async fn adopt(&self, image: &ImageId, parent: Option<&ImageId>) -> Result<(), PortError>;
}
