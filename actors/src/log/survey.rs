//! How much of a container's output its sinks have not delivered. What the spool holds is counted once, however often and
//! for however many sinks somebody asks; nobody pays for it who does not look.

use contract::PortError;
use contract::log::{Cursor, Mark, Position, Stream, Streams};
use contract::runtime::{Spool, SpoolRecord};
use std::collections::BTreeMap;

/// Bytes asked of the spool at once, and about as many between two places whose counts are remembered.
const STRIDE: usize = 256 * 1024;

/// What a sink has not delivered yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lag {
    /// Bytes of output.
    pub bytes: u64,
    /// Ends of lines in them.
    pub lines: u64,
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

/// What was delivered of one stream, counted from where the survey began; and the time of what comes next.
#[derive(Debug, Clone, Copy, Default)]
struct Before {
    bytes: u64,
    lines: u64,
    oldest_ns: Option<i64>,
}

#[derive(Debug, Clone)]
struct Known {
    cursor: Cursor,
    before: [Option<Before>; 2],
}

/// Counts of one container's output.
#[derive(Debug, Default)]
pub struct Survey {
    /// Places, ascending, with what was counted before each; the first of each segment is one of them.
    points: Vec<(Position, Tally)>,
    end: Position,
    total: Tally,
    /// What the spool was known to hold when it was last counted to its end.
    seen: Option<u64>,
    /// Where sinks stood when they were last asked for.
    known: BTreeMap<String, Known>,
}

impl Survey {
    /// The lag of each of these sinks, by name, place and streams; none where the place is not known.
    pub async fn lags(
        &mut self,
        spool: &dyn Spool,
        sinks: &[(&str, Option<Cursor>, Streams)],
    ) -> Result<Vec<Option<Lag>>, PortError> {
        let floors = sinks.iter().filter_map(|(_, cursor, _)| cursor.as_ref().map(Cursor::floor));
        let Some(lowest) = floors.min() else { return Ok(vec![None; sinks.len()]) };
        self.begin(lowest);
        self.count(spool).await?;
        self.known.retain(|name, _| sinks.iter().any(|(of, _, _)| of == name));
        let mut out = Vec::with_capacity(sinks.len());
        for (name, cursor, streams) in sinks {
            out.push(match cursor {
                Some(cursor) => Some(self.lag(spool, name, cursor, *streams).await?),
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

    async fn lag(
        &mut self,
        spool: &dyn Spool,
        name: &str,
        cursor: &Cursor,
        streams: Streams,
    ) -> Result<Lag, PortError> {
        let earlier = self.known.remove(name).filter(|known| known.cursor == *cursor);
        let mut known = earlier.unwrap_or_else(|| Known { cursor: cursor.clone(), before: [None; 2] });
        let mut lag = Lag::default();
        for (stream, mark) in [(Stream::Stdout, &cursor.stdout), (Stream::Stderr, &cursor.stderr)] {
            if !streams.lets(stream) {
                continue;
            }
            let mut before = match pick(known.before, stream) {
                Some(before) => before,
                None => self.before(spool, stream, mark).await?,
            };
            lag.bytes += pick(self.total.bytes, stream).saturating_sub(before.bytes);
            let lines = pick(self.total.lines, stream).saturating_sub(before.lines);
            lag.lines += lines;
            if lines > 0 && before.oldest_ns.is_none() {
                before.oldest_ns = self.oldest(spool, stream, mark, before.bytes).await?;
            }
            if lines > 0 {
                lag.oldest_ns = [lag.oldest_ns, before.oldest_ns].into_iter().flatten().min();
            }
            // What was written since the count lies before a mark beyond it.
            if let Some(place) = known.before.get_mut(index(stream)).filter(|_| mark.at <= self.end) {
                *place = Some(before);
            }
        }
        self.known.insert(name.to_owned(), known);
        Ok(lag)
    }

    /// Counts what of a stream lies before a mark, from the last remembered place on.
    async fn before(&self, spool: &dyn Spool, stream: Stream, mark: &Mark) -> Result<Before, PortError> {
        let all = |tally: Tally| Before {
            bytes: pick(tally.bytes, stream),
            lines: pick(tally.lines, stream),
            oldest_ns: None,
        };
        let Some((from, tally)) = self.points.iter().rev().find(|(at, _)| *at <= mark.at).copied() else {
            return Ok(Before::default());
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

    /// When the first that lies behind a mark was read.
    async fn oldest(
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
                SpoolRecord::Data { at, stream: of, time_ns, data } if *of == stream => {
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

fn place(record: &SpoolRecord) -> Position {
    match record {
        SpoolRecord::Data { at, .. } | SpoolRecord::Gap { at, .. } | SpoolRecord::End { at } => *at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::fake::FakeSpool;
    use proptest::prelude::*;
    use std::sync::Arc;

    /// Counted anew from the cursor.
    async fn plain(spool: &dyn Spool, cursor: &Cursor, streams: Streams) -> Lag {
        let (mut lag, mut from) = (Lag::default(), cursor.floor());
        let mut oldest = [None, None];
        let mut lines = [0, 0];
        loop {
            let (records, next) = spool.read(from, STRIDE).await.unwrap();
            if records.is_empty() {
                let of = |i: usize| oldest[i].filter(|_| lines[i] > 0);
                lag.oldest_ns = [of(0), of(1)].into_iter().flatten().min();
                return lag;
            }
            for record in &records {
                let SpoolRecord::Data { at, stream, time_ns, data } = record else { continue };
                let mark = if *stream == Stream::Stdout { &cursor.stdout } else { &cursor.stderr };
                let rest = match at.cmp(&mark.at) {
                    std::cmp::Ordering::Less => &[][..],
                    std::cmp::Ordering::Equal => data.get(mark.skip as usize..).unwrap_or_default(),
                    std::cmp::Ordering::Greater => data,
                };
                if streams.lets(*stream) && !rest.is_empty() {
                    lag.bytes += rest.len() as u64;
                    lag.lines += newlines(rest);
                    lines[index(*stream)] += newlines(rest);
                    oldest[index(*stream)].get_or_insert(*time_ns);
                }
            }
            from = next;
        }
    }

    fn mark(nth: u64, skip: u32) -> Mark {
        // The fake's segments have eight records.
        Mark { at: Position { segment: 1 + nth / 8, offset: nth % 8 * 100 }, skip, partial: None }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Write(Stream, String),
        Move(usize, u64, u32),
        Trim,
        Ask,
    }

    fn step() -> impl Strategy<Value = Step> {
        let stream = prop_oneof![Just(Stream::Stdout), Just(Stream::Stderr)];
        prop_oneof![
            4 => (stream, "[a\n]{0,5}").prop_map(|(s, t)| Step::Write(s, t)),
            2 => (0..3_usize, 0..6_u64, 0..3_u32).prop_map(|(s, n, k)| Step::Move(s, n, k)),
            1 => Just(Step::Trim),
            3 => Just(Step::Ask),
        ]
    }

    proptest! {
        #[test]
        fn what_is_counted_once_equals_what_is_counted_anew(steps in prop::collection::vec(step(), 1..60)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let spool = Arc::new(FakeSpool::default());
                let mut survey = Survey::default();
                let mut at = [0_u64; 3];
                let mut cursors = [Cursor::default(), Cursor::default(), Cursor::default()];
                let mut written = 0;
                let streams = [Streams::Both, Streams::Stdout, Streams::Stderr];
                for step in steps {
                    match step {
                        Step::Write(stream, text) => {
                            spool.write(stream, text);
                            written += 1;
                        }
                        Step::Move(sink, by, skip) => {
                            at[sink] = (at[sink] + by).min(written);
                            let skip = if at[sink] == written { 0 } else { skip };
                            let of = mark(at[sink], skip);
                            cursors[sink] = Cursor { stdout: of.clone(), stderr: of, ..Cursor::default() };
                        }
                        Step::Trim => {
                            let floor = cursors.iter().map(Cursor::floor).min().unwrap();
                            spool.trim(floor).await.unwrap();
                        }
                        Step::Ask => {
                            let asked: Vec<_> = ["a", "b", "c"].iter().zip(&cursors).zip(streams)
                                .map(|((name, cursor), streams)| (*name, Some(cursor.clone()), streams)).collect();
                            let told = survey.lags(&*spool, &asked).await.unwrap();
                            for ((_, cursor, streams), told) in asked.iter().zip(told) {
                                let wanted = plain(&*spool, cursor.as_ref().unwrap(), *streams).await;
                                assert_eq!(told, Some(wanted));
                            }
                        }
                    }
                }
            });
        }
    }

    #[tokio::test]
    async fn a_sink_that_hangs_is_not_counted_again() {
        struct Reads(Arc<FakeSpool>, std::sync::atomic::AtomicUsize);
        #[async_trait::async_trait]
        impl Spool for Reads {
            async fn read(
                &self,
                from: Position,
                max: usize,
            ) -> Result<(Vec<SpoolRecord>, Position), PortError> {
                self.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                self.0.read(from, max).await
            }
            async fn end(&self) -> Result<Position, PortError> {
                Spool::end(&*self.0).await
            }
            async fn used(&self) -> Result<u64, PortError> {
                self.0.used().await
            }
            fn more(&self) -> tokio::sync::watch::Receiver<u64> {
                self.0.more()
            }
            async fn trim(&self, before: Position) -> Result<(), PortError> {
                self.0.trim(before).await
            }
            async fn load_cursor(&self, sink: &str) -> Result<Option<Cursor>, PortError> {
                self.0.load_cursor(sink).await
            }
            async fn store_cursor(&self, sink: &str, cursor: &Cursor) -> Result<(), PortError> {
                self.0.store_cursor(sink, cursor).await
            }
            async fn keep_cursors(&self, sinks: &[String]) -> Result<(), PortError> {
                self.0.keep_cursors(sinks).await
            }
        }
        let spool = Reads(Arc::default(), Default::default());
        for _ in 0..100 {
            spool.0.write(Stream::Stdout, "line\n");
        }
        let mut survey = Survey::default();
        let asked = [("away", Some(Cursor::default()), Streams::Both)];
        let first = survey.lags(&spool, &asked).await.unwrap()[0].unwrap();
        assert_eq!((first.lines, first.bytes, first.oldest_ns), (100, 500, Some(1000)));
        let reads = spool.1.load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!(survey.lags(&spool, &asked).await.unwrap()[0], Some(first));
        assert_eq!(spool.1.load(std::sync::atomic::Ordering::Relaxed), reads);
    }
}
