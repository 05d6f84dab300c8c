//! Kernel parameters, and what a container must not see or change.

use super::detached::{self, Propagation, Reach};
use super::tree;
use crate::config::{Config, Linux};
use crate::error::{LaunchError, Step};
use nix::sys::stat::SFlag;
use rustix::fs::OFlags;
use rustix::mount::MountAttrFlags as Flags;
use std::collections::BTreeMap;
use std::io::Write;
use std::os::fd::OwnedFd;

/// Parameters that belong to an IPC namespace, beside all under fs.mqueue.
const IPC: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

/// Refuses parameters that would change the host.
pub fn check_sysctls(linux: &Linux) -> Result<(), LaunchError> {
    let own = |kind: &str| linux.namespaces.iter().any(|n| n.kind == kind);
    for key in linux.sysctl.keys() {
        let dotted = key.replace('/', ".");
        let ipc = IPC.contains(&dotted.as_str()) || dotted.starts_with("fs.mqueue.");
        if (ipc && own("ipc")) || (dotted == "kernel.domainname" && own("uts")) {
            continue;
        }
        if dotted.starts_with("net.") {
            if own("network") {
                continue;
            }
            return Err(LaunchError::new(
                "",
                format!("sysctl \"{key}\" not allowed in host network namespace"),
            ));
        }
        return Err(LaunchError::new("", format!("sysctl \"{key}\" is not in a separate kernel namespace")));
    }
    Ok(())
}

/// Sets kernel parameters through `proc`, a handle that nothing mounted later can stand in front of (CVE-2025-52881).
pub fn set_sysctls(proc: &OwnedFd, sysctls: &BTreeMap<String, String>) -> Result<(), LaunchError> {
    for (key, value) in sysctls {
        let step = || format!("set sysctl {key}");
        let file =
            tree::within(proc, &format!("sys/{}", key.replace('.', "/")), OFlags::WRONLY).step(step())?;
        std::fs::File::from(file).write_all(value.as_bytes()).step(step())?;
    }
    Ok(())
}

/// A path that is to be hidden; `None` when this kernel does not have it. What lies in /proc is looked up in our own
/// handle of it.
fn target(root: &OwnedFd, proc: Option<&OwnedFd>, path: &str) -> Option<OwnedFd> {
    match (path.strip_prefix("/proc/"), proc) {
        (Some(inside), Some(proc)) => tree::within(proc, inside, OFlags::PATH).ok(),
        _ => tree::resolve(root, path).ok(),
    }
}

/// Makes paths read-only and hides others.
pub fn hide(
    config: &Config,
    root: &OwnedFd,
    proc: Option<&OwnedFd>,
    null: &OwnedFd,
) -> Result<(), LaunchError> {
    for path in &config.linux.readonly_paths {
        let Some(target) = target(root, proc, path) else { continue };
        let copy = detached::copy(&target, Reach::Tree)?;
        detached::change(&copy, Reach::Tree, Flags::MOUNT_ATTR_RDONLY, Some(Propagation::Private))?;
        detached::attach(&copy, &target).map_err(|e| LaunchError::new(format!("protect {path}"), e.cause))?;
    }
    // One empty folder serves all.
    let mut empty: Option<OwnedFd> = None;
    for path in &config.linux.masked_paths {
        let Some(target) = target(root, proc, path) else { continue };
        let cover = if tree::kind_of(&target)? != SFlag::S_IFDIR {
            detached::copy(null, Reach::One)?
        } else if let Some(empty) = &empty {
            detached::copy(empty, Reach::One)?
        } else {
            let made = detached::filesystem("tmpfs", "tmpfs", "ro", Flags::MOUNT_ATTR_RDONLY)?;
            detached::attach(&made, &target)?;
            empty = Some(made);
            continue;
        };
        detached::attach(&cover, &target).map_err(|e| LaunchError::new(format!("mask {path}"), e.cause))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Namespace;

    fn linux(key: &str, namespaces: &[&str]) -> Linux {
        let namespaces = namespaces.iter().map(|k| Namespace { kind: (*k).into(), path: String::new() });
        Linux {
            sysctl: [(key.to_owned(), "1".to_owned())].into(),
            namespaces: namespaces.collect(),
            ..Linux::default()
        }
    }

    #[test]
    fn only_parameters_of_the_containers_own_namespaces_may_be_set() {
        let all = ["ipc", "network", "uts"];
        for key in ["kernel.shmmax", "fs.mqueue.msg_max", "net.ipv4.ip_forward", "net/ipv4/ip_forward"] {
            assert!(check_sysctls(&linux(key, &all)).is_ok(), "{key}");
            assert!(check_sysctls(&linux(key, &["mount"])).is_err(), "{key}");
        }
        let error = check_sysctls(&linux("kernel.panic", &all)).unwrap_err();
        assert_eq!(error.to_string(), "sysctl \"kernel.panic\" is not in a separate kernel namespace");
    }
}
