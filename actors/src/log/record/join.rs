//! Which lines are one record.

use super::{GRACE, Record, nanoseconds};
use bytes::Bytes;
use contract::log::{Join, LogLine, Mark, Position, Stream};
use std::sync::Arc;

/// Joins the lines of each stream.
#[derive(Debug)]
pub(super) struct Joiner {
    rules: Arc<Join>,
    max_bytes: usize,
    timeout_ns: i64,
    stdout: Option<Held>,
    stderr: Option<Held>,
}

/// A record that may go on.
#[derive(Debug)]
struct Held {
    /// Where its first line begins: the spool is read again from here as long as it is held.
    from: Mark,
    stream: Stream,
    time_ns: i64,
    /// When its last line was complete.
    last_ns: i64,
    first: Bytes,
    /// All of it, once it has several lines.
    text: Vec<u8>,
    lines: usize,
}

impl Held {
    fn len(&self) -> usize {
        self.first.len().max(self.text.len())
    }

    fn append(&mut self, line: &[u8]) {
        if self.text.is_empty() {
            self.text.reserve((self.first.len() + line.len() + 1) * 2);
            self.text.extend_from_slice(&self.first);
        }
        self.text.push(b'\n');
        self.text.extend_from_slice(line);
        self.lines += 1;
    }

    fn record(self) -> Record {
        let data = if self.lines > 1 { self.text.into() } else { self.first };
        let line = LogLine { stream: self.stream, time_ns: self.time_ns, data, partial: None };
        Record { line, lines: self.lines as u64 }
    }
}

impl Joiner {
    /// Holds nothing.
    pub(super) fn new(rules: Arc<Join>, max_bytes: usize) -> Self {
        let timeout_ns = nanoseconds(rules.timeout);
        Self { rules, max_bytes, timeout_ns, stdout: None, stderr: None }
    }

    fn slot(&mut self, stream: Stream) -> &mut Option<Held> {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }

    fn held(&self) -> impl Iterator<Item = &Held> {
        self.stdout.iter().chain(&self.stderr)
    }

    /// Where the record that a stream has open begins.
    pub(super) fn from(&self, stream: Stream) -> Option<&Mark> {
        self.held().find(|held| held.stream == stream).map(|held| &held.from)
    }

    fn continues(&self, line: &LogLine) -> bool {
        let mut held = self.held().filter(|held| held.stream == line.stream);
        held.any(|held| {
            held.lines < self.rules.max_lines && held.len() + 1 + line.data.len() <= self.max_bytes
        }) && !self.rules.begins.is_in(&line.data)
    }

    /// A line, which begins at `from` and was complete at a time.
    pub(super) fn take(&mut self, line: LogLine, from: &Mark, time_ns: i64, out: &mut Vec<Record>) {
        if line.partial.is_some() {
            // Longer than any record.
            out.extend(self.slot(line.stream).take().map(Held::record));
            out.push(Record::alone(line));
        } else if self.continues(&line) {
            if let Some(held) = self.slot(line.stream) {
                held.append(&line.data);
                held.last_ns = time_ns;
            }
        } else {
            let new = Held {
                from: from.clone(),
                stream: line.stream,
                time_ns: line.time_ns,
                last_ns: time_ns,
                first: line.data,
                text: Vec::new(),
                lines: 1,
            };
            out.extend(self.slot(line.stream).replace(new).map(Held::record));
        }
    }

    /// For so long nothing could follow what is held.
    pub(super) fn wait(&mut self, held_ns: i64) {
        for held in self.stdout.iter_mut().chain(&mut self.stderr) {
            held.last_ns = held.last_ns.saturating_add(held_ns);
        }
    }

    /// Ends what no line followed until that time; with a place, also what holds the spool from too far before it.
    pub(super) fn quiet(&mut self, now_ns: i64, at: Option<Position>, out: &mut Vec<Record>) {
        let timeout = self.timeout_ns;
        let over = |held: &mut Held| {
            let silence = now_ns.saturating_sub(held.last_ns);
            let far = at.is_some_and(|at| held.from.at.segment + 1 < at.segment);
            // Without a place it is the clock that says it: where it was put back, nobody knows.
            let back = at.is_none() && silence < -timeout - nanoseconds(GRACE);
            silence > timeout || far || back
        };
        give([self.stdout.take_if(over), self.stderr.take_if(over)], out);
    }

    /// When the next that is held has been followed by nothing for too long.
    pub(super) fn due(&self) -> Option<i64> {
        self.held().map(|held| held.last_ns.saturating_add(self.timeout_ns)).min()
    }

    /// Nothing goes on.
    pub(super) fn end(&mut self, out: &mut Vec<Record>) {
        let ended = [self.stdout.take(), self.stderr.take()];
        give(ended, out);
    }
}

/// The one that was silent for longer comes first: so it does where it is found to be over before.
fn give(mut ended: [Option<Held>; 2], out: &mut Vec<Record>) {
    ended.sort_by_key(|held| held.as_ref().map(|h| h.last_ns));
    out.extend(ended.into_iter().flatten().map(Held::record));
}
