//! What never came into the spool, where it is missing there.

use super::Place;
use crate::log::swap::furthest;
use contract::log::{Cursor, Position};
use contract::runtime::{Missing, SpoolRecord};

/// Places at which there had been no room, ascending, and how many bytes that was.
#[derive(Debug, Default)]
pub(super) struct Missed(Vec<(Position, u64)>);

impl Missed {
    pub(super) fn note(&mut self, record: &SpoolRecord) {
        if let SpoolRecord::Gap { at, missing: Missing::Unspooled(bytes), .. } = record {
            self.0.push((*at, *bytes));
        }
    }

    pub(super) fn forget_below(&mut self, first: Position) {
        self.0.retain(|(at, _)| *at >= first);
    }

    /// Bytes of which a sink at that cursor will be told, and that are not in its sums: what was passed over is, with all that
    /// is missing there.
    pub(super) fn ahead(&self, sink: &Place<'_>, cursor: &Cursor) -> u64 {
        let done = furthest(cursor, &sink.counted);
        let passed = |at| sink.losses.iter().any(|loss| !has(&loss.from, at) && has(&loss.to, at));
        let ahead = self.0.iter().filter(|(at, _)| !has(&done, *at) && !passed(*at));
        ahead.map(|(_, bytes)| bytes).sum()
    }
}

/// Whether what is missing at a place was told of before a cursor: neither stream is at it, nor before.
fn has(cursor: &Cursor, at: Position) -> bool {
    cursor.stdout.place().min(cursor.stderr.place()) > (at, 0)
}
