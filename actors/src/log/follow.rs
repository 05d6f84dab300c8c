//! Reading back and following: the files first, then the spool from where the files end. Needs no router.

use super::framer::{READ, seed};
use super::record::Builder;
use super::sink::SinkSpec;
use contract::log::{Cursor, LogLine, LogSource, Position, ReadRequest, StoredLine, Stream};
use contract::runtime::{Spool, SpoolRecord};
use contract::{Kind, PortError};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

const CHANNEL: usize = 256;

/// Which lines are wanted.
#[derive(Debug, Clone, Default)]
pub struct FollowRequest {
    /// Standard output.
    pub stdout: bool,
    /// Standard error.
    pub stderr: bool,
    /// Not before, ns since the epoch.
    pub since_ns: Option<i64>,
    /// Not after.
    pub until_ns: Option<i64>,
    /// Only the last so many of what is stored.
    pub tail: Option<usize>,
    /// Go on until the container ends.
    pub follow: bool,
}

/// What is given out: `data` ends with LF unless the line goes on.
pub type Lines = mpsc::Receiver<Result<StoredLine, PortError>>;

/// Whether the run of the container that is followed goes on.
#[derive(Clone)]
pub struct Run {
    changed: watch::Receiver<u64>,
    goes_on: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl Run {
    /// `goes_on` is asked again whenever `changed` changes. Once it is false, all output is in the spool.
    pub fn new(changed: watch::Receiver<u64>, goes_on: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self { changed, goes_on: Arc::new(goes_on) }
    }
}

/// Whose lines are read, and from where.
#[derive(Clone)]
pub struct Origin {
    /// The container.
    pub source: Arc<LogSource>,
    /// What is not stored yet.
    pub spool: Arc<dyn Spool>,
    /// What lines from there are given.
    pub attributes: BTreeMap<String, String>,
    /// How long to follow.
    pub run: Run,
}

/// Reads a container's lines.
pub async fn read_logs(
    origin: Origin,
    sinks: &[SinkSpec],
    request: FollowRequest,
) -> Result<Lines, PortError> {
    let sink = sinks.iter().find(|s| s.is_readable()).cloned().ok_or_else(|| {
        PortError::new(Kind::Unsupported, "configured logging driver does not support reading")
    })?;
    let (to, lines) = mpsc::channel(CHANNEL);
    let stored = open(&sink, &origin.source, &request, request.tail, request.since_ns).await?;
    let mut follower = Follower { sink, origin, request, to, last: (i64::MIN, 0), skip: (i64::MIN, 0) };
    tokio::spawn(async move {
        if let Err(error) = follower.run(stored).await {
            // Nobody may be listening any more.
            follower.to.send(Err(error)).await.ok();
        }
    });
    Ok(lines)
}

async fn open(
    sink: &SinkSpec,
    source: &LogSource,
    request: &FollowRequest,
    tail: Option<usize>,
    since_ns: Option<i64>,
) -> Result<(Lines, Cursor), PortError> {
    let reader = sink.kind.reader().ok_or_else(|| PortError::new(Kind::Bug, "the driver has no reader"))?;
    reader.read(source, &sink.options, ReadRequest { since_ns, until_ns: request.until_ns, tail }).await
}

struct Follower {
    sink: SinkSpec,
    origin: Origin,
    request: FollowRequest,
    to: mpsc::Sender<Result<StoredLine, PortError>>,
    /// The latest time there was, and how many lines had it: one read of the shim gives all its lines one time.
    last: (i64, usize),
    /// Lines of such a time that were given out before the files were opened again.
    skip: (i64, usize),
}

/// Whether the reading goes on.
#[derive(PartialEq, Eq)]
enum Flow {
    Goes,
    Ends,
}

impl Follower {
    async fn run(&mut self, mut stored: (Lines, Cursor)) -> Result<(), PortError> {
        loop {
            while let Some(line) = stored.0.recv().await {
                if self.send(line?).await == Flow::Ends {
                    return Ok(());
                }
            }
            if !self.request.follow {
                return Ok(());
            }
            match self.spooled(&stored.1).await {
                // What the spool no longer has, the files have by now.
                Err(error) if error.kind == Kind::NotFound => {
                    let since = (self.last.1 > 0).then_some(self.last.0).or(self.request.since_ns);
                    let again = open(&self.sink, &self.origin.source, &self.request, None, since).await?;
                    if again.1 == stored.1 {
                        return Err(error);
                    }
                    self.skip = self.last;
                    self.last.1 = 0;
                    stored = again;
                }
                other => return other,
            }
        }
    }

    async fn spooled(&mut self, cursor: &Cursor) -> Result<(), PortError> {
        let bounds = self.sink.batching();
        let mut builder = Builder::at(cursor, &bounds, seed(&self.origin.source.container_id));
        let (mut more, mut run) = (self.origin.spool.more(), self.origin.run.clone());
        let mut at = cursor.floor();
        loop {
            more.borrow_and_update();
            run.changed.borrow_and_update();
            // Asked before reading: what is not there after the end will not come.
            let goes_on = (run.goes_on)();
            let (records, next) = self.origin.spool.read(at, READ).await?;
            if self.trimmed(at, &records).await? {
                return Err(PortError::new(Kind::NotFound, "the spool was trimmed while it was read"));
            }
            let (mut lines, mut again) = (Vec::new(), None);
            for record in &records {
                builder.push(record, &mut lines, |_| false);
            }
            if records.is_empty() {
                // After the end nothing is waited for.
                again = builder.dry(if goes_on { crate::now_ns() } else { i64::MAX }, &mut lines);
            }
            for line in lines {
                let stored = self.stored(line);
                if self.send(stored).await == Flow::Ends {
                    return Ok(());
                }
            }
            if !records.is_empty() {
                at = next;
                continue;
            }
            if !goes_on {
                return Ok(());
            }
            tokio::select! {
                () = tokio::time::sleep(again.unwrap_or_default()), if again.is_some() => {}
                changed = more.changed() => if changed.is_err() { return Ok(()) },
                changed = run.changed.changed() => if changed.is_err() { return Ok(()) },
                () = self.to.closed() => return Ok(()),
            }
        }
    }

    /// Whether records after `at` may have gone before they were read: the segment was left and is no longer there.
    async fn trimmed(&self, at: Position, read: &[SpoolRecord]) -> Result<bool, PortError> {
        let segment = |record: &SpoolRecord| match record {
            SpoolRecord::Data { at, .. } | SpoolRecord::Gap { at, .. } | SpoolRecord::End { at } => {
                at.segment
            }
        };
        if at == Position::default() || read.first().is_none_or(|first| segment(first) == at.segment) {
            return Ok(false);
        }
        let (before, _) = self.origin.spool.read(Position { offset: 0, ..at }, 1).await?;
        Ok(before.first().is_none_or(|first| segment(first) != at.segment))
    }

    fn stored(&self, mut line: LogLine) -> StoredLine {
        if line.partial.as_ref().is_none_or(|p| p.last) {
            let mut text = Vec::with_capacity(line.data.len() + 1);
            text.extend_from_slice(&line.data);
            text.push(b'\n');
            line.data = text.into();
        }
        StoredLine { line, attrs: self.origin.attributes.clone() }
    }

    async fn send(&mut self, stored: StoredLine) -> Flow {
        let time_ns = stored.line.time_ns;
        if self.request.until_ns.is_some_and(|until| time_ns > until) {
            return Flow::Ends;
        }
        match time_ns.cmp(&self.last.0) {
            Ordering::Greater => self.last = (time_ns, 1),
            Ordering::Equal => self.last.1 += 1,
            Ordering::Less => {}
        }
        if self.skip.1 > 0 && time_ns == self.skip.0 {
            self.skip.1 -= 1;
            return Flow::Goes;
        }
        let wanted = match stored.line.stream {
            Stream::Stdout => self.request.stdout,
            Stream::Stderr => self.request.stderr,
        };
        let early = self.request.since_ns.is_some_and(|since| time_ns < since);
        let open = match wanted && !early {
            true => self.to.send(Ok(stored)).await.is_ok(),
            false => !self.to.is_closed(),
        };
        if open { Flow::Goes } else { Flow::Ends }
    }
}
