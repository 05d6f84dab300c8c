//! Events, and how many of them one put may have (`PutLogEvents`).

use contract::log::LogLine;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Counted for each event besides its text.
const OVERHEAD: usize = 26;
/// Most bytes of one event with that.
const EVENT: usize = 262_144;
/// Most bytes of one put, counted so.
const PUT: usize = 1_048_576;
/// Most events of one put.
const EVENTS: usize = 10_000;
/// Most time between the first and the last event of one put, milliseconds.
const SPAN: i64 = 24 * 60 * 60 * 1000;
/// Longest text of an event: longer lines are cut.
pub(super) const TEXT: usize = EVENT - OVERHEAD;

/// An event of a line.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Event {
    /// Milliseconds since the epoch.
    timestamp: i64,
    message: String,
    /// The line's place in its batch.
    #[serde(skip)]
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

/// `PutLogEvents`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Put<'a> {
    pub(super) log_group_name: &'a str,
    pub(super) log_stream_name: &'a str,
    pub(super) log_events: &'a [Event],
}

/// Which of them go together.
pub(super) fn puts(events: &[Event]) -> Vec<Range<usize>> {
    let (mut out, mut start, mut bytes) = (Vec::new(), 0, 0);
    let mut first = events.first().map_or(0, |event| event.timestamp);
    for (at, event) in events.iter().enumerate() {
        let size = event.message.len() + OVERHEAD;
        if bytes + size > PUT || at - start == EVENTS || event.timestamp - first >= SPAN {
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

/// What the service says to a put.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Said {
    rejected_log_events_info: Option<Rejected>,
}

/// Events that it left out, by their places.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Rejected {
    too_new_log_event_start_index: Option<usize>,
    too_old_log_event_end_index: Option<usize>,
    expired_log_event_end_index: Option<usize>,
}

impl Said {
    /// The lines of `put` that were left out, and why.
    pub(super) fn rejected(&self, put: &[Event]) -> Option<(Vec<usize>, &'static str)> {
        let info = self.rejected_log_events_info.as_ref()?;
        let new = info.too_new_log_event_start_index.unwrap_or(put.len());
        let old = info.too_old_log_event_end_index.max(info.expired_log_event_end_index).unwrap_or(0);
        let out = |at: usize| at < old || at >= new;
        let mut lines: Vec<usize> =
            put.iter().enumerate().filter(|(at, _)| out(*at)).map(|(_, event)| event.line).collect();
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
        puts(events).into_iter().map(|put| (put.start, put.end)).collect()
    }

    #[test]
    fn events_are_in_the_order_of_their_times_and_never_empty() {
        let lines = [line(2, "b"), line(1, ""), line(1, "a"), line(2, "c")];
        let all = events(&lines);
        let text = serde_json::to_string(&all).unwrap();
        let wanted =
            r#"[{"timestamp":1,"message":"a"},{"timestamp":2,"message":"b"},{"timestamp":2,"message":"c"}]"#;
        assert_eq!(text, wanted);
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
        assert_eq!(bad.len(), 3);
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
    fn rejected_events_are_found() {
        let all = events(&[line(1, "a"), line(2, "b"), line(3, "c"), line(4, "d")]);
        let said = |text: &str| serde_json::from_str::<Said>(text).unwrap().rejected(&all);
        assert_eq!(said("{}"), None);
        assert_eq!(said(r#"{"nextSequenceToken":"1"}"#), None);
        let old = r#"{"rejectedLogEventsInfo":{"tooOldLogEventEndIndex":1,"expiredLogEventEndIndex":2}}"#;
        assert_eq!(said(old), Some((vec![0, 1], "events are too old")));
        let new = r#"{"rejectedLogEventsInfo":{"tooNewLogEventStartIndex":3}}"#;
        assert_eq!(said(new), Some((vec![3], "events are too far in the future")));
    }
}
