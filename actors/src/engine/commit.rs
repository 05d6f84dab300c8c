//! Images made of containers.

use super::Engine;
use super::archives::takeable;
use super::containers::whole;
use crate::container::messages::Part;
use crate::{Snapshot, Status};
use contract::image::CommitSpec;
use contract::{ContainerId, ImageId, Kind, PortError};
use futures::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

/// Pause before an actor that is being rebuilt is asked to thaw again.
const PAUSE: Duration = Duration::from_millis(50);

/// What is committed, and how.
#[derive(Debug, Clone)]
pub struct CommitRequest {
    /// The image's wish; the container's id is filled in.
    pub spec: CommitSpec,
    /// The container stands still meanwhile.
    pub pause: bool,
}

impl Engine {
    /// Makes an image of a container. Goes on to its end when whoever asked leaves.
    pub async fn commit(&self, id: &ContainerId, mut request: CommitRequest) -> Result<ImageId, PortError> {
        let snapshot = self.find(id.as_str())?;
        takeable(&snapshot, "commit")?;
        request.spec.container = id.to_string();
        let (this, id) = (self.clone(), id.clone());
        let shared = self.shared.clone();
        let work = async move {
            let freezes = request.pause && snapshot.status == Status::Running;
            // In Docker too, one that cannot be paused is committed as it runs.
            let frozen = freezes && !matches!(this.pause(&id).await, Err(e) if e.kind == Kind::Conflict);
            let made = AssertUnwindSafe(this.commit_still(&id, &snapshot, request.spec)).catch_unwind().await;
            if frozen {
                this.thaw(&id).await;
            }
            made.unwrap_or_else(|_| Err(PortError::new(Kind::Bug, "a driver panicked")))
        };
        whole(async move { shared.meters.timed("commit", work).await }).await
    }

    async fn commit_still(
        &self,
        id: &ContainerId,
        snapshot: &Arc<Snapshot>,
        spec: CommitSpec,
    ) -> Result<ImageId, PortError> {
        let ports = &self.shared.ports;
        let (layer, _borrowed) =
            self.reach(id, Part::Layers, |of| async move { ports.archives.layer(&of).await }).await?;
        let parent = ImageId::new(snapshot.spec.image.clone());
        let (comment, name) = (spec.comment.clone(), spec.name.clone());
        let image = ports.images.commit(&parent, layer, spec).await?;
        let labels = self.labels(image.as_str()).await;
        self.image_event("create", image.as_str(), image.as_str(), labels.clone());
        let name = name.map(|name| crate::image::familiar(&name).0);
        if let Some(name) = &name {
            self.image_event("tag", image.as_str(), name, labels);
        }
        let attributes =
            [("comment", comment), ("imageID", image.to_string()), ("imageRef", name.unwrap_or_default())];
        self.shared.snapshot_event(snapshot, "commit", &attributes);
        Ok(image)
    }

    /// Whatever happened to its actor meanwhile: a container is not left frozen by a commit.
    async fn thaw(&self, id: &ContainerId) {
        loop {
            match self.unpause(id).await {
                Ok(()) => return,
                Err(error) if error.kind == Kind::Unavailable => tokio::time::sleep(PAUSE).await,
                Err(error) => {
                    // Somebody else has thawed or killed it.
                    tracing::debug!(container = id.short(), "thawing after a commit: {}", error.chain());
                    return;
                }
            }
        }
    }
}
