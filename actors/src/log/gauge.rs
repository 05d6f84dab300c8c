//! What is known of a sink while it works, for whoever looks: written by its router, read without asking it.

use super::router::machine::{SinkState, SinkStatus};
use super::survey::Lag;
use crate::shared::lock;
use contract::log::{Cursor, Losses};
use std::sync::Mutex;

/// A sink as it was seen last.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// What its router knows.
    pub status: SinkStatus,
    /// What was delivered ends here.
    pub cursor: Option<Cursor>,
    /// Since when deliveries succeed without a failure between, ns since the epoch.
    pub up_since_ns: Option<i64>,
    /// Since when they fail, or are refused as a whole.
    pub down_since_ns: Option<i64>,
    /// When the last delivery arrived.
    pub delivered_ns: Option<i64>,
    /// When the last try failed, or a delivery was refused as a whole.
    pub failed_ns: Option<i64>,
    /// Since when all this is counted.
    pub since_ns: i64,
    /// What was dropped before that: lines, and their bytes.
    pub earlier: (u64, u64),
    /// What was written for it, delivered or not: lines, and their bytes without their ends.
    pub offered: (u64, u64),
    /// The most bytes that were told to have found no room in the spool.
    pub unspooled: u64,
    /// When it was last seen that there was no room for lines in its buffer,
    pub full_ns: Option<i64>,
    /// and in the spool,
    pub spool_full_ns: Option<i64>,
    /// and that a part of that was gone.
    pub spool_gone_ns: Option<i64>,
    /// How often its place turned out to be another than was believed.
    pub moves: u64,
}

impl Reading {
    /// What was delivered or given up: lines, and their bytes.
    fn counted(&self) -> (u64, u64) {
        let status = &self.status;
        let dropped: u64 = status.dropped().iter().map(|(_, lines)| lines).sum();
        let unread = status.losses.dropped.bytes;
        // What an earlier daemon delivered is not counted here, so neither is what it dropped.
        let (lines, bytes) = self.earlier;
        let given_up = status.refused_bytes + status.suppressed_bytes + unread.saturating_sub(bytes);
        (status.lines + dropped.saturating_sub(lines), status.bytes + given_up)
    }

    /// Its next lines are not those that were believed to wait.
    fn moved(&mut self) {
        (self.offered, self.unspooled) = (self.counted(), 0);
        self.moves += 1;
    }
}

/// So long after it was told that a sink is away it is not told again.
const PAUSE_NS: i64 = 60_000_000_000;

/// Which ups and downs are told: the first at once, then at most a pair of both a minute, or those of one sink that comes and
/// goes would be all that is kept. What was told last comes true again: a sink that stays away is told of later.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Flaps {
    /// That it is away was told last,
    down: bool,
    /// and when that was.
    told_ns: Option<i64>,
}

impl Flaps {
    /// Whether to tell that it is away.
    fn failed(&mut self, now_ns: i64) -> bool {
        // A clock that was put back is not waited for.
        let quiet = self.told_ns.is_none_or(|then| now_ns < then || now_ns - then >= PAUSE_NS);
        let tell = !self.down && quiet;
        if tell {
            *self = Self { down: true, told_ns: Some(now_ns) };
        }
        tell
    }

    /// Whether to tell that it is back.
    fn arrived(&mut self) -> bool {
        std::mem::take(&mut self.down)
    }
}

/// A buffer that had room for so long is told to be full again.
const QUIET_NS: i64 = 10_000_000_000;

/// A change worth telling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Deliveries fail, for this reason.
    Down(String),
    /// They arrive again.
    Up,
    /// The first lines were refused.
    Refused {
        /// How many at once.
        lines: u64,
        /// In the far side's words, why.
        error: String,
    },
    /// The first lines were given up for this reason, or the first since it had long been otherwise; for other reasons they may
    /// have been already.
    Dropped {
        /// One of [`SinkStatus::dropped`], [`SinkStatus::dropped_bytes`] or [`SinkStatus::dropped_places`].
        reason: &'static str,
        /// How many at once; 0 where that is not known.
        lines: u64,
    },
}

/// A sink's latest reading; outlives the router that writes it, whose successor goes on counting.
#[derive(Debug)]
pub struct Gauge(Mutex<Reading>, Mutex<Flaps>);

impl Default for Gauge {
    fn default() -> Self {
        Self(Mutex::new(Reading { since_ns: crate::now_ns(), ..Reading::default() }), Mutex::default())
    }
}

impl Gauge {
    /// The latest.
    pub fn read(&self) -> Reading {
        lock(&self.0).clone()
    }

    /// Where the sink's next lines begin if its driver is not the one that delivered the last.
    pub fn standing(&self) -> Option<Cursor> {
        let last = lock(&self.0);
        last.status.certain.clone().or_else(|| last.cursor.clone())
    }

    /// The far side has read everything that was delivered.
    pub fn settle(&self) {
        lock(&self.0).status.certain = None;
    }

    /// A reading, together with what was found to wait behind its cursor: added to the counts of a later one, lines that were
    /// delivered in between would count twice. Also by what waits, what was offered does not go back, nor does what found no
    /// room in the spool: that counts before the sink has come to it, and is the same when it has.
    pub fn read_with(&self, seen: Reading, lag: Option<&Lag>) -> Reading {
        let mut last = lock(&self.0);
        let lag = lag.filter(|_| seen.moves == last.moves);
        let waiting = lag.map_or((0, 0), |lag| (lag.lines, lag.text));
        let counted = seen.counted();
        let now = (counted.0 + waiting.0, counted.1 + waiting.1);
        last.offered = (last.offered.0.max(now.0), last.offered.1.max(now.1));
        let mut told = Reading { offered: last.offered, ..seen };
        let dropped = &mut told.status.losses.dropped;
        dropped.unspooled += lag.map_or(0, |lag| lag.unspooled);
        last.unspooled = last.unspooled.max(dropped.unspooled);
        (dropped.unspooled, told.unspooled) = (last.unspooled, last.unspooled);
        told
    }

    /// Its driver stands there. Where that is further on than was believed, because word of a delivery was lost, what lies
    /// between will not be delivered, and does not wait either.
    pub fn opened(&self, at: &Cursor) {
        let mut last = lock(&self.0);
        if last.cursor.as_ref().is_some_and(|believed| !believed.is_past(at)) {
            last.cursor = Some(at.clone());
            last.moved();
        }
    }

    /// What an earlier daemon counted is no change: it told of it then.
    pub fn found(&self, losses: &Losses) {
        let mut last = lock(&self.0);
        if losses.version > last.status.losses.version {
            let (before, now) = (last.status.losses.dropped, losses.dropped);
            last.earlier.0 += now.lines.saturating_sub(before.lines);
            last.earlier.1 += now.bytes.saturating_sub(before.bytes);
            last.status.losses.clone_from(losses);
        }
    }

    /// What comes next is delivered from there.
    pub fn begin_at(&self, cursor: Cursor) {
        let mut last = lock(&self.0);
        (last.cursor, last.status.certain) = (Some(cursor), None);
        last.moved();
    }

    /// Notes what the router knows now; answers what changed.
    pub fn note(&self, status: &SinkStatus, cursor: Option<&Cursor>, now_ns: i64) -> Vec<Change> {
        let mut last = lock(&self.0);
        let (arrived, failed) = (status.batches > last.status.batches, status.retries > last.status.retries);
        let mut changes = Vec::new();
        if failed || (arrived && status.refuses) {
            (last.failed_ns, last.up_since_ns) = (Some(now_ns), None);
            last.down_since_ns.get_or_insert(now_ns);
            // Of what is refused its own event tells.
            if failed && lock(&self.1).failed(now_ns) {
                changes.push(Change::Down(status.last_error.clone().unwrap_or_default()));
            }
        } else if arrived {
            (last.delivered_ns, last.down_since_ns) = (Some(now_ns), None);
            if lock(&self.1).arrived() {
                changes.push(Change::Up);
            }
            last.up_since_ns.get_or_insert(now_ns);
        }
        if last.status != *status {
            let first = last.status.dropped().into_iter().zip(status.dropped());
            let first = first.filter(|((_, before), (_, now))| *before == 0 && *now > 0);
            changes.extend(first.map(|(_, (reason, lines))| match reason {
                REFUSED => Change::Refused { lines, error: status.last_error.clone().unwrap_or_default() },
                _ => Change::Dropped { reason, lines },
            }));
            let full = |status: &SinkStatus| status.losses.dropped;
            let (before, now) = (full(&last.status), full(status));
            // Nor is one waited for here that was put back.
            let over = |then: i64| now_ns < then || now_ns - then > QUIET_NS;
            let quiet = |then: Option<i64>| then.is_none_or(over);
            if now.unspooled > before.unspooled && quiet(last.spool_full_ns.replace(now_ns)) {
                changes.push(Change::Dropped { reason: "spool-full", lines: 0 });
            }
            if now.lost > before.lost && quiet(last.spool_gone_ns.replace(now_ns)) {
                changes.push(Change::Dropped { reason: "spool-gone", lines: 0 });
            }
            if now.lines > before.lines {
                let again = quiet(last.full_ns.replace(now_ns));
                if again && before.lines > 0 {
                    changes.push(Change::Dropped { reason: "buffer-full", lines: now.lines - before.lines });
                }
            }
            last.status.clone_from(status);
        }
        if let Some(cursor) = cursor {
            last.cursor = Some(cursor.clone());
        }
        changes
    }
}

const REFUSED: &str = "refused";

impl SinkStatus {
    /// A word for what it does. One that is open and of which everything is refused is not as it should be.
    pub fn word(&self) -> &'static str {
        match self.state {
            SinkState::Idle | SinkState::Delivering if self.refuses => REFUSED,
            state => state.name(),
        }
    }

    /// Lines that were given up, by the reason; every reason there is.
    pub fn dropped(&self) -> Vec<(&'static str, u64)> {
        let full = self.losses.dropped.lines;
        vec![(REFUSED, self.refused), ("rate-limit", self.suppressed), ("buffer-full", full)]
    }

    /// Bytes that were given up where it is not known in how many lines, or how many bytes of lines; by the reason.
    pub fn dropped_bytes(&self) -> [(&'static str, u64); 4] {
        let dropped = &self.losses.dropped;
        [
            (REFUSED, self.refused_bytes),
            ("rate-limit", self.suppressed_bytes),
            ("buffer-full", dropped.bytes),
            ("spool-full", dropped.unspooled),
        ]
    }

    /// Places where lines were given up and nobody knows how many, nor how many bytes; by the reason.
    pub fn dropped_places(&self) -> [(&'static str, u64); 1] {
        [("spool-gone", self.losses.dropped.lost)]
    }
}

impl SinkState {
    /// A word for it.
    fn name(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Idle => "idle",
            Self::Delivering => "delivering",
            Self::BackingOff => "waiting",
            Self::Parked => "reopening",
        }
    }
}

#[cfg(test)]
mod tests;
