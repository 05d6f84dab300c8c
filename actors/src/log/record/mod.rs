//! Lines become records: joined where they belong together, held to a rate. What comes out depends on what stands in the
//! spool and on the cursor alone, so that reading again gives the same; the clock decides only when an end that nothing
//! followed is looked for.

mod join;
mod rate;

#[cfg(test)]
mod tests;

use super::framer::{Framer, Taken};
use super::gap::Gaps;
use contract::log::{BatchPolicy, Cursor, LogLine, Mark, Position, Stream, Streams};
use contract::runtime::SpoolRecord;
use join::Joiner;
use rate::Limiter;
use std::time::Duration;

/// What is in the spool is seen here a little later.
const GRACE: Duration = Duration::from_millis(200);

/// How many of the container's lines these are, which a policy made: one may be several that were joined, or a piece of one,
/// which counts with its first. What waits in a spool is counted by the same measure.
pub fn container_lines<'a>(lines: impl IntoIterator<Item = &'a LogLine>, policy: &BatchPolicy) -> u64 {
    let joins = policy.records.join.is_some();
    let joined = |line: &LogLine| match joins {
        true => memchr::memchr_iter(b'\n', &line.data).count() as u64,
        // Without that, no line has an LF in it.
        false => 0,
    };
    lines.into_iter().map(|line| if begins(line) { 1 + joined(line) } else { 0 }).sum()
}

/// Whether a line of the container begins with this one.
fn begins(line: &LogLine) -> bool {
    line.partial.as_ref().is_none_or(|piece| piece.ordinal == 1)
}

/// A line for a driver, and how many lines of the container it is.
#[derive(Debug)]
struct Record {
    line: LogLine,
    lines: u64,
}

impl Record {
    /// A line that is joined with none. A piece counts as the line that it begins.
    fn alone(line: LogLine) -> Self {
        let lines = u64::from(begins(&line));
        Self { line, lines }
    }
}

/// Builds one sink's records from the spool, as its policy says.
#[derive(Debug)]
pub struct Builder {
    framer: Framer,
    /// None where each line is a record.
    rules: Option<Box<Rules>>,
}

#[derive(Debug)]
struct Rules {
    streams: Streams,
    join: Option<Joiner>,
    rate: Option<Limiter>,
    suppressed: u64,
    // Emptied after each use.
    cut: Vec<LogLine>,
    built: Vec<Record>,
}

fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

impl Builder {
    /// A builder that goes on at `cursor`; records of the spool are to be pushed from its floor on.
    pub fn at(cursor: &Cursor, policy: &BatchPolicy, seed: u64) -> Self {
        let records = &policy.records;
        let bounded = |wanted: usize| wanted.min(policy.max_record);
        let mut longest = records.reassemble.map_or(policy.max_line, bounded);
        let join = records.join.clone().map(|join| {
            let max_bytes = bounded(join.max_bytes);
            longest = longest.max(max_bytes);
            Joiner::new(join, max_bytes)
        });
        let rate = records.rate.clone().map(|rate| Limiter::at(rate, cursor.pace.clone()));
        let rules = (join.is_some() || rate.is_some()).then(|| {
            let (suppressed, cut, built) = Default::default();
            Box::new(Rules { streams: policy.streams, join, rate, suppressed, cut, built })
        });
        let framer = Framer::at(cursor, longest, seed).dated(policy.max_line).telling(policy.streams);
        Self { framer, rules }
    }

    /// Ends where `limit` goes on.
    pub fn until(mut self, limit: Option<&Cursor>) -> Self {
        self.framer = self.framer.until(limit);
        self
    }

    /// Whether it has come to its limit, if it has one.
    pub fn is_done(&self) -> bool {
        self.framer.is_done()
    }

    /// Whether nothing of a record of the spool lies before the limit.
    pub fn is_beyond(&self, at: Position) -> bool {
        self.framer.is_beyond(at)
    }

    /// What was told of lines that are not there.
    pub fn gaps(&self) -> Gaps {
        let rate = self.rules.as_ref().and_then(|rules| rules.rate.as_ref());
        self.framer.gaps() + rate.map(Limiter::gaps).unwrap_or_default()
    }

    /// A part of the spool is missing before a place.
    pub fn lose(&mut self, at: Position, time_ns: i64, out: &mut Vec<LogLine>) {
        self.end(out);
        self.framer.lose(at, time_ns, out);
    }

    /// What is held does not go on.
    pub fn end(&mut self, out: &mut Vec<LogLine>) {
        if let Some(rules) = &mut self.rules {
            rules.end(out);
        }
    }

    /// From here exactly the records after those given out come again.
    pub fn cursor(&self) -> Cursor {
        let mut cursor = self.framer.cursor();
        if let Some(rules) = &self.rules {
            if let Some(join) = &rules.join {
                let held = |stream, mark: &mut Mark| {
                    if let Some(from) = join.from(stream) {
                        mark.clone_from(from);
                    }
                };
                held(Stream::Stdout, &mut cursor.stdout);
                held(Stream::Stderr, &mut cursor.stderr);
            }
            cursor.pace = rules.rate.as_ref().and_then(Limiter::pace);
        }
        cursor
    }

    /// Lines suppressed so far.
    pub fn suppressed(&self) -> u64 {
        self.rules.as_ref().map_or(0, |rules| rules.suppressed)
    }

    /// Appends the records that are complete with this one of the spool, until `full` says that it is enough.
    pub fn push(
        &mut self,
        record: &SpoolRecord,
        out: &mut Vec<LogLine>,
        mut full: impl FnMut(&[LogLine]) -> bool,
    ) -> Taken {
        let Some(rules) = &mut self.rules else { return self.framer.push(record, out, full) };
        match record {
            SpoolRecord::Data { at, stream, time_ns, held_ns, data } => {
                if let Some(join) = &mut rules.join {
                    join.wait(*held_ns);
                }
                if self.framer.is_past(*stream, *at) {
                    return Taken::Whole;
                }
                rules.tick(*at, *time_ns, out);
                loop {
                    if full(out) {
                        return Taken::Full;
                    }
                    if rules.lets_none(*stream) {
                        let skipped = self.framer.skip(*stream, *at, data);
                        rules.suppress(*stream, *time_ns, skipped);
                    }
                    let from = self.framer.mark(*stream, *at).clone();
                    let taken = self.framer.push(record, &mut rules.cut, |cut| !cut.is_empty());
                    rules.take(&from, *time_ns, out);
                    if taken == Taken::Whole {
                        return Taken::Whole;
                    }
                }
            }
            SpoolRecord::Gap { .. } => {
                // Nobody knows whether what was lost belonged to them.
                rules.end(out);
                self.framer.push(record, out, full)
            }
            SpoolRecord::End { at, .. } => {
                rules.end(out);
                out.extend(rules.rate.as_mut().and_then(|rate| rate.end(*at)));
                let taken = self.framer.push(record, &mut rules.cut, |_| false);
                rules.tails(out);
                taken
            }
        }
    }

    /// Whether something that is held is over by the clock.
    pub fn is_over(&self, now_ns: i64) -> bool {
        let join = self.rules.as_ref().and_then(|rules| rules.join.as_ref());
        let due = join.and_then(Joiner::due);
        due.is_some_and(|due| due <= now_ns.saturating_sub(nanoseconds(GRACE)))
    }

    /// At the end of what the spool holds now: appends what is over by the clock, and answers when to look again.
    pub fn dry(&mut self, now_ns: i64, out: &mut Vec<LogLine>) -> Option<Duration> {
        let rules = self.rules.as_mut()?;
        let now_ns = now_ns.saturating_sub(nanoseconds(GRACE));
        if let Some(join) = &mut rules.join {
            join.quiet(now_ns, None, &mut rules.built);
        }
        rules.give(out);
        let due = match rules.join.as_ref().and_then(Joiner::due) {
            // What is still held may be suppressed, too, and then counts to the same.
            Some(due) => due,
            None => {
                let rate = rules.rate.as_mut()?;
                match rate.over(now_ns) {
                    Some(told) => {
                        out.push(told);
                        return None;
                    }
                    None => rate.due()?,
                }
            }
        };
        Some(Duration::from_nanos(due.saturating_sub(now_ns).max(1_000_000).unsigned_abs()))
    }
}

impl Rules {
    /// Output was read at a time: what it shows to be over ends.
    fn tick(&mut self, at: Position, time_ns: i64, out: &mut Vec<LogLine>) {
        if let Some(join) = &mut self.join {
            join.quiet(time_ns, Some(at), &mut self.built);
            self.give(out);
        }
        if let Some(told) = self.rate.as_mut().and_then(|rate| rate.tick(at, time_ns)) {
            out.push(told);
        }
    }

    /// Takes what the framer cut; `from` is where that began.
    fn take(&mut self, from: &Mark, time_ns: i64, out: &mut Vec<LogLine>) {
        for line in self.cut.drain(..) {
            match &mut self.join {
                Some(join) => join.take(line, from, time_ns, &mut self.built),
                None => self.built.push(Record::alone(line)),
            }
        }
        self.give(out);
    }

    /// Whether lines of a stream would be counted, and no more, for now.
    fn lets_none(&self, stream: Stream) -> bool {
        self.join.is_none()
            && self.streams.lets(stream)
            && self.rate.as_ref().is_some_and(Limiter::is_used_up)
    }

    fn suppress(&mut self, stream: Stream, time_ns: i64, (lines, bytes): (u64, u64)) {
        if let Some(rate) = self.rate.as_mut().filter(|_| lines > 0) {
            rate.suppress(stream, time_ns, lines);
            rate.withhold(bytes);
            self.suppressed += lines;
        }
    }

    /// What is held does not go on.
    fn end(&mut self, out: &mut Vec<LogLine>) {
        if let Some(join) = &mut self.join {
            join.end(&mut self.built);
        }
        self.give(out);
    }

    /// The text without LF with which streams ended. It stands for itself, whatever the rate: windows go by the times of
    /// output, not by that of the end, so whether something was over before it depends on who looked.
    fn tails(&mut self, out: &mut Vec<LogLine>) {
        for line in self.cut.drain(..) {
            let lets = self.rate.as_mut().is_none_or(|rate| rate.lets_tail(&line));
            if !self.streams.lets(line.stream) {
                continue;
            }
            if lets {
                out.push(line);
            } else if let Some(rate) = &mut self.rate {
                rate.withhold(line.data.len() as u64);
            }
        }
    }

    fn give(&mut self, out: &mut Vec<LogLine>) {
        for Record { line, lines } in self.built.drain(..) {
            if !self.streams.lets(line.stream) {
                continue;
            }
            let lets = self.rate.as_mut().is_none_or(|rate| rate.lets(&line, lines));
            if lets {
                out.push(line);
            } else if let Some(rate) = &mut self.rate {
                self.suppressed += lines;
                rate.withhold(line.data.len() as u64);
            }
        }
    }
}
