//! Log drivers that others wrote: Docker's plugin protocol for logs.
//!
//! A plugin is called over HTTP to read a fifo, into which lines go as Docker writes them: length, then `LogEntry`.

mod client;
mod fifo;
mod forward;
mod loggers;
mod places;
mod remote;
mod spelling;

use crate::options::invalid;
use async_trait::async_trait;
use client::{CallError, Plugin, info};
use contract::PortError;
use contract::log::{
    BatchPolicy, LogDriver, LogDriverKind, LogSource, OptionSpec, Options, RemoteLines, RemoteReader,
    RemoteRequest, is_common, is_record_option,
};
use fifo::Fifo;
use forward::Forwarder;
use loggers::Loggers;
use remote::Reading;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;

/// How long a plugin may take to say what it is before somebody who waits is answered.
const ASKED: Duration = Duration::from_secs(2);
/// Most time a call may take otherwise.
const CALL: Duration = Duration::from_secs(10);

/// Where a daemon's plugins are looked for, and what it needs for them.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// Folders with sockets, `.spec` and `.json` files, the first that knows a name wins.
    pub folders: Vec<PathBuf>,
    /// Folder for fifos.
    pub fifos: PathBuf,
    /// What the names of this daemon's fifos begin with.
    pub mark: String,
}

/// The plugins of one daemon.
#[derive(Default)]
pub(crate) struct Plugins {
    places: Arc<Places>,
    /// Those that containers have; a kind lives as long as the daemon.
    kinds: Mutex<BTreeMap<String, &'static Kind>>,
}

impl Plugins {
    pub(crate) fn new(places: Places) -> Self {
        Self { places: Arc::new(places), kinds: Mutex::default() }
    }

    /// The kind of that name, whether there is such a plugin now or not.
    pub(crate) fn kind(&self, name: &str) -> Option<&'static dyn LogDriverKind> {
        if !places::named(name) {
            return None;
        }
        // A poisoned map is whole: its only change is an insert.
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = *kinds.entry(name.to_owned()).or_insert_with(|| {
            let places = Arc::clone(&self.places);
            let (loggers, reads) = (Loggers::default(), Mutex::default());
            Box::leak(Box::new(Kind { name: String::leak(name.to_owned()), places, loggers, reads }))
        });
        Some(kind)
    }

    /// Whether there is such a plugin now.
    pub(crate) fn check(&self, name: &str) -> Result<(), PortError> {
        match places::find(&self.places.folders, name) {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(unknown(name, format!("plugin \"{name}\" not found"))),
            Err(error) => Err(unknown(name, error.chain())),
        }
    }

    /// Asks a plugin whether it takes logs. One that does not answer may be about to start.
    pub(crate) async fn ask(&self, name: &str) -> Result<(), PortError> {
        match self.places.plugin(name, ASKED)?.activate().await {
            Err(error @ CallError::Other { .. }) => Err(unknown(name, format!("legacy plugin: {error}"))),
            Ok(()) | Err(CallError::Away { .. } | CallError::Told { .. }) => Ok(()),
        }
    }

    /// Those that say that they take logs.
    pub(crate) async fn names(&self) -> Vec<String> {
        let mut asked = JoinSet::new();
        for name in places::names(&self.places.folders) {
            if let Ok(plugin) = self.places.plugin(&name, ASKED) {
                asked.spawn(async move { plugin.activate().await.is_ok().then_some(name) });
            }
        }
        asked.join_all().await.into_iter().flatten().collect()
    }

    /// Removes fifos that an earlier daemon has left.
    pub(crate) fn sweep(&self) {
        fifo::sweep(&self.places.fifos, &format!("{}-", self.places.mark));
    }
}

/// Docker's text for a driver that nobody knows.
fn unknown(name: &str, why: String) -> PortError {
    invalid(format!("error looking up logging plugin {name}: {why}"))
}

impl Places {
    /// The plugin of that name where it is now.
    fn plugin(&self, name: &str, patience: Duration) -> Result<Plugin, PortError> {
        let found = places::find(&self.folders, name)?;
        let address = found.ok_or_else(|| unknown(name, format!("plugin \"{name}\" not found")))?;
        Plugin::new(name, &address, patience)
    }

    /// A fifo for a container. Its name is new each time: a plugin that hears of an older one too late finds nothing there.
    fn fifo(&self, container: &str) -> io::Result<Fifo> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|e| io::Error::other(e.to_string()))?;
        let name = format!("{}-{container}-{:016x}", self.mark, u64::from_be_bytes(random));
        Fifo::make(&self.fifos, &name)
    }
}

/// One plugin.
struct Kind {
    name: &'static str,
    places: Arc<Places>,
    loggers: Loggers,
    /// What it last said to the question whether it gives lines back.
    reads: Mutex<Option<bool>>,
}

#[async_trait]
impl LogDriverKind for Kind {
    fn name(&self) -> &'static str {
        self.name
    }

    fn options(&self) -> &'static [OptionSpec] {
        &[]
    }

    fn takes_all(&self) -> bool {
        // So it is in Docker, which knows nothing of a plugin's options.
        true
    }

    fn validate(&self, _: &Options) -> Result<(), PortError> {
        // They are the plugin's to judge, when it is told to start (Docker does not check them either).
        Ok(())
    }

    fn batching(&self, _: &Options) -> BatchPolicy {
        BatchPolicy { max_bytes: 256 * 1024, ..BatchPolicy::default() }
    }

    async fn open(&self, source: &LogSource, options: &Options) -> Result<Box<dyn LogDriver>, PortError> {
        Ok(Box::new(Forwarder::new(
            self.name,
            Arc::clone(&self.places),
            self.loggers.of(&source.container_id),
            told(source, options),
        )))
    }

    fn remote(&self) -> Option<&dyn RemoteReader> {
        Some(self)
    }
}

/// Options that are carried out here and that no plugin knows; some refuse what they do not know. Docker tells plugins of
/// those that it carries out itself.
fn is_own(key: &str) -> bool {
    is_record_option(key) || (is_common(key) && !matches!(key, "mode" | "max-buffer-size"))
}

/// What a plugin is told of a container.
fn told(source: &LogSource, options: &Options) -> Value {
    let options = options.iter().filter(|(key, _)| !is_own(key));
    info(source, &options.map(|(k, v)| (k.clone(), Value::from(v.clone()))).collect())
}

#[async_trait]
impl RemoteReader for Kind {
    async fn reads(&self) -> Result<bool, PortError> {
        let asked = match self.places.plugin(self.name, ASKED) {
            Ok(plugin) => plugin.reads().await.map_err(remote::unreadable),
            Err(error) => Err(remote::unreadable(error)),
        };
        // A poisoned answer is a whole one.
        let mut known = self.reads.lock().unwrap_or_else(PoisonError::into_inner);
        match asked {
            Ok(reads) => Ok(*known.insert(reads)),
            Err(error) => known.ok_or(error),
        }
    }

    async fn read(
        &self,
        source: &LogSource,
        options: &Options,
        request: RemoteRequest,
    ) -> Result<RemoteLines, PortError> {
        let plugin = self.places.plugin(self.name, CALL).map_err(remote::unreadable)?;
        let (info, config) = (told(source, options), remote::config(&request));
        let (places, logger) = (Arc::clone(&self.places), self.loggers.of(&source.container_id));
        Ok(remote::read(Reading { plugin, places, logger, info, config }))
    }
}

#[cfg(test)]
mod tests;
