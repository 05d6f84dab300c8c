//! The sockets the API is served on.

use crate::gateway::serve;
use anyhow::{Context as _, bail};
use axum::Router;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;

/// Opens a socket and serves on it. Answers its path if it is one to remove at the end.
pub async fn serve(
    host: &str,
    group: &str,
    router: Router,
    stop: CancellationToken,
) -> anyhow::Result<Option<PathBuf>> {
    if let Some(path) = host.strip_prefix("unix://") {
        let path = PathBuf::from(path);
        let listener = unix(&path, group).with_context(|| format!("listen on {host}"))?;
        tokio::spawn(serve::unix(listener, router, stop));
        return Ok(Some(path));
    }
    if let Some(address) = host.strip_prefix("tcp://") {
        let listener = TcpListener::bind(address).await.with_context(|| format!("listen on {host}"))?;
        if !listener.local_addr().is_ok_and(|a| a.ip().is_loopback()) {
            bail!("gantry does not serve {host} without TLS: only loopback addresses can be used yet");
        }
        tokio::spawn(serve::tcp(listener, router, stop));
        return Ok(None);
    }
    bail!("invalid bind address ({host}): must be unix:// or tcp://")
}

fn unix(path: &Path, group: &str) -> anyhow::Result<UnixListener> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).context("make its folder")?;
    }
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        bail!("another daemon is listening there");
    }
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e).context("remove the old socket"),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).context("set its permissions")?;
    match nix::unistd::Group::from_name(group) {
        Ok(Some(found)) => nix::unistd::chown(path, None, Some(found.gid)).context("set its group")?,
        _ => tracing::debug!(group, "no such group: the socket stays root's"),
    }
    Ok(listener)
}
