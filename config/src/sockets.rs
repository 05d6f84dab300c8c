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
        Ok(Self { hosts, group, encryption })
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
