//! The bridge of a network and the kernel settings it needs.

use crate::error::NetworkError;
use crate::link::{self, ifla};
use crate::socket::Socket;
use contract::network::{Family, GatewayMode, Segment, number};
use nix::errno::Errno;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

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
    let holds = |family| spec.mode(family) != GatewayMode::Isolated;
    if let Some(six) = spec.six {
        let value = if holds(Family::Six) { "0" } else { "1" };
        set(format!("/proc/sys/net/ipv6/conf/{}/disable_ipv6", spec.name).into(), value)
            .map_err(|e| NetworkError::without_ipv6(e, six.address))?;
    }
    let mut requests = vec![link::up(found.index)];
    let four = spec.gateway.filter(|_| holds(Family::Four) && !spec.policy.inhibit4);
    requests.extend(four.map(|g| link::address(found.index, g.into(), spec.prefix)));
    let six = spec.six.filter(|_| holds(Family::Six));
    requests.extend(six.map(|g| link::address(found.index, g.address.into(), g.prefix)));
    if six.is_some() && returns_to_loopback6() {
        requests.push(link::loopback6(found.index));
    }
    route.transact(requests)?;
    if spec.policy.forward && spec.gateway.is_some() {
        set("/proc/sys/net/ipv4/ip_forward".into(), "1")?;
    }
    if spec.policy.forward && spec.six.is_some() {
        forward_ipv6()?;
    }
    // Without it the kernel drops 127.0.0.1 traffic redirected to the bridge; the guard chain closes the hole.
    set(format!("/proc/sys/net/ipv4/conf/{}/route_localnet", spec.name).into(), "1")
}

/// Switches IPv6 forwarding on. The kernel then stops taking routes from routers' advertisements on interfaces that take
/// them as a host does, and would lose its own way out: they are told to take them as a router, too.
fn forward_ipv6() -> Result<(), NetworkError> {
    const CONF: &str = "/proc/sys/net/ipv6/conf";
    let is = |path: &Path, value: &str| std::fs::read_to_string(path).is_ok_and(|now| now.trim() == value);
    let all = Path::new(CONF).join("all/forwarding");
    if is(&all, "1") {
        return Ok(());
    }
    for interface in std::fs::read_dir(CONF).into_iter().flatten().flatten() {
        let accept = interface.path().join("accept_ra");
        let settings = matches!(interface.file_name().to_str(), Some("all" | "default" | "lo"));
        if !settings && is(&accept, "1") {
            set(accept, "2")?;
        }
    }
    set(all, "1")
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
    if let Some(six) = spec.six.filter(|s| !(1..=126).contains(&s.prefix)) {
        return Err(NetworkError::Invalid(format!("invalid prefix length /{}", six.prefix)));
    }
    Ok(())
}

fn set(path: PathBuf, value: &str) -> Result<(), NetworkError> {
    // Read first: where the setting is already right a read-only /proc/sys does no harm.
    if std::fs::read_to_string(&path).is_ok_and(|now| now.trim() == value) {
        return Ok(());
    }
    std::fs::write(&path, value).map_err(|source| NetworkError::Setting { path, source })
}
