use super::super::held::HeldSpool;
use super::super::spec::SinkSpec;
use super::*;
use async_trait::async_trait;
use contract::Kind;
use contract::fake::FakeSpool;
use contract::log::{BatchPolicy, LogDriver, LogDriverKind, LogReader, Mark, OptionSpec, Options, Stretch};
use contract::runtime::Spool;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Lines are stored, and let go of in the spool, as soon as somebody has begun to read.
struct Quick {
    held: Arc<HeldSpool>,
    reads: AtomicUsize,
    /// Nothing is stored after all, and this is where that begins.
    forgets: Option<Position>,
}

fn text(n: usize) -> StoredLine {
    let data = format!("{n}\n").into();
    let line = LogLine { stream: Stream::Stdout, time_ns: 1000 * n as i64, data, partial: None };
    StoredLine { line, attrs: Attributes::new() }
}

fn cursor(at: Position) -> Cursor {
    let mark = Mark { at, ..Mark::default() };
    Cursor { stdout: mark.clone(), stderr: mark, pace: None }
}

#[async_trait]
impl LogDriverKind for Quick {
    fn name(&self) -> &'static str {
        "quick"
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
impl LogReader for Quick {
    async fn read(&self, _: &LogSource, _: &Options, request: ReadRequest) -> Result<Reading, PortError> {
        if let Some(at) = self.forgets {
            let (_, pieces) = mpsc::channel(1);
            let found = request.tail.map(|_| 0);
            return Ok(Reading { pieces, cursor: cursor(at), end: Place::default(), found });
        }
        // Eight lines are a segment, the first has number 1.
        let (stored, at) = match self.reads.fetch_add(1, Ordering::Relaxed) {
            0 => (10, Position { segment: 2, offset: 200 }),
            _ => (30, Position { segment: 4, offset: 600 }),
        };
        self.held.trim(&[Stretch::from(Position { segment: 4, offset: 0 })]).await?;
        let before = request.after.map_or(0, |place| usize::try_from(place.offset).unwrap_or(0));
        let begin = request.tail.map_or(before, |tail| stored - tail);
        let (to, pieces) = mpsc::channel(1);
        to.try_send(Ok(Piece::Lines((begin..stored).map(text).collect()))).unwrap();
        let end = Place { offset: stored as u64, ..Place::default() };
        Ok(Reading { pieces, cursor: cursor(at), end, found: request.tail })
    }
}

fn origin(held: Arc<HeldSpool>, forgets: Option<Position>, run: Run) -> Origin {
    let quick = Quick { held: Arc::clone(&held), reads: AtomicUsize::default(), forgets };
    let kind: &'static Quick = Box::leak(Box::new(quick));
    let main = Some(SinkSpec::new(kind, Options::new()));
    let stores = Arc::new(Stores { main, ..Stores::default() });
    Origin {
        source: Arc::default(),
        feed: Feed::new(held, BatchPolicy::default(), "c"),
        attributes: Attributes::new(),
        run,
        stores: Arc::new(move || Arc::clone(&stores)),
    }
}

#[tokio::test]
async fn who_reads_where_all_that_was_written_is_gone_is_told_once_and_waits_for_what_comes() {
    for follow in [false, true] {
        let spool = Arc::new(FakeSpool::default());
        let held = HeldSpool::new(Arc::clone(&spool) as Arc<dyn Spool>);
        for n in 0..16 {
            spool.write(Stream::Stdout, format!("{n}\n"));
        }
        held.trim(&[Stretch::from(Position { segment: 3, offset: 0 })]).await.unwrap();
        let (_changes, changed) = watch::channel(0);
        let origin = origin(held, Some(Position::default()), Run::new(changed, || true));
        let request = FollowRequest { stdout: true, stderr: true, follow, ..Default::default() };
        let (mut lines, mut got) = (read_logs(origin, request).await.unwrap(), Vec::new());
        if follow {
            let early = tokio::time::timeout(Duration::from_millis(100), lines.recv()).await;
            assert!(early.is_err(), "nothing has come yet");
            spool.write(Stream::Stdout, "16\n");
        }
        while got.len() < 2
            && let Some(some) = lines.recv().await
        {
            got.extend(some.unwrap().iter().cloned().map(|l| l.line.data));
        }
        let told = "gantry: lines were dropped before they could be shown or stored\n";
        assert_eq!(got, if follow { vec![told, "16\n"] } else { vec![told] });
    }
}

#[tokio::test]
async fn a_tail_is_the_last_lines_though_they_are_stored_and_let_go_of_while_they_are_counted() {
    let spool = Arc::new(FakeSpool::default());
    let held = HeldSpool::new(Arc::clone(&spool) as Arc<dyn Spool>);
    for n in 0..40 {
        spool.write(Stream::Stdout, format!("{n}\n"));
    }
    let origin = origin(held, None, Run::new(watch::channel(0).1, || false));
    let request = FollowRequest { stdout: true, stderr: true, tail: Some(2), ..Default::default() };
    let (mut lines, mut got) = (read_logs(origin, request).await.unwrap(), Vec::new());
    while let Some(some) = lines.recv().await {
        got.extend(some.unwrap().iter().cloned().map(|l| l.line.data));
    }
    assert_eq!(got, ["38\n", "39\n"]);
}

#[tokio::test]
async fn what_a_stuck_sink_dropped_is_told_once_and_where_it_was_and_what_it_still_needs_is_shown() {
    // It was told before lines that were there, once for each part of them, and a tail ended with them.
    for (tail, last) in [(None, None), (Some(2), Some(["38\n", "39\n"]))] {
        let spool = Arc::new(FakeSpool::default());
        let held = HeldSpool::new(Arc::clone(&spool) as Arc<dyn Spool>);
        for n in 0..40 {
            spool.write(Stream::Stdout, format!("{n}\n"));
        }
        let at = |segment| Position { segment, offset: 0 };
        held.trim(&[Stretch { from: at(1), to: Some(at(2)) }, Stretch::from(at(5))]).await.unwrap();
        let origin = origin(held, Some(at(1)), Run::new(watch::channel(0).1, || false));
        let request = FollowRequest { stdout: true, stderr: true, tail, ..Default::default() };
        let (mut lines, mut got) = (read_logs(origin, request).await.unwrap(), Vec::new());
        while let Some(some) = lines.recv().await {
            let texts = some.unwrap();
            got.extend(texts.iter().map(|l| String::from_utf8(l.line.data.to_vec()).unwrap()));
        }
        let mut all: Vec<String> = (0..16).map(|n| format!("{n}\n")).collect();
        all.push("gantry: an unknown number of lines was lost here: a part of the spool is gone\n".into());
        all.extend((32..40).map(|n| format!("{n}\n")));
        assert_eq!(got, last.map_or(all, |last| last.map(str::to_owned).to_vec()));
    }
}
