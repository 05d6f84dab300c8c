//! What builds do: images of steps, and the roots of their containers.

use super::Engine;
use super::containers::whole;
use crate::container::messages::{Borrowed, Keep, Part};
use contract::image::{ImageSummary, StepLayer, StepSpec};
use contract::runtime::RootSpec;
use contract::{ContainerId, ImageId, PortError};

/// While this is held, a container does not start and stays as it is.
pub struct Stillness {
    _borrowed: Borrowed,
}

impl Engine {
    /// Makes an image of a build's step; with a container, of the files that it has changed. Goes on to its end when
    /// whoever asked leaves.
    pub async fn make_step(&self, of: Option<ContainerId>, mut spec: StepSpec) -> Result<ImageId, PortError> {
        let this = self.clone();
        whole(async move {
            let ports = &this.shared.ports;
            let mut still = None;
            if let Some(id) = of {
                let read = |of| async move { ports.archives.layer(&of).await };
                let (layer, borrowed) = this.reach(&id, Part::Layers, read).await?;
                (spec.layer, spec.container) = (StepLayer::Content(layer), id.to_string());
                still = Some(borrowed);
            }
            let image = ports.steps.make(spec).await?;
            drop(still);
            this.image_event("create", image.as_str(), image.as_str(), this.labels(image.as_str()).await);
            Ok(image)
        })
        .await
    }

    /// The images that builds made of this one (`None`: from scratch).
    pub async fn steps_on(&self, parent: Option<&ImageId>) -> Result<Vec<ImageSummary>, PortError> {
        self.shared.ports.steps.children(parent).await
    }

    /// Remembers that an image stands on another, as if it had been built here.
    pub async fn adopt_step(&self, image: &ImageId, parent: Option<&ImageId>) -> Result<(), PortError> {
        self.shared.ports.steps.adopt(image, parent).await
    }

    /// The root of a container that does not run, to be written to from outside.
    pub async fn still_root(&self, id: &ContainerId) -> Result<(RootSpec, Stillness), PortError> {
        let (of, borrowed) = self.borrow(id, Part::Layers).await?;
        Ok((of.root, Stillness { _borrowed: borrowed }))
    }

    /// Leaves a build's container to the user: it outlives the build and the daemon from now on.
    pub async fn keep(&self, id: &ContainerId) -> Result<(), PortError> {
        self.call(id, |reply| Keep { reply }).await
    }

    /// Removes the containers that the builds of a killed daemon left.
    pub(super) async fn end_builds(&self) {
        for snapshot in self.list().into_iter().filter(|s| !s.spec.build.is_empty()) {
            let id = ContainerId::new(snapshot.spec.id.clone());
            if let Err(error) = self.remove(&id, true, true).await {
                tracing::error!(container = id.short(), "removing what a build left: {}", error.chain());
            }
        }
    }
}
