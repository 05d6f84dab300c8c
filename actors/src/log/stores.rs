//! A container's stored lines as one: those of its log driver of now, and of others that it had before.

mod merge;

use super::follow::{FollowRequest, Lines, told};
use super::spec::SinkSpec;
use super::swap::read_first;
use contract::log::{Catalogue, LogSource, Piece, Place, ReadRequest, Reading, StoredLine, Stream};
use contract::record::LogStore;
use contract::{Kind, PortError};
use merge::{Merge, Role, Source};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Pieces that wait for a slow reader.
const CHANNEL: usize = 2;
/// Lines in one of them.
const LINES: usize = 512;
/// A longer tail of several stores is not held: it is counted first, and then read.
const HELD: usize = 4096;
/// So often stores are opened twice until nothing was stored between both.
const TRIES: usize = 5;

/// Another place where lines are.
#[derive(Clone)]
pub struct Store {
    /// Its driver.
    pub sink: SinkSpec,
    /// Some of its lines are in others too.
    pub shares: bool,
    /// It takes lines, beside the one that is read first.
    pub active: bool,
}

/// Where a container's lines can be read.
#[derive(Clone, Default)]
pub struct Stores {
    /// What has every line that was written since it was the one.
    pub main: Option<SinkSpec>,
    /// What has those of before.
    pub others: Vec<Store>,
    /// The same for as long as the main one takes lines without a break.
    pub era: Arc<()>,
    /// Without a main one: the latest that had one.
    pub before: Option<Arc<Self>>,
}

impl Stores {
    /// Those of a container with these sinks, which had others before.
    pub fn of(drivers: &dyn Catalogue, sinks: &[SinkSpec], known: &[LogStore]) -> Self {
        let main = read_first(sinks, known).cloned();
        let is_main = |driver: &str| main.as_ref().is_some_and(|m| m.kind.name() == driver);
        let other = |store: &LogStore| {
            let kind = drivers.find(&store.driver).filter(|kind| kind.reader().is_some())?;
            // One stream of them is enough.
            let active = sinks.iter().any(|s| s.kind.name() == store.driver);
            let sink = SinkSpec::new(kind, store.options.clone());
            Some(Store { sink, shares: store.shares, active })
        };
        let others = known.iter().filter(|s| !is_main(&s.driver)).filter_map(other).collect();
        Self { main, others, ..Self::default() }
    }

    /// Nothing can be read.
    pub fn is_empty(&self) -> bool {
        self.main.is_none() && self.others.is_empty()
    }

    /// These, where `before` were until now.
    pub fn following(mut self, before: &Arc<Self>) -> Self {
        let name = |stores: &Self| stores.main.as_ref().map(|m| m.kind.name());
        if name(&self) == name(before) {
            self.era = Arc::clone(&before.era);
        }
        if self.main.is_none() {
            self.before = Self::with_main(before);
        }
        self
    }

    /// These, if they have a main one, or the latest that had.
    pub fn with_main(now: &Arc<Self>) -> Option<Arc<Self>> {
        if now.main.is_some() { Some(Arc::clone(now)) } else { now.before.clone() }
    }

    /// Whether a place in what one of both reads first means the same in the other.
    pub fn same_main(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.era, &other.era)
    }

    /// Reads what is stored, as one reader would. A place belongs to what is read first, and so does what follows it.
    pub async fn read(&self, source: &LogSource, request: ReadRequest) -> Result<Reading, PortError> {
        if let Some(main) = &self.main
            && (self.others.is_empty() || request.after.is_some())
        {
            return open(main, source, request).await;
        }
        let Some(tail) = request.tail else { return Ok(self.open_all(source, &request).await?.0) };
        // Of a tail nobody knows yet which lines are in it, and times are looked at afterwards.
        let each = ReadRequest { tail: Some(tail), ..ReadRequest::default() };
        let tries = if tail > HELD { TRIES } else { 0 };
        for _ in 0..tries {
            let (one, other) = (self.open_all(source, &each), self.open_all(source, &each));
            let ((reading, ends), (mut counted, same)) = tokio::try_join!(one, other)?;
            if ends == same {
                let all = count(&mut counted.pieces).await?;
                let pieces = beyond(reading.pieces, all.saturating_sub(tail));
                return Ok(Reading { pieces, found: Some(all.min(tail)), ..reading });
            }
        }
        let mut reading = self.open_all(source, &each).await?.0;
        let (holes, last) = end_of(&mut reading.pieces, tail).await?;
        let found = Some(last.len());
        Ok(Reading { pieces: given(holes, last), found, ..reading })
    }

    /// All of them as one, and where each of them ends.
    async fn open_all(
        &self,
        source: &LogSource,
        each: &ReadRequest,
    ) -> Result<(Reading, Vec<Place>), PortError> {
        // Its end is fixed first: what comes later it has alone.
        let main = match &self.main {
            Some(main) => Some(open(main, source, each.clone()).await?),
            None => None,
        };
        let mut sources = Vec::with_capacity(self.others.len() + 1);
        let mut ends = Vec::with_capacity(self.others.len() + 1);
        for store in self.others.iter().rev() {
            let role = if store.active { Role::Beside } else { Role::Former };
            let reading = open(&store.sink, source, each.clone()).await?;
            ends.push(reading.end);
            sources.push(Source::new(reading.pieces, role, store.shares));
        }
        let (cursor, end) = main.as_ref().map(|m| (m.cursor.clone(), m.end)).unwrap_or_default();
        ends.push(end);
        sources.extend(main.map(|reading| Source::new(reading.pieces, Role::Main, false)));
        Ok((Reading { pieces: merged(sources), cursor, end, found: None }, ends))
    }
}

/// Lines of a container whose driver of now cannot be read: what those before it have.
pub async fn past(stores: &Stores, source: &LogSource, request: FollowRequest) -> Result<Lines, PortError> {
    let FollowRequest { since_ns, until_ns, tail, .. } = request;
    let of = ReadRequest { since_ns, until_ns, tail, ..ReadRequest::default() };
    let mut reading = stores.read(source, of).await?;
    let (to, given) = mpsc::channel(CHANNEL);
    tokio::spawn(async move {
        let mut so_far = Passed { latest: None, since_ns };
        while let Some(piece) = reading.pieces.recv().await {
            let lines = piece.map(|piece| Arc::new(wanted(piece, &request, &mut so_far)));
            if to.send(lines).await.is_err() {
                return;
            }
        }
    });
    Ok(given)
}

/// What reading has passed.
struct Passed {
    /// The time of the last line.
    latest: Option<i64>,
    /// No line of this time or later was there yet: what follows one comes whatever its time.
    since_ns: Option<i64>,
}

/// What of a piece is given out; what could not be read is told where it would stand.
fn wanted(piece: Piece, of: &FollowRequest, so_far: &mut Passed) -> Vec<StoredLine> {
    let mut lines = match piece {
        Piece::Lines(lines) => lines,
        Piece::Hole(hole) => {
            tracing::warn!("reading a log: {hole}");
            return if of.stderr { vec![told(&hole.to_string(), so_far.latest)] } else { Vec::new() };
        }
    };
    so_far.latest = lines.last().map(|l| l.line.time_ns).or(so_far.latest);
    lines.retain(|l| {
        let time = l.line.time_ns;
        if so_far.since_ns.is_some_and(|since| time < since) {
            return false;
        }
        so_far.since_ns = None;
        let timely = of.until_ns.is_none_or(|until| time <= until);
        timely && if l.line.stream == Stream::Stdout { of.stdout } else { of.stderr }
    });
    lines
}

async fn open(sink: &SinkSpec, source: &LogSource, request: ReadRequest) -> Result<Reading, PortError> {
    let reader = sink.kind.reader().ok_or_else(|| PortError::new(Kind::Bug, "the driver has no reader"))?;
    reader.read(source, &sink.options, request).await
}

type Pieces = mpsc::Receiver<Result<Piece, PortError>>;

fn merged(sources: Vec<Source>) -> Pieces {
    let (to, pieces) = mpsc::channel(CHANNEL);
    tokio::spawn(async move {
        let mut merge = Merge::new(sources);
        while let Some(piece) = merge.next(LINES).await {
            let fails = piece.is_err();
            if to.send(piece).await.is_err() || fails {
                return;
            }
        }
    });
    pieces
}

/// How many lines there are.
async fn count(pieces: &mut Pieces) -> Result<usize, PortError> {
    let mut count = 0;
    while let Some(piece) = pieces.recv().await {
        if let Piece::Lines(lines) = piece? {
            count += lines.len();
        }
    }
    Ok(count)
}

/// Without the first so many lines.
fn beyond(mut pieces: Pieces, mut skip: usize) -> Pieces {
    let (to, given) = mpsc::channel(CHANNEL);
    tokio::spawn(async move {
        while let Some(mut piece) = pieces.recv().await {
            if let Ok(Piece::Lines(lines)) = &mut piece {
                let early = skip.min(lines.len());
                skip -= early;
                lines.drain(..early);
                if lines.is_empty() {
                    continue;
                }
            }
            if to.send(piece).await.is_err() {
                return;
            }
        }
    });
    given
}

/// What could not be read, and the last so many lines.
async fn end_of(pieces: &mut Pieces, tail: usize) -> Result<(Vec<Piece>, VecDeque<StoredLine>), PortError> {
    let (mut holes, mut last) = (Vec::new(), VecDeque::new());
    while let Some(piece) = pieces.recv().await {
        match piece? {
            Piece::Lines(lines) => {
                last.extend(lines);
                let surplus = last.len().saturating_sub(tail);
                last.drain(..surplus);
            }
            hole @ Piece::Hole(_) => holes.push(hole),
        }
    }
    Ok((holes, last))
}

fn given(holes: Vec<Piece>, mut lines: VecDeque<StoredLine>) -> Pieces {
    let (to, pieces) = mpsc::channel(CHANNEL);
    tokio::spawn(async move {
        for hole in holes {
            if to.send(Ok(hole)).await.is_err() {
                return;
            }
        }
        while !lines.is_empty() {
            let some: Vec<StoredLine> = lines.drain(..lines.len().min(LINES)).collect();
            if to.send(Ok(Piece::Lines(some))).await.is_err() {
                return;
            }
        }
    });
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;
    use contract::log::{
        BatchPolicy, Hole, LogDriver, LogDriverKind, LogLine, LogReader, OptionSpec, Options,
    };
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Lines of these times, each a piece of its own.
    struct Timed {
        times: std::ops::Range<i64>,
        sent: Arc<AtomicUsize>,
    }

    #[async_trait]
    impl LogDriverKind for Timed {
        fn name(&self) -> &'static str {
            "timed"
        }
        fn options(&self) -> &'static [OptionSpec] {
            &[]
        }
        fn validate(&self, _: &Options) -> Result<(), PortError> {
            Ok(())
        }
        fn batching(&self, _: &Options) -> BatchPolicy {
            BatchPolicy::default()
        }
        async fn open(&self, _: &LogSource, _: &Options) -> Result<Box<dyn LogDriver>, PortError> {
            Err(PortError::new(Kind::Unsupported, "it is only read"))
        }
        fn reader(&self) -> Option<&dyn LogReader> {
            Some(self)
        }
    }

    #[async_trait]
    impl LogReader for Timed {
        async fn read(&self, _: &LogSource, _: &Options, request: ReadRequest) -> Result<Reading, PortError> {
            let (to, pieces) = mpsc::channel(1);
            let (times, sent) = (self.times.clone(), Arc::clone(&self.sent));
            tokio::spawn(async move {
                for time_ns in times {
                    let line = LogLine { stream: Stream::Stdout, time_ns, data: "x\n".into(), partial: None };
                    let piece = Piece::Lines(vec![StoredLine { line, attrs: Default::default() }]);
                    if to.send(Ok(piece)).await.is_err() {
                        return;
                    }
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            });
            Ok(Reading { pieces, cursor: Default::default(), end: Place::default(), found: request.tail })
        }
    }

    #[tokio::test]
    async fn a_long_tail_of_several_stores_is_exactly_that_and_is_not_held() {
        let sent = Arc::new(AtomicUsize::default());
        let spec = |times| {
            let kind: &'static Timed = Box::leak(Box::new(Timed { times, sent: Arc::clone(&sent) }));
            SinkSpec::new(kind, Options::new())
        };
        let former = Store { sink: spec(0..9000), shares: false, active: false };
        let stores = Stores { main: Some(spec(9000..20_000)), others: vec![former], ..Stores::default() };
        for (tail, first) in [(12_000, 8000), (100_000_000, 0), (3, 19_997)] {
            sent.store(0, Ordering::Relaxed);
            let request = ReadRequest { tail: Some(tail), ..ReadRequest::default() };
            let mut reading = stores.read(&LogSource::default(), request).await.unwrap();
            assert_eq!(reading.found, Some(20_000 - first as usize));
            let taken = sent.load(Ordering::Relaxed);
            assert!(tail < HELD || (20_000 + 1..39_000).contains(&taken), "{taken} were taken");
            let mut got = Vec::new();
            while let Some(piece) = reading.pieces.recv().await {
                if let Piece::Lines(lines) = piece.unwrap() {
                    got.extend(lines.iter().map(|l| l.line.time_ns));
                }
            }
            assert_eq!(got, (first..20_000).collect::<Vec<i64>>());
        }
    }

    #[test]
    fn what_cannot_be_read_of_a_driver_that_went_is_told_among_its_lines() {
        let line = LogLine { stream: Stream::Stdout, time_ns: 7, data: "a\n".into(), partial: None };
        let lines = Piece::Lines(vec![StoredLine { line, attrs: Default::default() }]);
        let hole = || Piece::Hole(Hole::Rotated { file: "x".into() });
        let mut of = FollowRequest { stdout: true, stderr: true, ..FollowRequest::default() };
        let mut so_far = Passed { latest: None, since_ns: None };
        assert_eq!(wanted(lines, &of, &mut so_far).len(), 1);
        let marker = wanted(hole(), &of, &mut so_far).remove(0).line;
        assert_eq!((marker.stream, marker.time_ns), (Stream::Stderr, 7));
        assert!(marker.data.starts_with(b"gantry: lines of x were rotated away"));
        of.stderr = false;
        assert!(wanted(hole(), &of, &mut so_far).is_empty());
    }

    #[test]
    fn lines_that_follow_the_first_that_is_wanted_are_given_though_the_clock_was_put_back() {
        // Each was held against `since`, as nowhere else.
        let piece = |times: &[i64]| {
            let line =
                |ns: &i64| LogLine { stream: Stream::Stdout, time_ns: *ns, data: "x".into(), partial: None };
            let stored = |ns| StoredLine { line: line(ns), attrs: Default::default() };
            Piece::Lines(times.iter().map(stored).collect())
        };
        let of = FollowRequest {
            stdout: true,
            since_ns: Some(50),
            until_ns: Some(80),
            ..FollowRequest::default()
        };
        let mut so_far = Passed { latest: None, since_ns: of.since_ns };
        let mut times = |piece| {
            let lines = wanted(piece, &of, &mut so_far);
            lines.iter().map(|l| l.line.time_ns).collect::<Vec<_>>()
        };
        assert_eq!(times(piece(&[49, 60, 10, 90])), [60, 10]);
        assert_eq!(times(piece(&[11, 70])), [11, 70]);
    }
}
