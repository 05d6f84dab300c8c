//! The root: an overlay of the image's layers, or a folder.

use crate::config::{Config, Overlay};
use crate::error::{LaunchError, Step};
use nix::mount::{MsFlags, mount};
use rustix::fs::{Mode, OFlags};
use std::os::fd::{AsRawFd, OwnedFd};

/// Mounts it; answers where.
pub fn mount_root(config: &Config) -> Result<String, LaunchError> {
    let Some(text) = config.annotations.get("gantry.overlay") else {
        let path = config.root.path.as_str();
        let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
        mount(Some(path), path, None::<&str>, flags, None::<&str>).step(format!("bind root {path}"))?;
        return Ok(path.to_owned());
    };
    let overlay: Overlay =
        serde_json::from_str(text).map_err(|e| LaunchError::new("read the overlay annotation", e))?;
    let lower: Vec<&str> = overlay.lower.iter().map(String::as_str).collect();
    let own = Own { upper: &overlay.upper, work: &overlay.work, volatile: overlay.volatile };
    mount_layers(&lower, Some(own), &overlay.target)?;
    Ok(overlay.target)
}

/// The writable part of an overlay.
pub struct Own<'a> {
    pub upper: &'a str,
    pub work: &'a str,
    pub volatile: bool,
}

/// Mounts layers, topmost first, over each other; without an own one they can only be read.
pub fn mount_layers(lower: &[&str], own: Option<Own<'_>>, target: &str) -> Result<(), LaunchError> {
    // mount(2) takes one page of options, which the paths of some forty layers fill. By descriptor there is room for
    // Docker's 127, a colon in a path harms nothing, and the container's mount table does not show the host's paths.
    let mut held: Vec<OwnedFd> = Vec::new();
    let mut name = |path: &str| -> Result<String, LaunchError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(path, flags, Mode::empty()).step(format!("open layer {path}"))?;
        let name = format!("/proc/self/fd/{}", folder.as_raw_fd());
        held.push(folder);
        Ok(name)
    };
    let lower = lower.iter().map(|l| name(l)).collect::<Result<Vec<_>, _>>()?.join(":");
    let mut options = format!("lowerdir={lower}");
    let mut flags = MsFlags::MS_RDONLY;
    if let Some(own) = own {
        flags = MsFlags::empty();
        // A kernel may have redirects and copies of metadata alone on by default: layers made so would mean nothing to
        // other hosts, nor to whoever reads them without the ones below.
        let whole = "redirect_dir=off,metacopy=off";
        options.push_str(&format!(",upperdir={},workdir={},{whole}", name(own.upper)?, name(own.work)?));
        // Without it the kernel syncs the whole file system that holds the layer when the container ends (measured: 40 ms
        // and more beside other writers). Its own mark of an unsynced layer would forbid mounting this one again.
        if own.volatile {
            match std::fs::remove_dir_all(format!("{}/work/incompat", own.work)) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(e).step("take the layer back");
                }
                _ => options.push_str(",volatile"),
            }
        }
    }
    mount(Some("overlay"), target, Some("overlay"), flags, Some(options.as_str()))
        .step(format!("mount overlay at {target}"))
}
