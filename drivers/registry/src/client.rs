//! The client of all registries: its configuration and connection pools.

use crate::certificates::{FOLDERS, Own};
use crate::endpoint::{Endpoint, Trust};
use crate::fault::Fault;
use crate::inspect;
use crate::layers::Traffic;
use crate::push::Slots;
use crate::session::Access;
use crate::tls;
use async_trait::async_trait;
use contract::image::{Credentials, FoundImage, Inspected, Registries, RemoteName};
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
    /// Layers sent at once, over all pushes.
    pub uploads: usize,
    /// Tries a download gets without getting further.
    pub attempts: u32,
    /// Unit of waiting before what broke is tried again; the pauses double.
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
            uploads: 5,
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
    pools: Mutex<HashMap<(String, Trust, Access), Pool>>,
    pub(crate) traffic: Traffic,
    pub(crate) slots: Slots,
}

/// Connections to one host, with what was laid down for it when they were made.
struct Pool {
    own: Own,
    http: reqwest::Client,
}

fn http(trust: Trust, access: Access, own: &Own, proxies: &Proxies) -> Result<reqwest::Client, Fault> {
    let build = || {
        let mut builder = reqwest::Client::builder()
            .user_agent("gantry")
            .connect_timeout(Duration::from_secs(15))
            // The configuration has taken the environment into account.
            .no_proxy();
        // While something is sent there is nothing to read: pushes mind their time themselves.
        if access == Access::Pull {
            builder = builder.read_timeout(Duration::from_secs(60));
        }
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
        http(Trust::Anyone, Access::Pull, &Own::default(), &config.proxies)
            .map_err(|e| PortError::caused(Kind::Bug, "set up the registry client", e))?;
        let traffic = Traffic::new(config.downloads);
        let slots = Slots::new(config.uploads);
        Ok(Self { config: RwLock::new(Arc::new(config)), pools: Mutex::default(), traffic, slots })
    }

    /// Takes over another configuration, except for its proxies; what is under way goes on as it began.
    pub fn reconfigure(&self, config: RegistryConfig) {
        self.traffic.allow(config.downloads);
        self.slots.allow(config.uploads);
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
        self.http_for(endpoint, Access::Pull).await
    }

    /// The same for what is done there.
    pub(crate) async fn http_for(
        &self,
        endpoint: &Endpoint,
        access: Access,
    ) -> Result<reqwest::Client, Fault> {
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
        if let Some(pool) = pools().get(&(host.clone(), trust, access)).filter(|pool| pool.own == own) {
            return Ok(pool.http.clone());
        }
        // The system's authorities are read from some hundred files.
        let made = tokio::task::spawn_blocking(move || {
            http(trust, access, &own, &config.proxies).map(|http| Pool { own, http })
        });
        let pool = made.await.map_err(ended)??;
        let http = pool.http.clone();
        pools().insert((host, trust, access), pool);
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

    async fn inspect(&self, name: &RemoteName, auth: Option<Credentials>) -> Result<Inspected, PortError> {
        self.look_at(name, auth).await.map_err(inspect::told)
    }
}
