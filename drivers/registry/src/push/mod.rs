//! A push: the layers that the registry lacks, the configuration, and the manifest under its name.

mod compress;
mod layer;
mod manifest;
mod upload;

use crate::backoff::Tries;
use crate::client::RegistryClient;
use crate::endpoint::Mirrors;
use crate::fault::Fault;
use crate::progress::Lines;
use crate::session::{Access, Content, Request, Session};
use async_trait::async_trait;
use bytes::Bytes;
use contract::image::{Credentials, LayerSource, ProgressSink, Pushed, PushedImage, Pusher, RemoteName};
use contract::{Kind, PortError};
use layer::Layers;
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use sha2::{Digest, Sha256};
use std::sync::Arc;

pub use layer::Slots;

fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// Tries what can be repeated whole.
async fn patiently<T, F: Future<Output = Result<T, Fault>>>(
    tries: Tries,
    mut work: impl FnMut() -> F,
) -> Result<T, Fault> {
    let mut failures = 0;
    loop {
        match work().await {
            Err(fault) if fault.passing() && failures + 1 < tries.most => {
                failures += 1;
                tries.wait(failures).await;
            }
            outcome => return outcome,
        }
    }
}

/// A configuration, in one piece.
async fn put_config(session: &Session, config: &Bytes, digest: &str) -> Result<(), Fault> {
    if upload::exists(session, digest).await {
        return Ok(());
    }
    let response = upload::ask(session, Request::new(Method::POST, session.url("blobs/uploads/"))).await?;
    if !response.status().is_success() {
        return Err(upload::refused(response).await);
    }
    let at = upload::named(upload::location(&response)?, digest);
    let request = Request::new(Method::PUT, at.as_str()).header(CONTENT_TYPE, "application/octet-stream");
    let response = upload::ask(session, request.content(Content::Bytes(config.clone()))).await?;
    if response.status().is_success() { Ok(()) } else { Err(upload::refused(response).await) }
}

async fn put_manifest(session: &Session, tag: &str, manifest: &Bytes) -> Result<(), Fault> {
    let request = Request::new(Method::PUT, session.url(&format!("manifests/{tag}")));
    let request = request.header(CONTENT_TYPE, manifest::MANIFEST).content(Content::Bytes(manifest.clone()));
    let response = upload::ask(session, request).await?;
    if response.status().is_success() { Ok(()) } else { Err(upload::refused(response).await) }
}

/// What is to be pushed, and from where.
struct Order<'a> {
    name: &'a RemoteName,
    image: PushedImage,
    auth: Option<Credentials>,
    source: Arc<dyn LayerSource>,
    lines: Lines,
}

impl RegistryClient {
    /// To the first of the registry's addresses that answers; mirrors only give.
    async fn send(&self, order: Order<'_>) -> Result<Pushed, Fault> {
        let mut last = Fault::Content(format!("no endpoints found for {}", order.name.familiar));
        for endpoint in self.endpoints(&order.name.host, Mirrors::Never).await {
            let http = self.http_for(&endpoint, Access::Push).await?;
            let session =
                Session::new(http, endpoint.base.clone(), order.name, Access::Push, order.auth.clone());
            match session.ping().await {
                Ok(()) => return self.send_to(&session, order).await,
                Err(fault) => last = fault,
            }
        }
        Err(last)
    }

    async fn send_to(&self, session: &Session, order: Order<'_>) -> Result<Pushed, Fault> {
        let own = self.config();
        let tries = Tries { most: own.attempts, pause: own.pause };
        let layers = Layers {
            session,
            name: order.name,
            source: &*order.source,
            slots: &self.slots,
            lines: &order.lines,
            tries,
        };
        let stored = layers.push(&order.image.layers).await?;
        let config = &order.image.config;
        let digest = digest_of(config);
        patiently(tries, || put_config(session, config, &digest)).await?;
        let manifest = Bytes::from(manifest::manifest((&digest, config.len() as u64), &stored));
        patiently(tries, || put_manifest(session, &order.name.tag, &manifest)).await?;
        Ok(Pushed { digest: digest_of(&manifest), size: manifest.len() as u64 })
    }
}

#[async_trait]
impl Pusher for RegistryClient {
    async fn push(
        &self,
        name: &RemoteName,
        image: PushedImage,
        auth: Option<Credentials>,
        source: Arc<dyn LayerSource>,
        progress: ProgressSink,
    ) -> Result<Pushed, PortError> {
        let lines = Lines::new(progress);
        self.send(Order { name, image, auth, source, lines }).await.map_err(told)
    }
}

/// As Docker tells failures of pushes: without the pull's explanations, and what there is to show without where.
fn told(fault: Fault) -> PortError {
    match fault {
        Fault::Port(error) => error,
        Fault::Unauthorized { cause, .. } if matches!(*cause, Fault::Denied(_)) => {
            PortError::new(Kind::Unavailable, cause.to_string())
        }
        fault => PortError::new(Kind::Unavailable, fault.to_string()),
    }
}
