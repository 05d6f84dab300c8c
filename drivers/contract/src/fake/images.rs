use super::{Script, lock};
use crate::archive::BlockingStream;
use crate::error::{Kind, PortError};
use crate::id::ImageId;
use crate::image::{
    CommitSpec, Credentials, ImageSummary, Images, ImportSpec, Progress, ProgressSink, Pushed, Removal,
    Removed, Saved, StepLayer, StepSpec, Steps, WantedPlatform,
};
use crate::incoming::Incoming;
use async_trait::async_trait;
use std::sync::Mutex;

/// An image store. Verbs: `pull`, `push`, `image_remove`, `image_disused`, `image_commit`.
pub struct FakeImages {
    script: Script,
    stored: Mutex<Vec<ImageSummary>>,
}

fn tagged(name: &str) -> String {
    let last = name.rsplit('/').next().unwrap_or(name);
    if last.contains(':') { name.to_owned() } else { format!("{name}:latest") }
}

impl FakeImages {
    pub(super) fn new(script: Script) -> Self {
        Self { script, stored: Mutex::default() }
    }

    /// The id that an image of this name has here.
    pub fn id_of(name: &str) -> String {
        format!("sha256:{:064x}", name.bytes().fold(7u64, |h, b| h.wrapping_mul(31) + u64::from(b)))
    }

    /// Stores an image of this name.
    pub fn put(&self, name: &str) -> ImageId {
        let id = Self::id_of(name);
        let image = ImageSummary { id: id.clone(), tags: vec![tagged(name)], ..ImageSummary::default() };
        let mut stored = lock(&self.stored);
        stored.retain(|i| i.id != id);
        stored.push(image);
        ImageId::new(id)
    }
}

#[async_trait]
impl Images for FakeImages {
    async fn list(&self) -> Result<Vec<ImageSummary>, PortError> {
        Ok(lock(&self.stored).clone())
    }

    async fn find(&self, name: &str) -> Result<ImageSummary, PortError> {
        let wanted = tagged(name);
        let stored = lock(&self.stored);
        let found = stored.iter().find(|i| i.id == name || i.tags.contains(&wanted));
        found.cloned().ok_or_else(|| PortError::new(Kind::NotFound, format!("No such image: {wanted}")))
    }

    async fn tag(&self, image: &ImageId, name: &str) -> Result<(), PortError> {
        let (mut stored, name) = (lock(&self.stored), tagged(name));
        stored.iter_mut().for_each(|i| i.tags.retain(|t| *t != name));
        let found = stored.iter_mut().find(|i| i.id == image.as_str());
        found.map(|i| i.tags.push(name)).ok_or_else(|| PortError::new(Kind::NotFound, "No such image"))
    }

    async fn remove(&self, name: &str, how: Removal) -> Result<Vec<Removed>, PortError> {
        self.script.at("image_remove", name).await?;
        let id = self.find(name).await?.id;
        if let Some(user) = how.users.iter().find(|u| u.image == id) {
            let text = format!("image is being used by {}", user.container);
            return Err(PortError::new(Kind::Conflict, text));
        }
        lock(&self.stored).retain(|i| i.id != id);
        Ok(vec![Removed::Untagged(tagged(name)), Removed::Deleted(id)])
    }

    async fn disused(&self, image: &ImageId) -> Result<(), PortError> {
        self.script.at("image_disused", image.as_str()).await
    }

    async fn layers_size(&self) -> Result<u64, PortError> {
        Ok(lock(&self.stored).iter().map(|i| i.size).sum())
    }

    async fn load(
        &self,
        _archive: Incoming,
        _wanted: Option<WantedPlatform>,
        _: ProgressSink,
    ) -> Result<Vec<String>, PortError> {
        self.put("loaded");
        Ok(vec![tagged("loaded")])
    }

    async fn save(&self, names: &[String]) -> Result<Saved, PortError> {
        let mut images = Vec::new();
        for name in names {
            images.push(self.find(name).await?.id);
        }
        let bytes: Vec<u8> = images.join("\n").into_bytes();
        Ok(Saved { images, stream: Box::new(std::io::Cursor::new(bytes)) })
    }

    async fn import(&self, _content: Incoming, spec: ImportSpec) -> Result<ImageId, PortError> {
        Ok(self.put(&spec.name.unwrap_or_else(|| "imported".into())))
    }

    async fn commit(
        &self,
        _parent: &ImageId,
        mut layer: BlockingStream,
        spec: CommitSpec,
    ) -> Result<ImageId, PortError> {
        self.script.at("image_commit", &spec.container).await?;
        let read = std::io::copy(&mut layer, &mut std::io::sink());
        read.map_err(|e| PortError::caused(Kind::Bug, "read the layer", e))?;
        Ok(self.put(spec.name.as_deref().unwrap_or("committed")))
    }

    async fn pull(
        &self,
        name: &str,
        _platform: Option<String>,
        _auth: Option<Credentials>,
        progress: ProgressSink,
    ) -> Result<ImageId, PortError> {
        for status in ["Pulling fs layer", "Pull complete"] {
            let line = Progress { status: status.into(), ..Progress::default() };
            // A slow client loses lines, as it does with the real store.
            let _lost = progress.try_send(line).is_err();
        }
        self.script.at("pull", name).await?;
        Ok(self.put(name))
    }

    async fn pushed_names(&self, name: &str) -> Result<Vec<String>, PortError> {
        Ok(vec![self.find(name).await.map(|_| tagged(name))?])
    }

    async fn push(
        &self,
        name: &str,
        _auth: Option<Credentials>,
        progress: ProgressSink,
    ) -> Result<Pushed, PortError> {
        let line = Progress { status: "Preparing".into(), ..Progress::default() };
        // A slow client loses lines, as it does with the real store.
        let _lost = progress.try_send(line).is_err();
        self.script.at("push", name).await?;
        Ok(Pushed { digest: self.find(name).await?.id, size: 7 })
    }

    async fn sweep(&self, _used: Vec<String>) -> Result<(), PortError> {
        Ok(())
    }
}

/// The verb is `image_step`.
#[async_trait]
impl Steps for FakeImages {
    async fn make(&self, spec: StepSpec) -> Result<ImageId, PortError> {
        self.script.at("image_step", &spec.container).await?;
        if let StepLayer::Content(mut layer) = spec.layer {
            let read = std::io::copy(&mut layer, &mut std::io::sink());
            read.map_err(|e| PortError::caused(Kind::Bug, "read the layer", e))?;
        }
        let parent = spec.parent.map(|p| p.to_string()).unwrap_or_default();
        let id = Self::id_of(&format!("{parent} {} {}", spec.container_config, spec.config));
        let config = serde_json::json!({ "config": spec.config, "container_config": spec.container_config });
        let image = ImageSummary { id: id.clone(), config, parent, ..ImageSummary::default() };
        let mut stored = lock(&self.stored);
        stored.retain(|i| i.id != id);
        stored.push(image);
        Ok(ImageId::new(id))
    }

    async fn children(&self, parent: Option<&ImageId>) -> Result<Vec<ImageSummary>, PortError> {
        let parent = parent.map(ImageId::as_str).unwrap_or_default();
        let stored = lock(&self.stored);
        let own = stored.iter().filter(|i| i.parent == parent && i.config.get("container_config").is_some());
        Ok(own.cloned().collect())
    }

    async fn adopt(&self, image: &ImageId, parent: Option<&ImageId>) -> Result<(), PortError> {
        let mut stored = lock(&self.stored);
        let found = stored.iter_mut().find(|i| i.id == image.as_str());
        let parent = parent.map(ToString::to_string).unwrap_or_default();
        found.map(|i| i.parent = parent).ok_or_else(|| PortError::new(Kind::NotFound, "No such image"))
    }
}
