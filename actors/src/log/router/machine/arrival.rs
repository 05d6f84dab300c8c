//! What is counted once a batch has arrived.

use super::window::Window;
use super::{Load, Refusal, SinkState};
use crate::log::record::container_lines;

/// The batch in flight arrived, but for so many refused records.
pub(super) fn arrived(w: &mut Window, load: &Load, refused: usize) {
    let Load { batch, gaps } = load;
    let bytes = batch.lines.iter().map(|l| l.data.len() as u64).sum::<u64>();
    // What tells of gaps is not the container's, also where it is refused.
    let lines = container_lines(&batch.lines, &w.policy).saturating_sub(gaps.markers);
    let bytes = bytes.saturating_sub(gaps.bytes);
    let whole = refused >= batch.lines.len();
    let refusal = w.refusal.take();
    let refused = refusal.as_ref().map_or(refused as u64, |refusal| refusal.lines).min(lines);
    let refused_bytes = refusal.as_ref().map_or(0, |refusal| refusal.bytes).min(bytes);
    w.status.batches += 1;
    w.status.lines += lines - refused;
    w.status.bytes += bytes - refused_bytes;
    w.status.refused += refused;
    w.status.refused_bytes += refused_bytes;
    if !batch.lines.is_empty() {
        w.status.refuses = whole;
    }
    if let Some(Refusal { error, .. }) = refusal {
        w.status.last_error = Some(error);
    }
    w.status.suppressed += batch.suppressed;
    w.status.suppressed_bytes += gaps.suppressed_bytes;
    w.status.state = SinkState::Idle;
    w.failures = 0;
    if std::mem::take(&mut w.unread) {
        w.dry = false;
    }
    w.cursor = Some(batch.end.clone());
    w.prune();
}

#[cfg(test)]
mod tests {
    use super::super::{Event, Machine, Seat};
    use super::*;
    use crate::log::gap::Gaps;
    use contract::log::{
        Batch, BatchPolicy, Cursor, LogLine, Mark, Options, Partial, Position, Records, Stream,
    };
    use std::sync::Arc;

    const BUDGET: u64 = 1 << 20;

    fn at(offset: u64) -> Cursor {
        let mark = Mark { at: Position { segment: 1, offset }, ..Mark::default() };
        Cursor { stdout: mark.clone(), stderr: mark, pace: None }
    }

    #[test]
    fn what_is_refused_has_not_arrived_and_it_is_known_why() {
        // Its bytes stood among those acknowledged, and no error anywhere.
        let (status, policy, delivery) = Default::default();
        let mut machine = Machine::new([Seat { status, cursor: Some(at(0)), policy, delivery }], 0, BUDGET);
        machine.step(Event::Up(0));
        let attempt = machine.sinks[0].attempt;
        let line = |data: &'static str| LogLine {
            stream: Stream::Stdout,
            time_ns: 0,
            data: data.into(),
            partial: None,
        };
        let lines = vec![line("hello"), line("you")];
        let load = || Load {
            batch: Arc::new(Batch { lines: lines.clone(), end: at(2), suppressed: 0 }),
            gaps: Gaps::default(),
        };
        let refusal = |error: &str| Refusal { records: 1, lines: 1, bytes: 5, error: error.into() };
        machine.step(Event::Refused(0, attempt, refusal("of nothing in flight")));
        machine.sinks[0].flying = Some(load());
        machine.step(Event::Refused(0, attempt + 1, refusal("of another try")));
        machine.step(Event::Refused(0, attempt, refusal("400")));
        machine.step(Event::Delivered(0, attempt, 1));
        let status = &machine.sinks[0].status;
        assert_eq!((status.lines, status.bytes), (1, 3));
        assert_eq!((status.refused, status.refused_bytes), (1, 5));
        assert_eq!(status.last_error.as_deref(), Some("400"));
        assert!(!status.refuses, "one was taken");
        let mut deliver = |load: Load, refused| {
            machine.sinks[0].flying = Some(load);
            machine.step(Event::Delivered(0, attempt, refused));
            machine.sinks[0].status.refuses
        };
        assert!(deliver(load(), 2));
        let empty = Arc::new(Batch { lines: Vec::new(), end: at(2), suppressed: 0 });
        assert!(deliver(Load { batch: empty, gaps: Gaps::default() }, 0), "nothing was sent");
        assert!(!deliver(load(), 0));
    }

    #[test]
    fn joined_records_count_as_the_lines_that_they_are_and_pieces_as_one() {
        // Ten lines stood there as written and one as arrived, for good.
        let options = Options::from([("multiline-pattern".to_owned(), "^[0-9]".to_owned())]);
        let policy = BatchPolicy { records: Records::parse(&options).unwrap(), ..BatchPolicy::default() };
        let (status, delivery) = Default::default();
        let mut machine = Machine::new([Seat { status, cursor: Some(at(0)), policy, delivery }], 0, BUDGET);
        machine.step(Event::Up(0));
        let attempt = machine.sinks[0].attempt;
        let line = |data: &'static str, partial| LogLine {
            stream: Stream::Stdout,
            time_ns: 0,
            data: data.into(),
            partial,
        };
        let piece = |ordinal| Some(Partial { id: "p".into(), ordinal, last: ordinal == 2 });
        let lines = vec![line("1\na\nb", None), line("x", piece(1)), line("y", piece(2)), line("2\nc", None)];
        let batch = Arc::new(Batch { lines, end: at(2), suppressed: 0 });
        machine.sinks[0].flying = Some(Load { batch, gaps: Gaps::default() });
        let refusal = Refusal { records: 1, lines: 2, bytes: 3, error: "400".into() };
        machine.step(Event::Refused(0, attempt, refusal));
        machine.step(Event::Delivered(0, attempt, 1));
        let status = &machine.sinks[0].status;
        assert_eq!((status.lines, status.refused, status.refuses), (4, 2, false));
    }
}
