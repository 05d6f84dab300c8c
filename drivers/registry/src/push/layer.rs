//! The layers of a push: those that the registry has somewhere are found there, the others sent, a few at a time.

use super::manifest::{Stored, dockers, gzip};
use super::upload::{Upload, ask, exists, location};
use crate::backoff::Tries;
use crate::fault::Fault;
use crate::progress::Lines;
use crate::session::{Request, Session};
use contract::image::{KnownBlob, LayerSource, PushedLayer, RemoteName};
use futures::stream::{FuturesUnordered, TryStreamExt};
use reqwest::{Method, StatusCode, Url};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// How many layers go up at once, over all pushes.
pub struct Slots(Mutex<Arc<Semaphore>>);

impl Slots {
    /// So many.
    pub fn new(uploads: usize) -> Self {
        Self(Mutex::new(Arc::new(Semaphore::new(uploads))))
    }

    /// Another number, beside those under way.
    pub fn allow(&self, uploads: usize) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(Semaphore::new(uploads));
    }

    fn get(&self) -> Arc<Semaphore> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// How much asking a layer of this size is worth before it is simply sent: times it is looked for in the repository, and
/// others that it is taken from. Docker's numbers.
fn worth(size: u64) -> (usize, usize) {
    match size {
        0..=102_400 => (1, 1),
        102_401..=10_485_760 => (1, 3),
        _ => (3, 4),
    }
}

/// Path components that two repositories have in common, from the left.
fn likeness(one: &str, other: &str) -> usize {
    one.split('/').zip(other.split('/')).take_while(|(a, b)| a == b).count()
}

/// Known forms, the likeliest to be there first: of this very repository, then of similar names, then the latest.
fn ranked(known: Vec<KnownBlob>, name: &RemoteName) -> Vec<(KnownBlob, String)> {
    let mut out: Vec<(KnownBlob, String)> =
        known.into_iter().rev().filter_map(|b| dockers(&b.media_type).map(|media| (b, media))).collect();
    out.sort_by_key(|(b, _)| {
        let own = b.host == name.host;
        let same = own && b.repository == name.repository;
        std::cmp::Reverse((same, own, if own { likeness(&b.repository, &name.repository) } else { 0 }))
    });
    out
}

/// The layers of one push.
pub struct Layers<'a> {
    /// Whom to.
    pub session: &'a Session,
    /// Under which name.
    pub name: &'a RemoteName,
    /// Where they come from.
    pub source: &'a dyn LayerSource,
    /// How many at once.
    pub slots: &'a Slots,
    /// Where lines go.
    pub lines: &'a Lines,
    /// How often each is tried.
    pub tries: Tries,
}

/// Twelve digits, as progress shows layers.
fn short(diff_id: &str) -> &str {
    diff_id.get(7..19).unwrap_or(diff_id)
}

impl Layers<'_> {
    /// Sees to it that the registry has all of them; answers its forms, in the same order.
    pub async fn push(&self, layers: &[PushedLayer]) -> Result<Vec<Stored>, Fault> {
        let mut each: Vec<&PushedLayer> = Vec::new();
        // As Docker shows them, topmost first.
        for layer in layers.iter().rev() {
            if !each.iter().any(|l| l.diff_id == layer.diff_id) {
                self.lines.state(short(&layer.diff_id), "Preparing").await;
                each.push(layer);
            }
        }
        let work: FuturesUnordered<_> = each
            .into_iter()
            .map(|layer| async move { Ok::<_, Fault>((layer.diff_id.as_str(), self.layer(layer).await?)) })
            .collect();
        let stored: HashMap<&str, Stored> = work.try_collect().await?;
        let missing = || Fault::Content("a layer of the push is missing".into());
        layers.iter().map(|l| stored.get(l.diff_id.as_str()).cloned().ok_or_else(missing)).collect()
    }

    async fn layer(&self, layer: &PushedLayer) -> Result<Stored, Fault> {
        let id = short(&layer.diff_id);
        let known = self.source.known(&layer.diff_id).await?;
        if let Some(blob) = known.iter().rev().find(|blob| !blob.urls.is_empty()) {
            self.lines.state(id, "Skipped foreign layer").await;
            let KnownBlob { digest, size, media_type, urls, .. } = blob.clone();
            return Ok(Stored { digest, size, media_type, urls });
        }
        let slots = self.slots.get();
        let _slot = match slots.try_acquire() {
            Ok(slot) => slot,
            Err(_) => {
                self.lines.state(id, "Waiting").await;
                let ended = |_| Fault::Content("the registry client has ended".into());
                slots.acquire().await.map_err(ended)?
            }
        };
        let known = ranked(known, self.name);
        let (looks, mounts) = worth(layer.size);
        let mut digests: Vec<&str> = Vec::new();
        for (blob, media_type) in &known {
            if digests.len() == looks || digests.contains(&blob.digest.as_str()) {
                continue;
            }
            digests.push(&blob.digest);
            if exists(self.session, &blob.digest).await {
                self.lines.state(id, "Layer already exists").await;
                return self.found(layer, blob, media_type).await;
            }
        }
        let mut given = None;
        let others =
            known.iter().filter(|(b, _)| b.host == self.name.host && b.repository != self.name.repository);
        for (blob, media_type) in others.take(mounts) {
            match self.mount(blob).await? {
                Mount::Done => {
                    self.lines.state(id, format!("Mounted from {}", blob.repository)).await;
                    return self.found(layer, blob, media_type).await;
                }
                Mount::Instead(at) => given = given.or(at),
            }
        }
        let upload = Upload {
            session: self.session,
            source: self.source,
            diff_id: &layer.diff_id,
            id,
            size: layer.size,
            lines: self.lines,
            tries: self.tries,
        };
        let packed = upload.run(given).await?;
        self.lines.state(id, "Pushed").await;
        let stored =
            Stored { digest: packed.digest, size: packed.size, media_type: gzip(), urls: Vec::new() };
        self.remember(layer, &stored).await?;
        Ok(stored)
    }

    async fn found(&self, layer: &PushedLayer, blob: &KnownBlob, media_type: &str) -> Result<Stored, Fault> {
        let stored = Stored {
            digest: blob.digest.clone(),
            size: blob.size,
            media_type: media_type.to_owned(),
            urls: Vec::new(),
        };
        self.remember(layer, &stored).await?;
        Ok(stored)
    }

    async fn remember(&self, layer: &PushedLayer, stored: &Stored) -> Result<(), Fault> {
        let blob = KnownBlob {
            digest: stored.digest.clone(),
            size: stored.size,
            media_type: stored.media_type.clone(),
            host: self.name.host.clone(),
            repository: self.name.repository.clone(),
            urls: Vec::new(),
        };
        Ok(self.source.learn(&layer.diff_id, blob).await?)
    }

    /// Asks for a blob of another repository. One that cannot be had there is sent: why not is of no interest.
    async fn mount(&self, blob: &KnownBlob) -> Result<Mount, Fault> {
        let mut url = Url::parse(&self.session.url("blobs/uploads/"))
            .map_err(|e| Fault::Content(format!("the registry's address is not valid: {e}")))?;
        url.query_pairs_mut().append_pair("mount", &blob.digest).append_pair("from", &blob.repository);
        let response =
            ask(self.session, Request::new(Method::POST, url.as_str()).from(&blob.repository)).await;
        Ok(match response {
            Ok(response) if response.status() == StatusCode::CREATED => Mount::Done,
            Ok(response) if response.status() == StatusCode::ACCEPTED => {
                Mount::Instead(location(&response).ok())
            }
            _ => Mount::Instead(None),
        })
    }
}

/// What asking for a mount came to.
enum Mount {
    /// The repository has the blob.
    Done,
    /// It has not; an upload may have begun in its place.
    Instead(Option<Url>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_is_looked_for_where_it_is_likeliest() {
        let blob = |host: &str, repository: &str| KnownBlob {
            digest: format!("sha256:{host}/{repository}"),
            size: 1,
            media_type: gzip(),
            host: host.into(),
            repository: repository.into(),
            urls: Vec::new(),
        };
        let name = RemoteName {
            host: "r:5000".into(),
            repository: "team/app".into(),
            tag: "1".into(),
            digest: None,
            familiar: "r:5000/team/app".into(),
        };
        let mut odd = blob("r:5000", "team/app");
        odd.media_type = "application/octet-stream".into();
        let known = vec![
            blob("r:5000", "other/app"),
            blob("r:5000", "team/app"),
            blob("docker.io", "team/app"),
            blob("r:5000", "team/base"),
            blob("r:5000", "newer"),
            odd,
        ];
        let order: Vec<String> = ranked(known, &name).into_iter().map(|(b, _)| b.digest).collect();
        assert_eq!(
            order,
            [
                "sha256:r:5000/team/app",
                "sha256:r:5000/team/base",
                "sha256:r:5000/newer",
                "sha256:r:5000/other/app",
                "sha256:docker.io/team/app"
            ]
        );
    }
}
