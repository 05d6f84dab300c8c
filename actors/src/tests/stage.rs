use crate::supervise::Registry;
use crate::{Engine, Event, NetworkDefaults, Ports, Snapshot, Status};
use contract::fake::{FakeCatalogue, FakeImages, FakeKind, Keeps, World};
use contract::network::Segment;
use contract::record::ContainerSpec;
use contract::{ContainerId, Kind, PortError};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;

/// A machine and its log drivers; daemons come and go on it.
#[derive(Clone)]
pub struct Stage {
    pub world: Arc<World>,
    pub file: &'static FakeKind,
    pub remote: &'static FakeKind,
    /// Another file, called `local`.
    pub other: &'static FakeKind,
    /// Another receiver.
    pub far: &'static FakeKind,
    drivers: Arc<FakeCatalogue>,
}

/// One daemon.
pub struct Daemon {
    pub engine: Engine,
    pub registry: Registry,
    pub stage: Stage,
}

impl std::ops::Deref for Daemon {
    type Target = Engine;
    fn deref(&self) -> &Engine {
        &self.engine
    }
}

impl Stage {
    pub fn new() -> Self {
        let world = Arc::new(World::new());
        world.images.put("busybox");
        let kind =
            |name, verbs, keeps| &*Box::leak(Box::new(FakeKind::new(name, verbs, keeps, &world.script)));
        let file = kind("json-file", ["open:file", "deliver:file"], Keeps::Cursor);
        let remote = kind("remote", ["open:remote", "deliver:remote"], Keeps::Nothing);
        let other = kind("local", ["open:other", "deliver:other"], Keeps::Cursor);
        let far = kind("far", ["open:far", "deliver:far"], Keeps::Nothing);
        let none = kind("none", ["open:none", "deliver:none"], Keeps::Nothing);
        let drivers = Arc::new(FakeCatalogue(vec![file, remote, other, far, none]));
        Self { world, file, remote, other, far, drivers }
    }

    fn ports(&self) -> Ports {
        let world = &self.world;
        Ports {
            runtime: world.runtime.clone(),
            spools: world.spools.clone(),
            records: world.records.clone(),
            roots: world.roots.clone(),
            archives: world.archives.clone(),
            images: world.images.clone(),
            steps: world.images.clone(),
            network_records: world.network_records.clone(),
            networks: world.networks.clone(),
            volumes: world.volumes.clone(),
            drivers: self.drivers.clone(),
            attributes: |_, _| Ok(BTreeMap::new()),
        }
    }

    /// A daemon's life on this machine; afterwards everything of it is gone at once, as after a kill.
    pub fn daemon<F: Future<Output = ()>>(&self, test: impl FnOnce(Arc<Daemon>) -> F) {
        let system = actix::System::with_tokio_rt(|| {
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
        });
        let registry = Registry::new(actix::System::current().arbiter().clone());
        system.block_on(async {
            let segment = Segment {
                name: "gantry0".into(),
                gateway: Some([10, 0, 0, 1].into()),
                prefix: 24,
                ..Segment::default()
            };
            let engine = Engine::launch(
                self.ports(),
                NetworkDefaults { segment, ranges: [None; 2], pools: vec![] },
                registry.clone(),
            );
            engine.recover().await.unwrap();
            let daemon = Arc::new(Daemon { engine, registry, stage: self.clone() });
            tokio::time::timeout(Duration::from_secs(50), test(daemon)).await.expect("test hangs");
        });
    }
}

/// One daemon on a fresh machine.
pub fn daemon<F: Future<Output = ()>>(test: impl FnOnce(Arc<Daemon>) -> F) {
    Stage::new().daemon(test);
}

pub fn spec() -> ContainerSpec {
    ContainerSpec {
        image: FakeImages::id_of("busybox"),
        image_name: "busybox".into(),
        args: vec!["sh".into()],
        network_mode: "bridge".into(),
        log_driver: "json-file".into(),
        restart: ("no".into(), 0),
        ..ContainerSpec::default()
    }
}

pub fn policy(name: &str) -> ContainerSpec {
    ContainerSpec { restart: (name.into(), 0), ..spec() }
}

pub fn removed_at_its_end() -> ContainerSpec {
    ContainerSpec { auto_remove: true, ..spec() }
}

pub async fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..4000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never: {what}");
}

/// Asks until the answer is not that an actor is being rebuilt.
pub async fn again<T, F: Future<Output = Result<T, PortError>>>(ask: impl Fn() -> F) -> Result<T, PortError> {
    loop {
        match ask().await {
            Err(error) if error.kind == Kind::Unavailable => {
                tokio::time::sleep(Duration::from_millis(10)).await
            }
            other => return other,
        }
    }
}

impl Daemon {
    pub async fn made(&self, name: &str, spec: ContainerSpec) -> ContainerId {
        self.create(Some(name.to_owned()), spec).await.unwrap()
    }

    pub async fn started(&self, name: &str, spec: ContainerSpec) -> ContainerId {
        let id = self.made(name, spec).await;
        assert!(self.start(&id).await.unwrap());
        id
    }

    pub fn world(&self) -> &World {
        &self.stage.world
    }

    pub fn shown(&self, id: &ContainerId) -> Option<Arc<Snapshot>> {
        self.list().into_iter().find(|s| s.spec.id == id.as_str())
    }

    pub fn status(&self, id: &ContainerId) -> Option<Status> {
        self.shown(id).map(|s| s.status)
    }

    pub async fn comes_to(&self, id: &ContainerId, status: Status) {
        until(status.as_str(), || self.status(id) == Some(status)).await;
    }

    pub async fn gone(&self, id: &ContainerId) {
        until("gone", || self.status(id).is_none()).await;
        until("its record is gone", || self.world().records.get(id.as_str()).is_none()).await;
    }

    /// Its actor panics and comes back.
    pub async fn panicked(&self, id: &ContainerId) {
        let name = format!("container:{}", id.short());
        let before = self.respawns(&name);
        assert_eq!(self.inject_at(&name, "ExecChanged", 1), 1);
        let _panicking = self.container(id).unwrap().push(crate::container::messages::ExecChanged {}).await;
        until("it is back", || self.respawns(&name) > before).await;
    }

    pub fn respawns(&self, name: &str) -> u32 {
        self.actors().iter().find(|a| a.name == name).map_or(0, |a| a.respawns)
    }

    /// Everything is given back: nothing of any container is left.
    pub async fn bare(&self) {
        self.settle(Duration::from_secs(5)).await;
        let world = self.world();
        until("leases are given back", || self.leases().is_empty()).await;
        assert_eq!(world.runtime.shims(), Vec::<String>::new());
        assert_eq!(world.roots.made(), Vec::<String>::new());
        assert_eq!(world.networks.sandboxes(), Vec::<String>::new());
        assert!(world.networks.addresses().is_empty() && world.networks.ports().is_empty());
        let below = |a: &crate::ActorInfo| matches!(a.kind, "container" | "router" | "sink");
        until("no actor of a container is left", || !self.actors().iter().any(below)).await;
    }
}

/// The actions of containers and networks that have come, up to the last one named.
pub async fn actions(live: &mut broadcast::Receiver<Event>, last: &str) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let event = tokio::time::timeout(Duration::from_secs(20), live.recv()).await;
        let event = event.unwrap_or_else(|_| panic!("no {last} after {all:?}")).unwrap();
        let action = match event.kind {
            "container" => event.action,
            kind => format!("{kind} {}", event.action),
        };
        all.push(action.clone());
        if action == last {
            return all;
        }
    }
}
