//! What a destination was not given: where in the spool, and how much in all.

use super::{Cursor, Mark, Position};
use serde::{Deserialize, Serialize};

/// A part of the spool whose lines a destination is not given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Loss {
    /// The first line not given begins here,
    pub from: Cursor,
    /// and the first that is given again here.
    pub to: Cursor,
    /// Lines in between.
    pub lines: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Of the first of them, ns since the epoch.
    pub time_ns: i64,
}

/// How much a destination was not given so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dropped {
    /// Lines for which its buffer had no room.
    pub lines: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes that never came into the spool, because it was full.
    pub unspooled: u64,
    /// Parts of the spool that were gone without a record of what was in them.
    pub lost: u64,
}

/// What is kept beside a destination's cursor.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Losses {
    /// Grows with every change.
    pub version: u64,
    /// What lies ahead of the cursor and will not be given, in order.
    pub ahead: Vec<Loss>,
    /// The sums, with what lies ahead.
    pub dropped: Dropped,
    /// What the spool itself lacks is in the sums up to here.
    pub counted: Cursor,
}

/// A part of a spool that somebody needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// From this record on,
    pub from: Position,
    /// to this one, and no further; none = whatever comes.
    pub to: Option<Position>,
}

impl Stretch {
    /// Everything from there on.
    pub fn from(from: Position) -> Self {
        Self { from, to: None }
    }

    /// Whether records of this segment belong to it.
    pub fn has(&self, segment: u64) -> bool {
        self.from.segment <= segment && self.to.is_none_or(|to| segment <= to.segment)
    }
}

impl Mark {
    /// Where the next byte is, in the order in which they were written.
    pub fn place(&self) -> (Position, u32) {
        (self.at, self.skip)
    }
}

impl Cursor {
    /// The record up to which the spool was read to come here, but for lines that were unfinished then.
    pub fn top(&self) -> Position {
        self.stdout.at.max(self.stderr.at)
    }

    /// Whether nothing that begins before `other` follows.
    pub fn is_past(&self, other: &Self) -> bool {
        self.stdout.place() >= other.stdout.place() && self.stderr.place() >= other.stderr.place()
    }

    /// Whether exactly the same lines follow.
    pub fn is_at(&self, other: &Self) -> bool {
        self.stdout.place() == other.stdout.place() && self.stderr.place() == other.stderr.place()
    }
}
