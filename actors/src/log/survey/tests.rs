use super::*;
use contract::fake::FakeSpool;
use contract::log::{Losses, Stretch};
use contract::runtime::Missing;
use proptest::prelude::*;
use std::sync::Arc;

/// Counted anew, record by record.
async fn plain(spool: &dyn Spool, asked: &Place<'_>) -> Lag {
    let cursor = asked.cursor.as_ref().unwrap();
    let (mut lag, mut from) = (Lag::default(), cursor.floor());
    let (mut oldest, mut lines) = ([None, None], [0, 0]);
    loop {
        let (records, next) = spool.read(from, STRIDE).await.unwrap();
        if records.is_empty() {
            let of = |i: usize| oldest[i].filter(|_| lines[i] > 0);
            lag.oldest_ns = [of(0), of(1)].into_iter().flatten().min();
            return lag;
        }
        for record in &records {
            if let SpoolRecord::Gap { at, missing: Missing::Unspooled(bytes), .. } = record {
                let told = |c: &Cursor| c.stdout.place() > (*at, 0) && c.stderr.place() > (*at, 0);
                let lost = |l: &Loss| !told(&l.from) && told(&l.to);
                let new = !told(cursor) && !told(&asked.counted) && !asked.losses.iter().any(lost);
                lag.unspooled += if new { *bytes } else { 0 };
            }
            let SpoolRecord::Data { at, stream, time_ns, data, .. } = record else { continue };
            let mark =
                |c: &Cursor| if *stream == Stream::Stdout { c.stdout.place() } else { c.stderr.place() };
            let place = |n: usize| (*at, n as u32);
            let given = |n: &usize| {
                let lost = |l: &Loss| mark(&l.from) <= place(*n) && place(*n) < mark(&l.to);
                place(*n) >= mark(cursor) && !asked.losses.iter().any(lost)
            };
            let rest: Vec<u8> = (0..data.len()).filter(given).map(|n| data[n]).collect();
            if asked.streams.lets(*stream) && !rest.is_empty() {
                lag.bytes += rest.len() as u64;
                lag.text += rest.len() as u64 - newlines(&rest);
                lag.lines += newlines(&rest);
                lines[index(*stream)] += newlines(&rest);
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

fn cursor(nth: u64, skip: u32) -> Cursor {
    Cursor { stdout: mark(nth, skip), stderr: mark(nth, skip), ..Cursor::default() }
}

#[derive(Debug, Clone)]
enum Step {
    Write(Stream, String),
    Miss(u64),
    Count(usize, u64),
    Move(usize, u64, u32),
    Lose(usize, u64, u64),
    Trim,
    Ask,
}

fn step() -> impl Strategy<Value = Step> {
    let stream = prop_oneof![Just(Stream::Stdout), Just(Stream::Stderr)];
    prop_oneof![
        6 => (stream, "[a\n]{0,5}").prop_map(|(s, t)| Step::Write(s, t)),
        1 => (1..9_u64).prop_map(Step::Miss),
        1 => (0..3_usize, 0..6_u64).prop_map(|(s, n)| Step::Count(s, n)),
        2 => (0..3_usize, 0..6_u64, 0..3_u32).prop_map(|(s, n, k)| Step::Move(s, n, k)),
        1 => (0..3_usize, 0..4_u64, 1..12_u64).prop_map(|(s, a, n)| Step::Lose(s, a, n)),
        1 => Just(Step::Trim),
        3 => Just(Step::Ask),
    ]
}

struct Stage {
    spool: Arc<FakeSpool>,
    survey: Survey,
    written: u64,
    at: [u64; 3],
    sinks: [Place<'static>; 3],
}

impl Stage {
    fn new() -> Self {
        let sink = |(name, streams)| Place {
            name,
            cursor: Some(Cursor::default()),
            streams,
            losses: vec![],
            counted: Cursor::default(),
        };
        let sinks = [("a", Streams::Both), ("b", Streams::Stdout), ("c", Streams::Stderr)].map(sink);
        let (spool, survey) = Default::default();
        Self { spool, survey, written: 0, at: [0; 3], sinks }
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Write(stream, text) => {
                self.spool.write(stream, text);
                self.written += 1;
            }
            Step::Miss(bytes) => {
                self.spool.drop_bytes(bytes);
                self.written += 1;
            }
            Step::Count(sink, by) => {
                self.sinks[sink].counted = cursor((self.at[sink] + by).min(self.written), 0);
            }
            Step::Move(sink, by, skip) => {
                let most = self.sinks[sink].losses.first().map_or(self.written, |_| self.at[sink]);
                self.at[sink] = (self.at[sink] + by).min(most);
                let skip = if self.at[sink] == self.written { 0 } else { skip };
                self.sinks[sink].cursor = Some(cursor(self.at[sink], skip));
            }
            Step::Lose(sink, ahead, count) => {
                let from = self.at[sink] + 1 + ahead;
                let to = from + count;
                if self.sinks[sink].losses.is_empty() && to <= self.written {
                    let (from, to) = (cursor(from, 0), cursor(to, 0));
                    self.sinks[sink].losses.push(Loss { from, to, ..Loss::default() });
                }
            }
            Step::Trim => {
                let mut keep = Vec::new();
                for sink in &self.sinks {
                    let mut from = sink.cursor.as_ref().unwrap().floor();
                    for loss in &sink.losses {
                        keep.push(Stretch { from, to: Some(loss.from.top()) });
                        from = loss.to.floor();
                    }
                    keep.push(Stretch::from(from));
                }
                self.spool.trim(&keep).await.unwrap();
            }
            Step::Ask => {
                let told = self.survey.lags(&*self.spool, &self.sinks).await.unwrap();
                for (sink, told) in self.sinks.iter().zip(told) {
                    assert_eq!(told, Some(plain(&*self.spool, sink).await), "{sink:?}");
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn what_is_counted_once_equals_what_is_counted_anew(steps in prop::collection::vec(step(), 1..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut stage = Stage::new();
            for step in steps {
                stage.step(step).await;
            }
        });
    }
}

#[tokio::test]
async fn a_sink_that_hangs_is_not_counted_again() {
    struct Reads(Arc<FakeSpool>, std::sync::atomic::AtomicUsize);
    #[async_trait::async_trait]
    impl Spool for Reads {
        async fn read(&self, from: Position, max: usize) -> Result<(Vec<SpoolRecord>, Position), PortError> {
            self.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            self.0.read(from, max).await
        }
        async fn end(&self) -> Result<Position, PortError> {
            Spool::end(&*self.0).await
        }
        fn more(&self) -> tokio::sync::watch::Receiver<u64> {
            self.0.more()
        }
        async fn trim(&self, keep: &[Stretch]) -> Result<(), PortError> {
            self.0.trim(keep).await
        }
        fn budget(&self) -> u64 {
            self.0.budget()
        }
        async fn extent(&self) -> Result<Vec<(u64, u64)>, PortError> {
            self.0.extent().await
        }
        async fn load_losses(&self, sink: &str) -> Result<Option<Losses>, PortError> {
            self.0.load_losses(sink).await
        }
        async fn store_losses(&self, sink: &str, losses: &Losses) -> Result<(), PortError> {
            self.0.store_losses(sink, losses).await
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
    let cursor = Some(Cursor::default());
    let asked =
        [Place { name: "away", cursor, streams: Streams::Both, losses: vec![], counted: Cursor::default() }];
    let first = survey.lags(&spool, &asked).await.unwrap()[0].unwrap();
    assert_eq!((first.lines, first.bytes, first.oldest_ns), (100, 500, Some(1000)));
    let reads = spool.1.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(survey.lags(&spool, &asked).await.unwrap()[0], Some(first));
    assert_eq!(spool.1.load(std::sync::atomic::Ordering::Relaxed), reads);
}

#[tokio::test]
async fn the_rest_of_a_line_of_which_pieces_were_delivered_is_no_line_more() {
    // Whoever looked then raised by one what was written, for good.
    let (spool, mut survey) = (FakeSpool::default(), Survey::default());
    for text in ["aaaa", "bb\nc", "c\nd\n"] {
        spool.write(Stream::Stdout, text);
    }
    let partial = Some(("id".to_owned(), 2, 1000));
    let cursor = Cursor { stdout: Mark { partial, ..mark(1, 0) }, ..cursor(1, 0) };
    let streams = Streams::Both;
    let asked = Place {
        name: "a",
        cursor: Some(cursor.clone()),
        streams,
        losses: vec![],
        counted: Cursor::default(),
    };
    let lag = survey.lags(&spool, std::slice::from_ref(&asked)).await.unwrap()[0].unwrap();
    assert_eq!((lag.lines, lag.bytes, lag.text, lag.oldest_ns), (2, 8, 5, Some(2000)));
    let end = Mark { at: mark(1, 0).at, skip: 3, partial: None };
    let loss = Loss { from: Cursor { stdout: end, ..cursor }, to: self::cursor(2, 0), ..Loss::default() };
    let asked = Place { losses: vec![loss], ..asked };
    let lag = survey.lags(&spool, &[asked]).await.unwrap()[0].unwrap();
    assert_eq!((lag.lines, lag.bytes), (2, 7), "also before what is passed over");
}

#[tokio::test]
async fn what_is_missing_ahead_of_a_sink_waits_to_be_counted_and_no_longer_once_it_is() {
    let (spool, mut survey) = (FakeSpool::default(), Survey::default());
    spool.write(Stream::Stdout, "a\n");
    spool.drop_bytes(100);
    spool.write(Stream::Stderr, "b\n");
    spool.drop_bytes(7);
    let at = |nth, counted| Place {
        name: "a",
        cursor: Some(cursor(nth, 0)),
        streams: Streams::Stdout,
        losses: vec![],
        counted: cursor(counted, 0),
    };
    let passing = |from, to| {
        let loss = Loss { from: cursor(from, 0), to: cursor(to, 0), ..Loss::default() };
        Place { losses: vec![loss], ..at(0, 0) }
    };
    // The fourth has gone back.
    let asked = [at(0, 0), at(0, 2), at(2, 0), at(0, 0), at(4, 0), passing(1, 3), passing(2, 4)];
    for (asked, unspooled) in asked.into_iter().zip([107, 7, 7, 107, 0, 7, 100]) {
        let lag = survey.lags(&spool, std::slice::from_ref(&asked)).await.unwrap()[0].unwrap();
        assert_eq!(lag.unspooled, unspooled, "{asked:?}");
    }
}
