//! The namespaces of a new process: made, joined, or shared with the host.

use super::clone;
use crate::config::{Config, Namespace};
use crate::error::{LaunchError, Step};
use nix::sched::{CloneFlags, setns};
use std::fs::File;

/// Makes the container's first process, in new namespaces where none is named by a path. A process namespace counts for
/// children only, so one that stands already is entered around the clone.
pub fn clone_into(namespaces: &[Namespace]) -> Result<i32, LaunchError> {
    let mut flags = 0;
    for namespace in namespaces.iter().filter(|n| n.path.is_empty()) {
        flags |= match namespace.kind.as_str() {
            "pid" => libc::CLONE_NEWPID,
            "mount" => libc::CLONE_NEWNS,
            "uts" => libc::CLONE_NEWUTS,
            "ipc" => libc::CLONE_NEWIPC,
            "network" => libc::CLONE_NEWNET,
            // Made once the process is in its groups, which become the namespace's root.
            "cgroup" => 0,
            other => return Err(LaunchError::new("make a namespace", format!("{other} is not known"))),
        };
    }
    let Some(joined) = namespaces.iter().find(|n| n.kind == "pid" && !n.path.is_empty()) else {
        return clone(flags);
    };
    let step = "return to this process namespace";
    let own = File::open("/proc/self/ns/pid").step(step)?;
    enter(joined, CloneFlags::CLONE_NEWPID)?;
    let made = clone(flags);
    if made.as_ref().is_ok_and(|pid| *pid == 0) {
        return made;
    }
    if let Err(error) = setns(&own, CloneFlags::CLONE_NEWPID).step(step) {
        made.iter().for_each(|pid| {
            super::kill(*pid);
            super::reap(*pid);
        });
        return Err(error);
    }
    made
}

fn enter(namespace: &Namespace, kind: CloneFlags) -> Result<(), LaunchError> {
    let step = || format!("join the {} namespace {}", namespace.kind, namespace.path);
    let file = File::open(&namespace.path).step(step())?;
    setns(file, kind).step(step())
}

/// Enters the namespaces that stand already, but for that of processes, which this process was made in.
pub fn join_all(namespaces: &[Namespace]) -> Result<(), LaunchError> {
    for namespace in namespaces.iter().filter(|n| !n.path.is_empty() && n.kind != "pid") {
        let kind = match namespace.kind.as_str() {
            "network" => CloneFlags::CLONE_NEWNET,
            "uts" => CloneFlags::CLONE_NEWUTS,
            "ipc" => CloneFlags::CLONE_NEWIPC,
            other => return Err(LaunchError::new("join a namespace", format!("{other} cannot be joined"))),
        };
        enter(namespace, kind)?;
    }
    Ok(())
}

/// Names the host inside a namespace of its own.
pub fn name_host(config: &Config) -> Result<(), LaunchError> {
    if !config.linux.namespaces.iter().any(|n| n.kind == "uts" && n.path.is_empty()) {
        return Ok(());
    }
    if !config.hostname.is_empty() {
        nix::unistd::sethostname(&config.hostname).step("set the host name")?;
    }
    if !config.domainname.is_empty() {
        // SAFETY: pointer and length are those of a live string.
        let done = unsafe { libc::setdomainname(config.domainname.as_ptr().cast(), config.domainname.len()) };
        if done != 0 {
            return Err(std::io::Error::last_os_error()).step("set the domain name");
        }
    }
    Ok(())
}
