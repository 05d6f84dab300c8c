//! Fetches images from registries by the OCI distribution protocol (distribution-spec 1.1) and Docker's older types.

mod auth;
mod blob;
mod endpoint;
mod fault;
mod layers;
mod manifest;
mod platform;
mod progress;
mod session;

use async_trait::async_trait;
use blob::Tries;
use contract::image::{Credentials, LayerSink, ProgressSink, Pulled, Puller, RemoteName};
use contract::{Kind, PortError};
use endpoint::Trust;
use fault::Fault;
use layers::{Pull, Traffic};
use manifest::Resolved;
use platform::Platform;
use progress::Lines;
use session::Session;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

/// How registries are reached.
#[derive(Debug, Clone)]
pub struct RegistryConfig {
    /// Hosts (`host[:port]`) and address ranges spoken to without TLS or with any certificate, besides loopback.
    pub insecure: Vec<String>,
    /// Mirrors of Docker Hub, as URLs.
    pub mirrors: Vec<String>,
    /// Layers fetched at once, over all pulls.
    pub downloads: usize,
    /// Tries a download gets without getting further.
    pub attempts: u32,
    /// Unit of waiting before a broken download is tried again.
    pub pause: Duration,
    /// What requests go through.
    pub proxies: Proxies,
}

/// Proxies by the scheme of what is fetched; empty = none.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    /// For `http://`.
    pub http: String,
    /// For `https://`.
    pub https: String,
    /// Hosts that are reached directly, by commas.
    pub none: String,
}

impl Default for RegistryConfig {
    fn default() -> Self {
        Self {
            insecure: Vec::new(),
            mirrors: Vec::new(),
            // Docker's defaults.
            downloads: 3,
            attempts: 5,
            pause: Duration::from_secs(1),
            proxies: Proxies::default(),
        }
    }
}

/// A client of all registries.
pub struct RegistryClient {
    config: RwLock<Arc<RegistryConfig>>,
    /// Made at the first use: a machine without certificate authorities still pulls from its own registry.
    careful: OnceLock<reqwest::Client>,
    trusting: reqwest::Client,
    traffic: Traffic,
}

fn client(trust: Trust, proxies: &Proxies) -> reqwest::Result<reqwest::Client> {
    let mut builder = reqwest::Client::builder()
        .user_agent("gantry")
        .connect_timeout(Duration::from_secs(15))
        .read_timeout(Duration::from_secs(60))
        .tls_danger_accept_invalid_certs(trust == Trust::Anyone)
        // The configuration has taken the environment into account.
        .no_proxy();
    // Docker never asks a proxy for what is on this machine.
    let direct = || reqwest::NoProxy::from_string(&format!("localhost,127.0.0.0/8,::1,{}", proxies.none));
    if !proxies.http.is_empty() {
        builder = builder.proxy(reqwest::Proxy::http(&proxies.http)?.no_proxy(direct()));
    }
    if !proxies.https.is_empty() {
        builder = builder.proxy(reqwest::Proxy::https(&proxies.https)?.no_proxy(direct()));
    }
    builder.build()
}

impl RegistryClient {
    /// A client with its own connection pools.
    pub fn new(config: RegistryConfig) -> Result<Self, PortError> {
        // Fails only when another part of the program chose a provider already, which is as good.
        let _chosen = rustls::crypto::ring::default_provider().install_default();
        let trusting = client(Trust::Anyone, &config.proxies)
            .map_err(|e| PortError::caused(Kind::Bug, "set up the registry client", e))?;
        let traffic = Traffic::new(config.downloads);
        Ok(Self { config: RwLock::new(Arc::new(config)), careful: OnceLock::new(), trusting, traffic })
    }

    /// Takes over another configuration, except for its proxies; what is under way goes on as it began.
    pub fn reconfigure(&self, config: RegistryConfig) {
        self.traffic.allow(config.downloads);
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }

    fn config(&self) -> Arc<RegistryConfig> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn client(&self, trust: Trust) -> Result<reqwest::Client, Fault> {
        match (trust, self.careful.get()) {
            (Trust::Anyone, _) => Ok(self.trusting.clone()),
            (_, Some(made)) => Ok(made.clone()),
            (_, None) => {
                let made = client(trust, &self.config().proxies).map_err(|e| {
                    let why =
                        std::error::Error::source(&e).map_or_else(|| e.to_string(), ToString::to_string);
                    Fault::Content(format!("set up TLS: {why}"))
                })?;
                Ok(self.careful.get_or_init(|| made).clone())
            }
        }
    }

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
            let session = Session::new(http, endpoint.base.clone(), name, auth);
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
