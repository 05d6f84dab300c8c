//! Container networking on Linux: bridges, veth pairs and nftables, spoken over netlink.
//!
//! One thread owns the sockets and the held ports, so operations never interleave; it acts in
//! the network namespace of the thread that called [`Bridges::start`].

mod bridge;
mod child;
mod children;
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
mod socket;
mod veth;

pub use error::{NetlinkError, NetworkError, PortsError};
pub use veth::host_name;

use async_trait::async_trait;
use children::Children;
use contract::error::PortError;
use contract::network::{Endpoint, Networks, PortBinding, Resolver, Segment, SegmentKind, Survey, Taken};
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

type Departed = oneshot::Receiver<Result<(), NetworkError>>;
type Job = Box<dyn FnOnce(&mut Kernel) + Send>;

/// The network driver.
#[derive(Clone)]
pub struct Bridges {
    jobs: mpsc::Sender<Job>,
    /// Containers whose questions for names are answered.
    resolvers: Arc<Mutex<HashMap<String, Serving>>>,
}

impl Bridges {
    /// Opens the sockets and starts the thread, which ends with the last clone. The firewall's table is named after the
    /// daemon's default bridge.
    pub fn start(default_bridge: &str) -> Result<Self, NetworkError> {
        let (jobs, inbox) = mpsc::channel::<Job>();
        let mut kernel = Kernel {
            route: Socket::route()?,
            firewall: Firewall::open(default_bridge)?,
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
        Ok(Self { jobs, resolvers: Arc::default() })
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
    firewall: Firewall,
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
        Ok(self.firewall.ensure_segment(spec)?)
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
        Ok(self.firewall.ensure_ports(&endpoint.segment, &published(endpoint))?)
    }

    fn open_resolver(&mut self, container: &str, netns: &Path) -> Result<Open, NetworkError> {
        match self.sandboxes.get(container) {
            Some(namespace) => Open::inside(&namespace.file),
            None => Open::inside(&Namespace::open(netns)?.file),
        }
    }

    fn remove_ports(&mut self, endpoint: &Endpoint) -> Result<(), NetworkError> {
        let mut ours = published(endpoint);
        // Repeated after another container took port and address, this must not cut it off.
        ours.retain(|(port, _)| !self.reservations.held_by_other(&endpoint.container, port));
        let ports = self.firewall.remove_ports(&ours);
        if let Some(address) = endpoint.address {
            self.reservations.release(&endpoint.container, address);
        }
        Ok(ports?)
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
        Ok(Taken { subnets: link::routes(&mut self.route)?, interfaces })
    }

    fn survey(&mut self, spec: &Segment) -> Result<Survey, NetworkError> {
        if spec.kind != SegmentKind::Bridge {
            return Ok(Survey::default());
        }
        let interfaces = match link::find(&mut self.route, &spec.name)? {
            Some(bridge) => link::ports(&mut self.route, bridge.index)?.into_iter().map(|l| l.name).collect(),
            None => Vec::new(),
        };
        Ok(Survey { interfaces, ports: self.firewall.ports(spec)? })
    }

    fn remove_segment(&mut self, spec: &Segment) -> Result<(), NetworkError> {
        if spec.kind != SegmentKind::Bridge {
            return parent::remove(&mut self.route, spec);
        }
        let table = self.firewall.remove_segment(&spec.name);
        if link::find(&mut self.route, &spec.name)?.is_some_and(|l| l.kind == "bridge") {
            link::delete(&mut self.route, &spec.name)?;
        }
        Ok(table?)
    }
}

fn published(endpoint: &Endpoint) -> Vec<Published> {
    let target = |port: &PortBinding| match port.host_ip {
        IpAddr::V4(_) => endpoint.address.map(IpAddr::from),
        IpAddr::V6(_) => endpoint.address6.map(IpAddr::from),
    };
    endpoint.ports.iter().filter_map(|p| Some((p.clone(), target(p)?))).collect()
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
        ports: Vec<PortBinding>,
    ) -> Result<Vec<PortBinding>, PortError> {
        let Some(target) = endpoint.address else { return Ok(Vec::new()) };
        let container = endpoint.container.clone();
        self.run(move |k| Ok(k.reservations.reserve(&container, target, ports)?)).await
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
        let endpoint = endpoint.clone();
        self.run(move |k| k.ensure_endpoint(&endpoint, &netns)).await
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

    async fn remove_segment(&self, segment: &Segment) -> Result<(), PortError> {
        let segment = segment.clone();
        self.run(move |k| k.remove_segment(&segment)).await
    }
}
