//! The bridge of a network and the kernel settings it needs.

use crate::error::NetworkError;
use crate::link::{self, ifla};
use crate::socket::Socket;
use contract::network::{Family, Segment, number};
use nix::errno::Errno;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

/// Whether bridges of this network namespace pass frames through netfilter; missing without the module br_netfilter.
const NETFILTER: &str = "/proc/sys/net/bridge/bridge-nf-call-iptables";
/// The same for IPv6.
const NETFILTER6: &str = "/proc/sys/net/bridge/bridge-nf-call-ip6tables";

/// Makes the bridge or brings an existing one to the spec.
pub fn ensure(route: &mut Socket, spec: &Segment) -> Result<(), NetworkError> {
    check(spec)?;
    let found = match link::find(route, &spec.name)? {
        Some(found) => Some(found),
        None => {
            create(route, spec)?;
            link::find(route, &spec.name)?
        }
    };
    let found = found.ok_or_else(|| NetworkError::NoBridge(spec.name.clone()))?;
    if found.kind != "bridge" {
        return Err(NetworkError::NotABridge(spec.name.clone()));
    }
    let mut requests = vec![link::up(found.index)];
    requests.extend(spec.gateway.map(|g| link::address(found.index, g.into(), spec.prefix)));
    route.transact(requests)?;
    if spec.policy.forward {
        set("/proc/sys/net/ipv4/ip_forward".into())?;
    }
    // Without it the kernel drops 127.0.0.1 traffic redirected to the bridge; the guard chain closes the hole.
    set(format!("/proc/sys/net/ipv4/conf/{}/route_localnet", spec.name).into())
}

fn create(route: &mut Socket, spec: &Segment) -> Result<(), NetworkError> {
    let mut message = link::create(&spec.name);
    // A fixed address: an inherited one changes as ports come and go, and breaks neighbours' caches.
    message.host32(ifla::MTU, spec.mtu).bytes(ifla::ADDRESS, &mac_of(spec));
    message.nest(ifla::LINKINFO, |m| {
        m.text(ifla::INFO_KIND, "bridge");
    });
    match route.request(message) {
        Err(e) if e.errno() != Errno::EEXIST => Err(e.into()),
        _ => Ok(()),
    }
}

fn mac_of(spec: &Segment) -> [u8; 6] {
    let gateway = spec.gateway(Family::Four).or(spec.gateway(Family::Six));
    derived_mac(gateway.unwrap_or(Ipv4Addr::UNSPECIFIED.into()))
}

/// `02:42:` and the address's end: stable across restarts, so no neighbour cache goes stale.
pub fn derived_mac(address: IpAddr) -> [u8; 6] {
    let [a, b, c, d] = (number(address) as u32).to_be_bytes();
    [0x02, 0x42, a, b, c, d]
}

/// Where the bridge passes frames through netfilter, a rule keeps containers apart, and lets through what is published;
/// elsewhere no rule sees the frames, and the ports themselves keep them apart.
pub fn isolates(spec: &Segment) -> bool {
    !spec.policy.icc && !std::fs::read_to_string(NETFILTER).is_ok_and(|now| now.trim() == "1")
}

/// Whether connections to ::1 can be sent on to containers. Answers come back to ::1, and where bridged frames pass
/// netfilter they are turned into that too early, and are then taken for forged ones.
pub fn returns_to_loopback6() -> bool {
    !std::fs::read_to_string(NETFILTER6).is_ok_and(|now| now.trim() == "1")
}

fn check(spec: &Segment) -> Result<(), NetworkError> {
    let length = spec.name.len();
    if !(1..=15).contains(&length)
        || spec.name.contains(|c: char| c == '/' || c.is_whitespace())
        || spec.name.starts_with('.')
    {
        return Err(NetworkError::Invalid(format!("invalid bridge name {:?}", spec.name)));
    }
    if spec.gateway.is_some() && !(1..=30).contains(&spec.prefix) {
        return Err(NetworkError::Invalid(format!("invalid prefix length /{}", spec.prefix)));
    }
    Ok(())
}

fn set(path: PathBuf) -> Result<(), NetworkError> {
    // Read first: where the setting is already right a read-only /proc/sys does no harm.
    if std::fs::read_to_string(&path).is_ok_and(|now| now.trim() == "1") {
        return Ok(());
    }
    std::fs::write(&path, "1").map_err(|source| NetworkError::Setting { path, source })
}
