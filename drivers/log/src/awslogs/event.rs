//! Events, and how many of them one put may have (`PutLogEvents`).

use contract::log::LogLine;
use std::ops::Range;

/// Counted for each event besides its text.
const OVERHEAD: usize = 26;
/// Most bytes of one event with that.
const EVENT: usize = 262_144;
/// Most bytes of one put, counted so.
pub(super) const PUT: usize = 1_048_576;
/// A put that takes too long is halved down to this.
const SMALLEST: usize = PUT / 16;
/// Most events of one put.
const EVENTS: usize = 10_000;
/// Most time between the first and the last event of one put, milliseconds.
const SPAN: i64 = 24 * 60 * 60 * 1000;
/// Longest text of an event: longer lines are cut.
pub(super) const TEXT: usize = EVENT - OVERHEAD;

/// An event of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Event {
    /// Milliseconds since the epoch.
    pub(super) timestamp: i64,
    pub(super) message: String,
    /// The line's place in its batch.
    line: usize,
}

/// The events of `lines` in the order of their times.
pub(super) fn events(lines: &[LogLine]) -> Vec<Event> {
    let mut out = Vec::with_capacity(lines.len());
    for (line, LogLine { data, time_ns, .. }) in lines.iter().enumerate() {
        // Each bad byte becomes three, so what was cut to size may have to be cut again.
        let text = String::from_utf8_lossy(data);
        let mut rest = &*text;
        while !rest.is_empty() {
            let (message, after) = rest.split_at(rest.floor_char_boundary(TEXT));
            out.push(Event { timestamp: time_ns.div_euclid(1_000_000), message: message.to_owned(), line });
            rest = after;
        }
    }
    out.sort_by_key(|event| event.timestamp);
    out
}

/// The most bytes of a put after one of up to `most` has taken too long: it always would. But a service that hangs must not be
/// left with puts of an event each when it goes on.
pub(super) fn halved(most: usize) -> usize {
    (most / 2).max(SMALLEST)
}

/// Those after a batch that got through.
pub(super) fn grown(most: usize) -> usize {
    (most + most / 4).min(PUT)
}

/// Which of them go together, in at most so many bytes where one is not longer by itself.
pub(super) fn puts(events: &[Event], most: usize) -> Vec<Range<usize>> {
    let (mut out, mut start, mut bytes) = (Vec::new(), 0, 0);
    let mut first = events.first().map_or(0, |event| event.timestamp);
    for (at, event) in events.iter().enumerate() {
        let size = event.message.len() + OVERHEAD;
        let full = bytes + size > most || at - start == EVENTS || event.timestamp - first >= SPAN;
        if full && at > start {
            out.push(start..at);
            (start, bytes, first) = (at, 0, event.timestamp);
        }
        bytes += size;
    }
    if start < events.len() {
        out.push(start..events.len());
    }
    out
}

/// What the service left out of a put because of its time.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Outside {
    /// Events before this place were too old.
    pub(super) old: Option<usize>,
    /// Events from this place on were too new.
    pub(super) new: Option<usize>,
}

impl Outside {
    /// The lines of `put` that were left out, and why.
    pub(super) fn rejected(self, put: &[Event]) -> Option<(Vec<usize>, &'static str)> {
        let (old, new) = (self.old.unwrap_or(0), self.new.unwrap_or(put.len()));
        let mut lines: Vec<usize> = put
            .iter()
            .enumerate()
            .filter(|(at, _)| *at < old || *at >= new)
            .map(|(_, event)| event.line)
            .collect();
        lines.dedup();
        let why = if old > 0 { "events are too old" } else { "events are too far in the future" };
        (!lines.is_empty()).then_some((lines, why))
    }
}

/// The lines of `put`.
pub(super) fn lines(put: &[Event]) -> Vec<usize> {
    let mut out: Vec<usize> = put.iter().map(|event| event.line).collect();
    out.dedup();
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::log::Stream;

    fn line(time_ms: i64, data: impl Into<bytes::Bytes>) -> LogLine {
        LogLine { stream: Stream::Stdout, time_ns: time_ms * 1_000_000, data: data.into(), partial: None }
    }

    fn bounds(events: &[Event]) -> Vec<(usize, usize)> {
        puts(events, PUT).into_iter().map(|put| (put.start, put.end)).collect()
    }

    #[test]
    fn events_are_in_the_order_of_their_times_and_never_empty() {
        let lines = [line(2, "b"), line(1, ""), line(1, "a"), line(2, "c")];
        let all = events(&lines);
        let told: Vec<(i64, &str)> = all.iter().map(|e| (e.timestamp, e.message.as_str())).collect();
        assert_eq!(told, [(1, "a"), (2, "b"), (2, "c")]);
        assert_eq!(bounds(&all), [(0, 3)]);
        assert!(bounds(&[]).is_empty());
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let long = format!("a{}", "é".repeat(TEXT / 2));
        let all = events(&[line(1, long.clone())]);
        assert_eq!(all.iter().map(|e| e.message.len()).collect::<Vec<_>>(), [TEXT - 1, 2]);
        assert_eq!(all.iter().map(|e| e.message.as_str()).collect::<String>(), long);
        // A bad byte counts as three.
        let bad = events(&[line(1, vec![0xff; TEXT])]);
        assert_eq!(bad.len(), 4);
        assert!(bad.iter().all(|e| e.message.len() <= TEXT));
    }

    #[test]
    fn puts_keep_the_services_limits() {
        let big = vec![b'x'; TEXT];
        let five: Vec<LogLine> = (0..5).map(|n| line(n, big.clone())).collect();
        assert_eq!(bounds(&events(&five)), [(0, 4), (4, 5)]);
        let many: Vec<LogLine> = (0..10_001).map(|n| line(n, "x")).collect();
        assert_eq!(bounds(&events(&many)), [(0, 10_000), (10_000, 10_001)]);
        let days = [line(0, "x"), line(SPAN - 1, "x"), line(SPAN, "x")];
        assert_eq!(bounds(&events(&days)), [(0, 2), (2, 3)]);
    }

    #[test]
    fn puts_that_take_too_long_are_halved_until_they_get_through() {
        let lines: Vec<LogLine> = (0..8).map(|n| line(n, vec![b'x'; 128 * 1024 - OVERHEAD])).collect();
        let all = events(&lines);
        let ends = |most| puts(&all, most).into_iter().map(|put| put.end).collect::<Vec<_>>();
        assert_eq!(ends(PUT), [8]);
        assert_eq!(ends(halved(PUT)), [4, 8]);
        // None is without an event.
        let least = (0..10).fold(PUT, |most, _| halved(most));
        assert_eq!((least, ends(least)), (SMALLEST, (1..=8).collect::<Vec<_>>()));
        // What goes on after some of them is cut at the same places.
        let rest = puts(&all[4..], halved(PUT));
        assert_eq!((rest.len(), rest[0].end), (1, 4));
        assert_eq!((0..20).fold(least, |most, _| grown(most)), PUT);
    }

    #[test]
    fn rejected_events_are_found() {
        let all = events(&[line(1, "a"), line(2, "b"), line(3, "c"), line(4, "d")]);
        let said = |old, new| Outside { old, new }.rejected(&all);
        assert_eq!(said(None, None), None);
        assert_eq!(said(Some(2), None), Some((vec![0, 1], "events are too old")));
        assert_eq!(said(None, Some(3)), Some((vec![3], "events are too far in the future")));
    }
}
