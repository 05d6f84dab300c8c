//! A pull: which of a registry's addresses has the image, its configuration, its layers.

use crate::blob::{self, Tries};
use crate::client::{RegistryClient, RegistryConfig};
use crate::endpoint;
use crate::fault::Fault;
use crate::layers::Pull;
use crate::manifest::{self, Resolved};
use crate::platform::Platform;
use crate::progress::Lines;
use crate::session::{Access, Session};
use async_trait::async_trait;
use contract::PortError;
use contract::image::{Credentials, LayerSink, ProgressSink, Pulled, Puller, RemoteName};
use std::sync::Arc;

impl RegistryClient {
    /// The first address of the registry that answers, and what the name stands for there.
    async fn resolve(
        &self,
        name: &RemoteName,
        wanted: &str,
        platform: &Platform,
        auth: Option<Credentials>,
    ) -> Result<(Session, Resolved), Fault> {
        let addresses =
            if name.host == "docker.io" { Vec::new() } else { endpoint::addresses(&name.host).await };
        let config = self.config();
        let RegistryConfig { insecure, mirrors, .. } = &*config;
        let endpoints = endpoint::endpoints(&name.host, &addresses, insecure, mirrors);
        let mut last = Fault::Content(format!("no endpoint of {}", name.host));
        for (index, endpoint) in endpoints.iter().enumerate() {
            let http = self.client(endpoint.trust)?;
            // Docker Hub's password is none of a mirror's business.
            let mirror = name.host == "docker.io" && index + 1 < endpoints.len();
            let auth = auth.clone().filter(|_| !mirror);
            let session = Session::new(http, endpoint.base.clone(), name, Access::Pull, auth);
            let found = match session.ping().await {
                Ok(()) => manifest::resolve(&session, wanted, platform).await,
                Err(fault) => Err(fault),
            };
            match found {
                Ok(resolved) => return Ok((session, resolved)),
                Err(fault) if mirror || fault.elsewhere() => last = fault,
                Err(fault) => return Err(fault),
            }
        }
        Err(last)
    }

    async fn bring(
        &self,
        name: &RemoteName,
        platform: Option<String>,
        auth: Option<Credentials>,
        sink: Arc<dyn LayerSink>,
        progress: ProgressSink,
    ) -> Result<Pulled, Fault> {
        let wanted = name.digest.clone().unwrap_or_else(|| name.tag.clone());
        let platform = Platform::new(platform.as_deref());
        let (session, image) = self.resolve(name, &wanted, &platform, auth).await?;
        let lines = Lines::new(progress);
        lines.state(&wanted, format!("Pulling from {}", name.repository)).await;
        let config = blob::fetch_small(&session, &image.config).await?;
        let ids = manifest::diff_ids(&config)?;
        if ids.len() != image.layers.len() {
            // Docker's text.
            return Err(Fault::Content("layers from manifest don't match image configuration".into()));
        }
        if sink.has_image(&image.config.digest).await {
            return Ok(Pulled { config, digest: image.digest });
        }
        let own = self.config();
        let tries = Tries { most: own.attempts, pause: own.pause };
        let pull = Pull { session: &session, traffic: &self.traffic, sink, lines, tries };
        pull.layers(&image.layers, &ids).await?;
        Ok(Pulled { config, digest: image.digest })
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
        self.bring(name, platform, auth, sink, progress).await.map_err(|f| f.about(&name.familiar, &shown))
    }
}
