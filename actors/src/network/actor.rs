//! One network's addresses: who holds which.

use super::allocator::{Allocator, Refusal};
use crate::shared::lock;
use crate::supervise::{Answer, Ctx, Member, Message};
use contract::PortError;
use contract::error::Kind;
use contract::network::{Endpoint, Family};
use contract::record::NetworkSpec;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex};

/// Which container has which addresses; outlives the actor, so that one rebuilt hands nothing out twice. Written only by
/// the actor, before it answers.
#[derive(Debug, Clone, Default)]
pub struct Leases(Arc<Mutex<Ledger>>);

/// A container's addresses on one network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// IPv4, where the network has it.
    pub four: Option<Ipv4Addr>,
    /// IPv6, where the network has it.
    pub six: Option<Ipv6Addr>,
}

impl Lease {
    /// All of them, IPv4 first.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + use<> {
        self.four.map(IpAddr::V4).into_iter().chain(self.six.map(IpAddr::V6))
    }
}

#[derive(Debug, Default)]
struct Ledger {
    held: BTreeMap<String, Lease>,
    /// The network is being removed.
    closed: bool,
}

impl Leases {
    /// Every lease.
    pub fn all(&self) -> BTreeMap<String, Lease> {
        lock(&self.0).held.clone()
    }
}

/// One network's allocator.
pub struct Network {
    spec: Arc<NetworkSpec>,
    four: Option<Allocator>,
    six: Option<Allocator>,
    leases: Leases,
}

impl Network {
    /// Rebuilt from the leases.
    pub fn new(spec: Arc<NetworkSpec>, leases: Leases) -> Self {
        let [mut four, mut six] = [Family::Four, Family::Six].map(|f| Allocator::new(&spec, f));
        for (container, lease) in leases.all() {
            if let (Some(four), Some(address)) = (&mut four, lease.four) {
                four.hold(address.into(), &container);
            }
            if let (Some(six), Some(address)) = (&mut six, lease.six) {
                six.hold(address.into(), &container);
            }
        }
        Self { spec, four, six, leases }
    }

    fn refused(&self, family: Family, refusal: Refusal) -> PortError {
        let (id, name) = (&self.spec.id, &self.spec.name);
        match refusal {
            Refusal::Exhausted => {
                let version = if family == Family::Four { "IPv4" } else { "IPv6" };
                let text = format!("no available {version} addresses on this network's address pools");
                PortError::new(Kind::Exhausted, format!("{text}: {name} ({id})"))
            }
            Refusal::InUse => PortError::new(Kind::Denied, "Address already in use"),
            Refusal::Outside => {
                PortError::new(Kind::Invalid, "Requested address does not belong to the specified pool")
            }
        }
    }

    fn give(&mut self, family: Family, holder: &str, wish: Wish) -> Result<Option<IpAddr>, PortError> {
        let pool = match family {
            Family::Four => &mut self.four,
            Family::Six => &mut self.six,
        };
        let Some(pool) = pool else {
            let outside = matches!(wish, Wish::This(_));
            return if outside { Err(self.refused(family, Refusal::Outside)) } else { Ok(None) };
        };
        let given = match wish {
            Wish::Any => pool.reserve(holder),
            Wish::This(address) => pool.take(address, holder),
            Wish::Known(address) if pool.hold(address, holder) => Ok(address),
            Wish::Known(address) => {
                let text = format!("{address} belongs to another container");
                return Err(PortError::new(Kind::Conflict, text));
            }
        };
        given.map(Some).map_err(|r| self.refused(family, r))
    }

    fn free(&mut self, holder: &str) {
        for pool in [&mut self.four, &mut self.six].into_iter().flatten() {
            pool.release(holder);
        }
    }
}

impl Member for Network {}

/// Asks for addresses, the same ones when asked again.
#[derive(Debug, Clone)]
pub struct Reserve {
    /// The container.
    pub container: String,
    /// Which IPv4 address.
    pub four: Wish,
    /// Which IPv6 address, where the network has any.
    pub six: Wish,
}

impl Reserve {
    /// The addresses that an endpoint is known to have.
    pub fn known(endpoint: &Endpoint) -> Self {
        Self {
            container: endpoint.container.clone(),
            four: endpoint.address.map_or(Wish::Any, |a| Wish::Known(a.into())),
            six: endpoint.address6.map_or(Wish::Any, |a| Wish::Known(a.into())),
        }
    }
}

/// The address that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// The one it has, or any.
    Any,
    /// This one and no other.
    This(IpAddr),
    /// One it is known to have.
    Known(IpAddr),
}

impl Message for Reserve {
    type Result = Result<Lease, PortError>;
}

impl Answer<Reserve> for Network {
    fn answer(&mut self, message: Reserve, _: &mut Ctx<Self>) -> Result<Lease, PortError> {
        let holder = message.container;
        let known = {
            let ledger = lock(&self.leases.0);
            if ledger.closed {
                let text = format!("network {} not found", self.spec.name);
                return Err(PortError::new(Kind::NotFound, text));
            }
            ledger.held.get(&holder).copied()
        };
        let given = self
            .give(Family::Four, &holder, message.four)
            .and_then(|four| Ok((four, self.give(Family::Six, &holder, message.six)?)));
        let (four, six) = match given {
            Ok(given) => given,
            Err(error) => {
                // All or nothing; what it had before stays its own.
                if known.is_none() {
                    self.free(&holder);
                }
                return Err(error);
            }
        };
        let lease = Lease {
            four: match four {
                Some(IpAddr::V4(four)) => Some(four),
                _ => None,
            },
            six: match six {
                Some(IpAddr::V6(six)) => Some(six),
                _ => None,
            },
        };
        lock(&self.leases.0).held.insert(holder, lease);
        Ok(lease)
    }
}

/// Gives a container's address back.
#[derive(Debug, Clone)]
pub struct Release {
    /// The container.
    pub container: String,
}

impl Message for Release {
    type Result = ();
}

impl Answer<Release> for Network {
    fn answer(&mut self, message: Release, _: &mut Ctx<Self>) {
        self.free(&message.container);
        lock(&self.leases.0).held.remove(&message.container);
    }
}

/// Hands out no more addresses, for a removal, if none is held; answers who holds one. Or does so again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doors {
    /// Before a removal.
    Close,
    /// After one that failed.
    Open,
}

impl Message for Doors {
    type Result = Vec<String>;
}

impl Answer<Doors> for Network {
    fn answer(&mut self, message: Doors, _: &mut Ctx<Self>) -> Vec<String> {
        let mut ledger = lock(&self.leases.0);
        ledger.closed = message == Doors::Close && ledger.held.is_empty();
        ledger.held.keys().cloned().collect()
    }
}
