//! What is done about sinks whose room is used up: which lines they are not given, and how that is kept.

use super::extent::{needs, runs};
use super::window::Window;
use super::{Effect, Extent, Machine, Pass, SinkState};
use crate::log::gap::Gaps;
use contract::log::{Cursor, Delivery, Loss, Losses, Overflow, Position};

/// What a sink's room asks for.
enum Need {
    Nothing,
    /// There is room again.
    Room,
    Pass(Box<Pass>),
}

impl Machine {
    /// Whoever has limited room has to know how much is used.
    pub(super) fn measure(&mut self, out: &mut Vec<Effect>) {
        let limited = |w: &Window| w.delivery != Delivery::Blocking || w.records.failed;
        if self.measuring.is_none() && self.sinks.iter().any(limited) {
            self.measuring = Some(self.more);
            out.push(Effect::Measure);
        }
    }

    pub(super) fn measured(&mut self, result: Result<Extent, String>, out: &mut Vec<Effect>) {
        let asked = self.measuring.take();
        // Without a measurement nothing is given up: there will be another one.
        let Ok(extent) = result else { return };
        self.extent = extent;
        // The container is not to wait for who has not come to it yet, either.
        let tight = self.extent.total() >= self.budget - self.budget / 4;
        for sink in 0..self.sinks.len() {
            if let Some(w) = self.sinks.get_mut(sink) {
                w.room.note();
                spare(w, &self.extent, tight);
                if std::mem::take(&mut w.records.failed) {
                    // What could not be written is written now, perhaps.
                    w.records.tried = w.status.losses.version.wrapping_sub(1);
                }
            }
            self.enforce(sink, out);
        }
        if asked.is_some_and(|asked| asked < self.more) {
            self.measure(out);
        }
    }

    /// Keeps a sink within its room.
    pub(super) fn enforce(&mut self, sink: usize, out: &mut Vec<Effect>) {
        let Some(w) = self.sinks.get_mut(sink) else { return };
        match need(w, &self.extent) {
            Need::Nothing => {}
            Need::Room => w.room.dropping = false,
            Need::Pass(pass) => {
                self.passes += 1;
                w.room.passing = Some(self.passes);
                if w.drops_oldest() {
                    // It would be read in vain.
                    (w.ready, w.reading, w.dry) = (None, None, false);
                }
                out.push(Effect::Pass(sink, self.passes, *pass, w.policy.clone()));
            }
        }
    }

    pub(super) fn passed(
        &mut self,
        sink: usize,
        number: u64,
        result: Result<(Loss, Gaps), String>,
        out: &mut Vec<Effect>,
    ) {
        let Some(w) = self.sinks.get_mut(sink) else { return };
        if w.room.passing.take_if(|own| *own == number).is_none() {
            return;
        }
        // What could not be read is looked at again when the spool is measured.
        let Some((loss, gaps)) = result.ok().filter(|(loss, _)| !loss.to.is_at(&loss.from)) else { return };
        // What was sent meanwhile is not lost.
        if w.committed().is_some_and(|committed| loss.from.is_past(&committed)) {
            record(w, loss, gaps);
        }
        self.enforce(sink, out);
    }

    /// What was found on disk counts where nothing newer is known.
    pub(super) fn found(
        &mut self,
        sink: usize,
        cursor: Option<Cursor>,
        losses: Losses,
        out: &mut Vec<Effect>,
    ) {
        let Some(w) = self.sinks.get_mut(sink) else { return };
        if losses.version > w.status.losses.version {
            w.records.tried = losses.version;
            w.records.safe.clone_from(&losses.ahead);
            w.status.losses = losses;
        }
        if w.cursor.is_none() {
            w.cursor = cursor;
        }
        w.prune();
        self.measure(out);
        self.trim(out);
    }

    /// Has changes of what a sink is not given written down, one at a time.
    pub(super) fn store(&mut self, sink: usize, out: &mut Vec<Effect>) {
        let Some(w) = self.sinks.get_mut(sink) else { return };
        let losses = &w.status.losses;
        if w.records.storing.is_none() && w.records.tried != losses.version {
            w.records.storing = Some((losses.version, losses.ahead.clone()));
            out.push(Effect::Store(sink, losses.clone()));
        }
    }

    pub(super) fn stored(&mut self, sink: usize, version: u64, done: bool, out: &mut Vec<Effect>) {
        let Some(w) = self.sinks.get_mut(sink) else { return };
        let Some((_, ahead)) = w.records.storing.take_if(|(own, _)| *own == version) else { return };
        w.records.tried = version;
        if done {
            w.records.safe = ahead;
            self.trim(out);
        } else {
            w.records.failed = true;
        }
    }

    /// Lets go of what no sink needs.
    pub(super) fn trim(&mut self, out: &mut Vec<Effect>) {
        let mut kept = Vec::new();
        for w in &self.sinks {
            // A sink whose place is unknown holds everything.
            let Some(cursor) = w.status.certain.as_ref().or(w.cursor.as_ref()) else { return };
            let safe = Losses { ahead: w.records.safe.clone(), ..Losses::default() };
            kept.extend(needs(cursor, &safe));
        }
        let runs = runs(&kept);
        if !kept.is_empty() && runs != self.kept {
            self.kept = runs;
            out.push(Effect::Trim(kept));
        }
    }
}

/// Notes how much of what was there at the router's start a sink has not caught up with.
fn spare(w: &mut Window, extent: &Extent, tight: bool) {
    if tight {
        w.room.owed = 0;
    } else if w.room.tried
        && let Some(cursor) = &w.cursor
    {
        w.room.owed = w.room.owed.min(extent.held(cursor, &w.status.losses, extent.end()));
    }
}

/// What a sink's room asks for, the spool being of that extent.
fn need(w: &Window, extent: &Extent) -> Need {
    let Delivery::NonBlocking { buffer, overflow } = w.delivery else { return Need::Nothing };
    let (Some(cursor), Some(committed)) = (&w.cursor, w.committed()) else { return Need::Nothing };
    if w.room.passing.is_some() {
        return Need::Nothing;
    }
    let losses = &w.status.losses;
    let held = |to: Position| extent.held(cursor, losses, to);
    let all = held(extent.end());
    // Who keeps up with a burst is not to lose lines to it.
    let keeps_up = w.is_open() && w.failures == 0 && w.room.soon(all);
    let usual = if keeps_up { buffer.saturating_add(extent.longest()) } else { buffer };
    let limit = usual.max(buffer.saturating_add(w.room.owed));
    match overflow {
        Overflow::DropNewest if w.room.dropping => match losses.ahead.last() {
            Some(loss) if held(loss.from.top()) > buffer / 2 => {
                if extent.end() <= loss.to.top() {
                    return Need::Nothing;
                }
                Need::Pass(Box::new(Pass { from: loss.to.clone(), keep: None, to: None, until: None }))
            }
            _ => Need::Room,
        },
        _ if all <= limit => Need::Nothing,
        Overflow::DropNewest => {
            let last = losses.ahead.last().map(|loss| &loss.to).filter(|to| to.is_past(&committed));
            let from = last.cloned().unwrap_or(committed);
            let keep = extent.after(from.top(), limit.saturating_sub(held(from.top())));
            Need::Pass(Box::new(Pass { from, keep: Some(keep), to: None, until: None }))
        }
        Overflow::DropOldest => oldest(w, extent, &committed, (usual, limit)),
    }
}

fn oldest(w: &Window, extent: &Extent, committed: &Cursor, (usual, limit): (u64, u64)) -> Need {
    let losses = &w.status.losses;
    let first = losses.ahead.iter().position(|loss| loss.from.is_past(committed));
    let takes = w.status.state == SinkState::Idle;
    if takes && (w.reading.is_some() || w.ready.is_some() || first.is_some()) {
        // It is about to be given something: dropping that for what comes would go on for ever.
        return Need::Nothing;
    }
    // What goes begins where something went already, so there is one gap, and what was sent before is told once.
    let from = first.and_then(|i| losses.ahead.get(i)).map_or(committed, |loss| &loss.to).clone();
    let until = first.and_then(|i| losses.ahead.get(i + 1)).map(|loss| loss.from.clone());
    let Some(cursor) = &w.cursor else { return Need::Nothing };
    // What the daemon before this one had sent is not known: it is in the first half of the buffer.
    let unknown = first.is_none() && w.status.bytes + w.status.refused_bytes < usual;
    let keep = unknown.then(|| extent.after(from.top(), usual / 2));
    let before = extent.held(cursor, losses, keep.unwrap_or_else(|| from.top()));
    let to = extent.before_end(limit.saturating_sub(before));
    if to <= from.top() {
        return Need::Nothing;
    }
    Need::Pass(Box::new(Pass { from, keep, to: Some(to), until }))
}

/// Notes that lines were passed over.
fn record(w: &mut Window, loss: Loss, gaps: Gaps) {
    let committed = w.committed();
    w.status.suppressed += gaps.suppressed;
    w.status.suppressed_bytes += gaps.suppressed_bytes;
    let losses = &mut w.status.losses;
    losses.version += 1;
    losses.dropped.lines += loss.lines;
    losses.dropped.bytes += loss.bytes.saturating_sub(gaps.unspooled);
    losses.dropped.unspooled += gaps.unspooled;
    losses.dropped.lost += gaps.lost;
    w.room.dropping = !w.drops_oldest();
    let losses = &mut w.status.losses;
    let index = losses.ahead.iter().take_while(|known| loss.from.is_past(&known.to)).count();
    let end = loss.to.clone();
    losses.ahead.insert(index, loss);
    losses.ahead.dedup_by(|next, known| {
        // One that was told of already stays apart.
        let told = committed.as_ref().is_some_and(|committed| !known.from.is_past(committed));
        let one = known.to.is_at(&next.from) && !told;
        if one {
            // The first part may have held nothing for this sink, and then has no time.
            if known.lines + known.bytes == 0 {
                known.time_ns = next.time_ns;
            }
            known.to = next.to.clone();
            known.lines += next.lines;
            known.bytes += next.bytes;
        }
        one
    });
    let begins = losses.ahead.iter().find(|loss| loss.to.is_past(&end)).map(|loss| loss.from.clone());
    // What was read beyond is not to be delivered.
    if w.ready.take_if(|(_, load)| begins.is_some_and(|at| !at.is_past(&load.batch.end))).is_some() {
        w.dry = false;
    }
    if let Some(asked) = w.reading.take()
        && w.ahead(&asked.from).as_ref() == Some(&asked.ahead)
    {
        w.reading = Some(asked);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Asked, Load, Seat, SinkStatus};
    use super::*;
    use crate::log::gap::Ahead;
    use contract::log::{Batch, BatchPolicy, Mark};
    use std::sync::Arc;

    fn at(offset: u64) -> Cursor {
        let mark = Mark { at: Position { segment: 1, offset }, ..Mark::default() };
        Cursor { stdout: mark.clone(), stderr: mark, pace: None }
    }

    fn window() -> Window {
        let delivery = Delivery::NonBlocking { buffer: 8, overflow: Overflow::DropNewest };
        let (status, cursor, policy) = (SinkStatus::default(), Some(at(1)), BatchPolicy::default());
        Window::new(Seat { status, cursor, policy, delivery }, 0)
    }

    fn loss((from, to): (u64, u64), lines: u64, time_ns: i64) -> Loss {
        Loss { from: at(from), to: at(to), lines, bytes: lines, time_ns }
    }

    #[test]
    fn a_gap_that_begins_with_the_other_streams_lines_alone_has_the_time_of_its_own_first_line() {
        // Told as of 1970, it stood out of all order in files, and searches by time allowed for that ever after.
        let mut w = window();
        record(&mut w, loss((2, 3), 0, 0), Gaps::default());
        record(&mut w, loss((3, 5), 2, 77), Gaps::default());
        record(&mut w, loss((5, 6), 1, 99), Gaps::default());
        assert_eq!(w.status.losses.ahead, [loss((2, 6), 3, 77)]);
    }

    #[test]
    fn a_buffer_as_large_as_can_be_written_is_not_taken_for_a_small_one() {
        let mut w = window();
        w.delivery = Delivery::NonBlocking { buffer: u64::MAX, overflow: Overflow::DropNewest };
        (w.status.state, w.room.flow, w.room.owed) = (SinkState::Idle, 1000, 0);
        let extent = Extent::new(vec![(1, 100)]);
        assert!(matches!(need(&w, &extent), Need::Nothing));
    }

    #[test]
    fn a_sink_that_is_given_little_of_much_output_keeps_up_with_it() {
        // What it delivered alone was its flow, so one for errors lost them to each burst of the other stream.
        let mut w = window();
        (w.status.state, w.room.owed) = (SinkState::Idle, 0);
        let extent = Extent::new(vec![(1, 100)]);
        w.goes_on(&at(81), &extent);
        w.cursor = Some(at(81));
        w.room.note();
        assert_eq!((w.status.bytes, w.room.flow), (0, 10));
        assert!(matches!(need(&w, &extent), Need::Nothing));
        w.room.flow = 0;
        assert!(matches!(need(&w, &extent), Need::Pass(_)));
    }

    #[test]
    fn a_sink_that_takes_over_a_stream_does_not_go_back_with_its_own_to_where_gaps_were_counted() {
        // Its own lines from there on came twice.
        let mut w = window();
        let head = Cursor { stdout: at(3).stdout, ..at(50) };
        w.cursor = Some(head.clone());
        w.status.losses.counted = at(10);
        let until = Cursor { stdout: at(10).stdout, ..at(50) };
        assert_eq!(w.ahead(&head).unwrap().until, Some(until.clone()));
        assert_eq!(w.committed(), Some(until.clone()));
        let asked = Asked { from: head, ahead: Ahead::default(), news: 0 };
        let mut counts = |end: Cursor| {
            let batch = Arc::new(Batch { lines: Vec::new(), end, suppressed: 0 });
            w.ready = Some((asked.clone(), Load { batch, gaps: Gaps { unspooled: 5, ..Gaps::default() } }));
            w.is_counted();
            w.status.losses.dropped.unspooled
        };
        assert_eq!(counts(until), 0, "they were counted when its own stream was read");
        assert_eq!(counts(at(60)), 5);
    }

    #[test]
    fn what_a_limit_suppressed_among_lines_that_are_dropped_is_counted_as_suppressed() {
        let mut w = window();
        let gaps = Gaps { suppressed: 40, suppressed_bytes: 90, ..Gaps::default() };
        record(&mut w, loss((2, 3), 1, 5), gaps);
        assert_eq!((w.status.suppressed, w.status.losses.dropped.lines), (40, 1));
        assert_eq!((w.status.suppressed_bytes, w.status.losses.dropped.bytes), (90, 1));
    }
}
