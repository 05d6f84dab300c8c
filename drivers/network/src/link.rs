//! Links, addresses and routes as routing messages.

use crate::error::NetlinkError;
use crate::message::{Message, attribute, flag, string, u32_at};
use crate::socket::{ACKED, Socket};
use contract::network::{Family, Subnet};
use nix::errno::Errno;
use std::net::{IpAddr, Ipv6Addr};

/// A link was made or changed.
pub const NEWLINK: u16 = 16;
/// A link was deleted.
pub const DELLINK: u16 = 17;
const GETLINK: u16 = 18;
const NEWADDR: u16 = 20;
const GETADDR: u16 = 22;
const NEWROUTE: u16 = 24;
const GETROUTE: u16 = 26;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
/// `IFA_F_NODAD`: an address is used at once, without asking around whether another has it.
const NODAD: u8 = 2;
const IFF_UP: u32 = 1;

/// Attribute numbers of `linux/if_link.h`.
pub mod ifla {
    /// Hardware address.
    pub const ADDRESS: u16 = 1;
    /// Name.
    pub const IFNAME: u16 = 3;
    /// MTU.
    pub const MTU: u16 = 4;
    /// Index of the interface it stands on, or of the other end of a veth, in that one's namespace.
    pub const LINK: u16 = 5;
    /// Master's index.
    pub const MASTER: u16 = 10;
    /// Kind and its data.
    pub const LINKINFO: u16 = 18;
    /// Free text.
    pub const ALIAS: u16 = 20;
    /// Group, by which several are deleted at once.
    pub const GROUP: u16 = 27;
    /// Namespace by descriptor.
    pub const NET_NS_FD: u16 = 28;
    /// Number of the namespace that `LINK` is in, where that is another.
    pub const LINK_NETNSID: u16 = 37;
    /// Inside `LINKINFO`.
    pub const INFO_KIND: u16 = 1;
    /// Inside `LINKINFO`.
    pub const INFO_DATA: u16 = 2;
    /// Inside `LINKINFO`.
    pub const INFO_SLAVE_KIND: u16 = 4;
    /// Inside `LINKINFO`.
    pub const INFO_SLAVE_DATA: u16 = 5;
    /// Inside `INFO_SLAVE_DATA` of a bridge port: hairpin mode.
    pub const PORT_MODE: u16 = 4;
    /// Inside `INFO_SLAVE_DATA` of a bridge port: it speaks with the bridge alone, not with other isolated ports.
    pub const PORT_ISOLATED: u16 = 33;
    /// Inside `INFO_DATA` of a veth.
    pub const VETH_PEER: u16 = 1;
    /// Inside `INFO_DATA` of a VLAN: its number.
    pub const VLAN_ID: u16 = 1;
}

/// What the kernel says of a link.
#[derive(Debug, Clone)]
pub struct Link {
    /// Index in its namespace.
    pub index: u32,
    /// Name.
    pub name: String,
    /// `bridge`, `veth`, …; empty for plain devices.
    pub kind: String,
    /// Index of the bridge it is a port of, or 0.
    pub master: u32,
    /// Free text that somebody gave it.
    pub alias: String,
    /// That which it stands on is in another namespace.
    pub stands_elsewhere: bool,
    /// It is set up.
    pub up: bool,
    /// Hardware address; zeros when it is not six bytes.
    pub mac: [u8; 6],
    /// Index of the other end of a veth, or of what it stands on, or 0.
    pub peer: u32,
}

/// `struct ifinfomsg`; `up` also asks for the link to be set up.
pub fn ifinfo(index: u32, up: bool) -> [u8; 16] {
    let mut out = [0; 16];
    let state = if up { IFF_UP } else { 0 };
    for (slot, byte) in out
        .iter_mut()
        .skip(4)
        .zip(index.to_ne_bytes().into_iter().chain(state.to_ne_bytes()).chain(state.to_ne_bytes()))
    {
        *slot = byte;
    }
    out
}

/// A request that makes a link and sets it up.
pub fn create(name: &str) -> Message {
    creating(name, true)
}

/// A request that makes a link and leaves it down.
pub fn create_down(name: &str) -> Message {
    creating(name, false)
}

/// A request that changes a link.
pub fn change(name: &str, what: String) -> Message {
    let mut message = Message::new(NEWLINK, ACKED, &ifinfo(0, false), what);
    message.text(ifla::IFNAME, name);
    message
}

fn creating(name: &str, up: bool) -> Message {
    let mut message = Message::new(
        NEWLINK,
        ACKED | flag::CREATE | flag::EXCL,
        &ifinfo(0, up),
        format!("creating interface {name}"),
    );
    message.text(ifla::IFNAME, name);
    message
}

/// A request that sets a link up.
pub fn up(index: u32) -> Message {
    Message::new(NEWLINK, ACKED, &ifinfo(index, true), "setting interface up")
}

/// A request that lets a bridge port send back where frames came from: where the bridge passes
/// frames through netfilter, a container reaching its own published port needs it. `isolated` ports speak with the bridge,
/// but not with each other.
pub fn port(name: &str, isolated: bool) -> Message {
    let mut message =
        Message::new(NEWLINK, ACKED, &ifinfo(0, false), format!("setting up the bridge port {name}"));
    message.text(ifla::IFNAME, name).nest(ifla::LINKINFO, |info| {
        info.text(ifla::INFO_SLAVE_KIND, "bridge").nest(ifla::INFO_SLAVE_DATA, |port| {
            port.bytes(ifla::PORT_MODE, &[1]);
            if isolated {
                port.bytes(ifla::PORT_ISOLATED, &[1]);
            }
        });
    });
    message
}

/// A request that gives an interface an address.
pub fn address(index: u32, address: IpAddr, prefix: u8) -> Message {
    let (family, flags) = match address {
        IpAddr::V4(_) => (AF_INET, 0),
        IpAddr::V6(_) => (AF_INET6, NODAD),
    };
    let mut fixed = vec![family, prefix, flags, 0];
    fixed.extend(index.to_ne_bytes());
    let what = format!("adding address {address}/{prefix}");
    let mut message = Message::new(NEWADDR, ACKED | flag::CREATE | flag::REPLACE, &fixed, what);
    match address {
        IpAddr::V4(four) => {
            message.bytes(2, &four.octets()).bytes(1, &four.octets());
            if prefix < 31 {
                let broadcast = u32::from(four) | u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
                message.be32(4, broadcast);
            }
        }
        IpAddr::V6(six) => {
            message.bytes(1, &six.octets());
        }
    }
    message
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(four) => four.octets().to_vec(),
        IpAddr::V6(six) => six.octets().to_vec(),
    }
}

/// A request for the default route of a family: by way of a gateway, or straight out of the interface.
pub fn default_route(index: u32, family: Family, gateway: Option<IpAddr>) -> Message {
    const UNIVERSE: u8 = 0;
    const LINK: u8 = 253;
    let of = if family == Family::Four { AF_INET } else { AF_INET6 };
    let scope = if gateway.is_some() || family == Family::Six { UNIVERSE } else { LINK };
    // Table main, protocol boot, type unicast.
    let fixed = [of, 0, 0, 0, 254, 3, scope, 1, 0, 0, 0, 0];
    let what = match gateway {
        Some(gateway) => format!("adding default route via {gateway}"),
        None => "adding default route".to_owned(),
    };
    let mut message = Message::new(NEWROUTE, ACKED | flag::CREATE | flag::REPLACE, &fixed, what);
    if let Some(gateway) = gateway {
        message.bytes(5, &octets(gateway));
    }
    message.host32(4, index);
    message
}

/// A request for a route by which what comes back to ::1 over an interface is this host's: the kernel takes that address
/// for its loopback interface's alone. Each interface's has a metric of its own, so none replaces another's.
pub fn loopback6(index: u32) -> Message {
    const DESTINATION: u16 = 1;
    const INTERFACE: u16 = 4;
    const METRIC: u16 = 6;
    // Table local, protocol boot, scope universe, type local.
    let fixed = [AF_INET6, 128, 0, 0, 255, 3, 0, 2, 0, 0, 0, 0];
    let what = "adding a way back to ::1";
    let mut message = Message::new(NEWROUTE, ACKED | flag::CREATE | flag::REPLACE, &fixed, what);
    message.bytes(DESTINATION, &Ipv6Addr::LOCALHOST.octets()).host32(INTERFACE, index);
    message.host32(METRIC, index.saturating_add(4096));
    message
}

/// A request that gives a link the hardware address it has: the kernel then tells the neighbours of its IP addresses,
/// where `arp_notify` and `ndisc_notify` are set.
pub fn announce(index: u32, mac: [u8; 6]) -> Message {
    let mut message = Message::new(NEWLINK, ACKED, &ifinfo(index, false), "announcing an interface");
    message.bytes(ifla::ADDRESS, &mac);
    message
}

/// A request that makes an interface a port of a bridge.
pub fn enslave(index: u32, bridge: u32) -> Message {
    let mut message = Message::new(NEWLINK, ACKED, &ifinfo(index, true), "joining a bridge");
    message.host32(ifla::MASTER, bridge);
    message
}

/// Every address of the socket's namespace, with the index of its interface.
pub fn addresses(socket: &mut Socket) -> Result<Vec<(u32, IpAddr)>, NetlinkError> {
    let message = Message::new(GETADDR, flag::REQUEST | flag::DUMP, &[0; 8], "listing addresses");
    Ok(socket.dump(message)?.iter().filter_map(|r| held(&r.body)).collect())
}

/// Interface and address of a `struct ifaddrmsg`.
fn held(body: &[u8]) -> Option<(u32, IpAddr)> {
    let value = attribute(body.get(8..)?, 1)?;
    let address = match <[u8; 4]>::try_from(value) {
        Ok(four) => IpAddr::from(four),
        Err(_) => IpAddr::from(<[u8; 16]>::try_from(value).ok()?),
    };
    Some((u32_at(body, 4), address))
}

/// A request that puts an interface into a group.
pub fn regroup(index: u32, group: u32) -> Message {
    let mut message = Message::new(NEWLINK, ACKED, &ifinfo(index, false), "grouping an interface");
    message.host32(ifla::GROUP, group);
    message
}

/// A request that deletes every interface of a group.
pub fn delete_group(group: u32) -> Message {
    let mut message = Message::new(DELLINK, ACKED, &ifinfo(0, false), "deleting interfaces");
    message.host32(ifla::GROUP, group);
    message
}

/// Finds a link by name.
pub fn find(socket: &mut Socket, name: &str) -> Result<Option<Link>, NetlinkError> {
    let mut message = Message::new(GETLINK, ACKED, &ifinfo(0, false), format!("looking up interface {name}"));
    message.text(ifla::IFNAME, name);
    match socket.request(message) {
        Ok(replies) => Ok(replies.iter().find_map(|r| parse(&r.body))),
        Err(e) if e.errno() == Errno::ENODEV => Ok(None),
        Err(e) => Err(e),
    }
}

/// The ports of a bridge.
pub fn ports(socket: &mut Socket, master: u32) -> Result<Vec<Link>, NetlinkError> {
    let mut message =
        Message::new(GETLINK, flag::REQUEST | flag::DUMP, &ifinfo(0, false), "listing interfaces");
    message.host32(ifla::MASTER, master);
    let replies = socket.dump(message)?;
    Ok(replies.iter().filter_map(|r| parse(&r.body)).filter(|l| l.master == master).collect())
}

/// Every link of the socket's namespace.
pub fn all(socket: &mut Socket) -> Result<Vec<Link>, NetlinkError> {
    let message = Message::new(GETLINK, flag::REQUEST | flag::DUMP, &ifinfo(0, false), "listing interfaces");
    Ok(socket.dump(message)?.iter().filter_map(|r| parse(&r.body)).collect())
}

/// Interfaces by which a host may reach the world: neither ports of bridges nor bridges that have virtual ports alone.
pub fn uplinks(links: &[Link]) -> Vec<String> {
    let joins = |bridge: &Link| {
        links.iter().any(|port| port.master == bridge.index && !matches!(&*port.kind, "veth" | "tun"))
    };
    let reaches = |l: &&Link| l.name != "lo" && l.master == 0 && (l.kind != "bridge" || joins(l));
    links.iter().filter(reaches).map(|l| l.name.clone()).collect()
}

/// Subnets that the namespace has routes to, without default routes.
#[derive(Debug, Default)]
pub struct Routes {
    /// Those on its own links.
    pub near: Vec<Subnet>,
    /// Those behind a gateway.
    pub beyond: Vec<Subnet>,
}

/// The routes of both families.
pub fn routes(socket: &mut Socket) -> Result<Routes, NetlinkError> {
    let mut out = Routes::default();
    for family in [AF_INET, AF_INET6] {
        let fixed = [family, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let message = Message::new(GETROUTE, flag::REQUEST | flag::DUMP, &fixed, "listing routes");
        for reply in socket.dump(message)? {
            match routed(&reply.body) {
                Some((subnet, Reached::Near)) => out.near.push(subnet),
                Some((subnet, Reached::Beyond)) => out.beyond.push(subnet),
                None => {}
            }
        }
    }
    Ok(out)
}

enum Reached {
    Near,
    Beyond,
}

/// The destination in a `struct rtmsg` of type unicast; link-local ones are every interface's.
fn routed(body: &[u8]) -> Option<(Subnet, Reached)> {
    const UNICAST: u8 = 1;
    const GATEWAY: u16 = 5;
    let &[family, prefix, _, _, _, _, _, UNICAST, ..] = body else { return None };
    let attributes = body.get(12..)?;
    let destination = attribute(attributes, 1)?;
    let address: IpAddr = match family {
        AF_INET => <[u8; 4]>::try_from(destination).ok()?.into(),
        AF_INET6 => <[u8; 16]>::try_from(destination).ok()?.into(),
        _ => return None,
    };
    let own = Subnet::around(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10).contains(address);
    let reached = if attribute(attributes, GATEWAY).is_some() { Reached::Beyond } else { Reached::Near };
    (prefix > 0 && !own).then(|| (Subnet::around(address, prefix), reached))
}

/// Deletes a link; a missing one is fine.
pub fn delete(socket: &mut Socket, name: &str) -> Result<(), NetlinkError> {
    let mut message = Message::new(DELLINK, ACKED, &ifinfo(0, false), format!("deleting interface {name}"));
    message.text(ifla::IFNAME, name);
    match socket.request(message) {
        Err(e) if e.errno() != Errno::ENODEV => Err(e),
        _ => Ok(()),
    }
}

/// A request that deletes a link.
pub fn delete_at(index: u32) -> Message {
    Message::new(DELLINK, ACKED, &ifinfo(index, false), "deleting an interface")
}

/// Reads a message about a link.
pub fn parse(body: &[u8]) -> Option<Link> {
    let attributes = body.get(16..)?;
    let kind = attribute(attributes, ifla::LINKINFO).and_then(|info| attribute(info, ifla::INFO_KIND));
    Some(Link {
        index: u32_at(body, 4),
        up: u32_at(body, 8) & IFF_UP != 0,
        name: string(attribute(attributes, ifla::IFNAME)?),
        kind: kind.map(string).unwrap_or_default(),
        mac: attribute(attributes, ifla::ADDRESS).and_then(|v| v.try_into().ok()).unwrap_or_default(),
        alias: attribute(attributes, ifla::ALIAS).map(string).unwrap_or_default(),
        stands_elsewhere: attribute(attributes, ifla::LINK_NETNSID).is_some(),
        master: attribute(attributes, ifla::MASTER).map_or(0, |v| u32_at(v, 0)),
        peer: attribute(attributes, ifla::LINK).map_or(0, |v| u32_at(v, 0)),
    })
}
