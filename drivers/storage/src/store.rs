//! The image store: the image port over configurations, names and layers on disk.

use crate::core::{Core, now_ns};
use crate::file::blocking;
use crate::limits::Limits;
use crate::making::Making;
use crate::reference::Reference;
use crate::{commit, import, pull, push};
use async_trait::async_trait;
use contract::archive::BlockingStream;
use contract::image::{
    CommitSpec, Credentials, ImageSummary, Images, ImportSpec, ProgressSink, Puller, Pushed, Pusher, Removal,
    Removed, Saved, WantedPlatform,
};
use contract::incoming::Incoming;
use contract::{ImageId, Kind, PortError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Images under `<data_root>/images` and `<data_root>/layers`; `<data_root>/tmp` holds what is on its way.
pub struct Store {
    core: Arc<Core>,
    puller: Option<Arc<dyn Puller>>,
    pusher: Option<Arc<dyn Pusher>>,
}

impl Store {
    /// Opens (or begins) the store of this data root.
    pub fn open(data_root: impl AsRef<Path>, puller: Option<Arc<dyn Puller>>) -> Result<Self, PortError> {
        Self::bounded(data_root, puller, Limits::default())
    }

    /// The same with other bounds of what an archive may unpack to.
    pub fn bounded(
        data_root: impl AsRef<Path>,
        puller: Option<Arc<dyn Puller>>,
        limits: Limits,
    ) -> Result<Self, PortError> {
        Ok(Self { core: Arc::new(Core::open(data_root.as_ref(), limits)?), puller, pusher: None })
    }

    /// With a way to registries.
    pub fn pushing(mut self, pusher: Arc<dyn Pusher>) -> Self {
        self.pusher = Some(pusher);
        self
    }

    /// A layer's uncompressed tar stream, byte for byte as its diff id was made, and its length. It ends with an error, before its last
    /// bytes, if the files on disk do not make up that diff id.
    pub async fn layer(&self, diff_id: &str) -> Result<(BlockingStream, u64), PortError> {
        let (core, diff_id) = (self.core.clone(), diff_id.to_owned());
        blocking(move || {
            let stream = core.layers.stream(&diff_id)?;
            let length = stream.length();
            Ok((Box::new(stream) as BlockingStream, length))
        })
        .await
    }

    /// Reads a layer back; fails unless its files make up its diff id.
    pub async fn verify(&self, diff_id: &str) -> Result<(), PortError> {
        let (core, diff_id) = (self.core.clone(), diff_id.to_owned());
        blocking(move || core.layers.verify(&diff_id)).await
    }

    /// Layer folders of an image, topmost first, each once; of none (from scratch) there are none.
    pub(crate) fn lower(&self, image: &str) -> Result<Vec<PathBuf>, PortError> {
        if image.is_empty() {
            return Ok(Vec::new());
        }
        let layers = self.core.ask(|index| match index.layers_below(image) {
            Some(layers) => Ok(layers.clone()),
            None => index.find(image).map(|(id, _)| index.images.get(&id).cloned().unwrap_or_default()),
        })?;
        Ok(crate::layers::stack(layers.iter().rev().map(|layer| self.core.layers.diff(layer))))
    }

    pub(crate) fn core(&self) -> Arc<Core> {
        self.core.clone()
    }

    pub(crate) fn making(&self) -> Making {
        Making::new(self.core.clone())
    }
}

#[async_trait]
impl Images for Store {
    async fn list(&self) -> Result<Vec<ImageSummary>, PortError> {
        let core = self.core.clone();
        blocking(move || {
            let mut all = Vec::new();
            for id in core.ask(|index| index.images.keys().cloned().collect::<Vec<_>>()) {
                match core.summary(&id) {
                    Ok(summary) => all.push(summary),
                    // An image removed meanwhile is simply not listed.
                    Err(_) if core.ask(|index| !index.images.contains_key(&id)) => {}
                    // The others must stay usable.
                    Err(error) => tracing::warn!(image = id, "{}", error.chain()),
                }
            }
            all.sort_by(|a, b| (b.created_ns, &b.id).cmp(&(a.created_ns, &a.id)));
            Ok(all)
        })
        .await
    }

    async fn find(&self, name: &str) -> Result<ImageSummary, PortError> {
        let (core, name) = (self.core.clone(), name.to_owned());
        blocking(move || core.summary(&core.ask(|index| index.find(&name))?.0)).await
    }

    async fn tag(&self, image: &ImageId, name: &str) -> Result<(), PortError> {
        let reference = Reference::parse(name)?;
        if reference.digest.is_some() {
            return Err(PortError::new(Kind::Invalid, "refusing to create a tag with a digest reference"));
        }
        if reference.familiar() == "sha256" {
            let text = "refusing to create an ambiguous tag using digest algorithm as name";
            return Err(PortError::new(Kind::Invalid, text));
        }
        let (core, image) = (self.core.clone(), image.as_str().to_owned());
        blocking(move || {
            core.edit(|index| {
                let (id, _) = index.find(&image)?;
                index.name(&reference.tagged(), &id, now_ns());
                Ok(())
            })
        })
        .await
    }

    async fn remove(&self, name: &str, how: Removal) -> Result<Vec<Removed>, PortError> {
        let (core, name) = (self.core.clone(), name.to_owned());
        blocking(move || core.remove(|index| index.remove(&name, &how))).await
    }

    async fn disused(&self, image: &ImageId) -> Result<(), PortError> {
        if !self.core.keeps(image.as_str()) {
            return Ok(());
        }
        let (core, image) = (self.core.clone(), image.as_str().to_owned());
        blocking(move || core.release_kept(|id| id != image)).await
    }

    async fn layers_size(&self) -> Result<u64, PortError> {
        let core = self.core.clone();
        blocking(move || Ok(core.layers.all()?.iter().map(|layer| core.layers.size(layer)).sum())).await
    }

    async fn load(
        &self,
        archive: Incoming,
        wanted: Option<WantedPlatform>,
        progress: ProgressSink,
    ) -> Result<Vec<String>, PortError> {
        let core = self.core.clone();
        blocking(move || crate::archive::load(&core, archive, wanted.as_ref(), &progress)).await
    }

    async fn save(&self, names: &[String]) -> Result<Saved, PortError> {
        let (core, names) = (self.core.clone(), names.to_vec());
        let (to, from) = crate::pipe::pipe();
        let images = blocking(move || {
            let saving = crate::save::prepare(&core, &names)?;
            let images = saving.images.clone();
            drop(tokio::task::spawn_blocking(move || saving.write(to)));
            Ok(images)
        })
        .await?;
        Ok(Saved { images, stream: Box::new(from) })
    }

    async fn import(&self, content: Incoming, spec: ImportSpec) -> Result<ImageId, PortError> {
        let name = spec.name.as_deref().filter(|n| !n.is_empty()).map(Reference::parse).transpose()?;
        if name.as_ref().is_some_and(|n| n.digest.is_some()) {
            return Err(PortError::new(Kind::Invalid, "cannot import digest reference"));
        }
        let making = self.making();
        blocking(move || {
            let names: Vec<String> = name.iter().map(Reference::tagged).collect();
            import::import(&making, content, &names, &spec)
        })
        .await
    }

    async fn commit(
        &self,
        parent: &ImageId,
        layer: BlockingStream,
        spec: CommitSpec,
    ) -> Result<ImageId, PortError> {
        let name = spec.name.as_deref().map(Reference::parse).transpose()?;
        if name.as_ref().is_some_and(|n| n.digest.is_some()) {
            return Err(PortError::new(Kind::Invalid, "refusing to create a tag with a digest reference"));
        }
        let (making, parent) = (self.making(), parent.as_str().to_owned());
        blocking(move || {
            let names: Vec<String> = name.iter().map(Reference::tagged).collect();
            commit::commit(&making, &parent, layer, &names, &spec)
        })
        .await
    }

    async fn pull(
        &self,
        name: &str,
        platform: Option<String>,
        auth: Option<Credentials>,
        progress: ProgressSink,
    ) -> Result<ImageId, PortError> {
        let reference = Reference::parse(name)?;
        let Some(puller) = self.puller.clone() else {
            return Err(PortError::new(Kind::Unsupported, "pulling from registries is not configured"));
        };
        pull::pull(puller, self.making(), &reference, pull::Wanted { platform, auth, progress }).await
    }

    async fn pushed_names(&self, name: &str) -> Result<Vec<String>, PortError> {
        let reference = Reference::parse(name)?;
        self.core.ask(|index| push::names(index, &reference))
    }

    async fn push(
        &self,
        name: &str,
        auth: Option<Credentials>,
        progress: ProgressSink,
    ) -> Result<Pushed, PortError> {
        let reference = Reference::parse(name)?;
        let Some(pusher) = self.pusher.clone() else {
            return Err(PortError::new(Kind::Unsupported, "pushing to registries is not configured"));
        };
        push::push(pusher, self.making(), &reference, auth, progress).await
    }

    async fn sweep(&self, used: Vec<String>) -> Result<(), PortError> {
        let core = self.core.clone();
        blocking(move || core.sweep(&used)).await
    }
}
