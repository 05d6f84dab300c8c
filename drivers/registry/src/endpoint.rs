//! Which addresses a registry's host may be asked at: `https` alone, or `http` too where nobody is in between.

use crate::client::RegistryClient;
use crate::fault::Fault;
use crate::session::{Access, Session};
use contract::image::{Credentials, RemoteName};
use std::net::IpAddr;

/// An address to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// `https://host:port`, for a mirror with its path; no slash at the end.
    pub base: String,
    /// Whose certificate is taken.
    pub trust: Trust,
    /// Whether it stands in for another registry, whose credentials are none of its business.
    pub mirror: bool,
}

impl Endpoint {
    /// `host[:port]`.
    pub fn host(&self) -> &str {
        host_of(&self.base)
    }
}

/// `host[:port]` of a URL, which stays empty for what is none.
pub fn host_of(url: &str) -> &str {
    url.split('/').nth(2).unwrap_or_default()
}

/// Which certificates are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trust {
    /// Those the system's authorities vouch for.
    Authorities,
    /// Any: the registry is listed as insecure, or on this machine.
    Anyone,
}

const HUB: &str = "https://registry-1.docker.io";

/// The name and port of `host[:port]`; IPv6 addresses stand in brackets.
fn split(host: &str) -> (&str, Option<&str>) {
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
fn is_insecure(host: &str, addresses: &[IpAddr], listed: &[String]) -> bool {
    let near = |address: &IpAddr| address.is_loopback() || listed.iter().any(|l| within(l, *address));
    listed.iter().any(|l| l == host) || literal(split(host).0).iter().chain(addresses).any(near)
}

/// Whether mirrors of Docker Hub are asked as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mirrors {
    /// Before Docker Hub itself.
    First,
    /// Never: they only give.
    Never,
}

impl RegistryClient {
    /// The addresses of a registry, in the order in which they are asked.
    pub(crate) async fn endpoints(&self, host: &str, mirrors: Mirrors) -> Vec<Endpoint> {
        let config = self.config();
        let mut out = Vec::new();
        if host != "docker.io" && host != "index.docker.io" {
            let insecure = is_insecure(host, &addresses(host).await, &config.insecure);
            return of(host, insecure);
        }
        if mirrors == Mirrors::First {
            for mirror in &config.mirrors {
                let base = mirror.trim_end_matches('/').to_owned();
                let host = host_of(&base);
                let insecure = is_insecure(host, &addresses(host).await, &config.insecure);
                let trust = if insecure { Trust::Anyone } else { Trust::Authorities };
                out.push(Endpoint { base, trust, mirror: true });
            }
        }
        out.push(Endpoint { base: HUB.to_owned(), trust: Trust::Authorities, mirror: false });
        out
    }
}

impl RegistryClient {
    /// Asks the addresses of a name one after the other, mirrors first: one that does not answer is passed over, and so is
    /// a mirror that fails. Docker Hub's password is none of a mirror's business.
    pub(crate) async fn ask<T, F: Future<Output = Result<T, Fault>>>(
        &self,
        name: &RemoteName,
        auth: Option<Credentials>,
        question: impl Fn(Session) -> F,
    ) -> Result<T, Fault> {
        let mut last = Fault::Content(format!("no endpoints found for {}", name.familiar));
        for endpoint in self.endpoints(&name.host, Mirrors::First).await {
            let auth = auth.clone().filter(|_| !endpoint.mirror);
            let http = self.http(&endpoint).await?;
            let session = Session::new(http, endpoint.base.clone(), name, Access::Pull, auth);
            if let Err(fault) = session.ping().await {
                last = fault;
                continue;
            }
            match question(session).await {
                Err(fault) if endpoint.mirror => last = fault,
                outcome => return outcome,
            }
        }
        Err(last)
    }
}

/// The addresses of a registry that is not Docker Hub: without TLS only where that is allowed, and only last.
fn of(host: &str, insecure: bool) -> Vec<Endpoint> {
    let at = |scheme, trust| Endpoint { base: format!("{scheme}://{host}"), trust, mirror: false };
    if insecure {
        return vec![at("https", Trust::Anyone), at("http", Trust::Anyone)];
    }
    vec![at("https", Trust::Authorities)]
}

/// The addresses of a host, none if it has none: asking it tells the reason.
async fn addresses(host: &str) -> Vec<IpAddr> {
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
        assert_eq!(of("example:1", false).len(), 1);
        let bases = |endpoints: Vec<Endpoint>| endpoints.into_iter().map(|e| e.base).collect::<Vec<_>>();
        assert_eq!(bases(of("example:1", true)), ["https://example:1", "http://example:1"]);
    }

    #[tokio::test]
    async fn mirrors_come_before_docker_hub_and_are_no_ones_login() {
        let mirrors = vec!["http://127.0.0.1:1/a/".into(), "https://mirror.invalid/".into()];
        let client = RegistryClient::new(crate::RegistryConfig { mirrors, ..Default::default() }).unwrap();
        let found = client.endpoints("docker.io", Mirrors::First).await;
        let shown: Vec<_> = found.iter().map(|e| (e.base.as_str(), e.host(), e.trust, e.mirror)).collect();
        let wanted = [
            ("http://127.0.0.1:1/a", "127.0.0.1:1", Trust::Anyone, true),
            ("https://mirror.invalid", "mirror.invalid", Trust::Authorities, true),
            ("https://registry-1.docker.io", "registry-1.docker.io", Trust::Authorities, false),
        ];
        assert_eq!(shown, wanted);
        assert_eq!(client.endpoints("docker.io", Mirrors::Never).await.len(), 1);
    }
}
