//! The client of all registries: its configuration and connection pools.

use crate::certificates::{FOLDERS, Own};
use crate::endpoint::{Endpoint, Trust};
use crate::fault::Fault;
use crate::layers::Traffic;
use crate::tls;
use async_trait::async_trait;
use contract::image::{Credentials, FoundImage, Registries, RemoteName};
use contract::{Kind, PortError};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
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
    /// Folders with a folder of certificates for each registry.
    pub certificates: Vec<PathBuf>,
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
            certificates: FOLDERS.map(PathBuf::from).into(),
        }
    }
}

/// A client of all registries.
pub struct RegistryClient {
    config: RwLock<Arc<RegistryConfig>>,
    /// One per host and what it was spoken to with: connections are kept from pull to pull.
    pools: Mutex<HashMap<(String, Trust), Pool>>,
    pub(crate) traffic: Traffic,
}

/// Connections to one host, with what was laid down for it when they were made.
struct Pool {
    own: Own,
    http: reqwest::Client,
}

fn http(trust: Trust, own: &Own, proxies: &Proxies) -> Result<reqwest::Client, Fault> {
    let build = || {
        let mut builder = reqwest::Client::builder()
            .user_agent("gantry")
            .connect_timeout(Duration::from_secs(15))
            .read_timeout(Duration::from_secs(60))
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
        Ok(builder)
    };
    let failed = |e: reqwest::Error| {
        let why = std::error::Error::source(&e).map_or_else(|| e.to_string(), ToString::to_string);
        Fault::Content(format!("set up the registry client: {why}"))
    };
    build().map_err(failed)?.tls_backend_preconfigured(tls::config(trust, own)?).build().map_err(failed)
}

impl RegistryClient {
    /// A client with its own connection pools.
    pub fn new(config: RegistryConfig) -> Result<Self, PortError> {
        // Fails only when another part of the program chose a provider already, which is as good.
        let _chosen = rustls::crypto::ring::default_provider().install_default();
        // Proxies that cannot be used are an error of the start, not of the first pull.
        http(Trust::Anyone, &Own::default(), &config.proxies)
            .map_err(|e| PortError::caused(Kind::Bug, "set up the registry client", e))?;
        let traffic = Traffic::new(config.downloads);
        Ok(Self { config: RwLock::new(Arc::new(config)), pools: Mutex::default(), traffic })
    }

    /// Takes over another configuration, except for its proxies; what is under way goes on as it began.
    pub fn reconfigure(&self, config: RegistryConfig) {
        self.traffic.allow(config.downloads);
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }

    pub(crate) fn config(&self) -> Arc<RegistryConfig> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Connections to whomever the system's authorities vouch for.
    pub(crate) async fn plain(&self) -> Result<reqwest::Client, Fault> {
        let endpoint = Endpoint { base: String::new(), trust: Trust::Authorities, mirror: false };
        self.http(&endpoint).await
    }

    /// Connections to an address, with the certificates laid down for its host by now.
    pub(crate) async fn http(&self, endpoint: &Endpoint) -> Result<reqwest::Client, Fault> {
        let (host, trust, config) = (endpoint.host().to_owned(), endpoint.trust, self.config());
        let ended = |_| Fault::Content("the registry client has ended".into());
        // As Docker, nothing is read for one whose certificate does not matter.
        let own = if trust == Trust::Anyone {
            Own::default()
        } else {
            let (folders, host) = (config.certificates.clone(), host.clone());
            tokio::task::spawn_blocking(move || Own::read(&folders, &host)).await.map_err(ended)??
        };
        let pools = || self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools().get(&(host.clone(), trust)).filter(|pool| pool.own == own) {
            return Ok(pool.http.clone());
        }
        // The system's authorities are read from some hundred files.
        let made = tokio::task::spawn_blocking(move || {
            http(trust, &own, &config.proxies).map(|http| Pool { own, http })
        });
        let pool = made.await.map_err(ended)??;
        let http = pool.http.clone();
        pools().insert((host, trust), pool);
        Ok(http)
    }
}

#[async_trait]
impl Registries for RegistryClient {
    async fn login(&self, credentials: Credentials) -> Result<Option<String>, PortError> {
        self.show(credentials).await
    }

    async fn tags(&self, name: &RemoteName, auth: Option<Credentials>) -> Result<Vec<String>, PortError> {
        self.list_tags(name, auth).await.map_err(|fault| fault.about(&name.familiar, &name.familiar))
    }

    async fn search(
        &self,
        term: &str,
        limit: u32,
        auth: Option<Credentials>,
    ) -> Result<Vec<FoundImage>, PortError> {
        self.find(term, limit, auth).await
    }
}
