//! One sink as the router sees it.

use super::{Asked, Extent, Load, Refusal, Seat, SinkState, SinkStatus};
use crate::log::gap::Ahead;
use crate::log::swap::furthest;
use contract::log::{BatchPolicy, Cursor, Delivery, Loss, Overflow};

#[derive(Debug)]
pub(super) struct Window {
    pub(super) status: SinkStatus,
    pub(super) policy: BatchPolicy,
    pub(super) delivery: Delivery,
    pub(super) attempt: u64,
    pub(super) cursor: Option<Cursor>,
    pub(super) flying: Option<Load>,
    /// What of it was refused.
    pub(super) refusal: Option<Refusal>,
    pub(super) ready: Option<(Asked, Load)>,
    pub(super) reading: Option<Asked>,
    /// Nothing more was in the spool.
    pub(super) dry: bool,
    /// Reading failed while a batch was in flight.
    pub(super) unread: bool,
    pub(super) failures: u32,
    pub(super) room: Room,
    pub(super) records: Records,
}

/// How a sink of limited room is doing.
#[derive(Debug)]
pub(super) struct Room {
    /// Something was delivered since the router's start, or a try failed.
    pub(super) tried: bool,
    /// Bytes that it may hold beyond its room: what a daemon finds in the spool a sink is to have that takes it. No limit
    /// before it was tried.
    pub(super) owed: u64,
    /// What comes is dropped, until there is room again.
    pub(super) dropping: bool,
    /// Lines are being passed over, by the effect of this number.
    pub(super) passing: Option<u64>,
    /// Bytes read since the spool was measured last and delivered, or not for the sink,
    pub(super) done: u64,
    /// and about so many between two measurements.
    pub(super) flow: u64,
}

/// What of the sink's losses is on disk.
#[derive(Debug, Default)]
pub(super) struct Records {
    /// What is being written.
    pub(super) storing: Option<(u64, Vec<Loss>)>,
    /// What was tried last.
    pub(super) tried: u64,
    /// It did not get there.
    pub(super) failed: bool,
    /// Of this version was what a batch tells to be missing that is sent then.
    pub(super) counting: u64,
    /// What may go from the spool, for the next daemon will know of it.
    pub(super) safe: Vec<Loss>,
}

impl Window {
    pub(super) fn new(seat: Seat, attempt: u64) -> Self {
        let Seat { status, cursor, policy, delivery } = seat;
        let room = Room { tried: false, owed: u64::MAX, dropping: false, passing: None, done: 0, flow: 0 };
        // Nobody knows what of that the router before this one has had written.
        let records = Records { counting: status.losses.version, ..Records::default() };
        Self {
            status: SinkStatus { state: SinkState::default(), ..status },
            policy,
            delivery,
            attempt,
            cursor,
            flying: None,
            refusal: None,
            ready: None,
            reading: None,
            dry: false,
            unread: false,
            failures: 0,
            room,
            records,
        }
    }

    /// Where the next batch begins.
    pub(super) fn head(&self) -> Option<Cursor> {
        self.flying.as_ref().map(|load| load.batch.end.clone()).or_else(|| self.cursor.clone())
    }

    /// Before this nothing is dropped any more: it was delivered, or may have been.
    pub(super) fn committed(&self) -> Option<Cursor> {
        let sent = self.status.sent.iter().chain([&self.status.losses.counted]);
        let later =
            |last: Cursor, sent: &Cursor| if last.is_past(sent) { last } else { furthest(sent, &last) };
        Some(sent.fold(self.head()?, later))
    }

    /// Counts what the batch that is to be sent next tells to be missing in the spool. Whether that is on disk, unless it cannot
    /// get there: with the batch its cursor is, and who is killed then never meets these gaps again.
    pub(super) fn is_counted(&mut self) -> bool {
        let Some((asked, Load { batch, gaps })) = &self.ready else { return true };
        if gaps.unspooled + gaps.lost == 0 {
            return true;
        }
        let losses = &mut self.status.losses;
        if !furthest(&losses.counted, &asked.from).is_past(&batch.end) {
            losses.counted = batch.end.clone();
            losses.dropped.unspooled += gaps.unspooled;
            losses.dropped.lost += gaps.lost;
            losses.version += 1;
            self.records.counting = losses.version;
        }
        self.records.tried >= self.records.counting
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.status.state, SinkState::Idle | SinkState::Delivering)
    }

    /// Whether lines are still added to a loss.
    fn grows(&self, loss: &Loss) -> bool {
        self.room.dropping && self.status.losses.ahead.last() == Some(loss)
    }

    /// What is to be minded in reading from `head` on; none while that has to wait.
    pub(super) fn ahead(&self, head: &Cursor) -> Option<Ahead> {
        if self.room.passing.is_some() && !self.room.dropping && self.drops_oldest() {
            return None;
        }
        let mut ahead = Ahead::default();
        let settled = self.records.storing.is_none() && self.records.tried == self.status.losses.version;
        // A batch holds gaps that were counted, or others, so that none is counted twice.
        let counted = Some(&self.status.losses.counted).filter(|counted| !head.is_past(counted));
        // One that took over a stream from another begins before it with that alone, and does not go back with its own.
        ahead.until = counted.map(|counted| furthest(counted, head));
        for loss in self.status.losses.ahead.iter().filter(|loss| !head.is_past(&loss.to)) {
            if counted.is_some_and(|counted| loss.from.is_past(counted)) {
                break;
            }
            // Told of only once it is known how much it was, and stored.
            if self.grows(loss) || !settled {
                ahead.until = Some(loss.from.clone());
                break;
            }
            ahead.losses.push(loss.clone());
        }
        let at_once = ahead.losses.first().is_some_and(|loss| head.is_past(&loss.from));
        // More may be passed over before it can be told of.
        let early = at_once && self.status.state != SinkState::Idle;
        let stuck = ahead.losses.is_empty() && ahead.until.as_ref().is_some_and(|until| head.is_past(until));
        (!early && !stuck).then_some(ahead)
    }

    pub(super) fn drops_oldest(&self) -> bool {
        matches!(self.delivery, Delivery::NonBlocking { overflow: Overflow::DropOldest, .. })
    }

    /// Notes how much of the spool is done with, now that the cursor goes on to `end`. Also what is for others: who gets one
    /// stream keeps up with both.
    pub(super) fn goes_on(&mut self, end: &Cursor, extent: &Extent) {
        if let Some(cursor) = &self.cursor {
            self.room.done += extent.read(cursor, end, &self.status.losses);
        }
    }

    /// Forgets what lies behind.
    pub(super) fn prune(&mut self) {
        let Some(cursor) = &self.cursor else { return };
        let losses = &mut self.status.losses;
        let before = losses.ahead.len();
        losses.ahead.retain(|loss| !cursor.is_past(&loss.to));
        if losses.ahead.len() != before {
            losses.version += 1;
            self.room.dropping &= !losses.ahead.is_empty();
        }
        if self.status.sent.as_ref().is_some_and(|sent| cursor.is_past(sent)) {
            self.status.sent = None;
        }
    }
}

impl Room {
    /// The spool is measured.
    pub(super) fn note(&mut self) {
        let now = std::mem::take(&mut self.done);
        self.flow = (self.flow * 7 + now) / 8;
    }

    /// Whether so many bytes are done with soon, as it goes now. Measurements are milliseconds apart.
    pub(super) fn soon(&self, bytes: u64) -> bool {
        bytes < self.flow.saturating_mul(64)
    }
}
