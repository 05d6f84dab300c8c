//! What is bound from the host: made where that was asked for, and fit to be passed on.

use super::mountinfo;
use crate::file::failed;
use contract::record::Bind;
use contract::{Kind, PortError};
use std::path::Path;

/// Makes a bind's source and proves its propagation, with Docker's texts.
pub fn ensure(bind: &Bind) -> Result<(), PortError> {
    let source = Path::new(&bind.source);
    if bind.make_source && !source.exists() {
        std::fs::create_dir_all(source).map_err(|e| {
            let text = format!("error while creating mount source path '{}': mkdir {0}", bind.source);
            PortError::caused(Kind::Bug, text, e)
        })?;
    }
    let (wanted, name): (&[&str], _) = match bind.propagation.trim_start_matches('r') {
        "shared" => (&["shared:"], "shared"),
        "slave" => (&["shared:", "master:"], "shared or slave"),
        _ => return Ok(()),
    };
    let whole = std::fs::canonicalize(source).map_err(failed("looking up", source))?;
    let mount = mountinfo::of(&whole)?.ok_or_else(|| {
        PortError::new(Kind::Bug, format!("Can't find mount point of {}", source.display()))
    })?;
    if mount.peers.iter().any(|p| wanted.iter().any(|w| p.starts_with(w))) {
        return Ok(());
    }
    let text =
        format!("path {} is mounted on {} but it is not a {name} mount", bind.source, mount.at.display());
    Err(PortError::new(Kind::Bug, text))
}
