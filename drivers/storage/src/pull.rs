//! A pull, seen from the store: layers come in through the sink, the image is made when all are there.

use crate::file::blocking;
use crate::making::Making;
use crate::pieces::Cut;
use crate::reference::Reference;
use async_trait::async_trait;
use contract::archive::BlockingStream;
use contract::image::{Credentials, LayerSink, Passed, Progress, ProgressSink, Puller};
use contract::{ImageId, PortError};
use std::path::PathBuf;
use std::sync::Arc;

/// How a pull was asked for.
pub(crate) struct Wanted {
    pub(crate) platform: Option<String>,
    pub(crate) auth: Option<Credentials>,
    pub(crate) progress: ProgressSink,
}

/// A share in layers that are held, whose end never removes trees on an async thread, not even when the pull or push
/// is dropped.
pub(crate) struct Share(Option<Arc<Making>>);

impl Share {
    pub(crate) fn new(making: Arc<Making>) -> Self {
        Self(Some(making))
    }

    pub(crate) fn get(&self) -> Option<Arc<Making>> {
        self.0.clone()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let making = self.0.take();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            drop(runtime.spawn_blocking(move || drop(making)));
        }
    }
}

struct Sink {
    share: Share,
}

fn ended() -> PortError {
    PortError::new(contract::Kind::Bug, "the pull has ended")
}

#[async_trait]
impl LayerSink for Sink {
    fn partial(&self) -> PathBuf {
        self.share.get().map(|m| m.core().partial()).unwrap_or_default()
    }

    async fn has_layer(&self, diff_id: &str) -> bool {
        self.share.get().is_some_and(|m| m.hold(diff_id))
    }

    async fn has_image(&self, id: &str) -> bool {
        let Some(making) = self.share.get() else { return false };
        let layers = making.core().ask(|index| index.images.get(id).cloned());
        layers.is_some_and(|layers| layers.iter().all(|l| making.hold(l)))
    }

    async fn unpack(&self, blob: BlockingStream, diff_id: &str, passed: Passed) -> Result<(), PortError> {
        let (making, diff_id) = (self.share.get().ok_or_else(ended)?, diff_id.to_owned());
        blocking(move || making.unpack(Cut(blob), Some(&diff_id), Some(passed)).map(|_| ())).await
    }
}

/// Pulls and registers an image.
pub(crate) async fn pull(
    puller: Arc<dyn Puller>,
    making: Making,
    reference: &Reference,
    wanted: Wanted,
) -> Result<ImageId, PortError> {
    let making = Arc::new(making);
    let share = Share::new(making.clone());
    let sink: Arc<dyn LayerSink> = Arc::new(Sink { share: Share::new(making) });
    let Wanted { platform, auth, progress } = wanted;
    let outcome = puller.pull(&reference.remote(), platform, auth, sink, progress.clone()).await;
    let (making, reference) = (share.get().ok_or_else(ended)?, reference.clone());
    drop(share);
    let (id, digest, fresh, shown) = blocking(move || {
        // An error ends the hold here, not on the async thread.
        let pulled = outcome?;
        let key = reference.key();
        let mut names = vec![key.clone()];
        let by_digest = format!("{}@{}", reference.familiar(), pulled.digest);
        if by_digest != key {
            names.push(by_digest);
        }
        let before = making.core().ask(|index| index.names.get(&key).cloned());
        let (id, _) = making.finish(&pulled.config, &names)?;
        for (diff_id, blob) in crate::config::diff_ids(&pulled.config)?.iter().zip(pulled.layers) {
            // The image is there: what a later push would save is not worth losing it for.
            if let Err(error) = making.core().layers.learn(diff_id, blob) {
                tracing::warn!("{}", error.chain());
            }
        }
        Ok((id.clone(), pulled.digest, before != Some(id), reference.shown()))
    })
    .await?;
    let news = if fresh { "Downloaded newer image for" } else { "Image is up to date for" };
    for status in [format!("Digest: {digest}"), format!("Status: {news} {shown}")] {
        // Whoever asked may have left.
        let _left = progress.send(Progress { status, ..Default::default() }).await;
    }
    Ok(ImageId::new(id))
}
