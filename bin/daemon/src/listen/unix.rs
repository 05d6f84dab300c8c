//! Unix sockets: who may write to them.

use anyhow::{Context as _, anyhow, bail};
use config::Group;
use nix::unistd::Gid;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use tokio::net::UnixListener;

/// Opens a socket that its group may use.
pub fn bind(path: &Path, group: &Group) -> anyhow::Result<UnixListener> {
    let owner = owner(group)?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).context("make its folder")?;
    }
    // Left behind by a daemon that was killed, it can be taken over; one that somebody answers on cannot.
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        bail!("listen unix {}: bind: address already in use", path.display());
    }
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e).context("remove the old socket"),
        _ => {}
    }
    let listener = UnixListener::bind(path).with_context(|| format!("listen unix {}", path.display()))?;
    let opened = open_to(path, owner);
    if opened.is_err() {
        // Nobody will serve it.
        let _unserved = std::fs::remove_file(path);
    }
    opened.map(|()| listener)
}

fn open_to(path: &Path, owner: Option<Gid>) -> anyhow::Result<()> {
    // The group first: the mode never lets in another one.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).context("set its permissions")?;
    if let Some(gid) = owner {
        nix::unistd::chown(path, None, Some(gid)).context("set its group")?;
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).context("set its permissions")
}

/// The group by name, then by number. Only the default one may be missing.
fn owner(group: &Group) -> anyhow::Result<Option<Gid>> {
    let by_name = |name: &str| nix::unistd::Group::from_name(name).ok().flatten().map(|g| g.gid);
    match group {
        Group::Own => Ok(None),
        Group::Default => {
            let found = by_name("docker");
            if found.is_none() {
                tracing::warn!("there is no group docker: the socket is root's alone");
            }
            Ok(found)
        }
        Group::Named(name) => by_name(name)
            .or_else(|| name.parse().ok().map(Gid::from_raw))
            .map(Some)
            .ok_or_else(|| anyhow!("group {name} not found")),
    }
}
