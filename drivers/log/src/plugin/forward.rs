//! Lines on their way into a plugin's fifo.

use super::client::{CallError, Plugin};
use super::fifo::{Fifo, Trouble};
use super::loggers::{Logger, Turn};
use super::{CALL, Places};
use crate::local::proto::entry;
use async_trait::async_trait;
use contract::log::{Batch, Cursor, DeliverError, LogDriver};
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bytes that are written again when a plugin has ended: it may have read them and done nothing with them yet.
const KEPT: usize = 64 * 1024;
/// A plugin that has lived on for so long after it read something has done with it.
const DONE: Duration = Duration::from_secs(600);
/// A plugin that was told to read has opened its fifo after so long.
const OPENS: Duration = Duration::from_millis(250);

/// One container's lines for one plugin.
pub(super) struct Forwarder {
    name: &'static str,
    places: Arc<Places>,
    logger: Arc<Logger>,
    info: Value,
    open: Option<Session>,
    /// One that was told to read and has not answered. Here, and not on its way: who closes this in the middle of something
    /// has to tell both of it.
    starting: Option<Session>,
    /// Frames that were read last, and when.
    read: Vec<u8>,
    at: Instant,
    /// The container has ended: whoever is given something again is told to stop after that.
    rests: bool,
}

/// A plugin that was told to read.
struct Session {
    plugin: Plugin,
    file: String,
    fifo: Fifo,
    /// What is being written, and which batch ends it. So many bytes at its beginning were read before.
    frames: Vec<u8>,
    again: usize,
    written: usize,
    end: Option<Cursor>,
    /// Last, as nobody else may have the plugin read before the fifo is gone.
    _turn: Turn,
}

impl Session {
    /// Ends it. As with Docker, the plugin finds the fifo at its end by the time it is told to stop: so it can read all of it
    /// before it answers.
    async fn stop(self) -> Result<(), CallError> {
        let Self { plugin, file, fifo, _turn, .. } = self;
        let _until_then = fifo.finish();
        plugin.stop(&file).await
    }
}

fn retry(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> DeliverError {
    DeliverError::Retry { source: source.into(), after: None }
}

impl Forwarder {
    pub(super) fn new(name: &'static str, places: Arc<Places>, logger: Arc<Logger>, info: Value) -> Self {
        let (open, starting, read) = (None, None, Vec::new());
        Self { name, places, logger, info, open, starting, read, at: Instant::now(), rests: false }
    }

    async fn start(&mut self) -> Result<Session, DeliverError> {
        let plugin = self.places.plugin(self.name, CALL).map_err(|e| retry(e.chain()))?;
        plugin.activate().await.map_err(retry)?;
        let turn = self.logger.send().await;
        let fifo = self.places.fifo(self.logger.container()).map_err(retry)?;
        let file = fifo.path().display().to_string();
        // Those that an ended plugin may have lost come first.
        let (frames, again) = (self.read.clone(), self.read.len());
        let session = Session { plugin, file, fifo, frames, again, written: 0, end: None, _turn: turn };
        let session = self.starting.insert(session);
        let started = session.plugin.start(&session.file, &self.info).await;
        if matches!(started, Err(CallError::Away { .. })) {
            // It may have heard of it and begin yet.
            session.plugin.stop(&session.file).await.ok();
        }
        let session = self.starting.take();
        started.map_err(retry)?;
        session.ok_or_else(|| retry("it was not told to read"))
    }

    /// Has a plugin told to read, and gives it what an ended one may have lost.
    async fn begin(&mut self) -> Result<(), DeliverError> {
        let session = self.start().await?;
        self.open = Some(session);
        self.push().await
    }

    /// Has the plugin do with everything what it has to, but for what it has not read yet.
    async fn conclude(&mut self) {
        if let Some(session) = self.open.take() {
            let again = session.again;
            if session.stop().await.is_ok() && again == 0 {
                self.read = Vec::new();
            }
        }
    }

    /// Parts with a plugin that was told to read and has ended, also before anything was written for it.
    async fn part(&mut self) {
        if self.at.elapsed() < OPENS {
            return;
        }
        if let Some(session) = self.open.take_if(|open| open.fifo.settle().is_err()) {
            session.plugin.stop(&session.file).await.ok();
        }
    }

    /// Has the open session's frames read.
    async fn push(&mut self) -> Result<(), DeliverError> {
        let Some(session) = &mut self.open else { return Ok(()) };
        match session.fifo.push(&session.frames, &mut session.written).await {
            Ok(()) => {
                keep(&mut self.read, session.frames.get(session.again..).unwrap_or_default());
                self.at = Instant::now();
                session.frames.clear();
                (session.again, session.written, session.end) = (0, 0, None);
                Ok(())
            }
            Err(trouble @ Trouble::Stalled) => Err(retry(trouble)),
            Err(trouble) => {
                // It may be there and have closed this fifo alone; then it need not keep the file in mind.
                session.plugin.stop(&session.file).await.ok();
                self.open = None;
                Err(retry(trouble))
            }
        }
    }
}

#[async_trait]
impl LogDriver for Forwarder {
    async fn deliver(&mut self, batch: &Batch) -> Result<(), DeliverError> {
        if batch.lines.is_empty() {
            return Ok(());
        }
        self.rests = false;
        self.part().await;
        let session = match self.open.take() {
            Some(open) => open,
            None => self.start().await?,
        };
        let session = self.open.insert(session);
        // One that comes again goes on where it stands.
        if session.end.as_ref() != Some(&batch.end) {
            batch.lines.iter().for_each(|line| frame(line, &mut session.frames));
            session.end = Some(batch.end.clone());
        }
        self.push().await
    }

    async fn announce(&mut self) -> Result<(), DeliverError> {
        self.rests = false;
        self.part().await;
        if self.open.is_none() { self.begin().await } else { Ok(()) }
    }

    fn confirms(&self) -> bool {
        false
    }

    async fn look_after(&mut self) -> Result<bool, DeliverError> {
        // Also one that stopped reading first: what it had not read is in the batch that comes again, or was read before.
        let gone = self.open.take_if(|open| open.fifo.check().is_err());
        if let Some(session) = gone {
            session.plugin.stop(&session.file).await.ok();
        }
        if let Some(session) = &self.open {
            if session.again == 0 && self.at.elapsed() > DONE {
                self.read = Vec::new();
            } else if session.again > 0 && session.end.is_none() {
                self.push().await?;
            }
        } else if !self.read.is_empty() {
            self.begin().await?;
        }
        if self.rests {
            self.conclude().await;
        }
        Ok(!self.read.is_empty())
    }

    async fn rest(&mut self) {
        self.rests = true;
        self.conclude().await;
    }

    async fn close(self: Box<Self>) -> Result<(), DeliverError> {
        if let Some(session) = self.starting {
            session.plugin.stop(&session.file).await.ok();
        }
        match self.open {
            Some(session) => session.stop().await.map_err(retry),
            None => Ok(()),
        }
    }
}

/// Appends a line as Docker writes it into fifos: its length, big-endian, and its `LogEntry`.
fn frame(line: &contract::log::LogLine, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    entry(line, line.partial.is_some(), out);
    let length = ((out.len() - start - 4) as u32).to_be_bytes();
    if let Some(head) = out.get_mut(start..start + 4) {
        head.copy_from_slice(&length);
    }
}

/// Remembers the last frames, whole ones, of at most [`KEPT`] bytes.
fn keep(read: &mut Vec<u8>, frames: &[u8]) {
    read.extend_from_slice(frames);
    let mut from = 0;
    while read.len() - from > KEPT {
        let length = read.get(from..).and_then(|rest| rest.first_chunk::<4>());
        from += length.map_or(read.len() - from, |head| 4 + u32::from_be_bytes(*head) as usize);
        from = from.min(read.len());
    }
    read.drain(..from);
}

#[cfg(test)]
mod tests;
