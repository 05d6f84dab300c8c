//! The pair of interfaces joining a container to its bridge.

use crate::bridge::{self, derived_mac};
use crate::error::NetworkError;
use crate::inside;
use crate::link::{self, Link, ifla};
use crate::netns::Namespace;
use crate::socket::Socket;
use contract::network::{Endpoint, SegmentKind};
use std::os::fd::AsRawFd;

/// The host side's name: `veth` and eleven hex digits of container and bridge.
pub fn host_name(container: &str, bridge: &str) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in container.bytes().chain([0]).chain(bridge.bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("veth{:011x}", hash >> 20)
}

/// Whether a link looks like one of those ends.
pub fn is_host_end(link: &Link) -> bool {
    let digits = link.name.strip_prefix("veth").filter(|d| d.len() == 11);
    link.kind == "veth" && digits.is_some_and(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Makes the pair, one end inside, and configures it.
pub fn ensure(
    route: &mut Socket,
    endpoint: &Endpoint,
    namespace: &mut Namespace,
) -> Result<(), NetworkError> {
    let mac = mac(endpoint)?;
    let host = host_name(&endpoint.container, &endpoint.segment.name);
    let bridge = link::find(route, &endpoint.segment.name)?
        .ok_or_else(|| NetworkError::NoBridge(endpoint.segment.name.clone()))?;
    let links = link::all(&mut namespace.route)?;
    let outside = link::find(route, &host)?;
    let known = outside.as_ref().and_then(|outside| end(&links, outside.peer, mac));
    let made = match (known, &outside) {
        (Some(found), Some(outside)) => {
            // Its bridge may have been deleted by others, and be another one now.
            if outside.master != bridge.index {
                let port = link::port(&host, bridge::isolates(&endpoint.segment));
                route.transact(vec![link::enslave(outside.index, bridge.index), port])?;
            }
            found.clone()
        }
        _ => {
            // An old pair may lead into a namespace that is gone.
            link::delete(route, &host)?;
            let name = inside::name(endpoint, &links)?;
            let pair = Pair { host: &host, bridge: bridge.index, inside: &name, mac };
            create(route, endpoint, namespace, &pair)?;
            let made = inside::made(namespace, &name)?;
            if let Err(error) = inside::settle(namespace, endpoint, &name) {
                link::delete(route, &host)?;
                return Err(error);
            }
            made
        }
    };
    inside::configure(namespace, endpoint, made.index)
}

/// The end inside of a pair whose other end says which index it has there.
fn end(links: &[Link], index: u32, mac: [u8; 6]) -> Option<&Link> {
    links.iter().find(|l| l.kind == "veth" && l.index == index && l.mac == mac)
}

/// Tells the neighbours of an endpoint's addresses; one that is gone has none.
pub fn announce(endpoint: &Endpoint, namespace: &mut Namespace) -> Result<(), NetworkError> {
    let mac = mac(endpoint)?;
    let kind = match endpoint.segment.kind {
        SegmentKind::Bridge => "veth",
        over => over.driver(),
    };
    let found = link::all(&mut namespace.route)?.into_iter().find(|l| l.kind == kind && l.mac == mac);
    if let Some(found) = found {
        namespace.route.request(link::announce(found.index, mac))?;
    }
    Ok(())
}

/// What is to be made.
struct Pair<'a> {
    /// Name on the host.
    host: &'a str,
    /// Index of the bridge.
    bridge: u32,
    /// Name in the container.
    inside: &'a str,
    /// Address in the container.
    mac: [u8; 6],
}

fn create(
    route: &mut Socket,
    endpoint: &Endpoint,
    namespace: &Namespace,
    pair: &Pair<'_>,
) -> Result<(), NetworkError> {
    let mtu = endpoint.segment.mtu;
    let mut message = link::create(pair.host);
    message.host32(ifla::MTU, mtu).host32(ifla::MASTER, pair.bridge);
    message.nest(ifla::LINKINFO, |info| {
        info.text(ifla::INFO_KIND, "veth").nest(ifla::INFO_DATA, |data| {
            data.nest(ifla::VETH_PEER, |peer| {
                // Set up later: the kernel joins the ends only after making both.
                peer.raw(&link::ifinfo(0, false))
                    .text(ifla::IFNAME, pair.inside)
                    .host32(ifla::MTU, mtu)
                    .bytes(ifla::ADDRESS, &pair.mac)
                    .host32(ifla::NET_NS_FD, namespace.file.as_raw_fd() as u32);
            });
        });
    });
    let port = link::port(pair.host, bridge::isolates(&endpoint.segment));
    route.transact(vec![message, port])?;
    Ok(())
}

/// The MAC that is asked for, or one that follows from the address.
pub fn mac(endpoint: &Endpoint) -> Result<[u8; 6], NetworkError> {
    if endpoint.mac.is_empty() {
        let address = endpoint.addresses().next();
        return address
            .map(derived_mac)
            .ok_or_else(|| NetworkError::Invalid("an endpoint without an address".into()));
    }
    let parsed: Option<Vec<u8>> = endpoint.mac.split(':').map(|p| u8::from_str_radix(p, 16).ok()).collect();
    parsed
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| NetworkError::Invalid(format!("invalid MAC address {:?}", endpoint.mac)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_fit_the_kernel_and_differ_per_network() {
        let one = host_name("abc", "br0");
        assert!(one.len() <= 15 && one.starts_with("veth"));
        assert_ne!(one, host_name("abc", "br1"));
        assert_eq!(one, host_name("abc", "br0"));
    }
}
