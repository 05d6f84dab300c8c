//! Reading back and following: the files first, then the spool from where the files end. Needs no router.

use super::framer::{Framer, READ, seed};
use super::sink::SinkSpec;
use contract::log::{Cursor, LogLine, LogSource, Position, ReadRequest, StoredLine, Stream};
use contract::runtime::{Spool, SpoolRecord};
use contract::{Kind, PortError};
use futures::future::{Either, select};
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use tokio::sync::mpsc;

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

/// Reads a container's lines; `attributes` are given to lines that are not stored yet.
pub async fn read_logs(
    source: Arc<LogSource>,
    sinks: &[SinkSpec],
    spool: Arc<dyn Spool>,
    attributes: BTreeMap<String, String>,
    request: FollowRequest,
) -> Result<Lines, PortError> {
    let sink = sinks.iter().find(|s| s.kind.reader().is_some()).cloned().ok_or_else(|| {
        PortError::new(Kind::Unsupported, "configured logging driver does not support reading")
    })?;
    let (to, lines) = mpsc::channel(CHANNEL);
    let stored = open(&sink, &source, &request, request.tail, request.since_ns).await?;
    let mut follower = Follower { sink, source, spool, attributes, request, to, last_ns: None };
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
    source: Arc<LogSource>,
    spool: Arc<dyn Spool>,
    attributes: BTreeMap<String, String>,
    request: FollowRequest,
    to: mpsc::Sender<Result<StoredLine, PortError>>,
    last_ns: Option<i64>,
}

/// False ends the reading.
type Goes = bool;

impl Follower {
    async fn run(&mut self, mut stored: (Lines, Cursor)) -> Result<(), PortError> {
        loop {
            while let Some(line) = stored.0.recv().await {
                if !self.send(line?).await {
                    return Ok(());
                }
            }
            if !self.request.follow {
                return Ok(());
            }
            match self.spooled(&stored.1).await {
                // What the spool no longer has, the files have by now.
                Err(error) if error.kind == Kind::NotFound => {
                    let since = self.last_ns.map(|t| t + 1).or(self.request.since_ns);
                    let again = open(&self.sink, &self.source, &self.request, None, since).await?;
                    if again.1 == stored.1 {
                        return Err(error);
                    }
                    stored = again;
                }
                other => return other,
            }
        }
    }

    async fn spooled(&mut self, cursor: &Cursor) -> Result<(), PortError> {
        let bounds = self.sink.kind.batching(&self.sink.options);
        let mut framer = Framer::at(cursor, bounds.max_line, seed(&self.source.container_id));
        let mut more = self.spool.more();
        let (mut at, mut ended) = (cursor.floor(), false);
        loop {
            more.borrow_and_update();
            let (records, next) = self.spool.read(at, READ).await?;
            if self.trimmed(at, &records).await? {
                return Err(PortError::new(Kind::NotFound, "the spool was trimmed while it was read"));
            }
            if let Some(last) = records.last() {
                ended = matches!(last, SpoolRecord::End { .. });
                at = next;
                let mut lines = Vec::new();
                for record in &records {
                    framer.push(record, &mut lines, |_| false);
                }
                for line in lines {
                    let stored = self.stored(line);
                    if !self.send(stored).await {
                        return Ok(());
                    }
                }
                continue;
            }
            if ended {
                return Ok(());
            }
            let (changed, closed) = (pin!(more.changed()), pin!(self.to.closed()));
            match select(changed, closed).await {
                Either::Left((Ok(()), _)) => {}
                Either::Left((Err(_), _)) | Either::Right(_) => return Ok(()),
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
        let (before, _) = self.spool.read(Position { offset: 0, ..at }, 1).await?;
        Ok(before.first().is_none_or(|first| segment(first) != at.segment))
    }

    fn stored(&self, mut line: LogLine) -> StoredLine {
        if line.partial.as_ref().is_none_or(|p| p.last) {
            let mut text = Vec::with_capacity(line.data.len() + 1);
            text.extend_from_slice(&line.data);
            text.push(b'\n');
            line.data = text.into();
        }
        StoredLine { line, attrs: self.attributes.clone() }
    }

    async fn send(&mut self, stored: StoredLine) -> Goes {
        let time_ns = stored.line.time_ns;
        if self.request.until_ns.is_some_and(|until| time_ns > until) {
            return false;
        }
        self.last_ns = self.last_ns.max(Some(time_ns));
        let wanted = match stored.line.stream {
            Stream::Stdout => self.request.stdout,
            Stream::Stderr => self.request.stderr,
        };
        if !wanted || self.request.since_ns.is_some_and(|since| time_ns < since) {
            return !self.to.is_closed();
        }
        self.to.send(Ok(stored)).await.is_ok()
    }
}
