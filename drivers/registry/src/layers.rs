//! All layers of an image: those that are missing downloaded a few at a time, each unpacked while it comes.

use crate::backoff::Tries;
use crate::blob;
use crate::fault::Fault;
use crate::follow::{Followed, follow};
use crate::manifest::Descriptor;
use crate::progress::Lines;
use crate::session::Session;
use contract::Kind;
use contract::image::LayerSink;
use futures::stream::{FuturesUnordered, TryStreamExt};
use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::sync::Semaphore;

/// What all pulls share: they must neither fetch one blob into one file together nor take all of the machine.
pub struct Traffic {
    lanes: Mutex<Arc<Lanes>>,
    blobs: Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>,
}

/// What may go on at once.
struct Lanes {
    downloads: Semaphore,
    /// Each download is followed by one, which may have to wait for it; the cores are for those that need not.
    extractions: Semaphore,
}

impl Lanes {
    fn new(downloads: usize) -> Arc<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Arc::new(Self {
            downloads: Semaphore::new(downloads),
            extractions: Semaphore::new(downloads + cores),
        })
    }
}

impl Traffic {
    /// Nothing is under way; so many layers are fetched at once, over all pulls.
    pub fn new(downloads: usize) -> Self {
        Self { lanes: Mutex::new(Lanes::new(downloads)), blobs: Mutex::default() }
    }

    /// Another number of downloads at once, beside those under way.
    pub fn allow(&self, downloads: usize) {
        *self.lanes.lock().unwrap_or_else(PoisonError::into_inner) = Lanes::new(downloads);
    }

    fn lanes(&self) -> Arc<Lanes> {
        Arc::clone(&self.lanes.lock().unwrap_or_else(PoisonError::into_inner))
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
        // The largest first: one that is begun last would be unpacked alone.
        missing.sort_by_key(|(layer, _)| std::cmp::Reverse(layer.size));
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
        let lock = self.traffic.blob(&layer.digest);
        let _alone = lock.lock().await;
        // Another pull may have brought it in meanwhile.
        if self.sink.has_layer(diff_id).await {
            self.lines.state(layer.short(), "Already exists").await;
            return Ok(());
        }
        let lanes = self.traffic.lanes();
        let slot = match lanes.downloads.try_acquire() {
            Ok(slot) => slot,
            Err(_) => {
                self.lines.state(layer.short(), "Waiting").await;
                lanes.downloads.acquire().await.map_err(ended)?
            }
        };
        let path = blob::place(layer, &self.sink.partial());
        let (growing, followed) = follow(&path);
        let download = async {
            let _slot = slot;
            blob::fetch(self.session, layer, &path, growing, &self.lines, self.tries).await
        };
        let unpack = self.unpack(layer, diff_id, &lanes, &followed);
        let (mut download, mut unpack) = (pin!(download), pin!(unpack));
        tokio::select! {
            // A broken download breaks its unpacking: its own reason is the one to tell.
            biased;
            fetched = &mut download => {
                // Its thread is on its way out: nothing of it may be left when the pull has failed.
                let unpacked = unpack.await;
                fetched?;
                unpacked?;
            }
            unpacked = &mut unpack => {
                unpacked?;
                download.await?;
            }
        }
        let removed = tokio::fs::remove_file(&path).await;
        removed.map_err(|e| Fault::disk("removing", &path, e))?;
        self.lines.state(layer.short(), "Pull complete").await;
        Ok(())
    }

    /// Unpacks a layer while it comes, and again when it begins to come anew. Content that cannot be unpacked is an error
    /// only once it is known to be what was asked for.
    async fn unpack(
        &self,
        layer: &Descriptor,
        diff_id: &str,
        lanes: &Lanes,
        followed: &Followed,
    ) -> Result<(), Fault> {
        let _lane = lanes.extractions.acquire().await.map_err(ended)?;
        loop {
            let paced = Mutex::new(self.lines.paced(layer.short(), "Extracting", layer.size));
            let watched = followed.clone();
            let passed = Arc::new(move |count| {
                // Until then the line shows how much of it has come.
                if watched.is_whole() {
                    paced.lock().unwrap_or_else(PoisonError::into_inner).at(count);
                }
            });
            let reader = followed.reader();
            let round = reader.round();
            match self.sink.unpack(Box::new(reader), diff_id, passed).await {
                Err(error) if error.kind != Kind::Exhausted => {
                    let watched = followed.clone();
                    let again = tokio::task::spawn_blocking(move || watched.begins_after(round)).await;
                    if !again.unwrap_or(false) {
                        return Err(error.into());
                    }
                }
                outcome => return Ok(outcome?),
            }
        }
    }
}

fn ended(_: tokio::sync::AcquireError) -> Fault {
    Fault::Content("the registry client has ended".into())
}
