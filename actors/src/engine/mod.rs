//! The engine as the gateway sees it: one method an operation, each a thin ask to the actor that answers it.

mod archives;
mod commit;
mod containers;
mod ending;
mod exec;
mod explain;
mod images;
mod links;
mod log_probe;
mod log_status;
mod logs;
mod networks;
mod push;
mod replay;
mod segments;
mod stats;
mod steps;
mod volumes;

pub use commit::CommitRequest;
pub use log_probe::{DriverInfo, Probed};
pub use log_status::SinkReport;
pub use logs::{AttachRequest, LogsRequest};
pub use push::PushNews;
pub use steps::Stillness;
pub use volumes::Choice;

use crate::Snapshot;
use crate::container::Containers;
use crate::container::actor::Container;
use crate::events::{Event, Events, Subscribe, Subscription};
use crate::image::{ImagesActor, Pulls};
use crate::meters::Counts;
use crate::network::actor::Reserve;
use crate::network::default_spec;
use crate::network::directory::{Networks, open};
use crate::network::plan::{Pool, VIA, default_pools};
use crate::network::reconciler;
use crate::shared::{CLOSE, Links, Ports, Shared, lock};
use crate::supervise::{
    ActorInfo, Backoff, ChildSpec, Ctx, Intensity, Link, Member, Registry, Reply, Root, RootHandle,
    Unavailable,
};
use crate::volume::Volumes;
use contract::network::{Family, Segment, Subnet};
use contract::record::NetworkSpec;
use contract::{ContainerId, Kind, PortError};
use futures::StreamExt;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How long a short ask may take.
pub(crate) const ASK: Duration = Duration::from_secs(10);

/// Containers adopted at once when the daemon starts.
const ADOPTING: usize = 32;

/// Holds the place of the routers in the tree.
struct Logs;

impl Member for Logs {
    fn started(&mut self, _: &mut Ctx<Self>) {}
}

/// What the daemon's configuration says of networks.
#[derive(Debug, Clone)]
pub struct NetworkDefaults {
    /// The default bridge.
    pub segment: Segment,
    /// Where its addresses are handed out from, when not from the whole subnets, by family.
    pub ranges: [Option<Subnet>; 2],
    /// Where new networks get their subnets from; without IPv4 ones, Docker's are added.
    pub pools: Vec<Pool>,
}

/// All operations.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
    events: Link<Events>,
    images: Link<ImagesActor>,
    networks: Link<Networks>,
    pools: Arc<Vec<Pool>>,
    containers: Link<Containers>,
    reconciler: reconciler::Handle,
    root: Arc<RootHandle>,
}

fn away(error: Unavailable) -> PortError {
    PortError::caused(Kind::Unavailable, "the engine is not able to answer now", error)
}

impl Engine {
    /// Starts the tree. Containers found on disk are adopted by [`Engine::recover`].
    pub fn launch(ports: Ports, networks: NetworkDefaults, registry: Registry) -> Self {
        Self::launch_with(ports, networks, registry, |_| ()).0
    }

    /// Starts the tree with members that stand on the engine, after its own under the root; answers what `further`
    /// answers too.
    pub fn launch_with<T>(
        ports: Ports,
        networks: NetworkDefaults,
        registry: Registry,
        further: impl FnOnce(&mut Root) -> T,
    ) -> (Self, T) {
        let NetworkDefaults { segment, ranges, mut pools } = networks;
        if !pools.iter().any(|p| p.base.family() == Family::Four) {
            pools.extend(default_pools());
        }
        let shared = Arc::new(Shared::new(ports, segment.clone(), registry.clone()));
        let intensity = Intensity { max_respawns: 5, window: Duration::from_secs(60) };
        let backoff = Backoff { min: Duration::from_millis(50), max: Duration::from_secs(2) };
        let mut root = Root::new(&registry, intensity, backoff);
        let live = shared.live.clone();
        let events = root.add(ChildSpec::new("events", "events", move |_| Events::new(live.clone())));
        let pulls = Pulls::new(shared.ports.clone(), registry.clone());
        let images = root.add(ChildSpec::new("images", "images", move |_| ImagesActor::new(pulls.clone())));
        let own = Arc::clone(&shared);
        let networks =
            root.add(ChildSpec::new("networks", "networks", move |_| Networks::new(Arc::clone(&own))));
        let holds = shared.holds.clone();
        let volumes = root.add(ChildSpec::new("volumes", "volumes", move |_| Volumes::new(holds.clone())));
        root.add(ChildSpec::new("logs", "logs", |_| Logs));
        let own = Arc::clone(&shared);
        let containers =
            root.add(ChildSpec::new("containers", "containers", move |_| Containers::new(Arc::clone(&own))));
        let added = further(&mut root);
        shared.connect(Links { events: events.clone(), volumes });
        let root = Arc::new(root.start());
        let [range, range6] = ranges;
        let others = VIA.iter().zip(segment.via).filter_map(|(name, via)| Some(((*name).to_owned(), via?)));
        let auxiliary = others.collect();
        open(&shared, Arc::new(NetworkSpec { range, range6, auxiliary, ..default_spec(&segment) }));
        let reconciler = reconciler::start(&shared);
        let pools = Arc::new(pools);
        let this = Self { shared, events, images, networks, pools, containers, reconciler, root };
        (this, added)
    }

    /// Resolves when the root gave up: the daemon is to exit and be restarted.
    pub async fn gave_up(&self) {
        self.root.gave_up().await;
    }

    /// Waits until the effects under way are over, at most for `patience`: what is left then is found by the next
    /// start.
    pub async fn settle(&self, patience: Duration) {
        if tokio::time::timeout(patience, self.shared.settled()).await.is_err() {
            tracing::warn!("some work was left unfinished");
        }
    }

    /// Closes every log's connections in order: what their far sides confirm by that, the next daemon need not send again.
    pub async fn conclude_logs(&self) {
        let all: Vec<_> = lock(&self.shared.logging).values().cloned().collect();
        let ends = all.into_iter().map(|logging| async move {
            logging.router.conclude(&*logging.spool, CLOSE).await;
        });
        futures::future::join_all(ends).await;
    }

    /// Adopts every recorded container and sweeps what a killed daemon left half made.
    pub async fn recover(&self) -> Result<(), PortError> {
        let ports = &self.shared.ports;
        ports.networks.ensure_segment(&self.shared.segment).await?;
        self.recover_networks().await?;
        let (records, broken) = ports.records.load_all().await?;
        for error in broken {
            tracing::error!("a container's record is set aside: {}", error.chain());
        }
        self.sweep_volumes(&records).await?;
        // Before any of them is started again: what the others hold must not be handed out.
        for endpoint in records.iter().flat_map(|r| &r.state.endpoints) {
            let held = async {
                let network = self.shared.networks.find(&endpoint.network)?;
                let reserve = Reserve::known(endpoint);
                network.link.insist(|| reserve.clone(), ASK).await.map_err(away)?
            };
            if let Err(error) = held.await {
                tracing::error!(container = endpoint.container, "its address: {}", error.chain());
            }
        }
        let adopting = records.into_iter().map(|record| async move {
            let id = ContainerId::new(record.spec.id);
            if let Err(error) = self.adopt(&id, None).await {
                tracing::error!(container = id.short(), "recovering: {}", error.chain());
            }
        });
        futures::stream::iter(adopting).buffer_unordered(ADOPTING).collect::<()>().await;
        self.reconciler.recovered();
        self.end_builds().await;
        self.unmount_volumes().await?;
        ports.roots.sweep().await?;
        ports.images.sweep(self.list().iter().map(|s| s.spec.image.clone()).collect()).await
    }

    /// The networks that users made. One that cannot be made again stays known, so that it can be removed.
    async fn recover_networks(&self) -> Result<(), PortError> {
        let ports = &self.shared.ports;
        let (networks, broken) = ports.network_records.load_all().await?;
        for error in broken {
            tracing::error!("a network's record is set aside: {}", error.chain());
        }
        for network in networks {
            if let Err(error) = self.ensure_segment(&network).await {
                tracing::error!(network = network.name, "its interface: {}", error.chain());
            }
            open(&self.shared, Arc::new(network));
        }
        Ok(())
    }

    /// All containers.
    pub fn list(&self) -> Vec<Arc<Snapshot>> {
        self.shared.board.list()
    }

    /// One container by id, name or prefix.
    pub fn find(&self, name: &str) -> Result<Arc<Snapshot>, PortError> {
        let found = self.shared.board.find(name);
        // Docker also knows a container by the names others have linked it under.
        match found {
            Err(error) => crate::links::find(&self.shared.board, name).map(|l| l.target).ok_or(error),
            found => found,
        }
    }

    /// A container's folder.
    pub fn directory(&self, id: &ContainerId) -> PathBuf {
        self.shared.directory(id.as_str())
    }

    /// The file that holds a container's log, for drivers that have one.
    pub fn log_path(&self, snapshot: &Snapshot) -> Option<PathBuf> {
        let source = contract::log::LogSource {
            container_id: snapshot.spec.id.clone(),
            directory: self.shared.directory(&snapshot.spec.id),
            ..Default::default()
        };
        let destinations = snapshot.spec.destinations().ok()?;
        let drivers = &self.shared.ports.drivers;
        destinations.iter().find_map(|one| drivers.find(&one.driver)?.path(&source))
    }

    pub(super) fn container(&self, id: &ContainerId) -> Result<Link<Container>, PortError> {
        lock(&self.shared.containers)
            .get(id.as_str())
            .cloned()
            .ok_or_else(|| PortError::new(Kind::NotFound, format!("No such container: {id}")))
    }

    /// Asks a container's actor for something that may take as long as it takes.
    pub(super) async fn call<M, T: Send + 'static>(
        &self,
        id: &ContainerId,
        message: impl FnOnce(Reply<Result<T, PortError>>) -> M,
    ) -> Result<T, PortError>
    where
        M: crate::supervise::Message<Result = ()> + Send + 'static,
        Container: crate::supervise::Answer<M>,
    {
        self.container(id)?.call(message, Duration::MAX).await.map_err(away)?
    }

    /// Recent events and those to come.
    pub async fn subscribe(&self) -> Result<Subscription, PortError> {
        self.events.ask(Subscribe, ASK).await.map_err(away)
    }

    /// The live supervision tree.
    pub fn actors(&self) -> Vec<ActorInfo> {
        self.shared.registry.snapshot()
    }

    /// How many actors of each kind were built anew after a panic since the daemon's start.
    pub fn respawns(&self) -> BTreeMap<&'static str, u64> {
        self.shared.registry.respawns()
    }

    /// What was counted and timed since the daemon's start.
    pub fn counts(&self) -> Counts {
        self.shared.meters.counts()
    }

    /// Arms a panic in the actors of a name or kind, at their `nth` next message; answers how many. What answers `names` is no
    /// actor, and counts questions.
    #[cfg(any(test, feature = "fault"))]
    pub fn inject(&self, target: &str, nth: u32) -> usize {
        if target == "names" {
            self.shared.zone.arm(nth);
            return 1;
        }
        self.shared.registry.inject(target, nth)
    }

    /// The same, at the `nth` message of a type with this name.
    #[cfg(any(test, feature = "fault"))]
    pub fn inject_at(&self, target: &str, handler: &str, nth: u32) -> usize {
        self.shared.registry.inject_at(target, handler, nth)
    }

    pub(super) fn image_event(&self, action: &str, id: &str, name: &str, labels: BTreeMap<String, String>) {
        let mut attributes = labels;
        attributes.insert("name".into(), name.to_owned());
        self.shared.event(Event::now("image", action, id, attributes));
    }
}

#[cfg(test)]
impl Engine {
    pub(crate) fn leases(&self) -> BTreeMap<String, std::net::Ipv4Addr> {
        let default = self.shared.networks.find(crate::network::DEFAULT).unwrap();
        default.leases.all().into_iter().filter_map(|(holder, lease)| Some((holder, lease.four?))).collect()
    }
}
