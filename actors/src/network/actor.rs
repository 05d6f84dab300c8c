//! One bridge's addresses: who holds which.

use super::allocator::{Allocator, Refusal};
use crate::shared::lock;
use crate::supervise::{Answer, Ctx, Member, Message};
use contract::PortError;
use contract::error::Kind;
use contract::record::NetworkSpec;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

/// Which container has which address; outlives the actor, so that one rebuilt hands nothing out twice. Written only by
/// the actor, before it answers.
#[derive(Debug, Clone, Default)]
pub struct Leases(Arc<Mutex<Ledger>>);

#[derive(Debug, Default)]
struct Ledger {
    held: BTreeMap<String, Ipv4Addr>,
    /// The network is being removed.
    closed: bool,
}

impl Leases {
    /// Every lease.
    pub fn all(&self) -> BTreeMap<String, Ipv4Addr> {
        lock(&self.0).held.clone()
    }
}

/// One bridge's allocator.
pub struct Network {
    spec: Arc<NetworkSpec>,
    pool: Allocator,
    leases: Leases,
}

impl Network {
    /// Rebuilt from the leases.
    pub fn new(spec: Arc<NetworkSpec>, leases: Leases) -> Self {
        let mut pool = Allocator::new(&spec);
        for (container, address) in leases.all() {
            pool.hold(address, &container);
        }
        Self { spec, pool, leases }
    }

    fn refused(&self, refusal: Refusal) -> PortError {
        let (id, name) = (&self.spec.id, &self.spec.name);
        match refusal {
            Refusal::Exhausted => {
                let text = "no available IPv4 addresses on this network's address pools";
                PortError::new(Kind::Exhausted, format!("{text}: {name} ({id})"))
            }
            Refusal::InUse => PortError::new(Kind::Denied, "Address already in use"),
            Refusal::Outside => {
                PortError::new(Kind::Invalid, "Requested address does not belong to the specified pool")
            }
        }
    }
}

impl Member for Network {}

/// Asks for an address, the same one when asked again.
#[derive(Debug, Clone)]
pub struct Reserve {
    /// The container.
    pub container: String,
    /// Which.
    pub wish: Wish,
}

/// The address that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// The one it has, or any.
    Any,
    /// This one and no other.
    This(Ipv4Addr),
    /// One it is known to have.
    Known(Ipv4Addr),
}

impl Message for Reserve {
    type Result = Result<Ipv4Addr, PortError>;
}

impl Answer<Reserve> for Network {
    fn answer(&mut self, message: Reserve, _: &mut Ctx<Self>) -> Result<Ipv4Addr, PortError> {
        if lock(&self.leases.0).closed {
            let text = format!("network {} not found", self.spec.name);
            return Err(PortError::new(Kind::NotFound, text));
        }
        let holder = &message.container;
        let given = match message.wish {
            Wish::Any => self.pool.reserve(holder).map_err(|r| self.refused(r))?,
            Wish::This(address) => self.pool.take(address, holder).map_err(|r| self.refused(r))?,
            Wish::Known(address) if self.pool.hold(address, holder) => address,
            Wish::Known(address) => {
                return Err(PortError::new(
                    Kind::Conflict,
                    format!("{address} belongs to another container"),
                ));
            }
        };
        lock(&self.leases.0).held.insert(message.container, given);
        Ok(given)
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
        self.pool.release(&message.container);
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
