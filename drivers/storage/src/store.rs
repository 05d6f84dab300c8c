//! The image store: configurations, names, layers, and the image port over them.

use crate::archive;
use crate::file::{blocking, failed, remove_tree, replace};
use crate::index::Index;
use crate::layers::Layers;
use crate::reference::{Reference, is_digest};
use async_trait::async_trait;
use contract::image::{
    Credentials, ImageSummary, Images, LayerSink, Progress, ProgressSink, Puller, Removed,
};
use contract::{ImageId, Kind, PortError};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Images under `<data_root>/images` and `<data_root>/layers`.
pub struct Store {
    core: Arc<Core>,
    puller: Option<Arc<dyn Puller>>,
}

/// What blocking work shares.
pub(crate) struct Core {
    base: PathBuf,
    pub(crate) layers: Layers,
    index: Mutex<Index>,
    /// Read while an image is being made, so that its layers are not collected before it owns them.
    making: Arc<tokio::sync::RwLock<()>>,
}

/// `sha256:…` of the bytes.
pub(crate) fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

impl Core {
    fn lock(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn config_path(&self, id: &str) -> PathBuf {
        self.base.join("configs").join(id.strip_prefix("sha256:").unwrap_or(id))
    }

    /// Changes the index on disk first, then in memory.
    fn change<T>(&self, edit: impl FnOnce(&mut Index) -> Result<T, PortError>) -> Result<T, PortError> {
        let mut current = self.lock();
        let mut next = current.clone();
        let answer = edit(&mut next)?;
        if next != *current {
            let path = self.base.join("index.json");
            let bytes = serde_json::to_vec(&next)
                .map_err(|e| PortError::caused(Kind::Bug, "encoding image names", e))?;
            replace(&path, &bytes).map_err(failed("writing", &path))?;
            *current = next;
        }
        Ok(answer)
    }

    /// Registers an image whose layers are all unpacked.
    pub(crate) fn add_image(&self, config: &[u8], names: &[String]) -> Result<ImageId, PortError> {
        let id = digest_of(config);
        let layers = diff_ids(config)?;
        if let Some(missing) = layers.iter().find(|l| !self.layers.has(l)) {
            return Err(PortError::new(Kind::Invalid, format!("image {id} lacks layer {missing}")));
        }
        let path = self.config_path(&id);
        replace(&path, config).map_err(failed("writing", &path))?;
        self.change(|index| {
            index.images.insert(id.clone(), layers);
            for name in names {
                index.names.insert(name.clone(), id.clone());
            }
            Ok(())
        })?;
        Ok(ImageId::new(id))
    }

    fn summary(&self, id: &str) -> Result<ImageSummary, PortError> {
        let (names, layers) = {
            let index = self.lock();
            (index.names_of(id), index.images.get(id).cloned().unwrap_or_default())
        };
        let path = self.config_path(id);
        let bytes = std::fs::read(&path).map_err(failed("reading", &path))?;
        let config: serde_json::Value = serde_json::from_slice(&bytes)
            .map_err(|e| PortError::caused(Kind::Bug, format!("reading {}", path.display()), e))?;
        let created =
            config.get("created").and_then(|c| c.as_str()).and_then(|c| c.parse::<jiff::Timestamp>().ok());
        let labels = config.pointer("/config/Labels").cloned().and_then(|l| serde_json::from_value(l).ok());
        let (digests, tags) = names.into_iter().partition(|n| n.contains('@'));
        Ok(ImageSummary {
            id: id.to_owned(),
            tags,
            digests,
            created_ns: created.map_or(0, |c| i64::try_from(c.as_nanosecond()).unwrap_or(0)),
            size: layers.iter().map(|l| self.layers.size(l)).sum(),
            config,
            layers,
            labels: labels.unwrap_or_default(),
        })
    }

    pub(crate) fn collect(&self, layers: &[String]) -> Result<(), PortError> {
        for layer in self.lock().unused(layers) {
            self.layers.remove(&layer)?;
        }
        Ok(())
    }
}

/// Diff ids an image configuration names, lowest first.
pub(crate) fn diff_ids(config: &[u8]) -> Result<Vec<String>, PortError> {
    let parsed: serde_json::Value = serde_json::from_slice(config)
        .map_err(|e| PortError::caused(Kind::Invalid, "invalid image configuration", e))?;
    let ids = parsed.pointer("/rootfs/diff_ids").and_then(|v| v.as_array()).cloned().unwrap_or_default();
    ids.into_iter()
        .map(|v| v.as_str().filter(|s| is_digest(s)).map(str::to_owned))
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| PortError::new(Kind::Invalid, "invalid image configuration: bad diff id"))
}

impl Store {
    /// Opens (or begins) the store of this data root.
    pub fn open(data_root: impl AsRef<Path>, puller: Option<Arc<dyn Puller>>) -> Result<Self, PortError> {
        let base = data_root.as_ref().join("images");
        for folder in ["configs", "partial"] {
            let folder = base.join(folder);
            std::fs::create_dir_all(&folder).map_err(failed("making", &folder))?;
        }
        let path = base.join("index.json");
        let index = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|e| PortError::caused(Kind::Bug, format!("reading {}", path.display()), e))?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Index::default(),
            Err(e) => return Err(failed("reading", &path)(e)),
        };
        let layers = Layers::open(data_root.as_ref())?;
        let core = Core { base, layers, index: Mutex::new(index), making: Arc::default() };
        Ok(Self { core: Arc::new(core), puller })
    }

    /// Layer folders of an image, topmost first, each once.
    pub(crate) fn lower(&self, image: &str) -> Result<Vec<PathBuf>, PortError> {
        let (id, _) = self.core.lock().find(image)?;
        let layers = self.core.lock().images.get(&id).cloned().unwrap_or_default();
        let mut lower: Vec<PathBuf> = Vec::new();
        for layer in layers.iter().rev() {
            let diff = self.core.layers.diff(layer);
            // Overlay refuses a folder named twice; the upper occurrence decides.
            if !lower.contains(&diff) {
                lower.push(diff);
            }
        }
        Ok(lower)
    }
}

struct Sink {
    core: Arc<Core>,
}

#[async_trait]
impl LayerSink for Sink {
    fn partial(&self) -> PathBuf {
        self.core.base.join("partial")
    }

    async fn has_layer(&self, diff_id: &str) -> bool {
        self.core.layers.has(diff_id)
    }

    async fn unpack(&self, blob: PathBuf, diff_id: &str) -> Result<(), PortError> {
        let (core, diff_id) = (self.core.clone(), diff_id.to_owned());
        blocking(move || {
            let file = std::fs::File::open(&blob).map_err(failed("opening", &blob))?;
            core.layers.add(file, Some(&diff_id)).map(|_| ())
        })
        .await
    }
}

#[async_trait]
impl Images for Store {
    async fn list(&self) -> Result<Vec<ImageSummary>, PortError> {
        let core = self.core.clone();
        blocking(move || {
            let ids: Vec<String> = core.lock().images.keys().cloned().collect();
            // An image removed meanwhile is simply not listed.
            let mut all: Vec<_> = ids.iter().filter_map(|id| core.summary(id).ok()).collect();
            all.sort_by_key(|s| std::cmp::Reverse(s.created_ns));
            Ok(all)
        })
        .await
    }

    async fn find(&self, name: &str) -> Result<ImageSummary, PortError> {
        let (core, name) = (self.core.clone(), name.to_owned());
        blocking(move || {
            let (id, _) = core.lock().find(&name)?;
            core.summary(&id)
        })
        .await
    }

    async fn tag(&self, image: &ImageId, name: &str) -> Result<(), PortError> {
        let reference = Reference::parse(name)?;
        if reference.digest.is_some() {
            return Err(PortError::new(Kind::Invalid, "refusing to create a tag with a digest reference"));
        }
        let (core, image) = (self.core.clone(), image.as_str().to_owned());
        blocking(move || {
            core.change(|index| {
                let (id, _) = index.find(&image)?;
                index.names.insert(reference.tagged(), id);
                Ok(())
            })
        })
        .await
    }

    async fn remove(
        &self,
        name: &str,
        force: bool,
        used_by: Vec<(String, String, bool)>,
    ) -> Result<Vec<Removed>, PortError> {
        let (core, name) = (self.core.clone(), name.to_owned());
        let alone = self.core.making.clone().try_write_owned();
        blocking(move || {
            let (id, _) = core.lock().find(&name)?;
            let layers = core.lock().images.get(&id).cloned().unwrap_or_default();
            let users: Vec<_> =
                used_by.into_iter().map(|(container, _, running)| (container, running)).collect();
            let mut removed = core.change(|index| index.remove(&name, force, &users))?;
            if removed.contains(&Removed::Deleted(id.clone())) {
                let _ = std::fs::remove_file(core.config_path(&id));
                // While another image is being made its layers are not known yet; the next sweep collects.
                if alone.is_ok() {
                    let unused = core.lock().unused(&layers);
                    core.collect(&layers)?;
                    removed.extend(unused.into_iter().rev().map(Removed::Deleted));
                }
            }
            Ok(removed)
        })
        .await
    }

    async fn load(&self, archive: PathBuf, progress: ProgressSink) -> Result<Vec<String>, PortError> {
        let making = self.core.making.clone().read_owned().await;
        let core = self.core.clone();
        blocking(move || {
            let _making = making;
            let _ = progress;
            archive::load(&core, &core.base, &archive)
        })
        .await
    }

    async fn import(
        &self,
        archive: PathBuf,
        name: Option<String>,
        message: String,
        changes: Vec<String>,
    ) -> Result<ImageId, PortError> {
        let name = name.filter(|n| !n.is_empty()).map(|n| Reference::parse(&n)).transpose()?;
        let making = self.core.making.clone().read_owned().await;
        let core = self.core.clone();
        blocking(move || {
            let _making = making;
            let names: Vec<String> = name.iter().map(Reference::tagged).collect();
            archive::import(&core, &archive, &names, &message, &changes)
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
        let _making = self.core.making.read().await;
        let sink: Arc<dyn LayerSink> = Arc::new(Sink { core: self.core.clone() });
        let pulled = puller.pull(&reference.remote(), platform, auth, sink, progress.clone()).await?;
        let (core, key) = (self.core.clone(), reference.key());
        let by_digest = format!("{}@{}", reference.familiar(), pulled.digest);
        let mut names = vec![by_digest];
        if reference.digest.is_none() {
            names.push(key.clone());
        }
        let digest = pulled.digest.clone();
        let (id, fresh) = blocking(move || {
            let before = core.lock().names.get(&key).cloned();
            let id = core.add_image(&pulled.config, &names)?;
            Ok((id.clone(), before.as_deref() != Some(id.as_str())))
        })
        .await?;
        let news = if fresh { "Downloaded newer image for" } else { "Image is up to date for" };
        for status in [format!("Digest: {digest}"), format!("Status: {news} {}", reference.key())] {
            let _ = progress.send(Progress { status, ..Default::default() }).await;
        }
        Ok(id)
    }

    async fn sweep(&self) -> Result<(), PortError> {
        let Ok(alone) = self.core.making.clone().try_write_owned() else { return Ok(()) };
        let core = self.core.clone();
        blocking(move || {
            let _alone = alone;
            core.layers.sweep()?;
            let all: Vec<String> = core.layers.all().into_iter().collect();
            core.collect(&all)?;
            for entry in std::fs::read_dir(&core.base).into_iter().flatten().flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                if name.starts_with(".load-") {
                    let _ = remove_tree(&entry.path());
                } else if name.ends_with(".tmp") {
                    let _ = std::fs::remove_file(entry.path());
                }
            }
            for entry in std::fs::read_dir(core.base.join("configs")).into_iter().flatten().flatten() {
                let id = format!("sha256:{}", entry.file_name().to_string_lossy());
                if !core.lock().images.contains_key(&id) {
                    let _ = std::fs::remove_file(entry.path());
                }
            }
            Ok(())
        })
        .await
    }
}
