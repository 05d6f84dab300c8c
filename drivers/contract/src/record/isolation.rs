//! What sets a container apart from its host, or not.

use serde::{Deserialize, Serialize};

/// Modes of its namespaces as asked for: empty = its own, `host`, `container:<id>`, and Docker's other words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Namespaces {
    /// Process ids.
    pub pid: String,
    /// System V IPC and message queues, with /dev/shm.
    pub ipc: String,
    /// Host name.
    pub uts: String,
    /// View of the control groups.
    pub cgroup: String,
    /// User ids.
    pub user: String,
}

impl Namespaces {
    /// The other container that a mode names.
    pub fn other(mode: &str) -> Option<&str> {
        mode.strip_prefix("container:")
    }

    /// Whether it has processes of its own alone.
    pub fn own_processes(&self) -> bool {
        self.pid != "host" && Self::other(&self.pid).is_none()
    }
}

/// A device of the host inside the container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Path on the host.
    pub host: String,
    /// Path inside.
    pub inside: String,
    /// Some of `rwm`.
    pub access: String,
}
