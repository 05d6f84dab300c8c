//! Device nodes of the host: all of them, and those that a container asks for.

use crate::oci::{GivenDevice, HostDevice};
use contract::record::Device;
use contract::{Kind, PortError};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// What the path names, if it is a device node.
fn node(path: &Path) -> io::Result<Option<HostDevice>> {
    let meta = std::fs::symlink_metadata(path)?;
    let kind = meta.file_type();
    if !kind.is_char_device() && !kind.is_block_device() {
        return Ok(None);
    }
    Ok(Some(HostDevice {
        path: path.to_string_lossy().into_owned(),
        kind: if kind.is_block_device() { 'b' } else { 'c' },
        major: nix::sys::stat::major(meta.rdev()),
        minor: nix::sys::stat::minor(meta.rdev()),
        mode: meta.mode() & 0o7777,
        uid: meta.uid(),
        gid: meta.gid(),
    }))
}

/// Every node below a folder, but for what containers have of their own.
fn below(folder: &Path) -> Vec<HostDevice> {
    let mut out = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let skipped = ["pts", "shm", "fd", "mqueue", "console", "ptmx"];
            if path.file_name().and_then(|n| n.to_str()).is_some_and(|n| skipped.contains(&n)) {
                continue;
            }
            if entry.file_type().is_ok_and(|t| t.is_dir()) {
                folders.push(path);
            } else if let Ok(Some(device)) = node(&path) {
                out.push(device);
            }
        }
    }
    out
}

/// The host's device nodes, for privileged containers.
pub fn of_host() -> Vec<HostDevice> {
    below(Path::new("/dev"))
}

/// What one `--device` names: a node, a link to one, or a folder of them.
fn given(device: &Device) -> io::Result<Vec<GivenDevice>> {
    let resolved: PathBuf = std::fs::canonicalize(&device.host).or_else(|e| {
        let is_link = std::fs::symlink_metadata(&device.host).is_ok_and(|m| m.is_symlink());
        if is_link { Ok(PathBuf::from(&device.host)) } else { Err(e) }
    })?;
    let access = device.access.clone();
    if let Some(node) = node(&resolved)? {
        return Ok(vec![GivenDevice { node: HostDevice { path: device.inside.clone(), ..node }, access }]);
    }
    let found: Vec<GivenDevice> = below(&resolved)
        .into_iter()
        .filter_map(|node| {
            let rest = Path::new(&node.path).strip_prefix(&resolved).ok()?.to_owned();
            let path = Path::new(&device.inside).join(rest).to_string_lossy().into_owned();
            Some(GivenDevice { node: HostDevice { path, ..node }, access: access.clone() })
        })
        .collect();
    if found.is_empty() {
        return Err(io::Error::other("not a device node"));
    }
    Ok(found)
}

/// Looks all of a container's up; Docker's text and status tell which is missing.
pub fn look_up(devices: &[Device]) -> Result<Vec<GivenDevice>, PortError> {
    let mut out = Vec::new();
    for device in devices {
        out.extend(given(device).map_err(|e| {
            let cause = match e.raw_os_error() {
                Some(code) => nix::errno::Errno::from_raw(code).desc().to_lowercase(),
                None => e.to_string(),
            };
            let text = format!(
                "error gathering device information while adding custom device {:?}: {cause}",
                device.host
            );
            PortError::new(Kind::Exhausted, text)
        })?);
    }
    Ok(out)
}
