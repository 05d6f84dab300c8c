//! Reading stored lines back.

use super::{Cursor, LogLine, LogSource, Options};
use crate::error::PortError;
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::fmt;
use tokio::sync::mpsc;

/// What to read back.
#[derive(Debug, Clone, Default)]
pub struct ReadRequest {
    /// From the first line of this time or later on, ns since the epoch: as in Docker, what follows it comes whatever its time.
    pub since_ns: Option<i64>,
    /// Only lines at or before, ns since the epoch.
    pub until_ns: Option<i64>,
    /// Only the last so many records, counted before the times are looked at, as in Docker.
    pub tail: Option<usize>,
    /// Only what was stored after an earlier reading ended.
    pub after: Option<Place>,
}

/// Where a reading ended; only the driver that answered it knows what it means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Which of its files.
    pub generation: u64,
    /// Bytes of it.
    pub offset: u64,
    /// How often others had cut a file until then, counted from a number of the log's own; begins anew after the largest.
    pub cuts: u16,
}

/// One stored line read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredLine {
    /// The line; `data` ends with LF unless it was partial.
    pub line: LogLine,
    /// Extra attributes (`--details`).
    pub attrs: BTreeMap<String, String>,
}

/// A part of what is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Lines, oldest first.
    Lines(Vec<StoredLine>),
    /// Something between the lines before and those after could not be read; the reading goes on.
    Hole(Hole),
}

/// What could not be read. Its text is for the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hole {
    /// These bytes hold no record.
    Damaged {
        /// The file's name, without folder.
        file: String,
        /// First byte.
        from: u64,
        /// The byte after the last.
        to: u64,
    },
    /// A compressed file cannot be unpacked to its end.
    Cut {
        /// The file's name, without folder.
        file: String,
        /// So many unpacked bytes were read.
        at: u64,
        /// Why.
        cause: String,
    },
    /// Files were rotated away before a follower had read them.
    Rotated {
        /// The log's name, without folder.
        file: String,
    },
}

impl fmt::Display for Hole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged { file, from, to } => {
                write!(f, "bytes {from}-{} of {file} are damaged and were skipped", to.saturating_sub(1))
            }
            Self::Cut { file, at, cause } => {
                write!(
                    f,
                    "{file} is damaged ({cause}): what follows its first {at} unpacked bytes was skipped"
                )
            }
            Self::Rotated { file } => {
                write!(f, "lines of {file} were rotated away before they could be shown")
            }
        }
    }
}

/// A reading that has begun.
#[derive(Debug)]
pub struct Reading {
    /// Bounded, so that a slow reader holds nothing up. After an error nothing comes.
    pub pieces: mpsc::Receiver<Result<Piece, PortError>>,
    /// The driver's committed cursor at the moment the end of what is read was fixed: following from it in the spool
    /// continues without hole or repetition.
    pub cursor: Cursor,
    /// Where the reading will end.
    pub end: Place,
    /// For a tail: how many records were found for it. Fewer than asked for means that this was all there is.
    pub found: Option<usize>,
}

/// Reads stored lines of a container back, oldest first.
#[async_trait]
pub trait LogReader: Send + Sync {
    /// Starts reading in the background.
    async fn read(
        &self,
        source: &LogSource,
        options: &Options,
        request: ReadRequest,
    ) -> Result<Reading, PortError>;
}
