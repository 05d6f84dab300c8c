//! A pull: which of a registry's addresses has the image, its configuration, its layers.

use crate::backoff::Tries;
use crate::blob;
use crate::client::RegistryClient;
use crate::endpoint::Mirrors;
use crate::fault::Fault;
use crate::layers::Pull;
use crate::manifest::{self, Descriptor};
use crate::platform::Platform;
use crate::progress::Lines;
use crate::session::{Access, Session};
use async_trait::async_trait;
use contract::PortError;
use contract::image::{Credentials, KnownBlob, LayerSink, ProgressSink, Pulled, Puller, RemoteName};
use std::sync::Arc;

/// What is to be pulled, and where it goes.
struct Order<'a> {
    name: &'a RemoteName,
    platform: Platform,
    auth: Option<Credentials>,
    sink: Arc<dyn LayerSink>,
    lines: Lines,
}

impl RegistryClient {
    /// From the first of the registry's addresses that has it. A mirror that fails is passed over; one without TLS is
    /// asked only where nobody speaks TLS.
    async fn bring(&self, order: &Order<'_>) -> Result<Pulled, Fault> {
        let mut last = Fault::Content(format!("no endpoints found for {}", order.name.familiar));
        for endpoint in self.endpoints(&order.name.host, Mirrors::First).await {
            let auth = order.auth.clone().filter(|_| !endpoint.mirror);
            let http = self.http(&endpoint).await?;
            let session = Session::new(http, endpoint.base.clone(), order.name, Access::Pull, auth);
            if let Err(fault) = session.ping().await {
                last = fault;
                continue;
            }
            match self.bring_from(&session, order).await {
                Err(fault) if endpoint.mirror && !fault.ours() => last = fault,
                outcome => return outcome,
            }
        }
        Err(last)
    }

    async fn bring_from(&self, session: &Session, order: &Order<'_>) -> Result<Pulled, Fault> {
        let Order { name, platform, sink, lines, .. } = order;
        let wanted = name.digest.as_ref().unwrap_or(&name.tag);
        let image = manifest::resolve(session, wanted, platform).await?;
        // As Docker, which shows the whole name of what it pulls by digest.
        let about = match &name.digest {
            Some(digest) if name.host == "docker.io" => format!("docker.io/{}@{digest}", name.repository),
            Some(digest) => format!("{}/{}@{digest}", name.host, name.repository),
            None => name.tag.clone(),
        };
        lines.state(&about, format!("Pulling from {}", name.repository)).await;
        let config = blob::fetch_small(session, &image.config).await?;
        let ids = manifest::diff_ids(&config)?;
        if ids.len() != image.layers.len() {
            // Docker's text.
            return Err(Fault::Content("layers from manifest don't match image configuration".into()));
        }
        let known = |layer: &Descriptor| KnownBlob {
            digest: layer.digest.clone(),
            size: layer.size,
            media_type: layer.media_type.clone(),
            host: name.host.clone(),
            repository: name.repository.clone(),
            urls: layer.urls.clone(),
        };
        let layers = image.layers.iter().map(known).collect();
        if sink.has_image(&image.config.digest).await {
            return Ok(Pulled { config, digest: image.digest, layers });
        }
        let own = self.config();
        let tries = Tries { most: own.attempts, pause: own.pause };
        let (sink, lines) = (Arc::clone(sink), lines.clone());
        let pull = Pull { session, traffic: &self.traffic, sink, lines, tries };
        pull.layers(&image.layers, &ids).await?;
        Ok(Pulled { config, digest: image.digest, layers })
    }
}

#[async_trait]
impl Puller for RegistryClient {
    async fn pull(
        &self,
        name: &RemoteName,
        platform: Option<String>,
        auth: Option<Credentials>,
        sink: Arc<dyn LayerSink>,
        progress: ProgressSink,
    ) -> Result<Pulled, PortError> {
        let shown = match &name.digest {
            Some(digest) => format!("{}@{digest}", name.familiar),
            None => format!("{}:{}", name.familiar, name.tag),
        };
        let (platform, lines) = (Platform::new(platform.as_deref()), Lines::new(progress));
        let order = Order { name, platform, auth, sink, lines };
        self.bring(&order).await.map_err(|f| f.about(&name.familiar, &shown))
    }
}
