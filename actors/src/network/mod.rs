//! A bridge network's addresses: who holds which. The kernel's side is the effects' business.

pub mod allocator;

use crate::container::snapshot::Board;
use crate::supervise::{Answer, Ctx, Member, Message};
use allocator::Allocator;
use contract::PortError;
use contract::error::Kind;
use contract::network::BridgeSpec;
use std::net::Ipv4Addr;

/// One bridge's allocator.
pub struct Network {
    bridge: BridgeSpec,
    pool: Allocator,
}

impl Network {
    /// Rebuilt from the containers' published endpoints.
    pub fn new(bridge: BridgeSpec, board: &Board) -> Self {
        let mut pool = Allocator::new(bridge.gateway, bridge.prefix);
        for snapshot in board.list() {
            if let Some(endpoint) = snapshot.state.endpoint.as_ref().filter(|e| e.bridge.name == bridge.name)
            {
                pool.hold(endpoint.address, &snapshot.spec.id);
            }
        }
        Self { bridge, pool }
    }
}

impl Member for Network {}

/// Asks for an address, the same one when asked again.
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
        if let Some(address) = message.known {
            self.pool.hold(address, &message.container);
            return Ok(address);
        }
        let name = &self.bridge.name;
        self.pool.reserve(&message.container).ok_or_else(|| {
            PortError::new(Kind::Exhausted, format!("no available IPv4 addresses on network {name}"))
        })
    }
}

/// Gives a container's address back.
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
    }
}
