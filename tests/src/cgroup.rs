//! A container's control groups, as the kernel tells them.

use crate::Daemon;
use std::path::PathBuf;

/// Whether the machine has cgroup version 2 alone.
pub fn unified() -> bool {
    PathBuf::from("/sys/fs/cgroup/cgroup.controllers").exists()
}

/// Whether a file of a v1 controller's root is there.
pub fn legacy_has(file: &str) -> bool {
    PathBuf::from("/sys/fs/cgroup").join(file).exists()
}

/// The text of a file in a container's group: of a v1 controller, or of version 2.
#[track_caller]
pub fn file(gantry: &Daemon, container: &str, v1: &str, v2: &str) -> String {
    let id = gantry.inspect(container, "{{.Id}}");
    let group = format!("{}/{id}", gantry.place().cgroup().trim_start_matches('/'));
    let path = match (unified(), v1.split_once('/')) {
        (false, Some((controller, file))) => format!("/sys/fs/cgroup/{controller}/{group}/{file}"),
        _ => format!("/sys/fs/cgroup/{group}/{v2}"),
    };
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}")).trim().to_owned()
}
