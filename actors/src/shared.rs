//! What every actor's effects work with: the ports, the published board, the lanes, the links to the top actors.

use crate::container::actor::Container;
use crate::container::snapshot::Board;
use crate::events::{Event, Events, Publish};
use crate::log::{RouterApi, RouterSpec, SinkSpec, sinks_for};
use crate::network::Network;
use crate::supervise::{Link, Registry};
use contract::image::Images;
use contract::log::{LogDriverKind, LogSource, Options};
use contract::network::{BridgeSpec, Networks};
use contract::record::ContainerSpec;
use contract::runtime::{Runtime, Spools};
use contract::storage::{Records, Roots};
use contract::{ContainerId, PortError};
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The code behind the actors.
#[derive(Clone)]
pub struct Ports {
    /// Sandboxes.
    pub runtime: Arc<dyn Runtime>,
    /// Their output.
    pub spools: Arc<dyn Spools>,
    /// Container records.
    pub records: Arc<dyn Records>,
    /// Container roots.
    pub roots: Arc<dyn Roots>,
    /// Images.
    pub images: Arc<dyn Images>,
    /// Bridges and endpoints.
    pub networks: Arc<dyn Networks>,
    /// The log driver catalogue.
    pub drivers: &'static [&'static dyn LogDriverKind],
    /// Checks a driver's name and options.
    pub validate: fn(&str, &Options) -> Result<(), PortError>,
    /// Extra attributes of a container's lines.
    pub attributes: fn(&LogSource, &Options) -> Result<BTreeMap<String, String>, PortError>,
}

/// A container's router with what reading its lines needs.
#[derive(Clone)]
pub struct Logging {
    /// The router.
    pub router: RouterApi,
    /// Its sinks.
    pub sinks: Arc<Vec<SinkSpec>>,
    /// Who writes the lines.
    pub source: Arc<LogSource>,
}

/// One at a time, in order.
pub type Lane = Arc<tokio::sync::Mutex<()>>;

/// One daemon's shared state.
pub struct Shared {
    /// The code behind the actors.
    pub ports: Ports,
    /// The default bridge.
    pub bridge: BridgeSpec,
    /// The supervision tree.
    pub registry: Registry,
    /// Published snapshots.
    pub board: Board,
    /// Container actors by id.
    pub containers: Mutex<HashMap<String, Link<Container>>>,
    /// Routers by container.
    pub logging: Mutex<HashMap<String, Logging>>,
    lanes: Mutex<HashMap<String, Lane>>,
    departures: Mutex<HashMap<String, Lane>>,
    links: Mutex<Option<Links>>,
}

/// The top actors that effects speak to.
#[derive(Clone)]
pub struct Links {
    /// Events.
    pub events: Link<Events>,
    /// The default bridge's addresses.
    pub network: Link<Network>,
}

/// A poisoned map is still a whole map: every change to one is a single insert or remove.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Nothing runs yet; links follow.
    pub fn new(ports: Ports, bridge: BridgeSpec, registry: Registry) -> Self {
        Self {
            ports,
            bridge,
            registry,
            board: Board::default(),
            containers: Mutex::default(),
            logging: Mutex::default(),
            lanes: Mutex::default(),
            departures: Mutex::default(),
            links: Mutex::default(),
        }
    }

    /// Makes the top actors known.
    pub fn connect(&self, links: Links) {
        *lock(&self.links) = Some(links);
    }

    /// The addresses' actor.
    pub fn network(&self) -> Option<Link<Network>> {
        lock(&self.links).as_ref().map(|l| l.network.clone())
    }

    /// Publishes an event; with the events actor away nobody listens either.
    pub fn event(&self, event: Event) {
        let link = lock(&self.links).as_ref().map(|l| l.events.clone());
        if let Some(Err(error)) = link.map(|l| l.tell(Publish(event))) {
            tracing::debug!(%error, "an event was not published");
        }
    }

    /// The lock under which a container's lifecycle effects run, over respawns of its actor.
    pub fn lane(&self, id: &str) -> Lane {
        Arc::clone(lock(&self.lanes).entry(id.to_owned()).or_default())
    }

    /// Held while a container's last network attachment is cleared up behind its back.
    pub fn departure(&self, id: &str) -> Lane {
        Arc::clone(lock(&self.departures).entry(id.to_owned()).or_default())
    }

    /// Forgets a removed container.
    pub fn forget(&self, id: &str) {
        lock(&self.lanes).remove(id);
        lock(&self.departures).remove(id);
        lock(&self.logging).remove(id);
        if let Some(link) = lock(&self.containers).remove(id) {
            link.stop();
        }
        self.board.withdraw(id);
    }

    /// A container's folder.
    pub fn directory(&self, id: &str) -> PathBuf {
        self.ports.records.directory(&ContainerId::new(id))
    }

    /// The container's router, started at the first call.
    pub fn logging(&self, spec: &ContainerSpec, name: &str) -> Result<Logging, PortError> {
        let mut map = lock(&self.logging);
        if let Some(found) = map.get(&spec.id) {
            return Ok(found.clone());
        }
        let sinks = sinks_for(self.ports.drivers, &spec.log_driver, &spec.log_opts)?;
        let directory = self.directory(&spec.id);
        let source = Arc::new(LogSource {
            container_id: spec.id.clone(),
            container_name: name.to_owned(),
            image_id: spec.image.clone(),
            image_name: spec.image_name.clone(),
            command: spec.args.join(" "),
            created_ns: spec.created_ns,
            env: spec.env.clone(),
            labels: spec.labels.clone(),
            directory: directory.clone(),
        });
        let spool = self.ports.spools.open(&ContainerId::new(spec.id.clone()), directory);
        let router =
            RouterSpec { id: spec.id.clone(), source: Arc::clone(&source), spool, sinks: sinks.clone() };
        let router = RouterApi::start(router, Some("logs"), &self.registry);
        let made = Logging { router, sinks: Arc::new(sinks), source };
        map.insert(spec.id.clone(), made.clone());
        Ok(made)
    }
}
