//! What every actor's effects work with: the ports, the published board, the lanes, the links to the top actors.

use crate::attachments::Attachments;
use crate::container::actor::Container;
use crate::container::claims::Claims;
use crate::container::lane::Lane;
use crate::container::snapshot::{Board, Snapshot};
use crate::departures::Departures;
use crate::events::{Event, Events, Publish};
use crate::exec::Execs;
use crate::log::held::HeldSpool;
use crate::log::{Change, Feed, RouterApi, RouterSpec, SinkSpec, Stores, Survey, sinks_for};
use crate::meters::Meters;
use crate::network::directory::Planned;
use crate::network::zone::Zone;
use crate::network::{self, NetworkBoard};
use crate::stats::Samplers;
use crate::supervise::{Link, Registry};
use crate::volume::{Holds, Volumes};
use contract::archive::Archives;
use contract::image::{Images, Steps};
use contract::log::{Catalogue, LogSource, Options};
use contract::network::{Endpoint, Networks, Segment};
use contract::record::{ContainerSpec, ContainerState};
use contract::runtime::{Runtime, Spools};
use contract::storage::{NetworkRecords, Records, Roots};
use contract::{ContainerId, PortError};
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::broadcast;

/// Makes the extra attributes of a container's lines from its options.
pub type Attributes = fn(&LogSource, &Options) -> Result<BTreeMap<String, String>, PortError>;

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
    /// What is inside containers.
    pub archives: Arc<dyn Archives>,
    /// Images.
    pub images: Arc<dyn Images>,
    /// Images of builds' steps.
    pub steps: Arc<dyn Steps>,
    /// Records of networks.
    pub network_records: Arc<dyn NetworkRecords>,
    /// Bridges and endpoints.
    pub networks: Arc<dyn Networks>,
    /// Volumes.
    pub volumes: Arc<dyn contract::volume::Volumes>,
    /// The log drivers.
    pub drivers: Arc<dyn Catalogue>,
    /// Extra attributes of a container's lines.
    pub attributes: Attributes,
}

/// A container's router with what reading its lines needs.
#[derive(Clone)]
pub struct Logging {
    /// The router.
    pub router: RouterApi,
    /// Its sinks.
    pub sinks: Arc<Vec<SinkSpec>>,
    /// Where its lines can be read.
    pub stores: Arc<Stores>,
    /// Who writes the lines.
    pub source: Arc<LogSource>,
    /// Its output.
    pub spool: Arc<HeldSpool>,
    /// How much of it waits for whom.
    pub survey: Arc<tokio::sync::Mutex<Survey>>,
    /// The same as lines, for readers, if there is a sink that gives lines back.
    pub feed: Option<Arc<Feed>>,
}

/// One daemon's shared state.
pub struct Shared {
    /// The code behind the actors.
    pub ports: Ports,
    /// The default bridge.
    pub segment: Segment,
    /// The supervision tree.
    pub registry: Registry,
    /// Published snapshots.
    pub board: Board,
    /// Container actors by id.
    pub containers: Mutex<HashMap<String, Link<Container>>>,
    /// Routers by container.
    pub logging: Mutex<HashMap<String, Logging>>,
    /// Names on their way to a container.
    pub claims: Claims,
    /// Bridge networks and their addresses.
    pub networks: NetworkBoard,
    /// Networks on their way to the board.
    pub planned: Planned,
    /// What is done to an interface that networks stand on, one after the other; by name.
    pub segment_turns: Departures,
    /// Names on networks that users made.
    pub zone: Zone,
    /// Attachments made to running containers that their records do not hold yet.
    pub joining: Joining,
    /// Exec sessions.
    pub execs: Execs,
    /// Clients of main processes.
    pub attachments: Attachments,
    /// Where events go to subscribers; outlives the events' actor.
    pub live: broadcast::Sender<Event>,
    /// Read while a container is made of an image, written while an image is removed.
    pub images_in_use: tokio::sync::RwLock<()>,
    /// What the engine counts of its own work.
    pub meters: Meters,
    /// Containers that somebody looks at.
    pub samplers: Samplers,
    /// Read while a container is made with volumes, written while a volume is removed.
    pub volumes_in_use: tokio::sync::RwLock<()>,
    /// What is done to a volume, one after the other; by name.
    pub volume_turns: Departures,
    /// Volumes mounted for containers.
    pub holds: Holds,
    /// Network attachments being cleared up.
    pub departures: Departures,
    lanes: Mutex<HashMap<String, Lane>>,
    links: Mutex<Option<Links>>,
}

/// By container. An effect that joins writes here before it acts, so that a container that ends meanwhile is taken off
/// again.
#[derive(Debug, Default)]
pub struct Joining(Mutex<HashMap<String, Vec<Endpoint>>>);

impl Joining {
    /// An attachment is about to be made.
    pub fn note(&self, endpoint: &Endpoint) {
        lock(&self.0).entry(endpoint.container.clone()).or_default().push(endpoint.clone());
    }

    /// It is recorded now, or undone.
    pub fn forget(&self, endpoint: &Endpoint) {
        let mut map = lock(&self.0);
        if let Some(of_it) = map.get_mut(&endpoint.container) {
            of_it.retain(|e| e.network != endpoint.network);
            if of_it.is_empty() {
                map.remove(&endpoint.container);
            }
        }
    }

    /// All of a container's, which are somebody else's to undo from now on.
    pub fn take(&self, container: &str) -> Vec<Endpoint> {
        lock(&self.0).remove(container).unwrap_or_default()
    }
}

/// How long closing a removed container's log drivers may take.
pub const CLOSE: Duration = Duration::from_millis(200);

/// Events a slow subscriber may lag behind.
const LIVE: usize = 1024;

/// The top actors that effects speak to.
#[derive(Clone)]
pub struct Links {
    /// Events.
    pub events: Link<Events>,
    /// Who has which volume mounted.
    pub volumes: Link<Volumes>,
}

/// A poisoned map is still a whole map: every change to one is a single insert or remove.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Nothing runs yet; links follow.
    pub fn new(ports: Ports, segment: Segment, registry: Registry) -> Self {
        let board = Board::default();
        Self {
            ports,
            segment,
            registry,
            zone: Zone::new(board.clone()),
            board,
            containers: Mutex::default(),
            logging: Mutex::default(),
            claims: Claims::default(),
            networks: NetworkBoard::default(),
            planned: Planned::default(),
            segment_turns: Departures::default(),
            joining: Joining::default(),
            execs: Execs::default(),
            attachments: Attachments::default(),
            live: broadcast::channel(LIVE).0,
            lanes: Mutex::default(),
            images_in_use: tokio::sync::RwLock::default(),
            volumes_in_use: tokio::sync::RwLock::default(),
            volume_turns: Departures::default(),
            holds: Holds::default(),
            departures: Departures::default(),
            samplers: Samplers::default(),
            meters: Meters::default(),
            links: Mutex::default(),
        }
    }

    /// Makes the top actors known.
    pub fn connect(&self, links: Links) {
        *lock(&self.links) = Some(links);
    }

    /// The actor of mounted volumes.
    pub fn volumes(&self) -> Option<Link<Volumes>> {
        lock(&self.links).as_ref().map(|l| l.volumes.clone())
    }

    /// Publishes an event. While the events' actor is away it reaches only those who listen already.
    pub fn event(&self, event: Event) {
        self.meters.event();
        let link = lock(&self.links).as_ref().map(|l| l.events.clone());
        if link.is_none_or(|l| l.tell(Publish(event.clone())).is_err()) {
            // Without subscribers there is nobody to tell.
            let _nobody = self.live.send(event);
        }
    }

    /// Publishes an event of a container, with the attributes Docker gives it.
    pub fn container_event(&self, spec: &ContainerSpec, name: &str, action: &str, extra: &[(&str, String)]) {
        let mut attributes: BTreeMap<String, String> = spec.labels.clone();
        attributes.extend(extra.iter().map(|(k, v)| ((*k).to_owned(), v.clone())));
        attributes.insert("image".into(), spec.image_name.clone());
        attributes.insert("name".into(), name.to_owned());
        self.event(Event::now("container", action, &spec.id, attributes));
    }

    /// Publishes what became of one of a container's sinks.
    fn sink_event(&self, (spec, name): (&ContainerSpec, &str), sink: &str, change: &Change) {
        let name = self.board.get(&spec.id).map_or_else(|| name.to_owned(), |s| s.state.name.clone());
        let (action, told) = match change {
            Change::Down(error) => {
                tracing::warn!(container = spec.id, sink, error, "a log sink is away");
                ("log_down", vec![("error", error.clone())])
            }
            Change::Up => {
                tracing::info!(container = spec.id, sink, "a log sink is back");
                ("log_up", vec![])
            }
            Change::Dropped { reason, lines } => {
                tracing::warn!(container = spec.id, sink, reason, lines, "a log sink's lines are given up");
                ("log_dropped", vec![("lines", lines.to_string()), ("reason", (*reason).to_owned())])
            }
            Change::Refused { lines, error } => {
                tracing::warn!(container = spec.id, sink, lines, error, "a log sink refuses lines");
                let reason = ("reason", "refused".to_owned());
                ("log_refused", vec![("lines", lines.to_string()), reason, ("error", error.clone())])
            }
        };
        let told: Vec<(&str, String)> = [("sink", sink.to_owned())].into_iter().chain(told).collect();
        self.container_event(spec, &name, action, &told);
    }

    /// The same, from what is published of it.
    pub fn snapshot_event(&self, snapshot: &Snapshot, action: &str, extra: &[(&str, String)]) {
        self.container_event(&snapshot.spec, &snapshot.state.name, action, extra);
    }

    /// Publishes that a container joined (`connect`) or left (`disconnect`) its networks.
    pub fn network_events(&self, spec: &ContainerSpec, state: &ContainerState, action: &str) {
        for name in state.networks.keys() {
            let id = state.endpoints.iter().find(|e| e.network_name == *name).map(|e| e.network.clone());
            let id =
                id.unwrap_or_else(|| state.networks.get(name).map(|a| a.network.clone()).unwrap_or_default());
            self.network_event(&spec.id, (name, &id), action);
        }
    }

    /// The same of one network, given by name and id; that of a built-in one may be left out.
    pub fn network_event(&self, container: &str, (name, id): (&str, &str), action: &str) {
        let built_in = network::BUILT_IN.iter().find(|(known, _)| *known == name);
        let made = || self.networks.get(id).map_or("bridge", |n| n.spec.segment.kind.driver());
        let kind = built_in.map_or_else(made, |(_, driver)| driver);
        let id = if built_in.is_some() { network::id(name) } else { id.to_owned() };
        let attributes = [("container", container), ("name", name), ("type", kind)];
        let attributes = attributes.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        self.event(Event::now("network", action, &id, attributes));
    }

    /// The order of a container's lifecycle effects, over respawns of its actor.
    pub fn lane(&self, id: &str) -> Lane {
        lock(&self.lanes).entry(id.to_owned()).or_insert_with(Lane::start).clone()
    }

    /// Resolves once every effect begun so far is over: ends, removals, departures from networks.
    pub async fn settled(&self) {
        let lanes: Vec<Lane> = lock(&self.lanes).values().cloned().collect();
        futures::future::join_all(lanes.iter().map(Lane::idle)).await;
        self.departures.all_over().await;
    }

    /// Forgets a removed container.
    pub fn forget(&self, id: &str) {
        lock(&self.lanes).remove(id);
        if let Some(logging) = lock(&self.logging).remove(id) {
            // Made by a reader that came while the container went.
            tokio::spawn(async move { logging.router.close(CLOSE).await });
        }
        self.attachments.forget(id);
        self.execs.forget(id);
        let link = lock(&self.containers).remove(id);
        self.board.withdraw(id);
        if let Some(link) = link {
            link.stop();
        }
    }

    /// A container's folder.
    pub fn directory(&self, id: &str) -> PathBuf {
        self.ports.records.directory(&ContainerId::new(id))
    }

    /// The container's router, started at the first call.
    pub fn logging(self: &Arc<Self>, spec: &ContainerSpec, name: &str) -> Result<Logging, PortError> {
        let mut map = lock(&self.logging);
        if let Some(found) = map.get(&spec.id) {
            return Ok(found.clone());
        }
        let directory = self.directory(&spec.id);
        let spool = self.ports.spools.open(&ContainerId::new(spec.id.clone()), directory);
        let made = self.route((spec, name), self.sinks(spec)?, HeldSpool::new(spool));
        map.insert(spec.id.clone(), made.clone());
        Ok(made)
    }

    /// Where a container's lines are to go.
    pub fn sinks(&self, spec: &ContainerSpec) -> Result<Vec<SinkSpec>, PortError> {
        sinks_for(&*self.ports.drivers, &spec.destinations()?, &spec.log_opts)
    }

    /// Refuses log drivers that could not be opened for this container, however often that is tried.
    pub fn fits(&self, spec: &ContainerSpec, name: &str) -> Result<(), PortError> {
        let source = self.source(spec, name);
        for sink in self.sinks(spec)? {
            let told = |e: PortError| match sink.name == sink.kind.name() {
                true => e,
                false => PortError::new(e.kind, format!("logger: {}: {}", sink.name, e.chain())),
            };
            sink.kind.fits(&source, &sink.options).map_err(told)?;
        }
        Ok(())
    }

    /// What log drivers are told of a container.
    fn source(&self, spec: &ContainerSpec, name: &str) -> LogSource {
        LogSource {
            container_id: spec.id.clone(),
            container_name: name.to_owned(),
            image_id: spec.image.clone(),
            image_name: spec.image_name.clone(),
            command: spec.args.join(" "),
            args: spec.args.clone(),
            created_ns: spec.created_ns,
            env: spec.env.clone(),
            labels: spec.labels.clone(),
            directory: self.directory(&spec.id),
        }
    }

    /// Puts a new router in the place of one that has ended, unless the container has gone.
    pub fn route_anew(self: &Arc<Self>, of: (&ContainerSpec, &str), sinks: Vec<SinkSpec>) {
        if let Some(logging) = lock(&self.logging).get_mut(&of.0.id) {
            let made = self.route(of, sinks, Arc::clone(&logging.spool));
            let stores = Stores::clone(&made.stores).following(&logging.stores);
            *logging = Logging { stores: Arc::new(stores), ..made };
        }
    }

    fn route(
        self: &Arc<Self>,
        (spec, name): (&ContainerSpec, &str),
        sinks: Vec<SinkSpec>,
        spool: Arc<HeldSpool>,
    ) -> Logging {
        let source = Arc::new(self.source(spec, name));
        let (shared, of) = (Arc::downgrade(self), (spec.clone(), name.to_owned()));
        let told = move |sink: &str, change: Change| {
            if let Some(shared) = shared.upgrade() {
                shared.sink_event((&of.0, &of.1), sink, &change);
            }
        };
        let router = RouterSpec {
            told: Arc::new(told),
            id: spec.id.clone(),
            source: Arc::clone(&source),
            spool: spool.clone(),
            sinks: sinks.clone(),
        };
        let router = RouterApi::start(router, Some("logs"), &self.registry);
        let stores = Stores::of(&*self.ports.drivers, &sinks, &spec.log_stores);
        let feed = stores.main.as_ref().map(|s| Feed::new(Arc::clone(&spool), s.batching(), &spec.id));
        Logging {
            router,
            sinks: Arc::new(sinks),
            stores: Arc::new(stores),
            source,
            spool,
            feed,
            survey: Arc::default(),
        }
    }
}
