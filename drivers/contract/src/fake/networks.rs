use super::{Script, lock};
use crate::error::{Kind, PortError};
use crate::network::{
    Disturbance, Endpoint, Networks, PortBinding, PortSpec, Resolver, Segment, Survey, Taken,
};
use async_trait::async_trait;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Mutex;

#[derive(Default)]
struct Kernel {
    /// By container and network.
    endpoints: BTreeMap<(String, String), Endpoint>,
    ports: BTreeMap<String, Vec<PortBinding>>,
    sandboxes: BTreeSet<String>,
    next: u16,
}

/// A kernel's networks. Verbs: `ensure_segment`, `reserve_ports`, `ensure_sandbox`, `remove_sandbox`, `ensure_endpoint`,
/// `remove_ports`, `remove_endpoint`.
pub struct FakeNetworks {
    script: Script,
    kernel: Mutex<Kernel>,
}

impl FakeNetworks {
    pub(super) fn new(script: Script) -> Self {
        Self { script, kernel: Mutex::default() }
    }

    /// Which container has which address in the kernel.
    pub fn addresses(&self) -> BTreeMap<String, Ipv4Addr> {
        lock(&self.kernel)
            .endpoints
            .values()
            .filter_map(|e| Some((e.container.clone(), e.address?)))
            .collect()
    }

    /// Containers that have a namespace.
    pub fn sandboxes(&self) -> Vec<String> {
        lock(&self.kernel).sandboxes.iter().cloned().collect()
    }

    /// Host ports held, by container.
    pub fn ports(&self) -> BTreeMap<String, Vec<PortBinding>> {
        lock(&self.kernel).ports.clone()
    }
}

#[async_trait]
impl Networks for FakeNetworks {
    async fn ensure_segment(&self, segment: &Segment) -> Result<(), PortError> {
        self.script.at("ensure_segment", &segment.name).await
    }

    async fn reserve_ports(
        &self,
        endpoint: &Endpoint,
        ports: Vec<PortSpec>,
    ) -> Result<Vec<PortBinding>, PortError> {
        let container = endpoint.container.as_str();
        self.script.at("reserve_ports", container).await?;
        let mut kernel = lock(&self.kernel);
        let mut ports: Vec<PortBinding> = ports
            .into_iter()
            .map(|spec| PortBinding {
                protocol: spec.protocol,
                host_ip: spec.host_ip.unwrap_or(Ipv4Addr::UNSPECIFIED.into()),
                host_port: spec.host_port,
                container_port: spec.container_port,
            })
            .collect();
        for port in &mut ports {
            if port.host_port == 0 {
                kernel.next += 1;
                port.host_port = 32767 + kernel.next;
            }
            let taken = kernel.ports.iter().any(|(holder, held)| {
                holder != container
                    && held.iter().any(|p| p.host_port == port.host_port && p.protocol == port.protocol)
            });
            if taken {
                let text =
                    format!("Bind for {}:{} failed: port is already allocated", port.host_ip, port.host_port);
                return Err(PortError::new(Kind::Conflict, text));
            }
        }
        kernel.ports.insert(container.to_owned(), ports.clone());
        Ok(ports)
    }

    async fn ensure_sandbox(&self, container: &str) -> Result<PathBuf, PortError> {
        self.script.at("ensure_sandbox", container).await?;
        lock(&self.kernel).sandboxes.insert(container.to_owned());
        Ok(PathBuf::from("/netns").join(container))
    }

    async fn remove_sandbox(&self, container: &str) -> Result<(), PortError> {
        self.script.at("remove_sandbox", container).await?;
        lock(&self.kernel).sandboxes.remove(container);
        Ok(())
    }

    async fn ensure_endpoint(&self, endpoint: &Endpoint, _netns: PathBuf) -> Result<(), PortError> {
        self.script.at("ensure_endpoint", &endpoint.container).await?;
        let mut kernel = lock(&self.kernel);
        let other = kernel
            .endpoints
            .values()
            .find(|e| e.address == endpoint.address && e.container != endpoint.container);
        if let Some(other) = other {
            let text = format!("{:?} belongs to {} already", endpoint.address, other.container);
            return Err(PortError::new(Kind::Bug, text));
        }
        kernel.endpoints.insert((endpoint.container.clone(), endpoint.network.clone()), endpoint.clone());
        Ok(())
    }

    async fn recall_endpoint(&self, endpoint: &Endpoint, _netns: PathBuf) -> Result<(), PortError> {
        self.script.at("recall_endpoint", &endpoint.container).await
    }

    async fn remove_ports(&self, endpoint: &Endpoint) -> Result<(), PortError> {
        self.script.at("remove_ports", &endpoint.container).await?;
        lock(&self.kernel).ports.remove(&endpoint.container);
        Ok(())
    }

    async fn remove_endpoint(&self, endpoint: &Endpoint) -> Result<(), PortError> {
        self.script.at("remove_endpoint", &endpoint.container).await?;
        let mut kernel = lock(&self.kernel);
        kernel.endpoints.remove(&(endpoint.container.clone(), endpoint.network.clone()));
        kernel.ports.remove(&endpoint.container);
        Ok(())
    }

    fn change_resolver(&self, _: Resolver) {}

    async fn ensure_resolver(&self, resolver: Resolver, _: PathBuf) -> Result<(), PortError> {
        self.script.at("ensure_resolver", &resolver.container).await
    }

    async fn taken(&self) -> Result<Taken, PortError> {
        self.script.at("taken", "").await?;
        Ok(Taken::default())
    }

    async fn survey(&self, _: &Segment) -> Result<Survey, PortError> {
        let kernel = lock(&self.kernel);
        let ports = kernel.ports.iter().flat_map(|(id, ports)| {
            let found = kernel.endpoints.values().find(|e| e.container == *id);
            let target = found.and_then(|e| e.address).unwrap_or(Ipv4Addr::UNSPECIFIED);
            ports.iter().map(move |p| (p.clone(), target.into()))
        });
        Ok(Survey {
            interfaces: kernel.endpoints.keys().map(|(c, _)| c.clone()).collect(),
            ports: ports.collect(),
            missing: Vec::new(),
        })
    }

    async fn disturbed(&self) -> Disturbance {
        match self.script.at("disturbed", "").await {
            Ok(()) => std::future::pending().await,
            Err(error) => Disturbance { by: None, what: error.text },
        }
    }

    async fn missing(&self, _: Vec<Segment>, _: Vec<Endpoint>) -> Result<Vec<String>, PortError> {
        self.script.at("missing", "").await?;
        Ok(Vec::new())
    }

    async fn restore(&self, segments: Vec<Segment>) -> Result<Vec<String>, PortError> {
        for segment in segments {
            self.script.at("restore", &segment.name).await?;
        }
        Ok(Vec::new())
    }

    async fn remove_segment(&self, _: &Segment) -> Result<(), PortError> {
        *lock(&self.kernel) = Kernel::default();
        Ok(())
    }
}
