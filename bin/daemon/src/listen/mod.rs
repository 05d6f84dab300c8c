//! The sockets the API is served on, all opened before anything else is touched.

mod handed;
mod unix;

use crate::gateway::serve::Listener;
use anyhow::{Context as _, bail};
use config::{Encryption, Host, MetricsAddress, Sockets};
use listenfd::ListenFd;
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio_rustls::TlsAcceptor;

/// Open sockets.
#[derive(Default)]
pub struct Open {
    /// Each with its address.
    pub listeners: Vec<(Host, Listener)>,
    /// Files to remove at the end.
    pub paths: Vec<PathBuf>,
}

impl Drop for Open {
    fn drop(&mut self) {
        for path in &self.paths {
            if let Err(error) = std::fs::remove_file(path) {
                tracing::warn!("removing {}: {error}", path.display());
            }
        }
    }
}

/// Opens every socket of a configuration, or none.
pub async fn open(sockets: &Sockets, tls: Option<&TlsAcceptor>) -> anyhow::Result<Open> {
    let mut open = Open::default();
    let mut handed = ListenFd::from_env();
    for host in &sockets.hosts {
        match host {
            Host::Unix(path) => {
                let listener = unix::bind(path, &sockets.group);
                let listener =
                    listener.with_context(|| format!("can't create unix socket {}", path.display()))?;
                open.paths.push(path.clone());
                open.listeners.push((host.clone(), Listener::Unix(listener)));
            }
            Host::Tcp(name, port) => {
                for listener in tcp(name, *port, &sockets.encryption).await? {
                    open.listeners.push((host.clone(), Listener::Tcp(listener, tls.cloned())));
                }
            }
            Host::Fd(which) => {
                let taken = handed::take(&mut handed, *which, tls)?;
                open.listeners.extend(taken.into_iter().map(|l| (host.clone(), l)));
            }
        }
    }
    Ok(open)
}

/// Every address of a name. Beyond loopback, no TLS must have been said in so many words: whoever reaches the API is
/// root on this machine.
async fn tcp(name: &str, port: u16, encryption: &Encryption) -> anyhow::Result<Vec<tokio::net::TcpListener>> {
    let addresses: Vec<SocketAddr> = tokio::net::lookup_host((name, port))
        .await
        .with_context(|| format!("listen tcp {name}:{port}: look the name up"))?
        .collect();
    let host = Host::Tcp(name.to_owned(), port);
    let far = addresses.iter().any(|a| !a.ip().is_loopback());
    match encryption {
        Encryption::Tls(tls) if tls.clients.is_none() => tracing::warn!(
            "{host} asks clients for no certificate: whoever reaches it is root on this machine; use --tlsverify"
        ),
        Encryption::Tls(_) => {}
        Encryption::Unsaid if far => bail!(
            "{host} would be reached from other machines without TLS, and whoever reaches it is root on this one: \
             use --tlsverify with --tlscacert, --tlscert and --tlskey, or say --tls=false if that is meant"
        ),
        Encryption::Unsaid | Encryption::Declined => tracing::warn!(
            "Binding to IP address without --tlsverify is insecure and gives root access on this machine to everyone \
             who has access to your network. host={host}"
        ),
    }
    bind(addresses).await
}

/// Where metrics are served: they give nobody power over anything, so that any address will do.
pub async fn metrics(address: &MetricsAddress) -> anyhow::Result<Vec<tokio::net::TcpListener>> {
    let MetricsAddress { host, port } = address;
    if host.is_empty() {
        let both = bind(vec![(std::net::Ipv6Addr::UNSPECIFIED, *port).into()]).await;
        return match both {
            Err(e) if without_ipv6(&e) => bind(vec![(std::net::Ipv4Addr::UNSPECIFIED, *port).into()]).await,
            bound => bound,
        };
    }
    let found = tokio::net::lookup_host((host.as_str(), *port)).await;
    bind(found.with_context(|| format!("listen tcp {host}:{port}: look the name up"))?.collect()).await
}

fn without_ipv6(error: &anyhow::Error) -> bool {
    let code = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error);
    matches!(code, Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL))
}

async fn bind(addresses: Vec<SocketAddr>) -> anyhow::Result<Vec<tokio::net::TcpListener>> {
    let mut out = Vec::new();
    for address in addresses {
        match tokio::net::TcpListener::bind(address).await {
            Ok(listener) => out.push(listener),
            // Of localhost's two addresses a machine may have only one.
            Err(e)
                if e.raw_os_error() == Some(libc::EADDRNOTAVAIL) && address.is_ipv6() && !out.is_empty() => {}
            Err(e) if e.kind() == std::io::ErrorKind::AddrInUse => {
                bail!("listen tcp {address}: bind: address already in use")
            }
            Err(e) => return Err(e).with_context(|| format!("listen tcp {address}")),
        }
    }
    Ok(out)
}
