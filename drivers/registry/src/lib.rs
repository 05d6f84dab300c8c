//! Fetches images from registries by the OCI distribution protocol (distribution-spec 1.1) and Docker's older types.

mod auth;
mod blob;
mod manifest;

use async_trait::async_trait;
use auth::Session;
use contract::image::{Credentials, LayerSink, Progress, ProgressSink, Pulled, Puller, RemoteName};
use contract::{Kind, PortError};
use futures::StreamExt;
use std::sync::Arc;
use std::time::Duration;

/// Layers fetched at once (Docker's default).
const CONCURRENT: usize = 3;

/// How registries are reached.
#[derive(Debug, Clone, Default)]
pub struct RegistryConfig {
    /// Hosts spoken to without TLS, besides loopback.
    pub insecure: Vec<String>,
    /// Mirrors of Docker Hub, as URLs.
    pub mirrors: Vec<String>,
}

/// A client of all registries.
pub struct RegistryClient {
    config: RegistryConfig,
    http: reqwest::Client,
}

impl RegistryClient {
    /// A client with its own connection pool.
    pub fn new(config: RegistryConfig) -> Result<Self, PortError> {
        // Fails only when another part of the program chose a provider already, which is as good.
        let _chosen = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .user_agent("gantry")
            .connect_timeout(Duration::from_secs(15))
            .read_timeout(Duration::from_secs(60))
            .build()
            .map_err(|e| PortError::caused(Kind::Bug, "set up the registry client", e))?;
        Ok(Self { config, http })
    }

    /// Base URLs to try, in order.
    fn bases(&self, host: &str) -> Vec<String> {
        if host == "docker.io" {
            let mirrors = self.config.mirrors.iter().map(|m| m.trim_end_matches('/').to_owned());
            return mirrors.chain(["https://registry-1.docker.io".to_owned()]).collect();
        }
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        let loopback = name == "localhost" || name.starts_with("127.") || name == "[::1]";
        if loopback || self.config.insecure.iter().any(|i| i == host) {
            return vec![format!("https://{host}"), format!("http://{host}")];
        }
        vec![format!("https://{host}")]
    }
}

fn note(progress: &ProgressSink, id: &str, status: impl Into<String>) {
    // A client that does not keep up misses lines; the pull goes on.
    let _missed =
        progress.try_send(Progress { id: id.to_owned(), status: status.into(), ..Progress::default() });
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
        let wanted = name.digest.clone().unwrap_or_else(|| name.tag.clone());
        let mut last = None;
        let mut found = None;
        for base in self.bases(&name.host) {
            let session = Session::new(self.http.clone(), base, name, auth.clone());
            match manifest::resolve(&session, &wanted, platform.as_deref()).await {
                Ok(resolved) => {
                    found = Some((session, resolved));
                    break;
                }
                // The last answer from a registry that could be reached counts most.
                Err(error) if error.kind == Kind::Unavailable && last.is_some() => {}
                Err(error) => last = Some(error),
            }
        }
        let Some((session, image)) = found else {
            return Err(last.unwrap_or_else(|| PortError::new(Kind::Unavailable, "no registry to ask")));
        };
        note(&progress, &wanted, format!("Pulling from {}", name.repository));
        let config = blob::fetch_small(&session, &image.config).await?;
        let ids = manifest::diff_ids(&config)?;
        if ids.len() != image.layers.len() {
            let text =
                format!("{} has {} layers but {} diff ids", name.familiar, image.layers.len(), ids.len());
            return Err(PortError::new(Kind::Invalid, text));
        }
        for layer in &image.layers {
            note(&progress, layer.short(), "Pulling fs layer");
        }
        let work = image.layers.iter().zip(&ids).map(|(layer, diff_id)| {
            let (session, sink, progress) = (&session, Arc::clone(&sink), progress.clone());
            async move {
                if sink.has_layer(diff_id).await {
                    note(&progress, layer.short(), "Already exists");
                    return Ok(());
                }
                let file = blob::fetch(session, layer, &sink.partial(), &progress).await?;
                note(&progress, layer.short(), "Download complete");
                note(&progress, layer.short(), "Extracting");
                let unpacked = sink.unpack(file.clone(), diff_id).await;
                if let Err(error) = tokio::fs::remove_file(&file).await
                    && error.kind() != std::io::ErrorKind::NotFound
                {
                    return Err(PortError::caused(Kind::Bug, format!("removing {}", file.display()), error));
                }
                unpacked?;
                note(&progress, layer.short(), "Pull complete");
                Ok(())
            }
        });
        let mut running = futures::stream::iter(work.collect::<Vec<_>>()).buffer_unordered(CONCURRENT);
        while let Some(outcome) = running.next().await {
            outcome?;
        }
        Ok(Pulled { config, digest: image.digest })
    }
}
