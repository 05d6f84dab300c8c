//! The client of all registries: its configuration and connection pools.

use crate::endpoint::Trust;
use crate::fault::Fault;
use crate::layers::Traffic;
use contract::{Kind, PortError};
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
    pub(crate) traffic: Traffic,
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

    pub(crate) fn config(&self) -> Arc<RegistryConfig> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn client(&self, trust: Trust) -> Result<reqwest::Client, Fault> {
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
}
