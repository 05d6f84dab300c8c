//! How much of a container's output its sinks have not delivered. What the spool holds is counted once, however often and
//! for however many sinks somebody asks; nobody pays for it who does not look.

mod missing;

use contract::PortError;
use contract::log::{Cursor, Loss, Mark, Position, Stream, Streams};
use contract::runtime::{Spool, SpoolRecord};
use missing::Missed;
use std::collections::BTreeMap;

/// Bytes asked of the spool at once, and about as many between two places whose counts are remembered.
const STRIDE: usize = 256 * 1024;

/// What a sink has not delivered yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lag {
    /// Bytes of output.
    pub bytes: u64,
    /// Those without the ends of lines.
    pub text: u64,
    /// Ends of lines in them, but for a line of which a part was delivered: it counted then.
    pub lines: u64,
    /// Bytes for which the spool had no room, and that were not counted yet as dropped: its sink has not come to where they
    /// are missing.
    pub unspooled: u64,
    /// When the first of them was read from the container, ns since the epoch; none while no line is complete.
    pub oldest_ns: Option<i64>,
}

/// Bytes and ends of lines, by stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Tally {
    bytes: [u64; 2],
    lines: [u64; 2],
}

fn index(stream: Stream) -> usize {
    match stream {
        Stream::Stdout => 0,
        Stream::Stderr => 1,
    }
}

fn pick<T: Copy + Default>(pair: [T; 2], stream: Stream) -> T {
    pair.get(index(stream)).copied().unwrap_or_default()
}

fn newlines(data: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', data).count() as u64
}

impl Tally {
    fn add(&mut self, stream: Stream, data: &[u8]) {
        let of = index(stream);
        if let (Some(bytes), Some(lines)) = (self.bytes.get_mut(of), self.lines.get_mut(of)) {
            *bytes += data.len() as u64;
            *lines += newlines(data);
        }
    }
}

/// Bytes and ends of lines of one stream, from where the survey began.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    bytes: u64,
    lines: u64,
}

impl Count {
    fn of(tally: Tally, stream: Stream) -> Self {
        Self { bytes: pick(tally.bytes, stream), lines: pick(tally.lines, stream) }
    }

    /// Lines that end here after a mark at which one was under way.
    fn begun(self, from: &Mark) -> u64 {
        u64::from(from.partial.is_some()).min(self.lines)
    }

    fn since(self, earlier: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_sub(earlier.bytes),
            lines: self.lines.saturating_sub(earlier.lines),
        }
    }
}

/// What of one stream waits for a sink.
#[derive(Debug, Clone, Copy, Default)]
struct Waiting {
    /// Between where it stands and the last part that it will not be given, but for such parts.
    closed: Count,
    /// Lines that end there, and of which a part lies before.
    begun: u64,
    /// Before the rest, all of which waits.
    open: Count,
    oldest_ns: Option<i64>,
}

#[derive(Debug, Clone)]
struct Known {
    cursor: Cursor,
    losses: Vec<Loss>,
    waiting: [Option<Waiting>; 2],
}

/// A sink whose lag is asked for.
#[derive(Debug, Clone)]
pub struct Place<'a> {
    /// Its name.
    pub name: &'a str,
    /// Where it stands, if that is known.
    pub cursor: Option<Cursor>,
    /// What goes there.
    pub streams: Streams,
    /// What lies ahead of its cursor and will not be given to it, in order.
    pub losses: Vec<Loss>,
    /// What the spool lacks was counted up to here.
    pub counted: Cursor,
}

/// Counts of one container's output.
#[derive(Debug, Default)]
pub struct Survey {
    /// Places, ascending, with what was counted before each; the first of each segment is one of them.
    points: Vec<(Position, Tally)>,
    end: Position,
    total: Tally,
    missed: Missed,
    /// What the spool was known to hold when it was last counted to its end.
    seen: Option<u64>,
    /// Where sinks stood when they were last asked for.
    known: BTreeMap<String, Known>,
}

impl Survey {
    /// The lag of each of these sinks; none where its place is not known.
    pub async fn lags(
        &mut self,
        spool: &dyn Spool,
        sinks: &[Place<'_>],
    ) -> Result<Vec<Option<Lag>>, PortError> {
        let floors = sinks.iter().filter_map(|sink| sink.cursor.as_ref().map(Cursor::floor));
        let Some(lowest) = floors.min() else { return Ok(vec![None; sinks.len()]) };
        self.begin(lowest);
        self.count(spool).await?;
        self.known.retain(|name, _| sinks.iter().any(|sink| sink.name == name));
        let mut out = Vec::with_capacity(sinks.len());
        for sink in sinks {
            out.push(match &sink.cursor {
                Some(cursor) => Some(self.lag(spool, sink, cursor).await?),
                None => None,
            });
        }
        Ok(out)
    }

    /// Forgets what is below; counts from there anew where nothing, or something else, was counted.
    fn begin(&mut self, lowest: Position) {
        let first = self.points.first().map(|(at, _)| *at);
        if first.is_none_or(|first| lowest < first) || lowest > self.end {
            *self = Self { points: vec![(lowest, Tally::default())], end: lowest, ..Self::default() };
            return;
        }
        let useless = self.points.partition_point(|(at, _)| *at <= lowest).saturating_sub(1);
        self.points.drain(..useless);
        // A sink may go back, though not to before what is remembered.
        let first = self.points.first().map_or(lowest, |(at, _)| *at);
        self.missed.forget_below(first);
    }

    /// Goes on counting to the spool's end.
    async fn count(&mut self, spool: &dyn Spool) -> Result<(), PortError> {
        let now = *spool.more().borrow();
        if self.seen == Some(now) {
            return Ok(());
        }
        loop {
            let (records, next) = spool.read(self.end, STRIDE).await?;
            if records.is_empty() {
                break;
            }
            let mut segment = self.points.last().map(|(at, _)| at.segment);
            for record in &records {
                let place = place(record);
                if segment.replace(place.segment) != Some(place.segment) {
                    self.points.push((place, self.total));
                }
                if let SpoolRecord::Data { stream, data, .. } = record {
                    self.total.add(*stream, data);
                }
                self.missed.note(record);
            }
            self.end = next;
            self.remember();
        }
        self.seen = Some(now);
        Ok(())
    }

    fn remember(&mut self) {
        let sum = |tally: &Tally| tally.bytes.iter().sum::<u64>();
        let last = self.points.last().map_or(0, |(_, tally)| sum(tally));
        if sum(&self.total) >= last + STRIDE as u64 {
            self.points.push((self.end, self.total));
        }
    }

    async fn lag(&mut self, spool: &dyn Spool, sink: &Place<'_>, cursor: &Cursor) -> Result<Lag, PortError> {
        let same = |known: &Known| known.cursor == *cursor && known.losses == sink.losses;
        let earlier = self.known.remove(sink.name).filter(same);
        let mut known = earlier.unwrap_or_else(|| Known {
            cursor: cursor.clone(),
            losses: sink.losses.clone(),
            waiting: [None; 2],
        });
        let mut lag = Lag { unspooled: self.missed.ahead(sink, cursor), ..Lag::default() };
        for stream in [Stream::Stdout, Stream::Stderr] {
            if !sink.streams.lets(stream) {
                continue;
            }
            let spans = spans(stream, cursor, &sink.losses);
            let mut waiting = match pick(known.waiting, stream) {
                Some(waiting) => waiting,
                None => self.waiting(spool, stream, &spans).await?,
            };
            let rest = Count::of(self.total, stream).since(waiting.open);
            let begun = waiting.begun + spans.last().map_or(0, |(from, _)| rest.begun(from));
            let (bytes, ends) = (waiting.closed.bytes + rest.bytes, waiting.closed.lines + rest.lines);
            lag.bytes += bytes;
            lag.text += bytes.saturating_sub(ends);
            lag.lines += ends.saturating_sub(begun);
            if ends > 0 && waiting.oldest_ns.is_none() {
                waiting.oldest_ns = self.oldest(spool, stream, &spans).await?;
            }
            if ends > 0 {
                lag.oldest_ns = [lag.oldest_ns, waiting.oldest_ns].into_iter().flatten().min();
            }
            // What was written since the count lies before a mark beyond it.
            let counted = spans.last().is_some_and(|(from, _)| from.at <= self.end);
            if let Some(place) = known.waiting.get_mut(index(stream)).filter(|_| counted) {
                *place = Some(waiting);
            }
        }
        self.known.insert(sink.name.to_owned(), known);
        Ok(lag)
    }

    async fn waiting(
        &self,
        spool: &dyn Spool,
        stream: Stream,
        spans: &[Span<'_>],
    ) -> Result<Waiting, PortError> {
        let mut out = Waiting::default();
        for (from, to) in spans {
            let before = self.before(spool, stream, from).await?;
            match to {
                Some(to) => {
                    let span = self.before(spool, stream, to).await?.since(before);
                    out.closed.bytes += span.bytes;
                    out.closed.lines += span.lines;
                    out.begun += span.begun(from);
                }
                None => out.open = before,
            }
        }
        Ok(out)
    }

    /// Counts what of a stream lies before a mark, from the last remembered place on.
    async fn before(&self, spool: &dyn Spool, stream: Stream, mark: &Mark) -> Result<Count, PortError> {
        let all = |tally: Tally| Count::of(tally, stream);
        let Some((from, tally)) = self.points.iter().rev().find(|(at, _)| *at <= mark.at).copied() else {
            return Ok(Count::default());
        };
        if mark.at >= self.end {
            return Ok(all(self.total));
        }
        let (mut before, mut next, mut first) = (all(tally), from, true);
        loop {
            let (records, after) = spool.read(next, STRIDE).await?;
            let begins = records.first().map(|record| place(record).segment);
            if std::mem::take(&mut first) && begins.is_some_and(|s| s > from.segment) {
                // The mark stands at the end of a segment that is gone.
                let later = self.points.iter().find(|(at, _)| at.segment > from.segment);
                return Ok(all(later.map_or(self.total, |(_, tally)| *tally)));
            }
            if records.is_empty() {
                return Ok(before);
            }
            for record in &records {
                if place(record) > mark.at {
                    return Ok(before);
                }
                let SpoolRecord::Data { at, stream: of, data, .. } = record else { continue };
                let taken = match *at == mark.at {
                    true => data.get(..mark.skip as usize).unwrap_or(data),
                    false => data,
                };
                if *of == stream {
                    before.bytes += taken.len() as u64;
                    before.lines += newlines(taken);
                }
            }
            next = after;
        }
    }

    /// When the first that waits was read.
    async fn oldest(
        &self,
        spool: &dyn Spool,
        stream: Stream,
        spans: &[Span<'_>],
    ) -> Result<Option<i64>, PortError> {
        for (from, to) in spans {
            let before = self.before(spool, stream, from).await?;
            let after = match to {
                Some(to) => self.before(spool, stream, to).await?,
                None => Count::of(self.total, stream),
            };
            if after.since(before).bytes > 0 {
                return self.first(spool, stream, from, before.bytes).await;
            }
        }
        Ok(None)
    }

    /// When the first behind a mark was read.
    async fn first(
        &self,
        spool: &dyn Spool,
        stream: Stream,
        mark: &Mark,
        before: u64,
    ) -> Result<Option<i64>, PortError> {
        // Places up to which nothing of this stream follows the mark need not be read.
        let empty = self.points.iter().take_while(|(_, tally)| pick(tally.bytes, stream) <= before);
        let mut next = empty.last().map_or(mark.at, |(at, _)| (*at).max(mark.at));
        loop {
            let (records, after) = spool.read(next, STRIDE).await?;
            if records.is_empty() {
                return Ok(None);
            }
            let found = records.iter().find_map(|record| match record {
                SpoolRecord::Data { at, stream: of, time_ns, data, .. } if *of == stream => {
                    let skip = if *at == mark.at { mark.skip as usize } else { 0 };
                    (*at >= mark.at && data.len() > skip).then_some(*time_ns)
                }
                _ => None,
            });
            if found.is_some() {
                return Ok(found);
            }
            next = after;
        }
    }
}

/// From one mark to another, or to wherever the output will end.
type Span<'a> = (&'a Mark, Option<&'a Mark>);

/// What a sink is given of a stream: all from its cursor on, but for what is lost to it.
fn spans<'a>(stream: Stream, cursor: &'a Cursor, losses: &'a [Loss]) -> Vec<Span<'a>> {
    let mark = |cursor: &'a Cursor| match stream {
        Stream::Stdout => &cursor.stdout,
        Stream::Stderr => &cursor.stderr,
    };
    let mut out: Vec<Span<'a>> = vec![(mark(cursor), None)];
    // One that the cursor has passed by is still told of for a moment.
    for loss in losses.iter().filter(|loss| mark(&loss.to).place() > mark(cursor).place()) {
        if let Some((_, to)) = out.last_mut() {
            *to = Some(mark(&loss.from));
        }
        out.push((mark(&loss.to), None));
    }
    out
}

fn place(record: &SpoolRecord) -> Position {
    match record {
        SpoolRecord::Data { at, .. } | SpoolRecord::Gap { at, .. } | SpoolRecord::End { at, .. } => *at,
    }
}

#[cfg(test)]
mod tests;
