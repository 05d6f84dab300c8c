//! Push requests: protobuf in a snappy block, as published in Loki's `push.proto`.

use contract::log::{LogLine, Stream};
use prost::Message;
use std::io;

/// `logproto.PushRequest`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct PushRequest {
    #[prost(message, repeated, tag = "1")]
    pub(super) streams: Vec<Pushed>,
}

/// `logproto.StreamAdapter`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Pushed {
    #[prost(string, tag = "1")]
    pub(super) labels: String,
    #[prost(message, repeated, tag = "2")]
    pub(super) entries: Vec<Entry>,
}

/// `logproto.EntryAdapter`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Entry {
    #[prost(message, optional, tag = "1")]
    pub(super) timestamp: Option<Time>,
    #[prost(string, tag = "2")]
    pub(super) line: String,
}

/// `google.protobuf.Timestamp`.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Time {
    #[prost(int64, tag = "1")]
    pub(super) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(super) nanos: i32,
}

impl From<i64> for Time {
    fn from(ns: i64) -> Self {
        Self { seconds: ns.div_euclid(1_000_000_000), nanos: ns.rem_euclid(1_000_000_000) as i32 }
    }
}

/// The times that entries are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Times {
    /// The lines' own, also where the clock was set back.
    Own,
    /// Later ones there: Loki refuses what is far behind the latest that it has.
    Lifted,
}

/// The latest time used in a stream.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Latest {
    ns: i64,
    /// A line of the post was written after the clock had been set back.
    behind: bool,
}

/// A line that is older than the one before it by more than this was written after the clock had been set back.
const SET_BACK: i64 = 1_000_000_000;

impl Latest {
    /// The time for a line: Loki takes equal lines of one time for one, and lines that were read together have one time.
    fn next(&mut self, ns: i64, times: Times) -> i64 {
        let set_back = self.ns.saturating_sub(ns) > SET_BACK;
        self.behind |= set_back;
        let own = set_back && times == Times::Own;
        self.ns = if own { ns } else { ns.max(self.ns.saturating_add(1)) };
        self.ns
    }

    /// The same, for another post.
    pub(super) fn anew(self) -> Self {
        Self { behind: false, ..self }
    }

    /// Whether a line of the post was written after the clock had been set back.
    pub(super) fn is_behind(&self) -> bool {
        self.behind
    }
}

/// Loki does not keep empty lines apart from blank ones, and Grafana's driver sends neither.
pub(super) fn is_sent(line: &LogLine) -> bool {
    !line.data.iter().all(u8::is_ascii_whitespace)
}

/// The request for `lines` of the stream that each is written to; `None` when none is sent.
pub(super) fn request(
    lines: &[LogLine],
    selectors: &[String; 2],
    (latest, times): (&mut [Latest; 2], Times),
) -> Option<PushRequest> {
    let mut streams = Vec::new();
    for ((stream, selector), latest) in
        [Stream::Stdout, Stream::Stderr].into_iter().zip(selectors).zip(latest)
    {
        let of = lines.iter().filter(|line| line.stream == stream && is_sent(line));
        let entries: Vec<Entry> = of
            .map(|line| Entry {
                timestamp: Some(latest.next(line.time_ns, times).into()),
                line: String::from_utf8_lossy(&line.data).into_owned(),
            })
            .collect();
        if !entries.is_empty() {
            streams.push(Pushed { labels: selector.clone(), entries });
        }
    }
    (!streams.is_empty()).then_some(PushRequest { streams })
}

/// The body of a post.
pub(super) fn body(request: &PushRequest) -> io::Result<Vec<u8>> {
    snap::raw::Encoder::new().compress_vec(&request.encode_to_vec()).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(stream: Stream, time_ns: i64, data: &'static [u8]) -> LogLine {
        LogLine { stream, time_ns, data: data.into(), partial: None }
    }

    #[test]
    fn a_push_has_the_published_bytes() {
        let selectors = ["{s=\"1\"}".to_owned(), "{s=\"2\"}".to_owned()];
        let lines = [
            line(Stream::Stdout, 1_000_000_007, b"x"),
            line(Stream::Stderr, 2_000_000_000, b"\xff"),
            line(Stream::Stdout, 0, b" \t"),
        ];
        let request = request(&lines, &selectors, (&mut [Latest::default(); 2], Times::Own)).unwrap();
        let mut expected = b"\x0a\x14\x0a\x07{s=\"1\"}\x12\x09\x0a\x04\x08\x01\x10\x07\x12\x01x".to_vec();
        expected.extend_from_slice(b"\x0a\x14\x0a\x07{s=\"2\"}\x12\x09\x0a\x02\x08\x02\x12\x03\xef\xbf\xbd");
        assert_eq!(request.encode_to_vec(), expected);
        let packed = body(&request).unwrap();
        assert_eq!(snap::raw::Decoder::new().decompress_vec(&packed).unwrap(), expected);
    }

    #[test]
    fn equal_lines_of_one_moment_stay_two() {
        let selectors = ["a".to_owned(), "b".to_owned()];
        let lines = [7, 7, 5, 9, 20].map(|ns| line(Stream::Stdout, ns, b"x"));
        let mut latest = [Latest::default(); 2];
        let pushed = request(&lines, &selectors, (&mut latest, Times::Own)).unwrap();
        let nanos: Vec<i32> = pushed.streams[0].entries.iter().map(|e| e.timestamp.unwrap().nanos).collect();
        assert_eq!(nanos, [7, 8, 9, 10, 20]);
        let more = request(&lines[..1], &selectors, (&mut latest, Times::Own)).unwrap();
        assert_eq!(more.streams[0].entries[0].timestamp.unwrap().nanos, 21);
        let back = [line(Stream::Stdout, 3_000_000_000, b"x"), line(Stream::Stdout, 1_000_000_000, b"y")];
        let back = request(&back, &selectors, (&mut latest, Times::Own)).unwrap();
        assert_eq!(back.streams[0].entries[1].timestamp, Some(Time { seconds: 1, nanos: 0 }));
        let empty = [line(Stream::Stdout, 0, b"")];
        assert!(request(&empty, &selectors, (&mut latest, Times::Own)).is_none());
    }
}
