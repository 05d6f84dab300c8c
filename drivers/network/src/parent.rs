//! The host's interface over which containers' ones are made: there already, or made and marked as ours.

use crate::error::NetworkError;
use crate::link::{self, ifla};
use crate::message::Message;
use crate::socket::Socket;
use contract::network::{Parent, Segment, vlan};
use nix::errno::Errno;

/// The alias of interfaces that gantry made: others are never deleted.
const OURS: &str = "gantry";

/// Finds the parent, or makes it.
pub fn ensure(route: &mut Socket, segment: &Segment) -> Result<(), NetworkError> {
    let name = &segment.name;
    if link::find(route, name)?.is_some() {
        return Ok(());
    }
    if segment.kind.parent() == Some(Parent::Own) {
        return leading_nowhere(route, name);
    }
    let (interface, number) = vlan(name).map_err(NetworkError::Parent)?;
    let base = link::find(route, interface)?.ok_or_else(|| {
        NetworkError::Parent(format!("-o parent interface was not found on the host: {interface}"))
    })?;
    let mut message = link::create(name);
    message.host32(ifla::LINK, base.index).nest(ifla::LINKINFO, |info| {
        info.text(ifla::INFO_KIND, "vlan").nest(ifla::INFO_DATA, |data| {
            data.bytes(ifla::VLAN_ID, &number.to_ne_bytes());
        });
    });
    let made = route.transact(vec![message, mark(name)]);
    made.map_err(|e| NetworkError::Made { what: format!("create {name} vlan link"), errno: e.errno() })?;
    Ok(())
}

/// An interface without a wire: a dummy, or where the kernel has none a bridge without ports.
fn leading_nowhere(route: &mut Socket, name: &str) -> Result<(), NetworkError> {
    let made = |kind: &str, route: &mut Socket| {
        let mut message = link::create(name);
        message.nest(ifla::LINKINFO, |info| {
            info.text(ifla::INFO_KIND, kind);
        });
        route.transact(vec![message, mark(name)])
    };
    match made("dummy", route) {
        Err(error) if error.errno() == Errno::EOPNOTSUPP => made("bridge", route)?,
        outcome => outcome?,
    };
    Ok(())
}

fn mark(name: &str) -> Message {
    let mut message = link::change(name, format!("marking interface {name}"));
    message.text(ifla::ALIAS, OURS);
    message
}

/// Deletes the parent if it is ours.
pub fn remove(route: &mut Socket, segment: &Segment) -> Result<(), NetworkError> {
    match link::find(route, &segment.name)? {
        Some(found) if found.alias == OURS => Ok(link::delete(route, &segment.name)?),
        _ => Ok(()),
    }
}
