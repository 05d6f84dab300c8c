//! The daemon's configuration: defaults, then daemon.json, then flags, in Docker's names. A key set in both places is
//! an error, as in Docker.

mod addresses;
mod bridge;
mod command;
mod defaults;
mod error;
mod file;
mod host;
mod key;
mod logging;
mod network_options;
mod places;
mod plugins;
mod pools;
mod proxies;
mod refused;
mod registries;
mod runtimes;
mod size;
mod sockets;
mod source;
mod ulimit;

pub use addresses::Addresses;
pub use bridge::Bridge;
pub use defaults::{Defaults, LogSink, Seccomp, Sharing};
pub use error::{ConfigError, FileError, Origin, ValueError};
pub use file::DEFAULT_FILE;
pub use host::Host;
pub use logging::{Format, Logging};
pub use network_options::NetworkOptions;
pub use places::Daemon;
pub use plugins::Plugins;
pub use pools::Pool;
pub use proxies::{Proxies, mask};
pub use registries::Registries;
pub use runtimes::{OWN as OWN_RUNTIMES, Runtime};
pub use size::bytes;
pub use sockets::{Encryption, Group, MetricsAddress, Sockets, Tls};
pub use ulimit::Ulimit;

#[cfg(test)]
use key::Kind;
use key::{Key, Section};
use serde_json::{Map, Value};
use source::Source;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

/// Every option, in the order of the help.
const SECTIONS: [&Section; 8] = [
    &places::SECTION,
    &sockets::SECTION,
    &defaults::SECTION,
    &bridge::SECTION,
    &registries::SECTION,
    &plugins::SECTION,
    &logging::SECTION,
    &refused::SECTION,
];

fn key(name: &str) -> Option<&'static Key> {
    SECTIONS.iter().flat_map(|s| s.keys).find(|k| k.name == name)
}

/// What the daemon runs with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Places, and the daemon's process.
    pub daemon: Daemon,
    /// Where the API is served.
    pub sockets: Sockets,
    /// What containers get when they say nothing.
    pub defaults: Defaults,
    /// The default bridge.
    pub bridge: Bridge,
    /// How images are fetched.
    pub registries: Registries,
    /// Plugins for logs.
    pub plugins: Plugins,
    /// The daemon's own log.
    pub logging: Logging,
    /// Where daemon.json lies, or would.
    pub file: PathBuf,
    /// Only check the configuration.
    pub validate: bool,
    /// What was given, as it was written, by key.
    given: BTreeMap<String, String>,
}

/// What a new reading of the configuration changes in a running daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reloaded {
    /// What the daemon runs with from now on.
    pub config: Config,
    /// Keys whose new values count only after a restart.
    pub kept: Vec<String>,
}

impl Config {
    /// Reads flags (with the program's name in front) and the file they name.
    pub fn load(args: impl IntoIterator<Item = OsString>) -> Result<Self, ConfigError> {
        let matches = command::command(&SECTIONS).try_get_matches_from(args).map_err(ConfigError::Flags)?;
        let (path, wanted) = file::choose(matches.get_one("config-file"));
        let flags = command::given(&SECTIONS, &matches);
        let keys = file::read(&path, wanted)?;
        let mut config = Self::merge(flags, keys, path)?;
        config.validate = matches.get_flag("validate");
        Ok(config)
    }

    fn merge(
        flags: BTreeMap<&'static str, Vec<String>>,
        file: Map<String, Value>,
        path: PathBuf,
    ) -> Result<Self, ConfigError> {
        file::check(key, &flags, &file).map_err(|source| ConfigError::File { path: path.clone(), source })?;
        let source = Source { flags, file, keys: key };
        Self::read(&source, &path).map_err(|error| match error.origin() {
            Some(Origin::File) => ConfigError::File { path, source: error.into() },
            None if !source.file.is_empty() => ConfigError::File { path, source: FileError::Merged(error) },
            Some(Origin::Flag) | None => error.into(),
        })
    }

    fn read(source: &Source, path: &std::path::Path) -> Result<Self, ValueError> {
        refused::check(source)?;
        let environment = |name: &str| std::env::var(name).ok();
        let home = environment("HOME").unwrap_or_else(|| "/root".into());
        let flags = source.flags.iter().map(|(k, v)| ((*k).to_owned(), v.join(" ")));
        let file = source.file.iter().map(|(k, v)| (k.clone(), v.to_string()));
        Ok(Self {
            daemon: Daemon::read(source)?,
            sockets: Sockets::read(source, home.as_ref())?,
            defaults: Defaults::read(source)?,
            bridge: Bridge::read(source)?,
            registries: Registries::read(source, environment)?,
            plugins: Plugins::read(source)?,
            logging: Logging::read(source)?,
            file: path.to_owned(),
            validate: false,
            given: flags.chain(file).collect(),
        })
    }

    /// Takes over from a new reading what a running daemon can change.
    pub fn reload(&self, new: Self) -> Reloaded {
        let changed = new.given.iter().filter(|(k, v)| self.given.get(*k) != Some(v)).map(|(k, _)| k);
        let dropped = self.given.keys().filter(|k| !new.given.contains_key(*k));
        let fixed = |name: &&String| key(name).is_some_and(|k| !k.reloads);
        let mut kept: Vec<String> = changed.chain(dropped).filter(fixed).cloned().collect();
        kept.sort();
        let mut config = self.clone();
        let (defaults, fresh) = (&mut config.defaults, new.defaults);
        defaults.ulimits = fresh.ulimits;
        defaults.shm_size = fresh.shm_size;
        defaults.ipc = fresh.ipc;
        defaults.cgroupns = fresh.cgroupns;
        defaults.runtimes = fresh.runtimes;
        defaults.default_runtime = fresh.default_runtime;
        config.daemon.live_restore = new.daemon.live_restore;
        config.daemon.shutdown_timeout = new.daemon.shutdown_timeout;
        config.daemon.labels = new.daemon.labels;
        let proxies = config.registries.proxies;
        config.registries = Registries { proxies, ..new.registries };
        config.logging.debug = new.logging.debug;
        config.logging.level = new.logging.level;
        Reloaded { config, kept }
    }
}

#[cfg(test)]
mod tests;
