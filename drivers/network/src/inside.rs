//! What is set up inside a container's namespace, whoever made the interface: its name, settings, addresses, routes.

use crate::error::NetworkError;
use crate::link::{self, Link};
use crate::netns::Namespace;
use contract::network::{Endpoint, Family};
use std::net::IpAddr;
use std::path::PathBuf;

/// The name that is asked for, or the first free one.
pub fn name(endpoint: &Endpoint, links: &[Link]) -> Result<String, NetworkError> {
    let wanted = &endpoint.interface.name;
    if !wanted.is_empty() {
        return Ok(wanted.clone());
    }
    let prefix = match endpoint.segment.interface_prefix.as_str() {
        "" => "eth",
        prefix => prefix,
    };
    (0..64)
        .map(|n| format!("{prefix}{n}"))
        .find(|name| links.iter().all(|l| l.name != *name))
        .ok_or_else(|| NetworkError::Invalid("too many interfaces in one container".into()))
}

/// The interface by its name, as it has just been made.
pub fn made(namespace: &mut Namespace, name: &str) -> Result<Link, NetworkError> {
    link::find(&mut namespace.route, name)?
        .ok_or_else(|| NetworkError::Invalid(format!("{name} did not appear in the network namespace")))
}

/// Settings that an interface has from its first moment on.
pub fn settle(namespace: &Namespace, endpoint: &Endpoint, name: &str) -> Result<(), NetworkError> {
    let mut settings = Vec::new();
    if endpoint.address6.is_some() || endpoint.interface.link_local.iter().any(IpAddr::is_ipv6) {
        // A namespace is made with IPv6 switched off, so that networks without it have none of its addresses.
        for name in ["lo", name] {
            settings.push((format!("net/ipv6/conf/{name}/disable_ipv6"), "0".to_owned()));
        }
    }
    for asked in &endpoint.interface.sysctls {
        settings.push(setting(asked, name)?);
    }
    if settings.is_empty() {
        return Ok(());
    }
    namespace.run(move || settings.into_iter().try_for_each(|(path, value)| set(&path, &value)))?
}

/// `net.X.Y.IFNAME.Z=V` as a path below `/proc/sys` and a value.
fn setting(text: &str, name: &str) -> Result<(String, String), NetworkError> {
    let wrong = || NetworkError::Invalid(format!("expected sysctl '{text}' to have format net.X.Y.IFNAME.Z"));
    let (key, value) = text.split_once('=').ok_or_else(wrong)?;
    let parts: Vec<&str> = key.split('.').collect();
    let &[net, family, kind, _, last] = parts.as_slice() else { return Err(wrong()) };
    if parts.iter().any(|p| p.is_empty() || p.contains('/')) {
        return Err(wrong());
    }
    Ok((format!("{net}/{family}/{kind}/{name}/{last}"), value.to_owned()))
}

fn set(path: &str, value: &str) -> Result<(), NetworkError> {
    let path = PathBuf::from("/proc/sys").join(path);
    let now = match std::fs::read_to_string(&path) {
        Ok(now) => now,
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => {
            return Err(NetworkError::Invalid(format!("{} is not a sysctl file", path.display())));
        }
        Err(source) => return Err(NetworkError::Setting { path, source }),
    };
    // Where it is right already, a read-only /proc/sys does no harm.
    if now.trim() == value {
        return Ok(());
    }
    std::fs::write(&path, value).map_err(|source| NetworkError::Setting { path, source })
}

/// Sets the interface up with its addresses, and leads the default routes over it that are its own. May be repeated.
pub fn configure(namespace: &mut Namespace, endpoint: &Endpoint, index: u32) -> Result<(), NetworkError> {
    let segment = &endpoint.segment;
    let mut requests = vec![link::up(1), link::up(index)];
    if let Some(address) = endpoint.address {
        requests.push(link::address(index, address.into(), segment.prefix));
    }
    if let (Some(address), Some(six)) = (endpoint.address6, segment.six) {
        requests.push(link::address(index, address.into(), six.prefix));
    }
    for local in &endpoint.interface.link_local {
        // The whole range (RFC 3927, RFC 4291) is on the link.
        requests.push(link::address(index, *local, if local.is_ipv4() { 16 } else { 64 }));
    }
    for (family, leads) in [(Family::Four, endpoint.default_route), (Family::Six, endpoint.default_route6)] {
        match segment.next_hop(family) {
            _ if !leads => {}
            None if !segment.kind.has_gateway() => requests.push(link::default_route(index, family, None)),
            None => {}
            hop => requests.push(link::default_route(index, family, hop)),
        }
    }
    namespace.route.transact(requests)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_a_path_of_the_interface_and_leads_nowhere_else() {
        let read = |text: &str| setting(text, "eth1").map_err(|e| e.to_string());
        let wanted = ("net/ipv4/conf/eth1/log_martians".to_owned(), "1".to_owned());
        assert_eq!(read("net.ipv4.conf.IFNAME.log_martians=1"), Ok(wanted));
        for wrong in
            ["net.ipv4.conf.IFNAME.x", "net.ipv4.conf.IFNAME.../../x=1", "a=b", "net..conf.IFNAME.x=1"]
        {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
