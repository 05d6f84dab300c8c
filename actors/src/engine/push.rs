//! Images on their way to registries.

use super::{ASK, Engine, away};
use crate::image::PushRequest;
use crate::image::errand::{CarrierFor, Waiting};
use contract::PortError;
use contract::image::{Credentials, Progress, Pushed};
use std::collections::BTreeMap;
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
        let pusher = self.images.insist(|| CarrierFor(request.clone()), ASK).await.map_err(away)?;
        let (progress, mut lines) = mpsc::channel(256);
        let relay = async {
            while let Some(line) = lines.recv().await {
                // Whoever asked may have left.
                let _left = news.send(PushNews::Line(line)).await;
            }
        };
        // It goes after what it waits with: by then the asker has gone.
        let waiting = Waiting::at(pusher);
        let (pushed, ()) = futures::join!(waiting.join(name, progress), relay);
        pushed
    }
}
