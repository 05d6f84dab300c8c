//! The log driver contract: lines in batches, cursors into the spool, and what delivery can answer.

mod catalogue;
mod destinations;

pub use catalogue::Catalogue;
pub use destinations::{Destination, FANOUT, Streams, destinations, is_common, named};

use crate::error::PortError;
use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Which of the two output streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Standard output (also everything of a tty).
    Stdout,
    /// Standard error.
    Stderr,
}

/// Where a piece stands in a line longer than the driver's line bound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partial {
    /// 64 hex digits shared by all pieces of the line.
    pub id: String,
    /// Place of this piece, from 1.
    pub ordinal: u32,
    /// True on the piece that ends the line.
    pub last: bool,
}

/// One line, or one piece of a long one, without its LF.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// Where it was written.
    pub stream: Stream,
    /// Nanoseconds since the Unix epoch at which its first byte was read.
    pub time_ns: i64,
    /// The text; any bytes.
    pub data: Bytes,
    /// Set on pieces of a long line.
    pub partial: Option<Partial>,
}

/// A record boundary in a spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Position {
    /// Segment number.
    pub segment: u64,
    /// Byte offset of the record in it.
    pub offset: u64,
}

/// How far one stream has been turned into lines.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Mark {
    /// The record that holds the next unconsumed byte.
    pub at: Position,
    /// Payload bytes of that record already consumed.
    pub skip: u32,
    /// The long line being cut, if one is: id, next ordinal, time of its first byte.
    pub partial: Option<(String, u32, i64)>,
}

/// How far a sink has got: reading the spool again from here yields exactly the lines after it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cursor {
    /// Standard output's mark.
    pub stdout: Mark,
    /// Standard error's mark.
    pub stderr: Mark,
}

impl Cursor {
    /// The record from which the spool must be kept.
    pub fn floor(&self) -> Position {
        self.stdout.at.min(self.stderr.at)
    }
}

/// Consecutive lines of one container.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// The lines, in spool order.
    pub lines: Vec<LogLine>,
    /// Where the sink stands once all of them are delivered.
    pub end: Cursor,
}

/// How large a batch a driver takes.
#[derive(Debug, Clone, Copy)]
pub struct BatchPolicy {
    /// Most lines in one batch.
    pub max_lines: usize,
    /// Most payload bytes in one batch.
    pub max_bytes: usize,
    /// Longest piece of a line, bytes (Docker: 16 KiB).
    pub max_line: usize,
    /// Which streams' lines come at all.
    pub streams: Streams,
}

impl Default for BatchPolicy {
    fn default() -> Self {
        Self { max_lines: 4096, max_bytes: 1 << 20, max_line: 16 * 1024, streams: Streams::Both }
    }
}

/// The options given for a driver, as strings.
pub type Options = BTreeMap<String, String>;

/// One option a driver knows.
#[derive(Debug, Clone, Copy)]
pub struct OptionSpec {
    /// Its key.
    pub name: &'static str,
    /// What it does, in one line.
    pub doc: &'static str,
}

/// The container whose lines are delivered, for tags, attributes and file places.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct LogSource {
    /// Full id.
    pub container_id: String,
    /// Name without leading slash.
    pub container_name: String,
    /// Full image id.
    pub image_id: String,
    /// Image as the user named it.
    pub image_name: String,
    /// Command and arguments, joined by spaces.
    pub command: String,
    /// The same, apart.
    pub args: Vec<String>,
    /// Creation, nanoseconds since the Unix epoch.
    pub created_ns: i64,
    /// `K=V` environment.
    pub env: Vec<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Folder in which file drivers write.
    pub directory: PathBuf,
}

/// Why a delivery stopped.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError {
    /// The far side cannot take it now: the same batch is sent again.
    #[error("delivery is to be tried again")]
    Retry {
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
        /// Earliest next try, if the far side named one.
        after: Option<Duration>,
    },
    /// The far side refused these lines for good; the others arrived.
    #[error("{} lines were refused", lines.len())]
    Reject {
        /// Indices into the batch.
        lines: Vec<usize>,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Nothing more can be delivered by this instance.
    #[error("the driver cannot go on")]
    Fatal {
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// An open connection to one sink for one container. It has no timer, task, buffer, retry or lock.
#[async_trait]
pub trait LogDriver: Send {
    /// Delivers every line, or says what stopped it. `Ok` means the far side has it, as far as its protocol can tell.
    async fn deliver(&mut self, batch: &Batch) -> Result<(), DeliverError>;
    /// The cursor this driver itself keeps with its data (files only); others leave it to the router.
    fn cursor(&self) -> Option<Cursor> {
        None
    }
    /// Finishes what is open. Called once.
    async fn close(self: Box<Self>) -> Result<(), DeliverError>;
}

/// What to read back.
#[derive(Debug, Clone)]
pub struct ReadRequest {
    /// Only lines at or after, ns since epoch.
    pub since_ns: Option<i64>,
    /// Only lines at or before, ns since epoch.
    pub until_ns: Option<i64>,
    /// Only the last so many.
    pub tail: Option<usize>,
}

/// One stored line read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredLine {
    /// The line; `data` ends with LF unless it was partial.
    pub line: LogLine,
    /// Extra attributes (`--details`).
    pub attrs: BTreeMap<String, String>,
}

/// Reads stored lines of a container back, oldest first; a bounded channel so that a slow reader holds nothing up.
#[async_trait]
pub trait LogReader: Send + Sync {
    /// Starts reading in the background. The returned cursor is the driver's committed one at the moment the end of
    /// the files was fixed: following from it in the spool continues without hole or repetition.
    async fn read(
        &self,
        source: &LogSource,
        options: &Options,
        request: ReadRequest,
    ) -> Result<(tokio::sync::mpsc::Receiver<Result<StoredLine, PortError>>, Cursor), PortError>;
}

/// A kind of log driver, as the catalogue lists it.
#[async_trait]
pub trait LogDriverKind: Send + Sync {
    /// `json-file`, `syslog`, …
    fn name(&self) -> &'static str;
    /// The options it knows besides the common ones.
    fn options(&self) -> &'static [OptionSpec];
    /// Checks options, with Docker's error texts.
    fn validate(&self, options: &Options) -> Result<(), PortError>;
    /// Batch bounds.
    fn batching(&self, options: &Options) -> BatchPolicy;
    /// Prepares delivery without connecting.
    async fn open(&self, source: &LogSource, options: &Options) -> Result<Box<dyn LogDriver>, PortError>;
    /// Present when what was delivered can be read back.
    fn reader(&self) -> Option<&dyn LogReader> {
        None
    }
    /// Where the driver writes, if that is a file Docker shows as `LogPath`.
    fn path(&self, _source: &LogSource) -> Option<PathBuf> {
        None
    }
}
