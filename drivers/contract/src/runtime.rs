//! The runtime port: sandboxes run by shims, their output spool, their ends.

use crate::error::PortError;
use crate::id::{ContainerId, ExecId};
use crate::log::{Cursor, Losses, Position, Stream, Stretch};
use crate::record::{ContainerSpec, Resources};
use crate::usage::{Shortage, Usage};
use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use tokio::io::AsyncWrite;
use tokio::sync::watch;

/// The root a container runs on, as overlay layers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootSpec {
    /// Read-only layer folders, topmost first.
    pub lower: Vec<PathBuf>,
    /// The container's own layer.
    pub upper: PathBuf,
    /// Overlay's scratch folder.
    pub work: PathBuf,
    /// Mount point.
    pub target: PathBuf,
}

/// Everything a sandbox is made from.
#[derive(Debug, Clone)]
pub struct SandboxSpec {
    /// The container's configuration.
    pub container: ContainerSpec,
    /// Its root.
    pub root: RootSpec,
    /// The container's folder: spool, socket, exit record, hosts, hostname, resolv.conf.
    pub directory: PathBuf,
    /// Addresses inside, for /etc/hosts; none without network.
    pub addresses: Vec<std::net::IpAddr>,
    /// Further lines of /etc/hosts: an address and its names.
    pub hosts: Vec<(std::net::IpAddr, String)>,
    /// Variables that come before the container's own.
    pub environment: Vec<String>,
    /// The default bridge's addresses, for `host-gateway`.
    pub gateways: Vec<std::net::IpAddr>,
    /// Who answers its questions for names.
    pub answers: Answers,
    /// The folder of another container whose hosts, hostname and resolv.conf it shares.
    pub files_of: Option<PathBuf>,
    /// The network namespace to join; `None` shares the host's.
    pub netns: Option<PathBuf>,
    /// Other containers whose namespaces it shares.
    pub joined: Joined,
}

/// Host pids of the first processes of the containers that another one shares namespaces with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Joined {
    /// Whose processes it sees.
    pub pid: Option<i32>,
    /// Whose System V IPC, message queues and /dev/shm it uses.
    pub ipc: Option<i32>,
}

/// Who answers a container's questions for names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Answers {
    /// The servers its host asks, or those it was given.
    #[default]
    Servers,
    /// The daemon, inside its namespace.
    Daemon,
}

/// What creation yields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// Process id of the container's init on the host.
    pub pid: i32,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Exit code, 128+n for signals.
    pub code: i32,
    /// Nanoseconds since the epoch.
    pub at_ns: i64,
    /// The kernel killed it for memory.
    pub oom_killed: bool,
}

/// A sandbox's state as its shim tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskStatus {
    /// Nothing runs and no exit is recorded.
    Absent,
    /// Made, waiting at the start gate.
    Created {
        /// Init's pid.
        pid: i32,
    },
    /// Running.
    Running {
        /// Init's pid.
        pid: i32,
    },
    /// Frozen.
    Paused {
        /// Init's pid.
        pid: i32,
    },
    /// Ended.
    Exited(Exit),
}

/// A process to run in a sandbox.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExecSpec {
    /// Argument vector.
    pub args: Vec<String>,
    /// Whole environment, `K=V`.
    pub env: Vec<String>,
    /// Working folder.
    pub working_dir: String,
    /// `user[:group]`.
    pub user: String,
    /// Tty wanted.
    pub tty: bool,
    /// Stdin is connected.
    pub stdin: bool,
    /// Output is wanted; else it goes to /dev/null.
    pub output: bool,
    /// All privileges.
    pub privileged: bool,
    /// It is killed, with what it started, when its client leaves.
    pub bound: bool,
    /// Whether its client wants stdout, and stderr.
    pub attach: [bool; 2],
    /// The sequence by which its client leaves a tty; empty = Docker's.
    pub detach_keys: String,
}

/// Main process or exec session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The container's main process.
    Main,
    /// An exec session.
    Exec(ExecId),
}

/// What becomes of output that finds its container's spool full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// It is not read, so that the container waits (`mode=blocking`).
    Wait,
    /// It is dropped and counted (`mode=non-blocking`).
    Drop,
}

/// Raw input to a process: written bytes reach its stdin, shutdown closes it.
pub type Input = Box<dyn AsyncWrite + Send + Unpin>;
/// Frames read from a process, in order, ends at its end.
pub type Output = tokio::sync::mpsc::Receiver<(Stream, Bytes)>;

/// Both directions of an attachment.
pub struct Attachment {
    /// To the process; `None` when stdin is not open.
    pub input: Option<Input>,
    /// From an exec session, from its start. A main process's output is in its spool: here it is empty.
    pub output: Output,
}

/// Runs sandboxes. Every verb may be repeated.
#[async_trait]
pub trait Runtime: Send + Sync {
    /// Launches the shim; the sandbox waits at the start gate. Repeating it returns the existing one.
    async fn ensure_created(&self, spec: &SandboxSpec) -> Result<Created, PortError>;
    /// Opens the gate; the error is the exec failure with Docker's text (not found: Kind::NotFound → 127,
    /// permission: Kind::Denied → 126).
    async fn ensure_started(&self, id: &ContainerId) -> Result<(), PortError>;
    /// Asks the shim, else reads the exit record.
    async fn status(&self, id: &ContainerId) -> Result<TaskStatus, PortError>;
    /// Resolves once the main process has ended and all its output is in the spool. A shim that vanished without an
    /// exit record yields code 137 after its cgroup was killed.
    async fn exited(&self, id: &ContainerId) -> Result<Exit, PortError>;
    /// Sends a signal to the main process; SIGKILL goes to the whole sandbox.
    async fn signal(&self, id: &ContainerId, signal: i32) -> Result<(), PortError>;
    /// Freezes or thaws.
    async fn set_frozen(&self, id: &ContainerId, frozen: bool) -> Result<(), PortError>;
    /// Sets a tty's size in cells.
    async fn resize(&self, id: &ContainerId, target: &Target, rows: u16, cols: u16) -> Result<(), PortError>;
    /// Joins the process's stdio.
    async fn attach(&self, id: &ContainerId, target: &Target) -> Result<Attachment, PortError>;
    /// Starts a process inside; output waits for an attach only if `spec` asks for stdio.
    async fn exec(&self, id: &ContainerId, exec: &ExecId, spec: &ExecSpec) -> Result<i32, PortError>;
    /// Resolves with the exec's exit code.
    async fn exec_exited(&self, id: &ContainerId, exec: &ExecId) -> Result<i32, PortError>;
    /// Gives the lines of a name in a container's /etc/hosts new addresses, or takes them away where there are none.
    /// Written in place: the file is mounted.
    async fn rewrite_hosts(
        &self,
        id: &ContainerId,
        name: &str,
        addresses: &[std::net::IpAddr],
    ) -> Result<(), PortError>;
    /// Has a running container's own lines in its /etc/hosts follow its addresses, in place.
    async fn move_hosts(
        &self,
        container: &ContainerSpec,
        from: &[std::net::IpAddr],
        to: &[std::net::IpAddr],
    ) -> Result<(), PortError>;
    /// Has a container's names answered by the daemon from now on: its resolv.conf, in place, unless a user has edited it.
    async fn rewrite_resolver(&self, container: &ContainerSpec) -> Result<(), PortError>;
    /// Host pids of all processes of the sandbox.
    async fn processes(&self, id: &ContainerId) -> Result<Vec<i32>, PortError>;
    /// Brings a running container's limits from one to the other: all of them, or none.
    async fn change_limits(
        &self,
        id: &ContainerId,
        from: &Resources,
        to: &Resources,
    ) -> Result<(), PortError>;
    /// Has a running container's output meet a full spool in another way from now on.
    async fn set_when_full(&self, id: &ContainerId, when_full: WhenFull) -> Result<(), PortError>;
    /// Bytes of a running container's output that found no room in its spool, and of which that does not tell yet.
    async fn unspooled(&self, id: &ContainerId) -> Result<u64, PortError>;
    /// A running container's counters; `network` is the pid whose interfaces are told, if any are its own.
    async fn usage(&self, id: &ContainerId, network: Option<i32>) -> Result<Usage, PortError>;
    /// Resolves once want of memory has led to more than `told`; fails when the container has ended.
    async fn shortage(&self, id: &ContainerId, told: Shortage) -> Result<Shortage, PortError>;
    /// Ends whatever remains (processes, shim, cgroup, socket), keeps the spool and the exit record.
    async fn remove(&self, id: &ContainerId) -> Result<(), PortError>;
}

/// What of a container's output is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// So many bytes, for which the spool had no room.
    Unspooled(u64),
    /// Nobody knows how much: what stands in the spool cannot be read.
    Unreadable,
    /// What the container's shim had not written when it died, if there was anything.
    Unwritten,
}

/// A piece of output as the shim recorded it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpoolRecord {
    /// Bytes read at once.
    Data {
        /// This record's place.
        at: Position,
        /// Stream.
        stream: Stream,
        /// ns since the epoch.
        time_ns: i64,
        /// For so long before that the spool had no room and nothing was read, ns.
        held_ns: i64,
        /// Payload.
        data: Bytes,
    },
    /// Output is missing here.
    Gap {
        /// This record's place.
        at: Position,
        /// ns since the epoch at which output was read again, or about then.
        time_ns: i64,
        /// What it was.
        missing: Missing,
    },
    /// Nothing follows for this start of the container.
    End {
        /// This record's place.
        at: Position,
        /// ns since the epoch at which the output had ended.
        time_ns: i64,
    },
}

/// One container's spool, and the cursor files beside it.
#[async_trait]
pub trait Spool: Send + Sync {
    /// Records from `from`, at most about `max_bytes`; and the position after them. Empty = nothing new yet.
    async fn read(&self, from: Position, max_bytes: usize)
    -> Result<(Vec<SpoolRecord>, Position), PortError>;
    /// The place after the last record there is.
    async fn end(&self) -> Result<Position, PortError>;
    /// Changes whenever there may be more.
    fn more(&self) -> watch::Receiver<u64>;
    /// Segments with nothing of these stretches may go. One of them has no end, so what is written now stays.
    async fn trim(&self, keep: &[Stretch]) -> Result<(), PortError>;
    /// Most bytes that it may hold before the container waits.
    fn budget(&self) -> u64;
    /// The segments there are, ascending, and the bytes in each.
    async fn extent(&self) -> Result<Vec<(u64, u64)>, PortError>;
    /// Whether the container has written more that finds no room in it.
    async fn owes(&self) -> Result<bool, PortError> {
        Ok(false)
    }
    /// The stored cursor of a sink.
    async fn load_cursor(&self, sink: &str) -> Result<Option<Cursor>, PortError>;
    /// Stores it in one step; on a full disk, too, if it was stored before.
    async fn store_cursor(&self, sink: &str, cursor: &Cursor) -> Result<(), PortError>;
    /// What a sink was not given, as it was stored last.
    async fn load_losses(&self, sink: &str) -> Result<Option<Losses>, PortError>;
    /// Stores it likewise.
    async fn store_losses(&self, sink: &str, losses: &Losses) -> Result<(), PortError>;
    /// Forgets the cursors of all sinks but these.
    async fn keep_cursors(&self, sinks: &[String]) -> Result<(), PortError>;
}

/// Opens spools.
pub trait Spools: Send + Sync {
    /// The spool in a container's folder; exists even when nothing was written yet.
    fn open(&self, id: &ContainerId, directory: PathBuf) -> std::sync::Arc<dyn Spool>;
}
