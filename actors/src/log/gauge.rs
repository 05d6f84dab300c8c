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
    /// When the last delivery arrived.
    pub delivered_ns: Option<i64>,
    /// When the last try failed.
    pub failed_ns: Option<i64>,
    /// Since when all this is counted.
    pub since_ns: i64,
    /// What was dropped before that: lines, and their bytes.
    pub earlier: (u64, u64),
    /// What was written for it, delivered or not: lines, and their bytes without their ends.
    pub offered: (u64, u64),
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
        self.offered = self.counted();
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
    /// delivered in between would count twice. Also by what waits, what was offered does not go back, though a line may wait
    /// as one and arrive in pieces.
    pub fn read_with(&self, seen: Reading, lag: Option<&Lag>) -> Reading {
        let mut last = lock(&self.0);
        let lag = lag.filter(|_| seen.moves == last.moves);
        let waiting = lag.map_or((0, 0), |lag| (lag.lines, lag.bytes.saturating_sub(lag.lines)));
        let counted = seen.counted();
        let now = (counted.0 + waiting.0, counted.1 + waiting.1);
        last.offered = (last.offered.0.max(now.0), last.offered.1.max(now.1));
        Reading { offered: last.offered, ..seen }
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
        if failed {
            last.failed_ns = Some(now_ns);
            last.up_since_ns = None;
            if lock(&self.1).failed(now_ns) {
                changes.push(Change::Down(status.last_error.clone().unwrap_or_default()));
            }
        } else if arrived {
            last.delivered_ns = Some(now_ns);
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
            let quiet = |then: Option<i64>| then.is_none_or(|then| now_ns - then > QUIET_NS);
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
    pub fn name(self) -> &'static str {
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
mod tests {
    use super::*;
    use contract::log::{Mark, Position};
    use proptest::prelude::*;

    fn status(batches: u64, retries: u64, refused: u64) -> SinkStatus {
        SinkStatus { batches, retries, refused, last_error: Some("down".into()), ..SinkStatus::default() }
    }

    fn down() -> Vec<Change> {
        vec![Change::Down("down".into())]
    }

    #[test]
    fn only_the_first_of_many_failures_and_deliveries_is_told() {
        let gauge = Gauge::default();
        assert_eq!(gauge.note(&status(1, 0, 0), None, 10), [], "the first delivery is nothing special");
        assert_eq!(gauge.note(&status(1, 1, 0), None, 20), down());
        assert_eq!(gauge.note(&status(1, 2, 0), None, 30), []);
        assert_eq!(gauge.read().up_since_ns, None);
        assert_eq!(gauge.note(&status(2, 2, 0), None, 40), [Change::Up]);
        let refused = Change::Refused { lines: 5, error: "down".into() };
        assert_eq!(gauge.note(&status(3, 2, 5), None, 50), [refused]);
        assert_eq!(gauge.note(&status(4, 2, 6), None, 60), []);
        let read = gauge.read();
        assert_eq!((read.up_since_ns, read.delivered_ns, read.failed_ns), (Some(40), Some(60), Some(30)));
    }

    #[test]
    fn a_sink_that_comes_and_goes_is_told_of_once_a_minute_and_what_was_told_last_comes_true() {
        let (gauge, second) = (Gauge::default(), 1_000_000_000);
        assert_eq!(gauge.note(&status(0, 1, 0), None, 0), down());
        assert_eq!(gauge.note(&status(1, 1, 0), None, second), [Change::Up]);
        for n in 1..59 {
            let at = i64::try_from(n).unwrap() * second;
            assert_eq!(gauge.note(&status(n, n + 1, 0), None, at), []);
            assert_eq!(gauge.read().up_since_ns, None, "what is asked for is true");
            assert_eq!(gauge.note(&status(n + 1, n + 1, 0), None, at + 1), []);
            assert_eq!(gauge.read().up_since_ns, Some(at + 1));
        }
        assert_eq!(gauge.note(&status(59, 60, 0), None, 59 * second), []);
        assert_eq!(gauge.note(&status(59, 61, 0), None, 60 * second), down(), "it is away still");
        assert_eq!(gauge.note(&status(59, 62, 0), None, 180 * second), []);
        assert_eq!(gauge.note(&status(60, 62, 0), None, 181 * second), [Change::Up]);
        assert_eq!(gauge.note(&status(60, 63, 0), None, 182 * second), down(), "the last was long ago");
    }

    #[test]
    fn a_buffer_that_is_full_again_after_a_while_is_told_again() {
        let gauge = Gauge::default();
        let note = |lines, now_ns| {
            let mut status = status(1, 0, 0);
            status.losses.dropped.lines = lines;
            gauge.note(&status, None, now_ns)
        };
        let told = |lines| vec![Change::Dropped { reason: "buffer-full", lines }];
        assert_eq!(note(5, 10), told(5));
        assert_eq!(note(9, 10 + QUIET_NS), []);
        assert_eq!(note(12, 12 + 2 * QUIET_NS), told(3));
    }

    #[test]
    fn what_an_earlier_daemon_dropped_is_not_told_again_but_the_first_of_this_one_is() {
        let gauge = Gauge::default();
        let mut status = SinkStatus::default();
        status.losses.version = 3;
        (status.losses.dropped.lines, status.losses.dropped.unspooled) = (7, 100);
        gauge.found(&status.losses);
        assert_eq!(gauge.note(&status, None, 1), []);
        (status.losses.dropped.lines, status.losses.dropped.unspooled) = (9, 150);
        let told = |reason, lines| Change::Dropped { reason, lines };
        assert_eq!(gauge.note(&status, None, 2), [told("spool-full", 0), told("buffer-full", 2)]);
        // What is older than what is known here counts no more.
        gauge.found(&Losses::default());
        assert_eq!(gauge.read().status.losses.dropped.lines, 9);
    }

    #[test]
    fn a_part_of_the_spool_that_is_gone_is_told_though_nobody_knows_what_was_in_it() {
        // It was counted, and shown nowhere.
        let gauge = Gauge::default();
        let mut status = SinkStatus::default();
        status.losses.dropped.lost = 1;
        assert_eq!(gauge.note(&status, None, 1), [Change::Dropped { reason: "spool-gone", lines: 0 }]);
        status.losses.dropped.lost = 2;
        assert_eq!(gauge.note(&status, None, 2), []);
        assert_eq!(gauge.read().status.dropped_places(), [("spool-gone", 2)]);
        assert_eq!(status.dropped().iter().map(|(_, lines)| lines).sum::<u64>(), 0);
    }

    #[test]
    fn a_sink_that_never_came_up_is_told_once() {
        let gauge = Gauge::default();
        assert_eq!(gauge.note(&status(0, 1, 0), None, 1), down());
        assert_eq!(gauge.note(&status(0, 2, 0), None, 2), []);
        assert_eq!(gauge.note(&status(1, 2, 0), None, 3), [Change::Up]);
    }

    #[test]
    fn a_sink_that_is_back_and_refuses_is_told_of_both() {
        let gauge = Gauge::default();
        gauge.note(&status(0, 1, 0), None, 1);
        let refused = Change::Refused { lines: 2, error: "down".into() };
        assert_eq!(gauge.note(&status(1, 1, 2), None, 2), [Change::Up, refused]);
    }

    #[test]
    fn what_was_offered_never_goes_back() {
        let gauge = Gauge::default();
        gauge.note(&SinkStatus { lines: 10, bytes: 100, refused: 1, ..SinkStatus::default() }, None, 1);
        let lag = Lag { lines: 5, bytes: 55, oldest_ns: Some(1) };
        assert_eq!(gauge.read_with(gauge.read(), Some(&lag)).offered, (16, 150));
        assert_eq!(gauge.read_with(gauge.read(), None).offered, (16, 150), "nobody knows what waits");
        gauge.note(&SinkStatus { lines: 16, bytes: 151, refused: 1, ..SinkStatus::default() }, None, 2);
        assert_eq!(gauge.read_with(gauge.read(), Some(&Lag::default())).offered, (17, 151));
        assert!(gauge.read().since_ns > 0);
    }

    #[test]
    fn what_was_offered_begins_with_the_daemon_as_what_was_delivered_does() {
        // Drops of years stood beside the deliveries of a minute.
        let gauge = Gauge::default();
        let mut status = SinkStatus { lines: 3, bytes: 30, ..SinkStatus::default() };
        status.losses.version = 1;
        (status.losses.dropped.lines, status.losses.dropped.bytes) = (1000, 5000);
        gauge.found(&status.losses);
        gauge.note(&status, None, 1);
        assert_eq!(gauge.read_with(gauge.read(), None).offered, (3, 30));
        status.losses.version = 2;
        (status.losses.dropped.lines, status.losses.dropped.bytes) = (1002, 5020);
        gauge.note(&status, None, 2);
        gauge.found(&status.losses);
        assert_eq!(gauge.read_with(gauge.read(), None).offered, (5, 50));
        assert_eq!(gauge.read().status.losses.dropped.lines, 1002);
    }

    #[test]
    fn bytes_that_were_refused_or_suppressed_were_offered_as_their_lines_were() {
        let gauge = Gauge::default();
        let refused = SinkStatus { refused: 1, refused_bytes: 5, ..SinkStatus::default() };
        gauge.note(&refused, None, 1);
        assert_eq!(gauge.read_with(gauge.read(), None).offered, (1, 5));
        gauge.note(&SinkStatus { suppressed: 2, suppressed_bytes: 9, ..refused }, None, 2);
        assert_eq!(gauge.read_with(gauge.read(), None).offered, (3, 14));
    }

    fn at(offset: u64) -> Cursor {
        let mark = Mark { at: Position { segment: 1, offset }, ..Mark::default() };
        Cursor { stdout: mark.clone(), stderr: mark, pace: None }
    }

    /// Empty lines, which take a byte each in the spool.
    fn waits(lines: u64) -> Lag {
        Lag { lines, bytes: lines, oldest_ns: None }
    }

    #[test]
    fn lines_that_are_delivered_while_the_spool_is_counted_are_not_offered_twice() {
        // Whoever looked while lines came raised what was offered for good.
        let gauge = Gauge::default();
        gauge.note(&SinkStatus::default(), Some(&at(0)), 1);
        let seen = gauge.read();
        gauge.note(&SinkStatus { lines: 200, ..SinkStatus::default() }, Some(&at(200)), 2);
        assert_eq!(gauge.read_with(seen, Some(&waits(200))).offered, (200, 0));
        assert_eq!(gauge.read_with(gauge.read(), Some(&waits(0))).offered, (200, 0));
    }

    #[test]
    fn what_a_sink_that_opens_further_on_will_not_deliver_does_not_stay_offered() {
        let gauge = Gauge::default();
        gauge.note(&SinkStatus::default(), Some(&at(0)), 1);
        assert_eq!(gauge.read_with(gauge.read(), Some(&waits(200))).offered, (200, 0));
        let early = gauge.read();
        gauge.opened(&at(150));
        assert_eq!(gauge.read_with(early, Some(&waits(200))).offered, (0, 0), "it was seen before");
        assert_eq!(gauge.read_with(gauge.read(), Some(&waits(50))).offered, (50, 0));
        gauge.opened(&at(150));
        assert_eq!(gauge.read().offered, (50, 0), "it stands where it was believed to");
    }

    #[derive(Debug, Clone)]
    enum Step {
        Write(u64),
        Look,
        Survey(usize),
        Deliver(u64),
        Refuse(u64),
        Open(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (1..9_u64).prop_map(Step::Write),
            4 => Just(Step::Look),
            4 => (0..4_usize).prop_map(Step::Survey),
            4 => (1..9_u64).prop_map(Step::Deliver),
            1 => (1..4_u64).prop_map(Step::Refuse),
            1 => (0..60_u64).prop_map(Step::Open),
        ]
    }

    proptest! {
        #[test]
        fn at_rest_what_was_offered_is_what_was_delivered_or_dropped_whoever_looked(
            steps in prop::collection::vec(step(), 1..60),
        ) {
            let (gauge, mut status) = (Gauge::default(), SinkStatus::default());
            let (mut written, mut place) = (0_u64, 0_u64);
            let mut looks: Vec<(u64, Reading)> = Vec::new();
            gauge.note(&status, Some(&at(0)), 0);
            for step in steps {
                match step {
                    Step::Write(lines) => written += lines,
                    Step::Look => looks.push((place, gauge.read())),
                    Step::Survey(nth) if nth < looks.len() => {
                        let (from, seen) = looks.remove(nth);
                        let told = gauge.read_with(seen, Some(&waits(written - from)));
                        prop_assert!(told.offered.0 >= told.status.lines + told.status.refused);
                    }
                    Step::Survey(_) => {}
                    Step::Deliver(lines) => {
                        let lines = lines.min(written - place);
                        (place, status.lines) = (place + lines, status.lines + lines);
                    }
                    Step::Refuse(lines) => {
                        let lines = lines.min(written - place);
                        (place, status.refused) = (place + lines, status.refused + lines);
                    }
                    Step::Open(to) => {
                        place = to.min(written);
                        gauge.opened(&at(place));
                    }
                }
                gauge.note(&status, Some(&at(place)), 0);
            }
            status.lines += written - place;
            gauge.note(&status, Some(&at(written)), 0);
            let told = gauge.read_with(gauge.read(), Some(&waits(0)));
            prop_assert_eq!(told.offered.0, status.lines + status.refused);
        }
    }
}
