use super::framer::*;
use super::*;
use crate::supervise::Registry;
use async_trait::async_trait;
use bytes::Bytes;
use contract::PortError;
use contract::log::*;
use contract::runtime::{Missing, Spool, SpoolRecord};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

struct FakeSpool {
    records: Mutex<Vec<SpoolRecord>>,
    cursors: Mutex<BTreeMap<String, Cursor>>,
    trimmed: Mutex<Position>,
    more: watch::Sender<u64>,
}

fn place(record: &SpoolRecord) -> Position {
    match record {
        SpoolRecord::Data { at, .. } | SpoolRecord::Gap { at, .. } | SpoolRecord::End { at, .. } => *at,
    }
}

impl FakeSpool {
    fn new() -> Arc<Self> {
        let (records, cursors, trimmed) = Default::default();
        Arc::new(Self { records, cursors, trimmed, more: watch::Sender::new(0) })
    }
    fn next(&self) -> Position {
        let n = self.records.lock().unwrap().len() as u64;
        Position { segment: n / 4, offset: n % 4 * 100 }
    }
    fn write(&self, stream: Stream, text: &[u8]) {
        let at = self.next();
        let time_ns = (at.segment * 1000 + at.offset) as i64;
        let data = Bytes::copy_from_slice(text);
        self.records.lock().unwrap().push(SpoolRecord::Data { at, stream, time_ns, held_ns: 0, data });
        self.more.send_modify(|n| *n += 1);
    }
    fn end(&self) {
        let at = self.next();
        let time_ns = (at.segment * 1000 + at.offset) as i64;
        self.records.lock().unwrap().push(SpoolRecord::End { at, time_ns });
        self.more.send_modify(|n| *n += 1);
    }
}

#[async_trait]
impl Spool for FakeSpool {
    async fn read(&self, from: Position, _max: usize) -> Result<(Vec<SpoolRecord>, Position), PortError> {
        // What a sink needs never goes; of what goes, a reader that is late finds out.
        let kept = self.trimmed.lock().unwrap().segment;
        let all = self.records.lock().unwrap();
        let there = all.iter().filter(|r| place(r) >= from && place(r).segment >= kept);
        let out: Vec<_> = there.take(3).cloned().collect();
        let next = out.last().map_or(from, |r| Position { offset: place(r).offset + 1, ..place(r) });
        Ok((out, next))
    }
    async fn end(&self) -> Result<Position, PortError> {
        Ok(self.next())
    }
    fn more(&self) -> watch::Receiver<u64> {
        self.more.subscribe()
    }
    async fn trim(&self, keep: &[Stretch]) -> Result<(), PortError> {
        *self.trimmed.lock().unwrap() = keep.iter().map(|k| k.from).min().unwrap();
        Ok(())
    }
    fn budget(&self) -> u64 {
        64 << 20
    }
    async fn extent(&self) -> Result<Vec<(u64, u64)>, PortError> {
        let (mut all, kept) = (BTreeMap::new(), self.trimmed.lock().unwrap().segment);
        for at in self.records.lock().unwrap().iter().map(place).filter(|at| at.segment >= kept) {
            all.insert(at.segment, at.offset + 1);
        }
        Ok(all.into_iter().collect())
    }
    async fn load_cursor(&self, sink: &str) -> Result<Option<Cursor>, PortError> {
        Ok(self.cursors.lock().unwrap().get(sink).cloned())
    }
    async fn store_cursor(&self, sink: &str, cursor: &Cursor) -> Result<(), PortError> {
        self.cursors.lock().unwrap().insert(sink.into(), cursor.clone());
        Ok(())
    }
    async fn load_losses(&self, _: &str) -> Result<Option<Losses>, PortError> {
        Ok(None)
    }
    async fn store_losses(&self, _: &str, _: &Losses) -> Result<(), PortError> {
        Ok(())
    }
    async fn keep_cursors(&self, sinks: &[String]) -> Result<(), PortError> {
        self.cursors.lock().unwrap().retain(|sink, _| sinks.contains(sink));
        Ok(())
    }
}

fn frame(records: &[SpoolRecord], from: &Cursor, most: usize) -> (Vec<LogLine>, Cursor) {
    let mut framer = Framer::at(from, 8, 1);
    let mut lines = Vec::new();
    for record in records.iter().filter(|r| place(r) >= from.floor()) {
        if framer.push(record, &mut lines, |l| l.len() >= most) == Taken::Full {
            break;
        }
    }
    (lines, framer.cursor())
}

fn said(at: (u64, u64), stream: Stream, time_ns: i64, text: &'static str) -> SpoolRecord {
    let at = Position { segment: at.0, offset: at.1 };
    SpoolRecord::Data { at, stream, time_ns, held_ns: 0, data: Bytes::from_static(text.as_bytes()) }
}

fn stamped(lines: &[LogLine]) -> Vec<(String, i64)> {
    lines.iter().map(|l| (String::from_utf8_lossy(&l.data).into_owned(), l.time_ns)).collect()
}

#[test]
fn a_line_has_the_time_at_which_it_ended_and_not_at_which_it_began() {
    // `--since 2s` hid a line that was begun four seconds ago and ended just now, and it stood behind later ones.
    let records = [
        said((0, 0), Stream::Stdout, 10, "x"),
        said((0, 1), Stream::Stderr, 20, "other\n"),
        said((0, 2), Stream::Stdout, 40, "done\na long"),
        said((0, 3), Stream::Stdout, 50, "er"),
        said((0, 4), Stream::Stdout, 60, " line\ntail"),
        SpoolRecord::End { at: Position { segment: 0, offset: 5 }, time_ns: 90 },
    ];
    let (whole, _) = frame(&records, &Cursor::default(), usize::MAX);
    let wanted = [("other", 20), ("xdone", 40), ("a longer", 50), (" line", 50), ("tail", 90)];
    assert_eq!(stamped(&whole), wanted.map(|(text, time)| (text.to_owned(), time)));
    let (mut got, mut cursor) = (Vec::new(), Cursor::default());
    loop {
        let (lines, next) = frame(&records, &cursor, 1);
        if lines.is_empty() && next == cursor {
            break;
        }
        got.extend(lines);
        cursor = next;
    }
    assert_eq!(got, whole, "also from amid a line");
}

#[test]
fn a_gap_does_not_take_a_stream_back_that_has_gone_on_from_there() {
    // Of a sink that takes a stream over from one that was behind: what it had of its own came twice.
    let missing = contract::runtime::Missing::Unspooled(9);
    let records = [
        said((0, 0), Stream::Stdout, 10, "a\n"),
        SpoolRecord::Gap { at: Position { segment: 0, offset: 1 }, time_ns: 20, missing },
        said((0, 2), Stream::Stderr, 30, "b\n"),
        said((0, 3), Stream::Stdout, 40, "c\n"),
        said((0, 4), Stream::Stderr, 50, "d\n"),
    ];
    let stderr = Mark { at: Position { segment: 0, offset: 3 }, ..Mark::default() };
    let (lines, _) = frame(&records, &Cursor { stderr, ..Cursor::default() }, usize::MAX);
    let told = gap::unspooled(9);
    let wanted = [("a", 10), (told.as_str(), 20), ("c", 40), ("d", 50)];
    assert_eq!(stamped(&lines), wanted.map(|(text, time)| (text.to_owned(), time)));
}

#[test]
fn text_that_is_given_out_unfinished_has_the_time_at_which_it_was() {
    let records = [
        said((0, 0), Stream::Stdout, 10, "x"),
        said((1, 0), Stream::Stderr, 20, "a\n"),
        said((2, 0), Stream::Stderr, 30, "b\n"),
        said((2, 1), Stream::Stdout, 40, "y\n"),
    ];
    let (lines, _) = frame(&records, &Cursor::default(), usize::MAX);
    let wanted = [("a", 20), ("x", 30), ("b", 30), ("y", 30)];
    assert_eq!(stamped(&lines), wanted.map(|(text, time)| (text.to_owned(), time)));
}

#[test]
fn what_a_stream_had_beyond_a_place_that_became_unreadable_is_not_given_out_again() {
    // A line that the other stream has under way keeps what is behind it being read: the stream went back to the gap.
    let begun = said((0, 0), Stream::Stderr, 10, "begun");
    let (one, lost) = (said((0, 1), Stream::Stdout, 20, "one\n"), Position { segment: 0, offset: 1 });
    let two = said((0, 2), Stream::Stdout, 30, "two\n");
    let (lines, cursor) = frame(&[begun.clone(), one, two.clone()], &Cursor::default(), usize::MAX);
    assert_eq!(stamped(&lines), [("one".to_owned(), 20), ("two".to_owned(), 30)]);
    let gap = SpoolRecord::Gap { at: lost, time_ns: 30, missing: Missing::Unreadable };
    let records = [begun, gap, two, said((0, 3), Stream::Stdout, 40, "three\n")];
    let (lines, next) = frame(&records, &cursor, usize::MAX);
    let wanted = [("begun".to_owned(), 10), (crate::log::gap::lost(), 30), ("three".to_owned(), 40)];
    assert_eq!(stamped(&lines), wanted);
    assert!(frame(&records, &next, usize::MAX).0.is_empty());
}

proptest! {
    #[test]
    fn any_chunking_gives_the_same_lines(text in "[ab\n]{0,60}", cuts in prop::collection::vec(1usize..9, 1..30)) {
        let spool = FakeSpool::new();
        let (mut rest, mut cuts) = (text.as_bytes(), cuts.iter().cycle());
        while !rest.is_empty() {
            let (head, tail) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
            // Far apart, unfinished text would be let go.
            let records_len = spool.records.lock().unwrap().len() as u64;
            spool.records.lock().unwrap().push(SpoolRecord::Data {
                at: Position { segment: 0, offset: records_len },
                stream: Stream::Stdout, time_ns: 0, held_ns: 0, data: Bytes::copy_from_slice(head),
            });
            rest = tail;
        }
        let records = spool.records.lock().unwrap().clone();
        let whole = [SpoolRecord::Data { at: Position::default(), stream: Stream::Stdout, time_ns: 0, held_ns: 0, data: text.clone().into() }];
        let plain = |lines: Vec<LogLine>| lines.into_iter().map(|l| (l.data, l.partial.map(|p| (p.ordinal, p.last)))).collect::<Vec<_>>();
        prop_assert_eq!(plain(frame(&records, &Cursor::default(), 999).0), plain(frame(&whole, &Cursor::default(), 999).0));
    }

    #[test]
    fn any_resumption_gives_the_same_lines(pieces in prop::collection::vec((any::<bool>(), "[ab\n]{0,12}"), 0..30), most in 1usize..4, ends in 0usize..30) {
        let spool = FakeSpool::new();
        for (index, (err, text)) in pieces.iter().enumerate() {
            if index == ends { spool.end(); }
            spool.write(if *err { Stream::Stderr } else { Stream::Stdout }, text.as_bytes());
        }
        spool.end();
        let records = spool.records.lock().unwrap().clone();
        let (whole, _) = frame(&records, &Cursor::default(), usize::MAX);
        let (mut got, mut cursor) = (Vec::new(), Cursor::default());
        loop {
            let (lines, next) = frame(&records, &cursor, most);
            if lines.is_empty() && next == cursor { break; }
            got.extend(lines);
            cursor = next;
        }
        prop_assert_eq!(got, whole);
    }
}

#[derive(Default)]
struct FakeKind {
    got: Mutex<Vec<String>>,
    faults: Mutex<Vec<&'static str>>,
    reads: bool,
    cursor: Mutex<Cursor>,
}
struct FakeDriver(&'static FakeKind);

#[async_trait]
impl LogDriver for FakeDriver {
    async fn deliver(&mut self, batch: &Batch) -> Result<(), DeliverError> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let fault = self.0.faults.lock().unwrap().pop();
        match fault {
            Some("retry") => return Err(DeliverError::Retry { source: "down".into(), after: None }),
            Some("fatal") => return Err(DeliverError::Fatal { source: "gone".into() }),
            Some(other) => panic!("{other}"),
            None => {}
        }
        let text = |l: &LogLine| String::from_utf8(l.data.to_vec()).unwrap();
        let mut got = self.0.got.lock().unwrap();
        got.extend(batch.lines.iter().map(text));
        *self.0.cursor.lock().unwrap() = batch.end.clone();
        Ok(())
    }
    fn cursor(&self) -> Option<Cursor> {
        Some(self.0.cursor.lock().unwrap().clone())
    }
    async fn close(self: Box<Self>) -> Result<(), DeliverError> {
        Ok(())
    }
}

#[async_trait]
impl LogDriverKind for FakeKind {
    fn name(&self) -> &'static str {
        if self.reads { "json-file" } else { "fake" }
    }
    fn options(&self) -> &'static [OptionSpec] {
        &[]
    }
    fn validate(&self, _: &Options) -> Result<(), PortError> {
        Ok(())
    }
    fn batching(&self, _: &Options) -> BatchPolicy {
        BatchPolicy { max_lines: 3, ..Default::default() }
    }
    async fn open(&self, _: &LogSource, _: &Options) -> Result<Box<dyn LogDriver>, PortError> {
        // Kinds live as long as the program.
        let this = ALL.iter().find(|k| std::ptr::eq(**k, self)).copied();
        Ok(Box::new(FakeDriver(this.unwrap())))
    }
    fn reader(&self) -> Option<&dyn LogReader> {
        self.reads.then_some(self as _)
    }
}

#[async_trait]
impl LogReader for FakeKind {
    async fn read(
        &self,
        _: &LogSource,
        _: &Options,
        request: ReadRequest,
    ) -> Result<contract::log::Reading, PortError> {
        let got = self.got.lock().unwrap();
        let cursor = self.cursor.lock().unwrap().clone();
        let end = contract::log::Place { offset: got.len() as u64, ..Default::default() };
        let (to, pieces) = mpsc::channel(1000);
        for text in got.iter().skip(request.after.map_or(0, |place| place.offset as usize)) {
            let data = Bytes::from(format!("{text}\n"));
            let line = LogLine { stream: Stream::Stdout, time_ns: 0, data, partial: None };
            let line = StoredLine { line, attrs: BTreeMap::new() };
            to.try_send(Ok(Piece::Lines(vec![line]))).unwrap();
        }
        Ok(contract::log::Reading { pieces, cursor, end, found: None })
    }
}

static ALL: std::sync::LazyLock<[&'static FakeKind; 2]> = std::sync::LazyLock::new(|| {
    let kind = |reads| &*Box::leak(Box::new(FakeKind { reads, ..Default::default() }));
    [kind(false), kind(true)]
});

#[test]
fn every_sink_gets_every_line_once_across_refusals_and_panics_and_the_spool_is_trimmed() {
    let system = actix::System::with_tokio_rt(|| {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
    });
    let registry = Registry::new(actix::System::current().arbiter().clone());
    system.block_on(async move {
        let catalogue = contract::fake::FakeCatalogue(vec![ALL[0], ALL[1]]);
        let sinks =
            sinks_for(&catalogue, &destinations("fake", &Options::new()).unwrap(), &Options::new()).unwrap();
        assert_eq!(sinks.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["fake", "json-file"]);
        assert_eq!(sinks[1].options["max-size"], "20m");
        *ALL[0].faults.lock().unwrap() = vec!["driver panic", "retry", "fatal"];
        let spool = FakeSpool::new();
        let held = held::HeldSpool::new(spool.clone());
        let source = Arc::new(LogSource { container_id: "c".into(), ..Default::default() });
        let spec = RouterSpec {
            id: "c".into(),
            source: source.clone(),
            spool: held.clone(),
            sinks: sinks.clone(),
            told: Arc::new(|_, _| {}),
        };
        let api = RouterApi::start(spec, None, &registry);
        let request = FollowRequest { stdout: true, stderr: true, follow: true, ..Default::default() };
        let (running, changed) = watch::channel(0);
        let now = changed.clone();
        let run = Run::new(changed, move || *now.borrow() == 0);
        let feed = Feed::new(held.clone(), sinks[1].batching(), "c");
        let stores = Arc::new(Stores::of(&catalogue, &sinks, &[]));
        let stores = Arc::new(move || Arc::clone(&stores));
        let origin = Origin { source, feed, attributes: BTreeMap::new(), run, stores };
        let mut follow = read_logs(origin, request).await.unwrap();
        for n in 0..60 {
            spool.write(Stream::Stdout, format!("{n}\n").as_bytes());
            if n == 20 {
                registry.inject("sink", 1);
            }
            if n == 40 {
                registry.inject("router:c", 1);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        spool.end();
        running.send_replace(1);
        let readings = || sinks.iter().map(|s| s.gauge.read()).collect::<Vec<_>>();
        assert!(api.drain(None, Duration::from_secs(20)).await, "{:?}", readings());
        // A router that was rebuilt goes on counting.
        assert!(readings().iter().all(|r| r.status.lines >= 60), "{:?}", readings());
        let all: Vec<String> = (0..60).map(|n| n.to_string()).collect();
        assert_eq!(*ALL[0].got.lock().unwrap(), all);
        assert_eq!(*ALL[1].got.lock().unwrap(), all);
        assert!(spool.trimmed.lock().unwrap().segment >= 13);
        let mut followed = Vec::new();
        while let Some(lines) = follow.recv().await {
            let text = |l: &StoredLine| String::from_utf8(l.line.data.to_vec()).unwrap().trim().to_owned();
            followed.extend(lines.unwrap().iter().map(text));
        }
        assert_eq!(followed, all);
        // The next start of the container goes on in the same spool.
        spool.write(Stream::Stdout, b"again\n");
        spool.end();
        assert!(api.drain(None, Duration::from_secs(20)).await);
        assert_eq!(ALL[0].got.lock().unwrap().last().unwrap(), "again");
        api.close(Duration::from_secs(5)).await;
        // Who still waits for a router that has ended asks it no more.
        let asked = tokio::time::timeout(Duration::from_secs(20), api.drain(None, Duration::from_secs(60)));
        assert_eq!(asked.await, Ok(false));
    });
}
