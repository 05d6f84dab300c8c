//! Host ports held by bound sockets, so that no other program takes them.

mod bind;

use crate::error::PortsError;
use crate::nft::elements::{Opening, Published};
use contract::network::{Endpoint, Family, GatewayMode, PortBinding, PortSpec, Protocol};
use nix::errno::Errno;
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::os::fd::OwnedFd;

/// One held port.
#[derive(Debug)]
struct Held {
    container: String,
    target: IpAddr,
    binding: PortBinding,
    /// Others reach the container at its own address too.
    open: bool,
    /// The firewall leads there by now; before, the container is still being made.
    leads: bool,
    // Bound, never listening: traffic is redirected before it gets here.
    _socket: Option<OwnedFd>,
}

/// Which host port, on any address.
type Place = (Protocol, u16);

/// All held ports. Those open at containers' own addresses have host port 0 and no socket.
#[derive(Debug)]
pub struct Reservations {
    held: HashMap<Place, Vec<Held>>,
    containers: HashMap<String, HashSet<Place>>,
    ephemeral: RangeInclusive<u16>,
    next: u16,
}

/// What stands in the maps of the firewall.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Entries {
    /// Host ports, and where they lead.
    pub ports: HashSet<Published>,
    /// Ports at containers' own addresses.
    pub open: HashSet<Opening>,
}

impl Entries {
    /// Adds others.
    pub fn extend(&mut self, others: Self) {
        self.ports.extend(others.ports);
        self.open.extend(others.open);
    }

    fn push(&mut self, held: &Held) {
        if held.binding.host_port != 0 {
            self.ports.insert((held.binding.clone(), held.target));
        }
        if held.open {
            self.open.insert((held.binding.protocol, held.target, held.binding.container_port));
        }
    }
}

/// Where a port is bound, and what it leads to.
#[derive(Debug, Clone, Copy)]
struct Way {
    host: IpAddr,
    target: IpAddr,
    /// No host port is needed: the container is reached at its own address.
    direct: bool,
    /// So it is, perhaps besides.
    open: bool,
}

impl Reservations {
    /// Nothing held; ephemeral ports come from the kernel's local range.
    pub fn new() -> Self {
        let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
        let mut bounds = text.split_whitespace().filter_map(|n| n.parse().ok());
        let ephemeral = match (bounds.next(), bounds.next()) {
            (Some(low), Some(high)) if low <= high => low..=high,
            _ => 49153..=65535,
        };
        let (held, containers) = (HashMap::new(), HashMap::new());
        Self { held, containers, next: *ephemeral.start(), ephemeral }
    }

    /// Holds all ports or none; ports that the container already holds for this endpoint stay.
    pub fn reserve(
        &mut self,
        endpoint: &Endpoint,
        mut wanted: Vec<PortSpec>,
    ) -> Result<Vec<PortBinding>, PortsError> {
        // What leaves no choice comes first, and what differs in its address alone side by side.
        wanted.sort_by_key(|w| {
            (w.has_choice(), w.container_port, w.protocol, w.host_port, w.last_host_port, w.host_ip)
        });
        let mut new = Vec::new();
        let mut out: Vec<PortBinding> = Vec::with_capacity(wanted.len());
        for alike in wanted.chunk_by(PortSpec::differs_in_address) {
            let Some(spec) = alike.first() else { continue };
            let ways: Vec<Way> = alike.iter().flat_map(|want| ways(want, endpoint)).collect();
            let known = self.known(&endpoint.container, spec, &ways, &out);
            let outcome = match known {
                Some(known) => Ok(known),
                None => self.hold(&endpoint.container, spec, &ways).inspect(|held| new.extend(held.clone())),
            };
            match outcome {
                Ok(bindings) => out.extend(bindings),
                Err(error) => {
                    for binding in &new {
                        self.let_go(&endpoint.container, |held| held.binding == *binding);
                    }
                    return Err(error);
                }
            }
        }
        out.sort_by_key(|binding| (binding.container_port, binding.protocol));
        Ok(out)
    }

    /// Lets go of a container's ports on one network.
    pub fn release(&mut self, endpoint: &Endpoint) {
        let targets: Vec<IpAddr> = endpoint.addresses().collect();
        self.let_go(&endpoint.container, |held| targets.contains(&held.target));
    }

    /// Whether another container holds this port.
    pub fn held_by_other(&self, container: &str, binding: &PortBinding, target: IpAddr) -> bool {
        self.at((binding.protocol, binding.host_port)).any(|held| {
            held.container != container
                && held.binding.host_ip == binding.host_ip
                && (binding.host_port != 0
                    || (held.target == target && held.binding.container_port == binding.container_port))
        })
    }

    /// Notes that the firewall is about to lead to an endpoint: also by ports that could not be held, for another program
    /// took them while no daemon ran, which does not end what leads to the container.
    pub fn lead(&mut self, endpoint: &Endpoint) {
        for binding in &endpoint.ports {
            let spec = PortSpec::from(binding);
            let place = (binding.protocol, binding.host_port);
            for way in ways(&spec, endpoint) {
                let free = |h: &Held| !overlap(h.binding.host_ip, binding.host_ip) || h.target == way.target;
                let own = |h: &Held| h.container == endpoint.container && h.target == way.target;
                if !self.at(place).any(|h| own(h) && h.binding == *binding)
                    && (binding.host_port == 0 || self.at(place).all(free))
                {
                    self.note(&endpoint.container, &spec, &way, binding.host_port, None);
                }
                for held in self.held.get_mut(&place).into_iter().flatten().filter(|h| own(h)) {
                    held.leads = true;
                }
            }
        }
    }

    /// Everything that the firewall leads to.
    pub fn leading(&self) -> Entries {
        let mut out = Entries::default();
        self.held.values().flatten().filter(|held| held.leads).for_each(|held| out.push(held));
        out
    }

    /// Everything held.
    pub fn all(&self) -> Entries {
        let mut out = Entries::default();
        self.held.values().flatten().for_each(|held| out.push(held));
        out
    }

    /// What of an endpoint stands in the maps, but for what another container has by now.
    pub fn of(&self, endpoint: &Endpoint) -> Entries {
        let mut out = Entries::default();
        let targets: Vec<IpAddr> = endpoint.addresses().collect();
        let places = self.containers.get(&endpoint.container).into_iter().flatten();
        let held = places.flat_map(|place| self.at(*place));
        held.filter(|h| h.container == endpoint.container && targets.contains(&h.target))
            .for_each(|h| out.push(h));
        // Not known here: left by an earlier daemon.
        for binding in &endpoint.ports {
            for target in endpoint.addresses().filter(|t| Family::of(*t) == Family::of(binding.host_ip)) {
                if self.held_by_other(&endpoint.container, binding, target) {
                    continue;
                }
                if binding.host_port == 0 {
                    out.open.insert((binding.protocol, target, binding.container_port));
                } else {
                    out.ports.insert((binding.clone(), target));
                }
            }
        }
        out
    }

    fn at(&self, place: Place) -> impl Iterator<Item = &Held> {
        self.held.get(&place).into_iter().flatten()
    }

    /// The ports that a container holds already for a specification.
    fn known(
        &self,
        container: &str,
        spec: &PortSpec,
        ways: &[Way],
        given: &[PortBinding],
    ) -> Option<Vec<PortBinding>> {
        let own = self.containers.get(container)?;
        let one = |way: &Way, place: &Place| {
            self.at(if way.direct { (spec.protocol, 0) } else { *place })
                .filter(|held| held.container == container && held.target == way.target)
                .map(|held| &held.binding)
                .find(|b| {
                    b.host_ip == way.host && b.container_port == spec.container_port && !given.contains(b)
                })
                .cloned()
        };
        own.iter()
            .filter(|(protocol, port)| *protocol == spec.protocol && (*port == 0 || spec.allows(*port)))
            .find_map(|place| ways.iter().map(|way| one(way, place)).collect::<Option<Vec<_>>>())
            .filter(|bindings| !bindings.is_empty())
    }

    /// Holds one port at every address, the first that is free at all of them.
    fn hold(
        &mut self,
        container: &str,
        spec: &PortSpec,
        ways: &[Way],
    ) -> Result<Vec<PortBinding>, PortsError> {
        let (mut direct, mut bound): (Vec<&Way>, Vec<&Way>) = (Vec::new(), Vec::new());
        ways.iter().for_each(|way| if way.direct { direct.push(way) } else { bound.push(way) });
        let mut last = PortsError::Exhausted;
        let mut out = Vec::new();
        let candidates = if bound.is_empty() { 0 } else { self.candidates(spec) };
        for n in 0..candidates {
            let port = if spec.host_port == 0 { self.advance() } else { spec.host_port.saturating_add(n) };
            match self.bind_all(spec, &bound, port) {
                Ok(sockets) => {
                    for (way, socket) in bound.iter().zip(sockets) {
                        out.push(self.note(container, spec, way, port, socket));
                    }
                    break;
                }
                Err(error) if !spec.has_choice() => return Err(error),
                Err(error @ PortsError::Bind { errno, .. }) if errno != Errno::EADDRINUSE => {
                    return Err(error);
                }
                Err(error) => last = error,
            }
        }
        if out.is_empty() && !bound.is_empty() {
            return Err(if spec.host_port == 0 { PortsError::Exhausted } else { last });
        }
        for way in direct {
            out.push(self.note(container, spec, way, 0, None));
        }
        Ok(out)
    }

    fn candidates(&self, spec: &PortSpec) -> u16 {
        match spec.host_port {
            0 => u16::try_from(self.ephemeral.len()).unwrap_or(u16::MAX),
            first => spec.last_host_port.max(first) - first + 1,
        }
    }

    fn bind_all(
        &self,
        spec: &PortSpec,
        ways: &[&Way],
        port: u16,
    ) -> Result<Vec<Option<OwnedFd>>, PortsError> {
        let mut sockets = Vec::new();
        for (n, way) in ways.iter().enumerate() {
            let address = SocketAddr::new(way.host, port);
            let twice = ways.iter().take(n).any(|before| overlap(before.host, way.host));
            if twice || self.at((spec.protocol, port)).any(|h| overlap(h.binding.host_ip, way.host)) {
                return Err(PortsError::Allocated { host: address.to_string() });
            }
            sockets.push(bind::held(spec.protocol, address).map_err(|errno| PortsError::Bind {
                host: address.to_string(),
                target: SocketAddr::new(way.target, spec.container_port).to_string(),
                protocol: spec.protocol.name(),
                reason: bind::reason(errno),
                errno,
            })?);
        }
        Ok(sockets)
    }

    fn note(
        &mut self,
        container: &str,
        spec: &PortSpec,
        way: &Way,
        port: u16,
        socket: Option<OwnedFd>,
    ) -> PortBinding {
        let binding = PortBinding {
            protocol: spec.protocol,
            host_ip: way.host,
            host_port: port,
            container_port: spec.container_port,
        };
        let place = (spec.protocol, port);
        self.held.entry(place).or_default().push(Held {
            container: container.into(),
            target: way.target,
            binding: binding.clone(),
            open: way.open,
            leads: false,
            _socket: socket,
        });
        self.containers.entry(container.into()).or_default().insert(place);
        binding
    }

    fn let_go(&mut self, container: &str, which: impl Fn(&Held) -> bool) {
        let Some(mut places) = self.containers.remove(container) else { return };
        places.retain(|place| {
            let Some(held) = self.held.get_mut(place) else { return false };
            held.retain(|h| h.container != container || !which(h));
            let still = held.iter().any(|h| h.container == container);
            if held.is_empty() {
                self.held.remove(place);
            }
            still
        });
        if !places.is_empty() {
            self.containers.insert(container.into(), places);
        }
    }

    fn advance(&mut self) -> u16 {
        let port = self.next;
        self.next = if port >= *self.ephemeral.end() { *self.ephemeral.start() } else { port + 1 };
        port
    }
}

/// The addresses at which a specification means a container to be reached, of the families that it has. As with Docker
/// without its proxy, an IPv6 port leads nowhere in a container that has IPv4 alone, and is left out.
fn ways(want: &PortSpec, endpoint: &Endpoint) -> Vec<Way> {
    let any = |family| match family {
        Family::Four => Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        Family::Six => bind::has_ipv6().then_some(IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
    };
    let mut out = Vec::new();
    for target in endpoint.addresses() {
        let family = Family::of(target);
        let direct = endpoint.segment.mode(family) == GatewayMode::Routed;
        let host = match want.host_ip {
            Some(host) if Family::of(host) != family => None,
            Some(_) if direct => any(family),
            Some(host) => Some(host),
            None => any(family),
        };
        let open = direct || !endpoint.segment.trusted.is_empty();
        out.extend(host.map(|host| Way { host, target, direct, open }));
    }
    if out.is_empty() {
        tracing::info!(
            container = endpoint.container,
            ?want,
            "a port cannot be published: the container has no address of its family"
        );
    }
    out
}

/// Whether ports at these addresses are the same ones.
fn overlap(one: IpAddr, other: IpAddr) -> bool {
    Family::of(one) == Family::of(other) && (one.is_unspecified() || other.is_unspecified() || one == other)
}

#[cfg(test)]
mod tests;
