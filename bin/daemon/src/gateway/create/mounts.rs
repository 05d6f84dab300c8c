//! `Binds` and bind-typed `Mounts`.

use super::{invalid, refuse};
use bollard_stubs::models::{HostConfig, MountType};
use contract::PortError;
use contract::record::Bind;

/// Every bind of the request.
pub fn parse(host: &HostConfig) -> Result<Vec<Bind>, PortError> {
    let mut out = Vec::new();
    for text in host.binds.iter().flatten() {
        out.push(bind(text)?);
    }
    for mount in host.mounts.iter().flatten() {
        if mount.typ != Some(MountType::BIND) {
            return Err(refuse::option(&format!(
                "mounts of type {}",
                mount.typ.map_or_else(String::new, |t| t.to_string())
            )));
        }
        let source = mount.source.clone().unwrap_or_default();
        if !source.starts_with('/') {
            return Err(invalid(format!(
                "invalid mount config for type \"bind\": invalid mount path: '{source}' mount path must be absolute"
            )));
        }
        if !std::path::Path::new(&source).exists() {
            return Err(invalid(format!(
                "invalid mount config for type \"bind\": bind source path does not exist: {source}"
            )));
        }
        out.push(Bind {
            source,
            target: mount.target.clone().unwrap_or_default(),
            read_only: mount.read_only.unwrap_or(false),
            ..Bind::default()
        });
    }
    let mut targets: Vec<_> = out.iter().map(|b| b.target.trim_end_matches('/')).collect();
    targets.sort_unstable();
    if let Some([twice, _]) = targets.array_windows().find(|[a, b]| a == b) {
        return Err(invalid(format!("Duplicate mount point: {twice}")));
    }
    Ok(out)
}

fn bind(text: &str) -> Result<Bind, PortError> {
    let bad = || invalid(format!("invalid volume specification: '{text}'"));
    let mut parts = text.split(':');
    let (Some(source), Some(target)) = (parts.next(), parts.next()) else {
        return Err(refuse::option("anonymous volumes"));
    };
    let options = parts.next().unwrap_or_default();
    if parts.next().is_some() || target.is_empty() {
        return Err(bad());
    }
    if !source.starts_with('/') {
        return Err(refuse::option("named volumes"));
    }
    if !target.starts_with('/') {
        return Err(invalid(format!(
            "invalid volume specification: '{text}': invalid mount config for type \"bind\": invalid mount path: '{target}' mount path must be absolute"
        )));
    }
    if target.trim_end_matches('/').is_empty() {
        return Err(invalid(format!(
            "invalid volume specification: '{text}': invalid specification: destination can't be '/'"
        )));
    }
    let mut bind =
        Bind { source: source.into(), target: target.into(), make_source: true, ..Bind::default() };
    for option in options.split(',').filter(|o| !o.is_empty()) {
        match option {
            "ro" => bind.read_only = true,
            "rw" => {}
            "private" | "rprivate" | "shared" | "rshared" | "slave" | "rslave" => {
                bind.propagation = option.into()
            }
            // SELinux relabelling: there is nothing to relabel where SELinux is off, as Docker also does.
            "z" | "Z" => {}
            _ => return Err(invalid(format!("invalid mode: {options}"))),
        }
    }
    Ok(bind)
}
