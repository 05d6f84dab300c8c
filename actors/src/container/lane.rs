//! The order of a container's effects.

use futures::FutureExt;
use futures::future::BoxFuture;
use std::panic::AssertUnwindSafe;
use tokio::sync::{mpsc, oneshot};

/// Runs a container's lifecycle effects one after the other, in the order they were given. It is owned above the
/// container's actor and outlives it: what a fresh incarnation gives comes after all that its predecessor began.
#[derive(Clone)]
pub struct Lane(mpsc::UnboundedSender<BoxFuture<'static, ()>>);

impl Lane {
    /// An empty lane; it ends with its last handle.
    pub fn start() -> Self {
        let (lane, mut work) = mpsc::unbounded_channel::<BoxFuture<'static, ()>>();
        tokio::spawn(async move {
            while let Some(effect) = work.recv().await {
                if AssertUnwindSafe(effect).catch_unwind().await.is_err() {
                    tracing::error!("an effect panicked");
                }
            }
        });
        Self(lane)
    }

    /// Runs `effect` after those before it.
    pub fn run(&self, effect: impl Future<Output = ()> + Send + 'static) {
        if self.0.send(effect.boxed()).is_err() {
            tracing::error!("an effect was given while its runtime ended");
        }
    }

    /// Waits until all that was given before is done.
    pub async fn idle(&self) {
        let (done, reached) = oneshot::channel::<()>();
        self.run(async move { drop(done) });
        // It ends by being dropped, whether reached or not.
        let _over = reached.await;
    }
}
