//! What a container's record on disk holds: what the user asked for, and what cannot be asked again.

mod attachment;
mod health;
mod isolation;
mod log_store;
mod mounts;
mod network;
mod resources;
mod restart;

pub use attachment::{Attachment, IFNAME, Link, SYSCTLS};
pub use health::{Health, HealthState, Probe, Wellbeing};
pub use isolation::{Device, Namespaces};
pub use log_store::LogStore;
pub use mounts::{Bind, VolumeUse};
pub use network::{Configuration, NetworkSpec};
pub use resources::{DeviceRate, DeviceWeight, Resources};
pub use restart::Backoff;

use crate::error::PortError;
use crate::log::{Delivery, Destination, Options, destinations};
use crate::network::PortSpec;
use crate::runtime::WhenFull;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Configuration of one container, resolved against its image at creation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerSpec {
    /// 64 hex digits.
    pub id: String,
    /// Image id (`sha256:…`).
    pub image: String,
    /// Image as the user named it.
    pub image_name: String,
    /// Creation, ns since the Unix epoch.
    pub created_ns: i64,
    /// Resolved argument vector (entrypoint + command); element 0 is the program.
    pub args: Vec<String>,
    /// How many of `args` come from the entrypoint.
    pub entrypoint_len: usize,
    /// `K=V`, image's first, PATH ensured.
    pub env: Vec<String>,
    /// Working folder; empty = `/`.
    pub working_dir: String,
    /// `user[:group]`, names or numbers; empty = root.
    pub user: String,
    /// Supplementary groups by name or number.
    pub groups: Vec<String>,
    /// Host name inside.
    pub hostname: String,
    /// Domain name.
    pub domainname: String,
    /// A tty is wanted.
    pub tty: bool,
    /// The tty's first size, rows and columns.
    pub console_size: Option<(u16, u16)>,
    /// Stdin stays open.
    pub open_stdin: bool,
    /// Stdin closes after the first attached client leaves.
    pub stdin_once: bool,
    /// Attach flags as given, for inspect.
    pub attach: [bool; 3],
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Signal for stop, e.g. `SIGTERM`; empty = SIGTERM.
    pub stop_signal: String,
    /// Seconds between stop signal and kill; default 10.
    pub stop_timeout: Option<i64>,
    /// Bind mounts.
    pub binds: Vec<Bind>,
    /// Named and anonymous volumes.
    pub volumes: Vec<VolumeUse>,
    /// Paths that the image or the request says are volumes, mounted over or not.
    pub declared_volumes: Vec<String>,
    /// tmpfs mounts: target → options.
    pub tmpfs: BTreeMap<String, String>,
    /// Root is read-only.
    pub read_only: bool,
    /// Everything allowed.
    pub privileged: bool,
    /// Capabilities added.
    pub cap_add: Vec<String>,
    /// Capabilities dropped.
    pub cap_drop: Vec<String>,
    /// `no-new-privileges`, `seccomp=…`.
    pub security_opt: Vec<String>,
    /// Namespaces that are not its own.
    pub namespaces: Namespaces,
    /// Devices of the host.
    pub devices: Vec<Device>,
    /// Device rules, `c 1:3 rwm`.
    pub device_rules: Vec<String>,
    /// Hidden paths; `None` = the engine's.
    pub masked_paths: Option<Vec<String>>,
    /// Read-only paths; `None` = the engine's.
    pub readonly_paths: Option<Vec<String>>,
    /// A small init reaps its processes.
    pub init: bool,
    /// OCI runtime by name; empty = gantry's own.
    pub runtime: String,
    /// `bridge`, `none`, `host`, `container:ID` or a network's name.
    pub network_mode: String,
    /// What was asked of each network's attachment, by the network's name.
    pub attachments: BTreeMap<String, Attachment>,
    /// Links on the default bridge.
    pub links: Vec<Link>,
    /// Published ports as asked for, those of `-P` among them.
    pub ports: Vec<PortSpec>,
    /// Exposed ports, `80/tcp`.
    pub exposed: Vec<String>,
    /// Lines `name:ip` for /etc/hosts.
    pub extra_hosts: Vec<String>,
    /// DNS servers, search domains, options.
    pub dns: Vec<String>,
    /// DNS search domains.
    pub dns_search: Vec<String>,
    /// DNS resolver options.
    pub dns_options: Vec<String>,
    /// Bytes of /dev/shm.
    pub shm_size: i64,
    /// Limits.
    pub resources: Resources,
    /// cgroup under which it gets its own; empty = the daemon's.
    pub cgroup_parent: String,
    /// Most bytes its own layer may take.
    pub storage_size: Option<u64>,
    /// `name`, soft, hard.
    pub ulimits: Vec<(String, i64, i64)>,
    /// Kernel parameters.
    pub sysctls: BTreeMap<String, String>,
    /// -1000…1000.
    pub oom_score_adj: i32,
    /// Removed when it ends.
    pub auto_remove: bool,
    /// The build it carries a step of out for; it does not outlive it, nor the daemon. Empty = none.
    pub build: String,
    /// Its health check, if any.
    pub health: Option<Health>,
    /// Restart policy name and maximum retry count.
    pub restart: (String, i64),
    /// The pauses before its policy's restarts, where they are not Docker's.
    pub backoff: Backoff,
    /// Log driver.
    pub log_driver: String,
    /// Log options.
    pub log_opts: Options,
    /// Where its lines go besides, by the daemon's configuration when it was made.
    pub log_sinks: Vec<Destination>,
    /// What holds its lines of before its log driver was changed, the latest first.
    pub log_stores: Vec<LogStore>,
    /// The create request as received (Docker's JSON), for inspect.
    pub request: serde_json::Value,
}

impl ContainerSpec {
    /// Everywhere its lines go.
    pub fn destinations(&self) -> Result<Vec<Destination>, PortError> {
        let mut all = destinations(&self.log_driver, &self.log_opts)?;
        if self.log_driver != "none" {
            all.extend(self.log_sinks.iter().cloned());
        }
        Ok(all)
    }

    /// What becomes of output that finds its spool full.
    pub fn when_full(&self) -> WhenFull {
        // One destination for which the container is to wait is enough.
        let waits = |d: &Destination| d.delivery == Delivery::Blocking;
        match self.destinations() {
            Ok(all) if !all.iter().any(waits) => WhenFull::Drop,
            _ => WhenFull::Wait,
        }
    }

    /// Its health check, if it has one that is run.
    pub fn probe(&self) -> Option<&Health> {
        self.health.as_ref().filter(|h| !h.args.is_empty())
    }
}

/// What happened to a container so far; changes with every start and exit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerState {
    /// Name without slash.
    pub name: String,
    /// The user wants it running (set by start, cleared by stop and exit).
    pub wanted: bool,
    /// The user stopped it: its restart policy does not apply before the next start.
    pub stopped: bool,
    /// It was started at least once.
    pub started: bool,
    /// Its last start, ns since epoch; 0 = never.
    pub started_ns: i64,
    /// Its last end, ns since epoch; 0 = never.
    pub finished_ns: i64,
    /// Last exit code.
    pub exit_code: i32,
    /// The kernel killed it for memory.
    pub oom_killed: bool,
    /// Last start's error.
    pub error: String,
    /// Restarts by policy.
    pub restart_count: i64,
    /// What its health check has found.
    pub health: Option<HealthState>,
    /// The networks it belongs to, by name.
    pub networks: BTreeMap<String, Attachment>,
    /// Its network attachments while running; the first has the first interface.
    pub endpoints: Vec<crate::network::Endpoint>,
    /// Network attachments that were begun while it ran and are not among the others yet: what a daemon that ends in
    /// between leaves of them is taken away by the next.
    pub joining: Vec<crate::network::Endpoint>,
    /// Aliases of links that were taken away again.
    pub unlinked: Vec<String>,
    /// How many starts have come to an end, by an exit or by failing.
    pub ends: u64,
    /// The code the last of them left; a start does not take it back, so that who waited hears of it.
    pub ended_with: i32,
    /// Number of the start: names its spool generation.
    pub attempt: u64,
}

/// Record as loaded.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ContainerRecord {
    /// Wish.
    pub spec: ContainerSpec,
    /// History.
    pub state: ContainerState,
}
