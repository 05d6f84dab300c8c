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
        Self { name, places, logger, info, open, starting, read, at: Instant::now() }
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
        Ok(!self.read.is_empty())
    }

    async fn rest(&mut self) {
        // One that hears of the end does with everything what it has to, but for what it has not read yet.
        if let Some(session) = self.open.take() {
            let again = session.again;
            if session.stop().await.is_ok() && again == 0 {
                self.read = Vec::new();
            }
        }
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
mod tests {
    use super::*;
    use crate::plugin::loggers::Loggers;
    use crate::plugin::places::Address;
    use contract::log::{LogLine, Partial, Stream};
    use std::io::Read as _;

    #[tokio::test]
    async fn a_plugin_that_ended_after_it_had_stopped_reading_is_not_taken_for_there() {
        let folder = tempfile::tempdir().unwrap();
        let places =
            Arc::new(Places { fifos: folder.path().to_owned(), mark: "t".into(), ..Places::default() });
        let mut fifo = Fifo::make(&places.fifos, "t-c-1").unwrap();
        let mut file = std::fs::File::open(fifo.path()).unwrap();
        // It reads some of what it is given again, and ends.
        let reading = std::thread::spawn(move || file.read_exact(&mut [0; 10]).unwrap());
        let (frames, mut written) = (vec![1; 100], 0);
        assert!(matches!(fifo.push(&frames, &mut written).await, Err(Trouble::Gone)));
        reading.join().unwrap();
        let plugin = Plugin::new("p", &Address::Unix(folder.path().join("p.sock")), CALL).unwrap();
        let (file, again) = (fifo.path().display().to_string(), frames.len());
        let logger = Loggers::default().of("c");
        let _turn = logger.send().await;
        let mut forwarder = Forwarder::new("p", places, logger, Value::Null);
        forwarder.read.clone_from(&frames);
        forwarder.open = Some(Session { plugin, file, fifo, frames, again, written, end: None, _turn });
        // There is no other one yet that could be told to read.
        assert!(forwarder.look_after().await.is_err());
        assert!(forwarder.open.is_none() && forwarder.read.len() == 100);
    }

    #[tokio::test]
    async fn what_an_ended_plugin_may_have_lost_is_kept_until_another_one_has_read_it() {
        // One that had not come to it was let go of at the container's end, or forgotten about after a while.
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let folder = tempfile::tempdir().unwrap();
        let listener = tokio::net::UnixListener::bind(folder.path().join("p.sock")).unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
                let answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}";
                stream.write_all(answer).await.unwrap();
            }
        });
        let places = Arc::new(Places { fifos: folder.path().join("logging"), ..Places::default() });
        let (logger, frames) = (Loggers::default().of("c"), vec![1; 100]);
        let mut forwarder = Forwarder::new("p", Arc::clone(&places), Arc::clone(&logger), Value::Null);
        forwarder.read.clone_from(&frames);
        forwarder.at = Instant::now().checked_sub(DONE * 2).unwrap();
        let plugin = Plugin::new("p", &Address::Unix(folder.path().join("p.sock")), CALL).unwrap();
        let fifo = places.fifo("c").unwrap();
        let (file, again, end) = (fifo.path().display().to_string(), frames.len(), Some(Cursor::default()));
        let _turn = logger.send().await;
        forwarder.open = Some(Session { plugin, file, fifo, frames, again, written: 0, end, _turn });
        assert!(forwarder.look_after().await.unwrap());
        assert_eq!(forwarder.read.len(), 100);
        forwarder.rest().await;
        assert!(forwarder.open.is_none() && forwarder.read.len() == 100);
    }

    #[tokio::test]
    async fn a_plugin_that_is_given_up_while_it_starts_is_told_to_stop() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let folder = tempfile::tempdir().unwrap();
        let listener = tokio::net::UnixListener::bind(folder.path().join("p.sock")).unwrap();
        let (asked, starts) = tokio::sync::oneshot::channel();
        let calls = tokio::spawn(async move {
            let (mut calls, mut hung, mut asked) = (Vec::new(), Vec::new(), Some(asked));
            for _ in 0..3 {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut bytes = [0; 4096];
                let read = stream.read(&mut bytes).await.unwrap();
                let text = String::from_utf8_lossy(&bytes[..read]).into_owned();
                calls.push(text.split(' ').nth(1).unwrap_or_default().to_owned());
                if text.contains("StartLogging") {
                    hung.push(stream);
                    if let Some(asked) = asked.take() {
                        asked.send(()).unwrap();
                    }
                    continue;
                }
                let body = r#"{"Implements":["LogDriver"]}"#;
                let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length:";
                stream.write_all(format!("{head} {}\r\n\r\n{body}", body.len()).as_bytes()).await.unwrap();
            }
            calls
        });
        let (fifos, folders) = (folder.path().join("logging"), vec![folder.path().to_owned()]);
        let places = Arc::new(Places { folders, fifos: fifos.clone(), mark: "t".into() });
        let logger = Loggers::default().of("c");
        let mut forwarder = Box::new(Forwarder::new("p", places, logger, Value::Null));
        let line = LogLine { stream: Stream::Stdout, time_ns: 1, data: "hi".into(), partial: None };
        let batch = Batch { lines: vec![line], ..Batch::default() };
        tokio::select! {
            delivered = forwarder.deliver(&batch) => panic!("it did not wait for the plugin: {delivered:?}"),
            asked = starts => asked.unwrap(),
        }
        forwarder.close().await.unwrap();
        let told = ["/Plugin.Activate", "/LogDriver.StartLogging", "/LogDriver.StopLogging"];
        assert_eq!(calls.await.unwrap(), told);
        assert_eq!(std::fs::read_dir(fifos).unwrap().count(), 0);
    }

    #[test]
    fn a_frame_is_dockers_log_entry_behind_its_length() {
        let mut line = LogLine { stream: Stream::Stderr, time_ns: 300, data: "hi".into(), partial: None };
        let mut out = Vec::new();
        frame(&line, &mut out);
        assert_eq!(out, b"\0\0\0\x0f\x0a\x06stderr\x10\xac\x02\x1a\x02hi");
        // Docker marks the last piece as partial, too.
        line.partial = Some(Partial { id: "x".into(), ordinal: 2, last: true });
        let mut out = Vec::new();
        frame(&line, &mut out);
        assert_eq!(
            out,
            b"\0\0\0\x1a\x0a\x06stderr\x10\xac\x02\x1a\x02hi\x20\x01\x2a\x07\x08\x01\x12\x01x\x18\x02"
        );
    }

    #[test]
    fn the_last_whole_frames_are_kept() {
        let sized = |n: usize| [&(n as u32).to_be_bytes()[..], &vec![b'x'; n]].concat();
        let mut read = Vec::new();
        keep(&mut read, &[sized(1), sized(2)].concat());
        assert_eq!(read, [sized(1), sized(2)].concat());
        keep(&mut read, &sized(KEPT - 10));
        assert_eq!(read, [sized(2), sized(KEPT - 10)].concat());
        keep(&mut read, &sized(2 * KEPT));
        assert_eq!(read, b"");
    }
}
