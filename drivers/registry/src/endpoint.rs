//! Which addresses a registry's host may be asked at: `https` alone, or `http` too where nobody is in between.

use std::net::IpAddr;

/// An address to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// `https://host:port`, without a path.
    pub base: String,
    /// Whose certificate is taken.
    pub trust: Trust,
}

/// Which certificates are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Those the system's authorities vouch for.
    Authorities,
    /// Any: the registry is listed as insecure, or on this machine.
    Anyone,
}

const HUB: &str = "https://registry-1.docker.io";

/// The name and port of `host[:port]`; IPv6 addresses stand in brackets.
pub fn split(host: &str) -> (&str, Option<&str>) {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    }
}

/// The address a host name is itself, if it is one.
fn literal(name: &str) -> Option<IpAddr> {
    name.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// `10.0.0.0/8`.
fn within(range: &str, address: IpAddr) -> bool {
    let Some((net, length)) = range.split_once('/') else { return false };
    let Ok(length) = length.parse::<u32>() else { return false };
    let same =
        |a: u128, b: u128, width: u32| length <= width && (length == 0 || (a ^ b) >> (width - length) == 0);
    match (net.parse::<IpAddr>(), address) {
        (Ok(IpAddr::V4(net)), IpAddr::V4(address)) => {
            same(net.to_bits().into(), address.to_bits().into(), 32)
        }
        (Ok(IpAddr::V6(net)), IpAddr::V6(address)) => same(net.to_bits(), address.to_bits(), 128),
        _ => false,
    }
}

/// Whether the host may be spoken to without TLS: it is listed, or every rule's address is one of its own. Loopback
/// always may (127.0.0.0/8 and ::1), as with Docker.
pub fn is_insecure(host: &str, addresses: &[IpAddr], listed: &[String]) -> bool {
    let near = |address: &IpAddr| address.is_loopback() || listed.iter().any(|l| within(l, *address));
    listed.iter().any(|l| l == host) || literal(split(host).0).iter().chain(addresses).any(near)
}

/// Addresses to ask, in order.
pub fn endpoints(host: &str, addresses: &[IpAddr], insecure: &[String], mirrors: &[String]) -> Vec<Endpoint> {
    let secure = |base: String| Endpoint { base, trust: Trust::Authorities };
    if host == "docker.io" {
        let mirrors = mirrors.iter().map(|m| secure(m.trim_end_matches('/').to_owned()));
        return mirrors.chain([secure(HUB.to_owned())]).collect();
    }
    if is_insecure(host, addresses, insecure) {
        return ["https", "http"]
            .map(|scheme| Endpoint { base: format!("{scheme}://{host}"), trust: Trust::Anyone })
            .into();
    }
    vec![secure(format!("https://{host}"))]
}

/// The addresses of a host, none if it has none: asking it tells the reason.
pub async fn addresses(host: &str) -> Vec<IpAddr> {
    let (name, _) = split(host);
    match tokio::net::lookup_host((name.trim_start_matches('[').trim_end_matches(']'), 443)).await {
        Ok(found) => found.map(|a| a.ip()).collect(),
        Err(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_and_listed_registries_are_spoken_to_without_tls() {
        let listed = ["reg.example:5000".to_owned(), "10.1.0.0/16".to_owned(), "fd00::/8".to_owned()];
        for host in [
            "127.0.0.1:5000",
            "127.9.9.9",
            "[::1]:5000",
            "[::1]",
            "reg.example:5000",
            "10.1.2.3",
            "[fd00::1]:80",
        ] {
            assert!(is_insecure(host, &[], &listed), "{host}");
        }
        // A name that only begins like an address was once taken for one.
        for host in
            ["127.evil.example", "localhost.example", "reg.example", "10.2.0.1", "[fe80::1]", "example:5000"]
        {
            assert!(!is_insecure(host, &[], &listed), "{host}");
        }
        assert!(is_insecure("localhost:5000", &["127.0.0.1".parse().unwrap()], &[]));
        assert_eq!(endpoints("example:1", &[], &[], &[]).len(), 1);
        assert_eq!(endpoints("docker.io", &[], &[], &["http://m/".into()])[0].base, "http://m");
    }
}
