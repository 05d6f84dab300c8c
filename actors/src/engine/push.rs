//! Images on their way to registries.

use super::{ASK, Engine, away};
use crate::image::push::{JoinPush, Left, PushRequest, Pusher, PusherFor, interrupted};
use crate::supervise::Link;
use contract::PortError;
use contract::image::{Credentials, Progress, Pushed};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::mpsc;

/// What a push tells.
#[derive(Debug, Clone, PartialEq)]
pub enum PushNews {
    /// How it goes.
    Line(Progress),
    /// A tag that the registry has now.
    Done {
        /// The tag.
        tag: String,
        /// What it stands for there.
        pushed: Pushed,
    },
}

/// Whoever waits for a push; when it goes, the push may have lost its last.
struct Waiting(Link<Pusher>);

impl Drop for Waiting {
    fn drop(&mut self) {
        let pusher = self.0.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(error) = pusher.push(Left).await {
                    tracing::debug!(%error, "a push had ended before those who waited for it");
                }
            });
        }
    }
}

impl Engine {
    /// Pushes a tag, or all of a repository if the name has none; together with everybody else who pushes the same. Ends
    /// with this future, if nobody else wants it.
    pub async fn push(
        &self,
        name: &str,
        auth: Option<Credentials>,
        news: mpsc::Sender<PushNews>,
    ) -> Result<(), PortError> {
        let names = self.shared.ports.images.pushed_names(name).await?;
        let mut labels = BTreeMap::new();
        for each in &names {
            let pushed = self.push_one(each, auth.clone(), &news).await?;
            labels = self.labels(each).await;
            let tag = each.rsplit_once(':').map_or("", |(_, tag)| tag).to_owned();
            // Whoever asked may have left.
            let _left = news.send(PushNews::Done { tag, pushed }).await;
        }
        let (whole, bare) = crate::image::familiar(name);
        // As Docker, all tags of a repository are told of as one, by its name alone.
        let asked = if crate::image::has_tag(name) { &whole } else { &bare };
        self.image_event("push", asked, &bare, labels);
        Ok(())
    }

    async fn push_one(
        &self,
        name: &str,
        auth: Option<Credentials>,
        news: &mpsc::Sender<PushNews>,
    ) -> Result<Pushed, PortError> {
        let request = PushRequest { name: name.to_owned(), auth };
        let pusher = self.images.insist(|| PusherFor(request.clone()), ASK).await.map_err(away)?;
        let (progress, mut lines) = mpsc::channel(256);
        let relay = async {
            while let Some(line) = lines.recv().await {
                // Whoever asked may have left.
                let _left = news.send(PushNews::Line(line)).await;
            }
        };
        // Declared first, so that it goes last: by then the asker has gone.
        let _waiting = Waiting(pusher.clone());
        let push = async { pusher.call(|reply| JoinPush { progress, reply }, Duration::MAX).await };
        let (pushed, ()) = futures::join!(push, relay);
        pushed.map_err(|_| interrupted(name))?
    }
}
