use super::lock;
use crate::error::{Kind, PortError};
use crate::id::ContainerId;
use crate::log::{Cursor, Losses, Position, Stream, Stretch};
use crate::runtime::{Missing, Spool, SpoolRecord, Spools};
use async_trait::async_trait;
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

/// Records a segment holds.
const SEGMENT: u64 = 8;

/// The place of a record.
fn place(record: &SpoolRecord) -> Position {
    match record {
        SpoolRecord::Data { at, .. } | SpoolRecord::Gap { at, .. } | SpoolRecord::End { at, .. } => *at,
    }
}

#[derive(Default)]
struct Contents {
    records: Vec<SpoolRecord>,
    cursors: BTreeMap<String, Cursor>,
    losses: BTreeMap<String, Losses>,
    written: u64,
    clock: i64,
    failures: u32,
    owes: bool,
}

/// One container's spool: small segments, so that a test reaches trimming soon.
pub struct FakeSpool {
    contents: Mutex<Contents>,
    more: watch::Sender<u64>,
}

impl Default for FakeSpool {
    fn default() -> Self {
        Self { contents: Mutex::default(), more: watch::Sender::new(0) }
    }
}

impl FakeSpool {
    fn push(&self, make: impl FnOnce(Position, i64) -> SpoolRecord) {
        let mut contents = lock(&self.contents);
        let at = position(contents.written);
        contents.written += 1;
        contents.clock += 1000;
        contents.owes = false;
        let record = make(at, contents.clock);
        contents.records.push(record);
        drop(contents);
        self.more.send_modify(|n| *n += 1);
    }

    /// The process writes.
    pub fn write(&self, stream: Stream, text: impl Into<Bytes>) {
        let data = text.into();
        self.push(|at, time_ns| SpoolRecord::Data { at, stream, time_ns, held_ns: 0, data });
    }

    /// The process wrote so many bytes when there was no room.
    pub fn drop_bytes(&self, bytes: u64) {
        self.miss(Missing::Unspooled(bytes));
    }

    /// Output is missing.
    pub fn miss(&self, missing: Missing) {
        self.push(|at, time_ns| SpoolRecord::Gap { at, time_ns, missing });
    }

    /// The process ends.
    pub fn end(&self) {
        self.push(|at, time_ns| SpoolRecord::End { at, time_ns });
    }

    /// The process has written more for which there is no room.
    pub fn owe(&self) {
        lock(&self.contents).owes = true;
    }

    /// Wakes readers without anything new.
    pub fn wake(&self) {
        self.more.send_modify(|n| *n += 1);
    }

    /// It cannot be trimmed the next so many times.
    pub fn fail_trims(&self, times: u32) {
        lock(&self.contents).failures = times;
    }

    /// Segments it still holds.
    pub fn segments(&self) -> usize {
        let contents = lock(&self.contents);
        let all: std::collections::BTreeSet<u64> =
            contents.records.iter().map(|r| place(r).segment).collect();
        all.len()
    }
}

/// Where the nth record stands.
fn position(nth: u64) -> Position {
    Position { segment: 1 + nth / SEGMENT, offset: nth % SEGMENT * 100 }
}

fn after(at: Position) -> Position {
    Position { offset: at.offset + 1, ..at }
}

#[async_trait]
impl Spool for FakeSpool {
    async fn read(
        &self,
        from: Position,
        max_bytes: usize,
    ) -> Result<(Vec<SpoolRecord>, Position), PortError> {
        let contents = lock(&self.contents);
        let (mut bytes, mut out) = (0, Vec::new());
        for record in contents.records.iter().filter(|r| place(r) >= from) {
            // One reading stays within a segment.
            let left = out.first().is_some_and(|first| place(first).segment != place(record).segment);
            if bytes >= max_bytes || out.len() >= 5 || left {
                break;
            }
            if let SpoolRecord::Data { data, .. } = record {
                bytes += data.len();
            }
            out.push(record.clone());
        }
        let next = out.last().map_or(from, |r| after(place(r)));
        Ok((out, next))
    }

    async fn end(&self) -> Result<Position, PortError> {
        let written = lock(&self.contents).written;
        Ok(written.checked_sub(1).map_or_else(Position::default, |last| after(position(last))))
    }

    fn more(&self) -> watch::Receiver<u64> {
        self.more.subscribe()
    }

    async fn trim(&self, keep: &[Stretch]) -> Result<(), PortError> {
        let mut contents = lock(&self.contents);
        if let Some(left) = contents.failures.checked_sub(1) {
            contents.failures = left;
            return Err(PortError::new(Kind::Unavailable, "too many open files"));
        }
        contents.records.retain(|r| keep.iter().any(|k| k.has(place(r).segment)));
        Ok(())
    }

    fn budget(&self) -> u64 {
        64 << 20
    }

    async fn extent(&self) -> Result<Vec<(u64, u64)>, PortError> {
        let mut all = BTreeMap::new();
        for at in lock(&self.contents).records.iter().map(place) {
            all.insert(at.segment, after(at).offset);
        }
        Ok(all.into_iter().collect())
    }

    async fn owes(&self) -> Result<bool, PortError> {
        Ok(lock(&self.contents).owes)
    }

    async fn load_cursor(&self, sink: &str) -> Result<Option<Cursor>, PortError> {
        Ok(lock(&self.contents).cursors.get(sink).cloned())
    }

    async fn store_cursor(&self, sink: &str, cursor: &Cursor) -> Result<(), PortError> {
        lock(&self.contents).cursors.insert(sink.to_owned(), cursor.clone());
        Ok(())
    }

    async fn load_losses(&self, sink: &str) -> Result<Option<Losses>, PortError> {
        Ok(lock(&self.contents).losses.get(sink).cloned())
    }

    async fn store_losses(&self, sink: &str, losses: &Losses) -> Result<(), PortError> {
        lock(&self.contents).losses.insert(sink.to_owned(), losses.clone());
        Ok(())
    }

    async fn keep_cursors(&self, sinks: &[String]) -> Result<(), PortError> {
        let mut contents = lock(&self.contents);
        contents.cursors.retain(|sink, _| sinks.contains(sink));
        contents.losses.retain(|sink, _| sinks.contains(sink));
        Ok(())
    }
}

/// All spools.
#[derive(Default)]
pub struct FakeSpools(Mutex<HashMap<String, Arc<FakeSpool>>>);

impl FakeSpools {
    /// A container's spool, made at the first call.
    pub fn of(&self, id: &str) -> Arc<FakeSpool> {
        Arc::clone(lock(&self.0).entry(id.to_owned()).or_default())
    }

    /// The container's folder is removed.
    pub(super) fn remove(&self, id: &str) {
        lock(&self.0).remove(id);
    }

    /// Containers whose spool exists.
    pub fn ids(&self) -> Vec<String> {
        lock(&self.0).keys().cloned().collect()
    }
}

impl Spools for FakeSpools {
    fn open(&self, id: &ContainerId, _: PathBuf) -> Arc<dyn Spool> {
        self.of(id.as_str())
    }
}
