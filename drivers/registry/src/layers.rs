//! All layers of an image: those that are missing downloaded a few at a time, each unpacked as soon as it is there.

use crate::blob::{self, Tries};
use crate::fault::Fault;
use crate::manifest::Descriptor;
use crate::progress::Lines;
use crate::session::Session;
use contract::image::LayerSink;
use futures::stream::{FuturesUnordered, TryStreamExt};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::sync::Semaphore;

/// What all pulls share: they must neither fetch one blob into one file together nor take all of the machine.
pub struct Traffic {
    downloads: Mutex<Arc<Semaphore>>,
    extractions: Semaphore,
    blobs: Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>,
}

impl Traffic {
    /// Nothing is under way; so many layers are fetched at once, over all pulls.
    pub fn new(downloads: usize) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let downloads = Mutex::new(Arc::new(Semaphore::new(downloads)));
        Self { downloads, extractions: Semaphore::new(cores), blobs: Mutex::default() }
    }

    /// Another number of downloads at once, beside those under way.
    pub fn allow(&self, downloads: usize) {
        *self.downloads.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(Semaphore::new(downloads));
    }

    fn downloads(&self) -> Arc<Semaphore> {
        Arc::clone(&self.downloads.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The lock of a blob.
    fn blob(&self, digest: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut blobs = self.blobs.lock().unwrap_or_else(PoisonError::into_inner);
        blobs.retain(|_, lock| lock.strong_count() > 0);
        if let Some(lock) = blobs.get(digest).and_then(Weak::upgrade) {
            return lock;
        }
        let lock = Arc::new(tokio::sync::Mutex::new(()));
        blobs.insert(digest.to_owned(), Arc::downgrade(&lock));
        lock
    }
}

/// One image's way in.
pub struct Pull<'a> {
    /// Whom to ask.
    pub session: &'a Session,
    /// What all pulls share.
    pub traffic: &'a Traffic,
    /// Where layers go.
    pub sink: Arc<dyn LayerSink>,
    /// Where lines go.
    pub lines: Lines,
    /// How often a layer is tried.
    pub tries: Tries,
}

impl Pull<'_> {
    /// Brings every layer in.
    pub async fn layers(&self, layers: &[Descriptor], diff_ids: &[String]) -> Result<(), Fault> {
        let mut missing: Vec<(&Descriptor, &String)> = Vec::new();
        for (layer, diff_id) in layers.iter().zip(diff_ids) {
            if self.sink.has_layer(diff_id).await {
                self.lines.state(layer.short(), "Already exists").await;
            } else if let Some((_, twin)) = missing.iter().find(|(m, _)| m.digest == layer.digest) {
                // The same content twice is brought in once; it cannot have two diff ids.
                if *twin != diff_id {
                    return Err(Fault::Content(
                        "layers from manifest don't match image configuration".into(),
                    ));
                }
            } else {
                self.lines.state(layer.short(), "Pulling fs layer").await;
                missing.push((layer, diff_id));
            }
        }
        let work: FuturesUnordered<_> = missing.iter().map(|(l, d)| self.layer(l, d)).collect();
        let outcome = work.try_collect().await;
        if let Err(fault) = &outcome
            && !fault.passing()
        {
            // This image will not be: what came of its other layers is of no use, unless another pull fetches them.
            for (layer, _) in &missing {
                if let Ok(_alone) = self.traffic.blob(&layer.digest).try_lock() {
                    blob::forget(layer, &self.sink.partial()).await;
                }
            }
        }
        outcome
    }

    async fn layer(&self, layer: &Descriptor, diff_id: &str) -> Result<(), Fault> {
        let ended = |_| Fault::Content("the registry client has ended".into());
        let lock = self.traffic.blob(&layer.digest);
        let _alone = lock.lock().await;
        // Another pull may have brought it in meanwhile.
        if self.sink.has_layer(diff_id).await {
            self.lines.state(layer.short(), "Already exists").await;
            return Ok(());
        }
        let downloads = self.traffic.downloads();
        let slot = match downloads.try_acquire() {
            Ok(slot) => slot,
            Err(_) => {
                self.lines.state(layer.short(), "Waiting").await;
                downloads.acquire().await.map_err(ended)?
            }
        };
        let folder = self.sink.partial();
        let file = blob::fetch(self.session, layer, &folder, &self.lines, self.tries).await?;
        drop(slot);
        let core = self.traffic.extractions.acquire().await.map_err(ended)?;
        let paced = Mutex::new(self.lines.paced(layer.short(), "Extracting", layer.size));
        let passed = Arc::new(move |count| paced.lock().unwrap_or_else(PoisonError::into_inner).at(count));
        let unpacked = self.sink.unpack(file.clone(), diff_id, passed).await;
        drop(core);
        let removed = tokio::fs::remove_file(&file).await;
        unpacked?;
        removed.map_err(|e| Fault::disk("removing", &file, e))?;
        self.lines.state(layer.short(), "Pull complete").await;
        Ok(())
    }
}
