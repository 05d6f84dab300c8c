//! The log driver contract: lines in batches, cursors into the spool, and what delivery can answer.

mod catalogue;
mod delivery;
mod destinations;
mod losses;
mod reading;
mod records;
mod remote;
mod size;

pub use catalogue::Catalogue;
pub use delivery::{Delivery, Overflow};
pub use destinations::{DAEMONS, Destination, FANOUT, Streams, destinations, is_common, named};
pub use losses::{Dropped, Loss, Losses, Stretch};
pub use reading::{Hole, LogReader, Piece, Place, ReadRequest, Reading, StoredLine};
pub use records::{Join, LONGEST, Pattern, Rate, Records, both, datetime_pattern, is_record_option};
pub use remote::{RemoteLines, RemoteReader, RemoteRequest};
pub use size::{binary_size, decimal_size};

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
    /// Nanoseconds since the Unix epoch at which its end was read, as in Docker; a piece has the time of the first one, lines
    /// that were joined that of the first.
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
    /// The long line being cut, if one is: id, next ordinal, time of its first piece.
    pub partial: Option<(String, u32, i64)>,
}

/// How a limit on the rate of lines stands.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Pace {
    /// The record by whose time it was last looked at: it and those before it do not count again.
    pub at: Position,
    /// When its window began, ns since the epoch.
    pub since_ns: i64,
    /// Lines that the window still lets through.
    pub left: u64,
    /// Lines suppressed that nobody was told of yet.
    pub suppressed: u64,
    /// The time of the last of them,
    pub last_ns: i64,
    /// and its stream.
    pub last_err: bool,
    /// The line of standard output that is under way in pieces is suppressed.
    pub cut_out: bool,
    /// That of standard error.
    pub cut_err: bool,
}

/// How far a sink has got: reading the spool again from here yields exactly the lines after it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cursor {
    /// Standard output's mark.
    pub stdout: Mark,
    /// Standard error's mark.
    pub stderr: Mark,
    /// Where there is a limit on the rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pace: Option<Pace>,
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
    /// Lines among and after them that a limit on the rate suppressed.
    pub suppressed: u64,
}

/// How large a batch a driver takes, and what its lines are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchPolicy {
    /// Most lines in one batch.
    pub max_lines: usize,
    /// Most payload bytes in one batch.
    pub max_bytes: usize,
    /// Longest piece of a line, bytes (Docker: 16 KiB).
    pub max_line: usize,
    /// Most bytes of a line that was put together of pieces or of other lines.
    pub max_record: usize,
    /// Which streams' lines come at all.
    pub streams: Streams,
    /// How lines become records.
    pub records: Records,
}

impl Default for BatchPolicy {
    fn default() -> Self {
        Self {
            max_lines: 4096,
            max_bytes: 1 << 20,
            max_line: 16 * 1024,
            max_record: LONGEST,
            streams: Streams::Both,
            records: Records::default(),
        }
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

/// What of the lines delivered is sure to have been read, also if this daemon and the far side end now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Certain {
    /// All of them.
    All,
    /// Those of the batches up to that end; none = of none since the driver was opened.
    UpTo(Option<Cursor>),
}

/// An open connection to one sink for one container. It has no timer, task, buffer, retry or lock.
#[async_trait]
pub trait LogDriver: Send {
    /// Delivers every line, or says what stopped it. `Ok` means the far side has it, as far as its protocol can tell.
    async fn deliver(&mut self, batch: &Batch) -> Result<(), DeliverError>;
    /// Has the far side know of the container though nothing was delivered yet: somebody is about to ask it for lines.
    async fn announce(&mut self) -> Result<(), DeliverError> {
        Ok(())
    }
    /// The cursor this driver itself keeps with its data (files only); others leave it to the router.
    fn cursor(&self) -> Option<Cursor> {
        None
    }
    /// Takes `cursor` for its own: what it holds stays, and the lines from there come next. For a driver that keeps its
    /// cursor with its data and takes a container's lines over from another; others have none to set.
    async fn begin_at(&mut self, _cursor: &Cursor) -> Result<(), DeliverError> {
        Ok(())
    }
    /// False where the protocol confirms nothing: then what is delivered last is to be looked after.
    fn confirms(&self) -> bool {
        true
    }
    /// How much of what was delivered the far side is known to have read.
    fn certain(&self) -> Certain {
        Certain::All
    }
    /// Sends again what the far side may not have read when its connection broke, though nothing new is to be delivered.
    /// False once there is nothing to look after.
    async fn look_after(&mut self) -> Result<bool, DeliverError> {
        Ok(false)
    }
    /// The container has ended, and what it wrote is delivered: what only waits for more may go. What comes later is
    /// delivered as before.
    async fn rest(&mut self) {}
    /// How long the far side may take to end what is open, where `close` waits for that; a moment, unless it is said.
    fn may_end_within(&mut self, _limit: Duration) {}
    /// Finishes what is open. Called once.
    async fn close(self: Box<Self>) -> Result<(), DeliverError>;
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
    /// Checks what the options make of this container, as far as `open` would: that is tried again without end, and a
    /// container that has started would come to wait for it.
    fn fits(&self, _source: &LogSource, _options: &Options) -> Result<(), PortError> {
        Ok(())
    }
    /// Batch bounds.
    fn batching(&self, options: &Options) -> BatchPolicy;
    /// Prepares delivery without connecting.
    async fn open(&self, source: &LogSource, options: &Options) -> Result<Box<dyn LogDriver>, PortError>;
    /// Whether it is told of all options that were given, also of those that concern no driver.
    fn takes_all(&self) -> bool {
        false
    }
    /// Present when what was delivered can be read back.
    fn reader(&self) -> Option<&dyn LogReader> {
        None
    }
    /// Present when the far side may give lines back.
    fn remote(&self) -> Option<&dyn RemoteReader> {
        None
    }
    /// Where the driver writes, if that is a file Docker shows as `LogPath`.
    fn path(&self, _source: &LogSource) -> Option<PathBuf> {
        None
    }
}
