//! A bridge network's addresses: who holds which. The kernel's side is the effects' business.

pub mod allocator;

use crate::shared::lock;
use crate::supervise::{Answer, Ctx, Member, Message};
use allocator::Allocator;
use contract::PortError;
use contract::error::Kind;
use contract::network::BridgeSpec;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

/// The name under which Docker knows the default bridge's network.
pub const DEFAULT: &str = "bridge";

/// The id of a built-in network (`bridge`, `host`, `none`): fixed by its name, 64 hex digits.
pub fn id(name: &str) -> String {
    let bytes: Vec<u8> = name.bytes().cycle().take(32).collect();
    hex::encode(bytes)
}

/// Which container has which address; outlives the actor, so that one rebuilt hands nothing out twice. Written only by
/// the actor, before it answers.
#[derive(Debug, Clone, Default)]
pub struct Leases(Arc<Mutex<BTreeMap<String, Ipv4Addr>>>);

impl Leases {
    /// Every lease.
    pub fn all(&self) -> BTreeMap<String, Ipv4Addr> {
        lock(&self.0).clone()
    }
}

/// One bridge's allocator.
pub struct Network {
    pool: Allocator,
    leases: Leases,
}

impl Network {
    /// Rebuilt from the leases.
    pub fn new(bridge: &BridgeSpec, leases: Leases) -> Self {
        let mut pool = Allocator::new(bridge.gateway, bridge.prefix);
        for (container, address) in leases.all() {
            pool.hold(address, &container);
        }
        Self { pool, leases }
    }
}

impl Member for Network {}

/// Asks for an address, the same one when asked again.
#[derive(Debug, Clone)]
pub struct Reserve {
    /// The container.
    pub container: String,
    /// An address it is known to have.
    pub known: Option<Ipv4Addr>,
}

impl Message for Reserve {
    type Result = Result<Ipv4Addr, PortError>;
}

impl Answer<Reserve> for Network {
    fn answer(&mut self, message: Reserve, _: &mut Ctx<Self>) -> Result<Ipv4Addr, PortError> {
        let address = match message.known {
            Some(address) if self.pool.hold(address, &message.container) => address,
            Some(address) => {
                return Err(PortError::new(
                    Kind::Conflict,
                    format!("{address} belongs to another container"),
                ));
            }
            None => self.pool.reserve(&message.container).ok_or_else(|| {
                let text = "no available IPv4 addresses on this network's address pools";
                PortError::new(Kind::Exhausted, format!("{text}: {DEFAULT} ({})", id(DEFAULT)))
            })?,
        };
        lock(&self.leases.0).insert(message.container, address);
        Ok(address)
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
        lock(&self.leases.0).remove(&message.container);
    }
}
