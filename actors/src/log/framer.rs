//! Spool records to lines, with a cursor from which exactly the following lines come again.

use super::gap::{self, Gaps, marker};
use bytes::{Bytes, BytesMut};
use contract::log::{Cursor, LogLine, Mark, Partial, Position, Stream, Streams};
use contract::runtime::{Missing, SpoolRecord};

/// Whether a record was taken wholly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// All of it.
    Whole,
    /// The limit was reached first; the rest comes again from the cursor.
    Full,
}

#[derive(Debug, Default)]
struct Lane {
    /// Where the text not yet in a line begins.
    mark: Mark,
    /// Where reading goes on.
    next: (Position, u32),
    carry: BytesMut,
    /// When the last of that was read.
    carry_time: i64,
    /// A line of so many bytes may come whole here and in pieces elsewhere, and has one time in both.
    piece: usize,
    /// When so many of the one under way were there.
    first_ns: Option<i64>,
    /// No line that begins here or later is given out.
    limit: Option<(Position, u32)>,
}

impl Lane {
    fn new(mark: &Mark, piece: usize) -> Self {
        Self { mark: mark.clone(), next: (mark.at, mark.skip), piece, ..Self::default() }
    }

    fn go_to(&mut self, at: Position, skip: u32) {
        self.next = self.limit.map_or((at, skip), |limit| limit.min((at, skip)));
        (self.mark.at, self.mark.skip) = self.next;
    }

    /// Whether what follows is not to be given out.
    fn is_done(&self) -> bool {
        self.limit.is_some_and(|limit| self.mark.place() >= limit)
    }

    /// A stream that waits for nothing holds no part of the spool.
    fn idle_at(&mut self, at: Position) {
        if self.carry.is_empty() && self.next.0 < at {
            self.go_to(at, 0);
        }
    }

    fn emit(
        &mut self,
        text: Bytes,
        time_ns: i64,
        ends: bool,
        id: impl Fn(&Mark) -> String,
        stream: Stream,
    ) -> LogLine {
        let first_ns = self.first_ns.take();
        let time_ns = match &self.mark.partial {
            Some((_, _, first)) => *first,
            None => first_ns.unwrap_or(time_ns),
        };
        let data = if self.carry.is_empty() {
            text
        } else {
            self.carry.extend_from_slice(&text);
            self.carry.split().freeze()
        };
        let partial = match (self.mark.partial.take(), ends) {
            (None, true) => None,
            (held, last) => {
                let (id, ordinal, _) = held.unwrap_or_else(|| (id(&self.mark), 1, time_ns));
                if !last {
                    self.mark.partial = Some((id.clone(), ordinal + 1, time_ns));
                }
                Some(Partial { id, ordinal, last })
            }
        };
        LogLine { stream, time_ns, data, partial }
    }
}

/// The framer of one container's output.
#[derive(Debug)]
pub struct Framer {
    stdout: Lane,
    stderr: Lane,
    max_line: usize,
    seed: u64,
    streams: Streams,
    gaps: Gaps,
}

fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A number that differs between containers.
pub fn seed(container: &str) -> u64 {
    container.bytes().fold(0, |hash, byte| mix(hash ^ u64::from(byte)))
}

/// A line's identity follows from its place, so that reading it again yields the same.
fn identity(seed: u64, stream: Stream, mark: &Mark) -> String {
    let mut x = mix(seed ^ u64::from(stream == Stream::Stderr));
    let mut out = String::with_capacity(64);
    for part in [mark.at.segment, mark.at.offset, u64::from(mark.skip), 0] {
        x = mix(x ^ part);
        out.push_str(&format!("{x:016x}"));
    }
    out
}

impl Framer {
    /// A framer that goes on at `cursor`; records are to be pushed from its floor on.
    pub fn at(cursor: &Cursor, max_line: usize, seed: u64) -> Self {
        let max_line = max_line.max(1);
        let (stdout, stderr) = (Lane::new(&cursor.stdout, max_line), Lane::new(&cursor.stderr, max_line));
        let (streams, gaps) = (Streams::Both, Gaps::default());
        Self { stdout, stderr, max_line, seed, streams, gaps }
    }

    /// A line that is longer than so many bytes has the time at which those were there, though it comes whole.
    pub fn dated(mut self, piece: usize) -> Self {
        (self.stdout.piece, self.stderr.piece) = (piece, piece);
        self
    }

    /// What it tells of lines that are not there is for who gets these streams.
    pub fn telling(self, streams: Streams) -> Self {
        Self { streams, ..self }
    }

    /// Ends where `limit` goes on.
    pub fn until(mut self, limit: Option<&Cursor>) -> Self {
        self.stdout.limit = limit.map(|cursor| cursor.stdout.place());
        self.stderr.limit = limit.map(|cursor| cursor.stderr.place());
        self
    }

    /// Whether it has come to its limit, if it has one.
    pub fn is_done(&self) -> bool {
        self.stdout.is_done() && self.stderr.is_done()
    }

    /// Whether nothing of a record lies before the limit.
    pub fn is_beyond(&self, at: Position) -> bool {
        let beyond = |lane: &Lane| lane.limit.is_some_and(|(limit, _)| limit < at);
        beyond(&self.stdout) && beyond(&self.stderr)
    }

    /// What was told of lines that are not there.
    pub fn gaps(&self) -> Gaps {
        self.gaps
    }

    /// Tells that output is missing before a place, whosever it was: lines under way end there. A stream that has gone on from
    /// there stays where it is.
    pub fn gap(&mut self, at: Position, time_ns: i64, text: String, out: &mut Vec<LogLine>) {
        for (lane, stream) in [(&mut self.stdout, Stream::Stdout), (&mut self.stderr, Stream::Stderr)] {
            if lane.next > (at, 1) {
                // It was given out to beyond the place, while the other had a line under way before it.
                continue;
            }
            if !lane.carry.is_empty() || lane.mark.partial.is_some() {
                let identity = |m: &Mark| identity(self.seed, stream, m);
                // The gap may be told of much later than what stands before it was read.
                let ended_ns = lane.carry_time;
                out.push(lane.emit(Bytes::new(), ended_ns, true, identity, stream));
            }
            lane.go_to(at, 1);
        }
        let told = marker(text, time_ns, self.streams);
        self.gaps.mark(&told);
        out.push(told);
    }

    /// A part of the spool is missing before a place.
    pub fn lose(&mut self, at: Position, time_ns: i64, out: &mut Vec<LogLine>) {
        self.gaps.lost += 1;
        self.gap(at, time_ns, gap::lost(), out);
    }

    fn lane(&self, stream: Stream) -> &Lane {
        match stream {
            Stream::Stdout => &self.stdout,
            Stream::Stderr => &self.stderr,
        }
    }

    /// Where the next line of a stream begins, once all that was pushed is taken and a record at that place follows.
    pub(super) fn mark(&mut self, stream: Stream, at: Position) -> &Mark {
        let lane = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        lane.idle_at(at);
        &lane.mark
    }

    /// Whether the record of a stream at that place was used up before.
    pub(super) fn is_past(&self, stream: Stream, at: Position) -> bool {
        at < self.lane(stream).next.0
    }

    /// Passes over the lines that end in a record of a stream that has none under way: how many they were, and their bytes.
    pub(super) fn skip(&mut self, stream: Stream, at: Position, data: &[u8]) -> (u64, u64) {
        let lane = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        if !lane.carry.is_empty() || lane.mark.partial.is_some() {
            return (0, 0);
        }
        let used = if at == lane.next.0 { (lane.next.1 as usize).min(data.len()) } else { 0 };
        let end = match lane.limit {
            Some((limit, skip)) if limit == at => (skip as usize).min(data.len()),
            Some((limit, _)) if limit < at => 0,
            _ => data.len(),
        };
        let rest = data.get(used..end).unwrap_or_default();
        let whole = memchr::memrchr(b'\n', rest).map_or(0, |last| last + 1);
        lane.go_to(at, (used + whole) as u32);
        let lines = memchr::memchr_iter(b'\n', rest).count() as u64;
        (lines, (whole as u64).saturating_sub(lines))
    }

    /// From here exactly the lines after those given out come again.
    pub fn cursor(&self) -> Cursor {
        Cursor { stdout: self.stdout.mark.clone(), stderr: self.stderr.mark.clone(), pace: None }
    }

    /// Appends the lines `record` completes, until `full` says that it is enough.
    pub fn push(
        &mut self,
        record: &SpoolRecord,
        out: &mut Vec<LogLine>,
        mut full: impl FnMut(&[LogLine]) -> bool,
    ) -> Taken {
        match record {
            SpoolRecord::Data { at, stream, time_ns, data, .. } => {
                self.release(*at, *time_ns, out);
                let (own, other) = match stream {
                    Stream::Stdout => (&mut self.stdout, &mut self.stderr),
                    Stream::Stderr => (&mut self.stderr, &mut self.stdout),
                };
                other.idle_at(*at);
                let (max_line, seed) = (self.max_line, self.seed);
                take(own, *at, *stream, *time_ns, data, max_line, seed, out, full)
            }
            SpoolRecord::Gap { at, time_ns, missing } => {
                let past = |lane: &Lane| lane.next > (*at, 0) || lane.limit.is_some_and(|l| l < (*at, 1));
                if past(&self.stdout) && past(&self.stderr) {
                    return Taken::Whole;
                }
                if full(out) {
                    return Taken::Full;
                }
                match missing {
                    Missing::Unspooled(bytes) => {
                        self.gaps.unspooled += bytes;
                        self.gap(*at, *time_ns, gap::unspooled(*bytes), out);
                    }
                    Missing::Unreadable => self.lose(*at, *time_ns, out),
                    Missing::Unwritten => self.gap(*at, *time_ns, gap::unwritten(), out),
                }
                Taken::Whole
            }
            SpoolRecord::End { at, time_ns } => {
                for (lane, stream) in [(&mut self.stdout, Stream::Stdout), (&mut self.stderr, Stream::Stderr)]
                {
                    if lane.next.0 > *at {
                        continue;
                    }
                    if !lane.carry.is_empty() {
                        // A clock that was put back meanwhile does not make it older than it is.
                        let ended_ns = lane.carry_time.max(*time_ns);
                        out.push(lane.emit(
                            Bytes::new(),
                            ended_ns,
                            false,
                            |m| identity(self.seed, stream, m),
                            stream,
                        ));
                    }
                    lane.mark.partial = None;
                    lane.go_to(*at, 0);
                }
                Taken::Whole
            }
        }
    }

    /// Unfinished text must not hold the spool while the other stream fills it: two segments later it goes out as
    /// a piece. That depends on places only, so it happens again when read again.
    fn release(&mut self, at: Position, time_ns: i64, out: &mut Vec<LogLine>) {
        for (lane, stream) in [(&mut self.stdout, Stream::Stdout), (&mut self.stderr, Stream::Stderr)] {
            if !lane.carry.is_empty() && lane.mark.at.segment + 1 < at.segment {
                out.push(lane.emit(Bytes::new(), time_ns, false, |m| identity(self.seed, stream, m), stream));
                lane.go_to(at, 0);
            }
        }
    }
}

#[expect(clippy::too_many_arguments, reason = "one call, parted only for length")]
fn take(
    lane: &mut Lane,
    at: Position,
    stream: Stream,
    time_ns: i64,
    data: &Bytes,
    max_line: usize,
    seed: u64,
    out: &mut Vec<LogLine>,
    mut full: impl FnMut(&[LogLine]) -> bool,
) -> Taken {
    if at < lane.next.0 {
        return Taken::Whole;
    }
    let mut used = if at == lane.next.0 { (lane.next.1 as usize).min(data.len()) } else { 0 };
    loop {
        if lane.carry.is_empty() {
            lane.go_to(at, used as u32);
            if lane.is_done() {
                return Taken::Whole;
            }
        }
        let rest = data.get(used..).unwrap_or_default();
        if rest.is_empty() {
            lane.next = (at, used as u32);
            return Taken::Whole;
        }
        if full(out) {
            lane.next = (at, used as u32);
            return Taken::Full;
        }
        let room = max_line - lane.carry.len();
        let window = rest.get(..room).unwrap_or(rest);
        let lf = memchr::memchr(b'\n', window);
        if lane.first_ns.is_none() && lane.carry.len() + lf.unwrap_or(window.len()) >= lane.piece {
            lane.first_ns = Some(time_ns);
        }
        // One slice of the shared bytes a line: counting its holders is a visible part of a line's cost.
        let piece = |length| data.slice(used..used + length);
        match lf {
            Some(lf) => {
                let text = piece(lf);
                used += lf + 1;
                out.push(lane.emit(text, time_ns, true, |m| identity(seed, stream, m), stream));
            }
            None if window.len() == room => {
                let text = piece(room);
                used += room;
                out.push(lane.emit(text, time_ns, false, |m| identity(seed, stream, m), stream));
            }
            None => {
                lane.carry_time = time_ns;
                lane.carry.extend_from_slice(window);
                used += window.len();
            }
        }
    }
}
