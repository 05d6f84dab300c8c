//! Containers' interfaces over one of the host's: macvlan and ipvlan. They have no end on the host, so each is held by
//! the namespace it was made in.

use crate::error::NetworkError;
use crate::inside;
use crate::link::{self, Link, ifla};
use crate::message::Message;
use crate::netns::Namespace;
use crate::socket::Socket;
use crate::veth::mac;
use contract::network::{Endpoint, IpvlanFlag, IpvlanMode, MacvlanMode, SegmentKind};
use nix::errno::Errno;
use std::net::IpAddr;
use std::os::fd::AsRawFd;

/// Numbers of `linux/if_link.h`.
fn macvlan_mode(mode: MacvlanMode) -> u32 {
    match mode {
        MacvlanMode::Private => 1,
        MacvlanMode::Vepa => 2,
        MacvlanMode::Bridge => 4,
        MacvlanMode::Passthru => 8,
    }
}

fn ipvlan_mode(mode: IpvlanMode) -> u16 {
    match mode {
        IpvlanMode::L2 => 0,
        IpvlanMode::L3 => 1,
        IpvlanMode::L3s => 2,
    }
}

fn ipvlan_flag(flag: IpvlanFlag) -> u16 {
    match flag {
        IpvlanFlag::Bridge => 0,
        IpvlanFlag::Private => 1,
        IpvlanFlag::Vepa => 2,
    }
}

/// Adds what the kind's driver in the kernel wants to know.
fn describe(message: &mut Message, kind: SegmentKind) {
    message.nest(ifla::LINKINFO, |info| {
        info.text(ifla::INFO_KIND, kind.driver());
        match kind {
            SegmentKind::Bridge => {}
            SegmentKind::Macvlan { mode, .. } => {
                info.nest(ifla::INFO_DATA, |data| {
                    data.host32(1, macvlan_mode(mode));
                });
            }
            SegmentKind::Ipvlan { mode, flag, .. } => {
                info.nest(ifla::INFO_DATA, |data| {
                    data.bytes(1, &ipvlan_mode(mode).to_ne_bytes())
                        .bytes(2, &ipvlan_flag(flag).to_ne_bytes());
                });
            }
        }
    });
}

/// Whether the kernel knows the kind, before a network of it is promised to anybody: a request for one over no
/// interface is refused for that only by a kernel that has the driver.
pub fn supported(route: &mut Socket, kind: SegmentKind) -> Result<(), NetworkError> {
    let mut message = link::create("gantry-probe");
    describe(&mut message, kind);
    match route.request(message).map_err(|e| e.errno()) {
        Err(errno @ (Errno::EOPNOTSUPP | Errno::EPERM)) => {
            Err(NetworkError::NoDriver { driver: kind.driver(), errno })
        }
        _ => Ok(()),
    }
}

/// Makes the interface inside, or finds it, and configures it; answers its index there.
pub fn ensure(
    route: &mut Socket,
    endpoint: &Endpoint,
    namespace: &mut Namespace,
    known: Option<u32>,
) -> Result<u32, NetworkError> {
    let links = link::all(&mut namespace.route)?;
    if let Some(index) = found(endpoint, namespace, &links, known)? {
        inside::configure(namespace, endpoint, index)?;
        return Ok(index);
    }
    let made = create(route, endpoint, namespace, &links)?;
    let ready = inside::settle(namespace, endpoint, &made.name)
        .and_then(|()| inside::configure(namespace, endpoint, made.index));
    if let Err(error) = ready {
        link::delete(&mut namespace.route, &made.name)?;
        return Err(error);
    }
    Ok(made.index)
}

/// What an earlier daemon made inside of an endpoint and nobody recorded: it has the endpoint's address, or none yet.
pub fn leftover(
    route: &mut Socket,
    endpoint: &Endpoint,
    namespace: &mut Namespace,
) -> Result<Option<u32>, NetworkError> {
    let parent = link::find(route, &endpoint.segment.name)?.map(|l| l.index);
    let (kind, own) = (endpoint.segment.kind.driver(), endpoint.addresses().collect::<Vec<_>>());
    let links = link::all(&mut namespace.route)?;
    let held = link::addresses(&mut namespace.route)?;
    let ours = links.iter().filter(|l| l.kind == kind && l.stands_elsewhere && Some(l.peer) == parent);
    let fits = |index: u32| {
        let mut of_it = held.iter().filter(|(i, a)| *i == index && !is_automatic(*a)).peekable();
        of_it.peek().is_none() || of_it.any(|(_, a)| own.contains(a))
    };
    Ok(ours.map(|l| l.index).find(|index| fits(*index)))
}

/// Addresses that the kernel gives an IPv6 interface by itself.
fn is_automatic(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(six) if six.segments()[0] & 0xffc0 == 0xfe80)
}

/// The one that was made before, by this daemon or by an earlier one: then the endpoint's address tells.
fn found(
    endpoint: &Endpoint,
    namespace: &mut Namespace,
    links: &[Link],
    known: Option<u32>,
) -> Result<Option<u32>, NetworkError> {
    let mut ours = links.iter().filter(|l| l.kind == endpoint.segment.kind.driver()).map(|l| l.index);
    if let Some(known) = known {
        return Ok(ours.find(|index| *index == known));
    }
    let holders = link::addresses(&mut namespace.route)?;
    let own: Vec<_> = endpoint.addresses().collect();
    Ok(ours.find(|index| holders.iter().any(|(holder, address)| holder == index && own.contains(address))))
}

fn create(
    route: &mut Socket,
    endpoint: &Endpoint,
    namespace: &mut Namespace,
    links: &[Link],
) -> Result<Link, NetworkError> {
    let segment = &endpoint.segment;
    let driver = segment.kind.driver();
    let parent = link::find(route, &segment.name)?.ok_or_else(|| {
        let text =
            format!("the requested parent interface {} was not found on the Docker host", segment.name);
        NetworkError::Parent(text)
    })?;
    let name = inside::name(endpoint, links)?;
    let mut message = link::create_down(&name);
    message.host32(ifla::LINK, parent.index).host32(ifla::NET_NS_FD, namespace.file.as_raw_fd() as u32);
    if segment.mtu != 0 {
        message.host32(ifla::MTU, segment.mtu);
    }
    if matches!(segment.kind, SegmentKind::Macvlan { .. }) {
        message.bytes(ifla::ADDRESS, &mac(endpoint)?);
    }
    describe(&mut message, segment.kind);
    route
        .request(message)
        .map_err(|e| NetworkError::Made { what: format!("create the {driver} port"), errno: e.errno() })?;
    inside::made(namespace, &name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{attribute, split, string};
    use contract::network::Parent;

    #[test]
    fn the_kernel_is_told_mode_and_flag_in_its_own_numbers() {
        let parent = Parent::Host;
        let described = |kind: SegmentKind| {
            let mut message = link::create_down("eth0");
            describe(&mut message, kind);
            let body = split(&message.finish(1)).remove(0).body;
            let info = attribute(&body[16..], ifla::LINKINFO).unwrap().to_vec();
            let data = attribute(&info, ifla::INFO_DATA).unwrap();
            (
                string(attribute(&info, ifla::INFO_KIND).unwrap()),
                attribute(data, 1).unwrap().to_vec(),
                attribute(data, 2).map(<[u8]>::to_vec),
            )
        };
        let passthru = described(SegmentKind::Macvlan { mode: MacvlanMode::Passthru, parent });
        assert_eq!(passthru, ("macvlan".to_owned(), 8_u32.to_ne_bytes().to_vec(), None));
        let l3s = described(SegmentKind::Ipvlan { mode: IpvlanMode::L3s, flag: IpvlanFlag::Private, parent });
        let numbers = (2_u16.to_ne_bytes().to_vec(), Some(1_u16.to_ne_bytes().to_vec()));
        assert_eq!(l3s, ("ipvlan".to_owned(), numbers.0, numbers.1));
    }
}
