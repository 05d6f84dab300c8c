//! Where the API is served, and to whom.

use crate::error::ValueError;
use crate::host::Host;
use crate::key::{Key, Kind, Section};
use crate::source::Source;
use std::path::{Path, PathBuf};

pub(crate) const SECTION: Section = Section {
    heading: "API",
    keys: &[
        Key::new(
            "hosts",
            Kind::List,
            "ADDRESS",
            "Socket to listen on: unix:///path, tcp://host:port, fd:// [default: unix:///run/gantry.sock]",
        )
        .flag("host")
        .short('H'),
        Key::new("group", Kind::Text, "GROUP", "Group owning the unix socket [default: docker]").short('G'),
        Key::new(
            "tls",
            Kind::Switch,
            "",
            "Use TLS on tcp sockets; implied by --tlsverify. False allows tcp:// beyond loopback without TLS",
        ),
        Key::new("tlsverify", Kind::Switch, "", "Use TLS and verify clients' certificates"),
        Key::new(
            "tlscacert",
            Kind::Text,
            "FILE",
            "Trust clients' certificates signed only by this CA [default: ~/.docker/ca.pem]",
        ),
        Key::new("tlscert", Kind::Text, "FILE", "TLS certificate [default: ~/.docker/cert.pem]"),
        Key::new("tlskey", Kind::Text, "FILE", "TLS key [default: ~/.docker/key.pem]"),
        Key::new(
            "metrics-addr",
            Kind::Text,
            "HOST:PORT",
            "Serve metrics for Prometheus at http://HOST:PORT/metrics, to whoever reaches it [default: nowhere]",
        ),
    ],
};

/// What may happen on TCP sockets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encryption {
    /// No TLS: loopback only.
    Unsaid,
    /// No TLS by the administrator's explicit word: anywhere.
    Declined,
    /// TLS.
    Tls(Tls),
}

/// TLS of TCP sockets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Certificate chain, PEM.
    pub certificate: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
    /// Authorities of clients' certificates; `None` = clients need none.
    pub clients: Option<PathBuf>,
}

/// The API's sockets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sockets {
    /// Addresses, each once.
    pub hosts: Vec<Host>,
    /// Owner of unix sockets.
    pub group: Group,
    /// Of TCP sockets.
    pub encryption: Encryption,
    /// Where metrics are served, if anywhere.
    pub metrics: Option<MetricsAddress>,
}

/// A TCP address for metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsAddress {
    /// Name or address, without brackets; empty = every address of this machine.
    pub host: String,
    /// Never 0: nobody would find it.
    pub port: u16,
}

impl std::str::FromStr for MetricsAddress {
    type Err = String;

    /// `host:port`, `:port` or `[address]:port`, as Go reads it.
    fn from_str(text: &str) -> Result<Self, String> {
        let (host, port) = text.rsplit_once(':').ok_or("missing port in address")?;
        let port = port.parse().ok().filter(|p| *p != 0).ok_or_else(|| format!("invalid port: {port}"))?;
        let host = match host.strip_prefix('[') {
            Some(inner) => inner.strip_suffix(']').ok_or("missing ']' in address")?,
            None if host.contains(':') => return Err("too many colons in address".to_owned()),
            None => host,
        };
        if host.contains(['/', '[', ']']) {
            return Err("it must be host:port".to_owned());
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

/// The group of unix sockets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Group {
    /// `docker`, if there is such a group.
    Default,
    /// The daemon's own.
    Own,
    /// This one, by name or number: it must exist.
    Named(String),
}

impl Sockets {
    /// `home` is where certificates lie when nothing names them.
    pub(crate) fn read(source: &Source, home: &Path) -> Result<Self, ValueError> {
        let encryption = encryption(source, &home.join(".docker"))?;
        let mut hosts = Vec::new();
        for text in source.list("hosts")?.iter().filter(|t| !t.trim().is_empty()) {
            let host: Host = text.parse().map_err(ValueError::Told)?;
            if !hosts.contains(&host) {
                hosts.push(host);
            }
        }
        if hosts.is_empty() {
            hosts.push(Host::default_for(matches!(encryption, Encryption::Tls(_))));
        }
        let group = match source.text("group")? {
            None => Group::Default,
            Some(name) if name == "docker" => Group::Default,
            Some(name) if name.is_empty() => Group::Own,
            Some(name) => Group::Named(name),
        };
        let metrics = match source.some_text("metrics-addr")? {
            None => None,
            Some(text) => {
                let read = text.parse();
                Some(read.map_err(|why: String| source.wrong("metrics-addr", format!("{text:?}: {why}")))?)
            }
        };
        Ok(Self { hosts, group, encryption, metrics })
    }
}

/// Docker's rule: saying anything about verification means TLS, and TLS verifies unless told not to.
fn encryption(source: &Source, folder: &Path) -> Result<Encryption, ValueError> {
    let (tls, verify) = (source.switch("tls")?, source.switch("tlsverify")?);
    let file = |key: &'static str, name: &str| -> Result<PathBuf, ValueError> {
        Ok(source.some_text(key)?.map_or_else(|| folder.join(name), PathBuf::from))
    };
    let (authorities, certificate, key) =
        (file("tlscacert", "ca.pem")?, file("tlscert", "cert.pem")?, file("tlskey", "key.pem")?);
    match (tls, verify) {
        (None, None) => Ok(Encryption::Unsaid),
        (Some(false), None) => Ok(Encryption::Declined),
        (_, verify) => {
            let clients = verify.unwrap_or(true).then_some(authorities);
            Ok(Encryption::Tls(Tls { certificate, key, clients }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::MetricsAddress;

    #[test]
    fn a_metrics_address_is_a_host_and_a_port() {
        for (text, host, port) in [
            ("127.0.0.1:9323", "127.0.0.1", 9323),
            (":9323", "", 9323),
            ("[::1]:9323", "::1", 9323),
            ("localhost:1", "localhost", 1),
        ] {
            assert_eq!(text.parse(), Ok(MetricsAddress { host: host.to_owned(), port }), "{text}");
        }
        for (text, why) in [
            ("localhost", "missing port in address"),
            ("localhost:0", "invalid port: 0"),
            ("localhost:http", "invalid port: http"),
            ("::1:9323", "too many colons in address"),
            ("[::1:9323", "missing ']' in address"),
            ("http://a:1", "too many colons in address"),
        ] {
            assert_eq!(text.parse::<MetricsAddress>(), Err(why.to_owned()), "{text}");
        }
    }
}
