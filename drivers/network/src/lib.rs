//! Container networking on Linux: bridges, veth pairs and nftables, spoken over netlink.
//!
//! One thread owns the sockets and the held ports, so operations never interleave; it acts in
//! the network namespace of the thread that called [`Bridges::start`].

mod announce;
mod bridge;
mod child;
mod children;
mod conntrack;
mod dns;
mod error;
mod inside;
mod link;
mod message;
mod netns;
mod nft;
mod parent;
mod pool;
mod ports;
mod repair;
mod socket;
mod veth;
mod vigil;

#[cfg(feature = "fuzz")]
pub use dns::fuzz;
pub use error::{NetlinkError, NetworkError, PortsError};
pub use veth::host_name;

use async_trait::async_trait;
use children::Children;
use contract::error::PortError;
use contract::network::{
    Disturbance, Endpoint, Family, GatewayMode, Networks, PortBinding, PortSpec, Resolver, Segment,
    SegmentKind, Subnet, Survey, Taken,
};
use dns::{Open, Serving};
use netns::Namespace;
use nft::Firewall;
use nft::elements::Published;
use pool::{Departure, Pool};
use ports::Reservations;
use socket::Socket;
use std::collections::HashMap;
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use tokio::sync::oneshot;
use vigil::Vigil;

type Departed = oneshot::Receiver<Result<(), NetworkError>>;
type Job = Box<dyn FnOnce(&mut Kernel) + Send>;

/// The network driver.
#[derive(Clone)]
pub struct Bridges {
    jobs: mpsc::Sender<Job>,
    /// Containers whose questions for names are answered.
    resolvers: Arc<Mutex<HashMap<String, Serving>>>,
    vigil: Arc<tokio::sync::Mutex<Vigil>>,
}

impl Bridges {
    /// Opens the sockets and starts the thread, which ends with the last clone. The firewall's table is named after the
    /// daemon's default bridge.
    pub fn start(default_bridge: &str) -> Result<Self, NetworkError> {
        let (jobs, inbox) = mpsc::channel::<Job>();
        let firewall = Firewall::open(default_bridge)?;
        let bridges = vigil::Bridges::default();
        let vigil = Arc::new(tokio::sync::Mutex::new(Vigil::open(firewall.watch()?, bridges.clone())?));
        let mut route = Socket::route()?;
        let inherited = link::all(&mut route)?.into_iter().filter(veth::is_host_end).collect();
        let mut kernel = Kernel {
            route,
            inherited,
            connections: Socket::netfilter()?,
            firewall,
            bridges,
            passage: false,
            told: false,
            reservations: Reservations::new(),
            pool: Pool::start()?,
            sandboxes: HashMap::new(),
            children: Children::default(),
        };
        std::thread::Builder::new()
            .name("network".into())
            .spawn(move || {
                for job in inbox {
                    job(&mut kernel);
                }
            })
            .map_err(|_| NetworkError::ThreadGone)?;
        Ok(Self { jobs, resolvers: Arc::default(), vigil })
    }

    fn resolvers(&self) -> MutexGuard<'_, HashMap<String, Serving>> {
        self.resolvers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Kernel) -> Result<T, NetworkError> + Send + 'static,
    ) -> Result<T, PortError> {
        let (answer, result) = oneshot::channel();
        let job: Job = Box::new(move |kernel| {
            // The asker may have given up; the work is done all the same.
            let _ = answer.send(work(kernel));
        });
        self.jobs.send(job).map_err(|_| NetworkError::ThreadGone)?;
        Ok(result.await.map_err(|_| NetworkError::ThreadGone)??)
    }
}

/// What the thread owns.
struct Kernel {
    route: Socket,
    /// Interfaces that were there before this daemon, until it is known whose they are.
    inherited: Vec<link::Link>,
    connections: Socket,
    firewall: Firewall,
    /// Bridges that should be there.
    bridges: vigil::Bridges,
    /// Another firewall was asked to let through what goes to them and from them.
    passage: bool,
    /// The user was told of firewalls that cannot be asked.
    told: bool,
    reservations: Reservations,
    pool: Pool,
    /// Namespaces of containers started by this daemon.
    sandboxes: HashMap<String, Namespace>,
    /// Interfaces that have no end on the host.
    children: Children,
}

impl Kernel {
    fn ensure_segment(&mut self, spec: &Segment) -> Result<(), NetworkError> {
        if spec.kind != SegmentKind::Bridge {
            child::supported(&mut self.route, spec.kind)?;
            return parent::ensure(&mut self.route, spec);
        }
        bridge::ensure(&mut self.route, spec)?;
        self.firewall.ensure_segment(spec)?;
        self.bridges.add(&spec.name);
        self.ensure_passage();
        if !std::mem::replace(&mut self.told, true) {
            self.tell_of_others(&spec.name);
        }
        Ok(())
    }

    fn ensure_sandbox(&mut self, container: &str) -> Result<PathBuf, NetworkError> {
        let namespace = match self.sandboxes.remove(container) {
            Some(namespace) => namespace,
            None => self.pool.take()?,
        };
        let path = format!("/proc/{}/fd/{}", std::process::id(), namespace.file.as_raw_fd());
        self.sandboxes.insert(container.to_owned(), namespace);
        Ok(path.into())
    }

    fn remove_sandbox(&mut self, container: &str) {
        if let Some(namespace) = self.sandboxes.remove(container) {
            self.pool.depart(Departure::Namespace(namespace));
        }
    }

    fn ensure_endpoint(&mut self, endpoint: &Endpoint, netns: &Path) -> Result<(), NetworkError> {
        if endpoint.segment.kind != SegmentKind::Bridge {
            return self.ensure_child(endpoint, netns);
        }
        match self.sandboxes.get_mut(&endpoint.container) {
            Some(namespace) => veth::ensure(&mut self.route, endpoint, namespace)?,
            None => veth::ensure(&mut self.route, endpoint, &mut Namespace::open(netns)?)?,
        }
        self.reservations.lead(endpoint);
        let entries = self.reservations.of(endpoint);
        self.firewall.ensure_ports(&endpoint.segment, &entries)?;
        self.unstick(&entries);
        Ok(())
    }

    fn announce(&mut self, endpoint: &Endpoint, netns: &Path) -> Result<(), NetworkError> {
        match self.sandboxes.get_mut(&endpoint.container) {
            Some(namespace) => veth::announce(endpoint, namespace),
            None => veth::announce(endpoint, &mut Namespace::open(netns)?),
        }
    }

    fn open_resolver(&mut self, container: &str, netns: &Path) -> Result<Open, NetworkError> {
        match self.sandboxes.get(container) {
            Some(namespace) => Open::inside(&namespace.file),
            None => Open::inside(&Namespace::open(netns)?.file),
        }
    }

    fn remove_ports(&mut self, endpoint: &Endpoint) -> Result<(), NetworkError> {
        // Repeated after another container took port and address, this must not cut it off.
        let entries = self.reservations.of(endpoint);
        let removed = self.firewall.remove_ports(&entries);
        self.reservations.release(endpoint);
        removed?;
        let ports: Vec<Published> = entries.ports.into_iter().collect();
        Ok(conntrack::forget(&mut self.connections, &ports)?)
    }

    /// Begins to delete the interface; the receiver hears of the end. `None` when there is none.
    fn remove_interface(&mut self, endpoint: &Endpoint) -> Result<Option<Departed>, NetworkError> {
        if endpoint.segment.kind != SegmentKind::Bridge {
            return Ok(self.children.depart(endpoint, &self.pool));
        }
        let name = veth::host_name(&endpoint.container, &endpoint.segment.name);
        Ok(link::find(&mut self.route, &name)?.map(|found| {
            let (done, gone) = oneshot::channel();
            self.pool.depart(Departure::Interface(found.index, done));
            gone
        }))
    }

    fn taken(&mut self) -> Result<Taken, NetworkError> {
        let interfaces = link::all(&mut self.route)?.into_iter().map(|l| l.name).collect();
        let link::Routes { near: mut subnets, beyond } = link::routes(&mut self.route)?;
        subnets.extend(name_servers(&std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default()));
        Ok(Taken { subnets, beyond, interfaces })
    }

    fn survey(&mut self, spec: &Segment) -> Result<Survey, NetworkError> {
        if spec.kind != SegmentKind::Bridge {
            return Ok(Survey::default());
        }
        let interfaces = match link::find(&mut self.route, &spec.name)? {
            Some(bridge) => link::ports(&mut self.route, bridge.index)?.into_iter().map(|l| l.name).collect(),
            None => Vec::new(),
        };
        let mut entries = self.reservations.leading();
        let of_segment = |target: IpAddr| {
            [spec.subnet(), spec.subnet6()].into_iter().flatten().any(|subnet| subnet.contains(target))
        };
        entries.ports.retain(|(_, target)| of_segment(*target));
        entries.open.retain(|(_, target, _)| of_segment(*target));
        let missing = self.missing(std::slice::from_ref(spec), &entries)?;
        let mut ports = self.firewall.ports()?;
        ports.retain(|(_, target)| of_segment(*target));
        for (protocol, target, container_port) in self.firewall.openings()? {
            let family = Family::of(target);
            if of_segment(target) && spec.mode(family) == GatewayMode::Routed {
                let host_ip = family.address(0);
                ports.push((PortBinding { protocol, host_ip, host_port: 0, container_port }, target));
            }
        }
        Ok(Survey { interfaces, ports, missing })
    }

    fn remove_segment(&mut self, spec: &Segment) -> Result<(), NetworkError> {
        if spec.kind != SegmentKind::Bridge {
            return parent::remove(&mut self.route, spec);
        }
        self.bridges.forget(&spec.name);
        let table = self.firewall.remove_segment(&spec.name);
        self.ensure_passage();
        if link::find(&mut self.route, &spec.name)?.is_some_and(|l| l.kind == "bridge") {
            link::delete(&mut self.route, &spec.name)?;
        }
        Ok(table?)
    }
}

/// The servers of a resolv.conf: a network over them would cut the host off from names.
fn name_servers(text: &str) -> Vec<Subnet> {
    let servers = text.lines().filter_map(|l| l.trim().strip_prefix("nameserver"));
    let addresses = servers.filter_map(|s| s.trim().split('%').next()?.parse::<IpAddr>().ok());
    addresses.map(|a| Subnet::around(a, Family::of(a).bits())).collect()
}

#[async_trait]
impl Networks for Bridges {
    async fn ensure_segment(&self, segment: &Segment) -> Result<(), PortError> {
        let segment = segment.clone();
        self.run(move |k| k.ensure_segment(&segment)).await
    }

    async fn reserve_ports(
        &self,
        endpoint: &Endpoint,
        ports: Vec<PortSpec>,
    ) -> Result<Vec<PortBinding>, PortError> {
        let endpoint = endpoint.clone();
        self.run(move |k| Ok(k.reservations.reserve(&endpoint, ports)?)).await
    }

    async fn ensure_sandbox(&self, container: &str) -> Result<PathBuf, PortError> {
        let container = container.to_owned();
        self.run(move |k| k.ensure_sandbox(&container)).await
    }

    async fn ensure_resolver(&self, resolver: Resolver, netns: PathBuf) -> Result<(), PortError> {
        if let Some(serving) = self.resolvers().get(&resolver.container) {
            serving.change(resolver);
            return Ok(());
        }
        let container = resolver.container.clone();
        let open = self.run(move |k| k.open_resolver(&container, &netns)).await?;
        let container = resolver.container.clone();
        let serving = Serving::start(open, resolver)?;
        self.resolvers().insert(container, serving);
        Ok(())
    }

    fn change_resolver(&self, resolver: Resolver) {
        if let Some(serving) = self.resolvers().get(&resolver.container) {
            serving.change(resolver);
        }
    }

    async fn remove_sandbox(&self, container: &str) -> Result<(), PortError> {
        self.resolvers().remove(container);
        let container = container.to_owned();
        self.run(move |k| {
            k.remove_sandbox(&container);
            Ok(())
        })
        .await
    }

    async fn ensure_endpoint(&self, endpoint: &Endpoint, netns: PathBuf) -> Result<(), PortError> {
        let (made, place) = (endpoint.clone(), netns.clone());
        self.run(move |k| k.ensure_endpoint(&made, &place)).await?;
        announce::soon(self.clone(), endpoint.clone(), netns);
        Ok(())
    }

    async fn recall_endpoint(&self, endpoint: &Endpoint, netns: PathBuf) -> Result<(), PortError> {
        let endpoint = endpoint.clone();
        self.run(move |k| k.recall_child(&endpoint, &netns)).await
    }

    async fn remove_ports(&self, endpoint: &Endpoint) -> Result<(), PortError> {
        let endpoint = endpoint.clone();
        self.run(move |k| k.remove_ports(&endpoint)).await
    }

    async fn remove_endpoint(&self, endpoint: &Endpoint) -> Result<(), PortError> {
        let endpoint = endpoint.clone();
        let (ports, departed) =
            self.run(move |k| Ok((k.remove_ports(&endpoint), k.remove_interface(&endpoint)))).await?;
        if let Some(departed) = departed? {
            departed.await.map_err(|_| NetworkError::ThreadGone)??;
        }
        Ok(ports?)
    }

    async fn taken(&self) -> Result<Taken, PortError> {
        self.run(Kernel::taken).await
    }

    async fn survey(&self, segment: &Segment) -> Result<Survey, PortError> {
        let segment = segment.clone();
        self.run(move |k| k.survey(&segment)).await
    }

    async fn disturbed(&self) -> Disturbance {
        self.vigil.lock().await.next().await
    }

    async fn missing(
        &self,
        segments: Vec<Segment>,
        endpoints: Vec<Endpoint>,
    ) -> Result<Vec<String>, PortError> {
        self.run(move |k| k.examine(&segments, &endpoints)).await
    }

    async fn restore(&self, segments: Vec<Segment>) -> Result<Vec<String>, PortError> {
        self.run(move |k| k.restore(&segments)).await
    }

    async fn remove_segment(&self, segment: &Segment) -> Result<(), PortError> {
        let segment = segment.clone();
        self.run(move |k| k.remove_segment(&segment)).await
    }
}
