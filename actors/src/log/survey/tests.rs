use super::*;
use contract::fake::FakeSpool;
use contract::log::{Losses, Stretch};
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
    Move(usize, u64, u32),
    Lose(usize, u64, u64),
    Trim,
    Ask,
}

fn step() -> impl Strategy<Value = Step> {
    let stream = prop_oneof![Just(Stream::Stdout), Just(Stream::Stderr)];
    prop_oneof![
        6 => (stream, "[a\n]{0,5}").prop_map(|(s, t)| Step::Write(s, t)),
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
        let sink = |(name, streams)| Place { name, cursor: Some(Cursor::default()), streams, losses: vec![] };
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
    let asked = [Place { name: "away", cursor, streams: Streams::Both, losses: vec![] }];
    let first = survey.lags(&spool, &asked).await.unwrap()[0].unwrap();
    assert_eq!((first.lines, first.bytes, first.oldest_ns), (100, 500, Some(1000)));
    let reads = spool.1.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(survey.lags(&spool, &asked).await.unwrap()[0], Some(first));
    assert_eq!(spool.1.load(std::sync::atomic::Ordering::Relaxed), reads);
}
