//! What is done with images.

use super::{ASK, Engine, away};
use crate::Snapshot;
use crate::image::PullRequest;
use crate::image::errand::{CarrierFor, Waiting};
use contract::PortError;
use contract::archive::Stream;
use contract::id::ImageId;
use contract::image::{
    Credentials, Force, ImageSummary, ImageUser, ImportSpec, Parents, Progress, ProgressSink, Removal,
    Removed, WantedPlatform,
};
use contract::incoming::Incoming;
use std::collections::BTreeMap;
use std::sync::Arc;

impl Engine {
    /// All images.
    pub async fn images(&self) -> Result<Vec<ImageSummary>, PortError> {
        self.shared.ports.images.list().await
    }

    /// One image.
    pub async fn find_image(&self, name: &str) -> Result<ImageSummary, PortError> {
        self.shared.ports.images.find(name).await
    }

    pub(super) async fn labels(&self, id: &str) -> BTreeMap<String, String> {
        self.find_image(id).await.map(|image| image.labels).unwrap_or_default()
    }

    /// Pulls, together with everybody else who pulls the same.
    pub async fn pull(
        &self,
        name: &str,
        platform: Option<String>,
        auth: Option<Credentials>,
        progress: ProgressSink,
    ) -> Result<ImageId, PortError> {
        let request = PullRequest { name: name.to_owned(), platform, auth };
        let puller = self.images.insist(|| CarrierFor(request.clone()), ASK).await.map_err(away)?;
        let waiting = Waiting::at(puller);
        let id = waiting.join(name, progress).await?;
        let (whole, bare) = crate::image::familiar(name);
        self.image_event("pull", &whole, &bare, self.labels(id.as_str()).await);
        Ok(id)
    }

    /// Images as one archive, if all of them are fit to be in it.
    pub async fn save(
        &self,
        names: &[String],
        fit: impl Fn(&ImageSummary) -> Result<(), PortError>,
    ) -> Result<Stream, PortError> {
        let saved = self.shared.ports.images.save(names).await?;
        let mut images = Vec::new();
        for id in &saved.images {
            let image = self.find_image(id).await?;
            fit(&image)?;
            images.push(image);
        }
        for image in images {
            self.image_event("save", &image.id, &image.id, image.labels);
        }
        Ok(saved.stream)
    }

    /// Pulls one after the other what are tags of one repository, and tells of them together in the end.
    pub async fn pull_all(
        &self,
        repository: &str,
        names: Vec<String>,
        platform: Option<String>,
        auth: Option<Credentials>,
        progress: ProgressSink,
    ) -> Result<(), PortError> {
        let mut fresh = false;
        for name in names {
            let (sender, mut lines) = tokio::sync::mpsc::channel::<Progress>(256);
            let relay = async {
                while let Some(line) = lines.recv().await {
                    // What each would say of itself alone is said once, of all.
                    if line.id.is_empty() && line.status.starts_with("Status: ") {
                        fresh |= line.status.starts_with("Status: Downloaded newer image");
                    } else {
                        // Whoever asked may have left.
                        let _left = progress.send(line).await;
                    }
                }
            };
            let (pulled, ()) =
                futures::join!(self.pull(&name, platform.clone(), auth.clone(), sender), relay);
            pulled?;
        }
        let news = if fresh { "Downloaded newer image for" } else { "Image is up to date for" };
        let line = Progress { status: format!("Status: {news} {repository}"), ..Progress::default() };
        let _left = progress.send(line).await;
        Ok(())
    }

    /// Loads an archive.
    pub async fn load(
        &self,
        archive: Incoming,
        wanted: Option<WantedPlatform>,
        progress: ProgressSink,
    ) -> Result<Vec<String>, PortError> {
        let names = self.shared.ports.images.load(archive, wanted, progress).await?;
        for name in &names {
            // What was loaded may have been removed again already.
            if let Ok(image) = self.find_image(name).await {
                self.image_event("load", &image.id, &image.id, image.labels);
            }
        }
        Ok(names)
    }

    /// Imports a root file system.
    pub async fn import(&self, content: Incoming, spec: ImportSpec) -> Result<ImageId, PortError> {
        let id = self.shared.ports.images.import(content, spec).await?;
        self.image_event("import", id.as_str(), id.as_str(), self.labels(id.as_str()).await);
        Ok(id)
    }

    /// Names an image.
    pub async fn tag(&self, image: &ImageId, name: &str) -> Result<(), PortError> {
        self.shared.ports.images.tag(image, name).await?;
        let (whole, _) = crate::image::familiar(name);
        self.image_event("tag", image.as_str(), &whole, self.labels(image.as_str()).await);
        Ok(())
    }

    /// Removes a name, or an image that no container needs.
    pub async fn remove_image(
        &self,
        name: &str,
        force: Force,
        parents: Parents,
    ) -> Result<Vec<Removed>, PortError> {
        let _unused = self.shared.images_in_use.write().await;
        let image = self.find_image(name).await?;
        let user = |s: &Arc<Snapshot>| ImageUser {
            image: s.spec.image.clone(),
            container: s.spec.id.clone(),
            running: s.pid != 0,
        };
        let how = Removal { force, parents, users: self.list().iter().map(user).collect() };
        let removed = self.shared.ports.images.remove(name, how).await?;
        for one in &removed {
            match one {
                // Parents that go along have none.
                Removed::Untagged(_) => {
                    self.image_event("untag", &image.id, &image.id, image.labels.clone());
                }
                Removed::Deleted(id) => {
                    let labels = if *id == image.id { image.labels.clone() } else { BTreeMap::new() };
                    self.image_event("delete", id, id, labels);
                }
                Removed::Layer(_) => {}
            }
        }
        Ok(removed)
    }

    /// Bytes of all layers.
    pub async fn layers_size(&self) -> Result<u64, PortError> {
        self.shared.ports.images.layers_size().await
    }
}
