//! A table inside a container's namespace that leads connections made there to other ports.

use super::elements::{self, Published};
use super::ruleset::{ONE, flush, output_chain, rule};
use super::{acked, commit, set, verb};
use crate::error::NetlinkError;
use crate::ports::Entries;
use crate::socket::Socket;
use contract::network::Family;

/// Makes the table `gantry_<name>`, which leads from where `ports` are published, on IPv4 addresses, to where they lead.
pub fn ensure(socket: &mut Socket, name: &str, ports: &[Published]) -> Result<(), NetlinkError> {
    let table = format!("gantry_{name}");
    commit(
        socket,
        vec![
            acked(verb::NEWTABLE, &table, "adding table"),
            set::make(&table, ONE[0], 1, set::ONE4, Some(set::TO4)),
            output_chain(&table),
            flush(&table, "output"),
            rule(&table, "output", |r| {
                r.redirect_by_address(Family::Four, ONE[0]);
            }),
        ],
    )?;
    let entries = Entries { ports: ports.iter().cloned().collect(), ..Entries::default() };
    elements::ensure(socket, &table, &entries)
}
