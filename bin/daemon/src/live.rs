//! The configuration a running daemon has, and its change by SIGHUP.

use crate::logs::Level;
use config::{Config, ConfigError};
use registry::RegistryClient;
use runtime::OtherRuntimes;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

/// What the daemon runs with now.
pub struct Live {
    now: RwLock<Arc<Config>>,
    registry: Arc<RegistryClient>,
    runtimes: OtherRuntimes,
    level: Level,
}

impl Live {
    /// As it was started.
    pub fn new(config: Config, registry: Arc<RegistryClient>, level: Level) -> Self {
        let runtimes = OtherRuntimes::default();
        runtimes.configure(crate::compose::runtimes(&config));
        Self { now: RwLock::new(Arc::new(config)), registry, runtimes, level }
    }

    /// Runtimes besides gantry's own.
    pub fn runtimes(&self) -> &OtherRuntimes {
        &self.runtimes
    }

    /// The configuration.
    pub fn get(&self) -> Arc<Config> {
        Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads flags and file again and takes over what a running daemon can change. An error changes nothing.
    pub fn reload(&self) -> Result<Arc<Config>, ConfigError> {
        let reloaded = self.get().reload(Config::load(std::env::args_os())?);
        if !reloaded.kept.is_empty() {
            tracing::warn!("new values that count only after a restart: {}", reloaded.kept.join(", "));
        }
        let config = Arc::new(reloaded.config);
        self.level.change(&config.logging);
        self.registry.reconfigure(crate::compose::registries(&config));
        self.runtimes.configure(crate::compose::runtimes(&config));
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&config);
        Ok(config)
    }
}

/// The attributes of Docker's `daemon reload` event (moby `daemon/reload.go`).
pub fn attributes(config: &Config, host: &str) -> BTreeMap<String, String> {
    let (daemon, defaults, registries) = (&config.daemon, &config.defaults, &config.registries);
    let list = |items: &[String]| serde_json::to_string(items).unwrap_or_default();
    let runtimes: Vec<String> = defaults.runtimes.iter().map(|(n, r)| format!("{n}:{}", r.path)).collect();
    [
        ("name", host.to_owned()),
        ("debug", config.logging.debug.to_string()),
        ("labels", list(&daemon.labels)),
        ("live-restore", daemon.live_restore.to_string()),
        ("shutdown-timeout", daemon.shutdown_timeout.to_string()),
        ("features", "map[]".to_owned()),
        ("insecure-registries", list(&registries.insecure)),
        ("registry-mirrors", list(&registries.mirrors)),
        ("max-concurrent-downloads", registries.downloads.to_string()),
        ("max-concurrent-uploads", registries.uploads.to_string()),
        ("max-download-attempts", registries.attempts.to_string()),
        ("runtimes", runtimes.join(" ")),
        ("default-runtime", defaults.default_runtime.clone()),
        ("default-shm-size", defaults.shm_size.to_string()),
        ("default-ipc-mode", defaults.ipc.as_str().to_owned()),
        ("default-cgroupns-mode", defaults.cgroupns.as_str().to_owned()),
    ]
    .map(|(k, v)| (k.to_owned(), v))
    .into()
}
