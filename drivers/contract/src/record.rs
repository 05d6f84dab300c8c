//! What a container's record on disk holds: what the user asked for, and what cannot be asked again.

use crate::log::Options;
use crate::network::PortBinding;
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
    /// `bridge`, `none`, `host`.
    pub network_mode: String,
    /// Published ports as asked for (host port 0 = ephemeral).
    pub ports: Vec<PortBinding>,
    /// `-P`: publish every exposed port.
    pub publish_all: bool,
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
    /// `name`, soft, hard.
    pub ulimits: Vec<(String, i64, i64)>,
    /// Kernel parameters.
    pub sysctls: BTreeMap<String, String>,
    /// -1000…1000.
    pub oom_score_adj: i32,
    /// Removed when it ends.
    pub auto_remove: bool,
    /// Restart policy name and maximum retry count.
    pub restart: (String, i64),
    /// Log driver.
    pub log_driver: String,
    /// Log options.
    pub log_opts: Options,
    /// The create request as received (Docker's JSON), for inspect.
    pub request: serde_json::Value,
}

/// A host path inside the container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Bind {
    /// Absolute host path.
    pub source: String,
    /// Absolute path inside.
    pub target: String,
    /// No writing.
    pub read_only: bool,
    /// `rprivate` (default), `rshared`, …
    pub propagation: String,
    /// As the user wrote it.
    pub text: String,
    /// A missing source becomes a folder at the start, as Docker does for `-v`.
    pub make_source: bool,
}

/// Limits; `None`/0 = unlimited.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// Bytes.
    pub memory: i64,
    /// Bytes of memory+swap; -1 unlimited.
    pub memory_swap: i64,
    /// Soft limit, bytes.
    pub memory_reservation: i64,
    /// Relative weight.
    pub cpu_shares: i64,
    /// 1e-9 CPUs.
    pub nano_cpus: i64,
    /// Microseconds.
    pub cpu_period: i64,
    /// Microseconds.
    pub cpu_quota: i64,
    /// CPU list.
    pub cpuset_cpus: String,
    /// Memory node list.
    pub cpuset_mems: String,
    /// Processes.
    pub pids_limit: i64,
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
    /// Its last network attachment, while running.
    pub endpoint: Option<crate::network::Endpoint>,
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
