//! Spools and cursor files, as the contract's port.

use crate::{Signals, place, position};
use async_trait::async_trait;
use contract::log::{Cursor, Losses, Position, Stream, Stretch};
use contract::runtime::{Missing, Spool, SpoolRecord, Spools};
use contract::{ContainerId, Kind, PortError};
use sandbox::spool::{self, Kind as RecordKind, Place};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::watch;

/// Opens spools in containers' folders.
pub struct FileSpools {
    signals: Signals,
    budget: u64,
}

impl FileSpools {
    /// Spools woken by `signals`, of so many bytes each at most.
    pub fn new(signals: Signals, budget: u64) -> Self {
        Self { signals, budget }
    }
}

impl Spools for FileSpools {
    fn open(&self, id: &ContainerId, directory: PathBuf) -> Arc<dyn Spool> {
        let more = self.signals.more(id.as_str());
        let (segments, cursors) = (directory.join("spool"), directory.join("cursors"));
        Arc::new(FileSpool { segments, cursors, more, budget: self.budget })
    }
}

struct FileSpool {
    segments: PathBuf,
    cursors: PathBuf,
    more: watch::Receiver<u64>,
    budget: u64,
}

impl FileSpool {
    /// A sink's file.
    fn beside(&self, sink: &str, extension: &str) -> PathBuf {
        self.cursors.join(format!("{}.{extension}", sink.replace('/', "_")))
    }
}

/// Runs file work off the actors' threads.
async fn blocking<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, PortError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(PortError::caused(Kind::Unavailable, what, error)),
        Err(error) => Err(PortError::caused(Kind::Bug, what, error)),
    }
}

async fn read(dir: PathBuf, from: Place, max: usize) -> Result<(Vec<SpoolRecord>, Place), PortError> {
    // What is in memory is read at once: a hand-over to another thread and back takes longer than that.
    let (records, next) = match spool::read_cached(&dir, from, max) {
        Ok(read) => read,
        Err(_) => blocking("read the spool", move || spool::read(&dir, from, max)).await?,
    };
    let records = records.into_iter().map(|(at, record)| {
        let at = position(at);
        match record.kind {
            RecordKind::End => SpoolRecord::End { at, time_ns: record.time_ns },
            RecordKind::Gap => {
                let count = record.payload.first_chunk::<8>().map_or(0, |b| u64::from_le_bytes(*b));
                let missing = if count == 0 { Missing::Unwritten } else { Missing::Unspooled(count) };
                SpoolRecord::Gap { at, time_ns: record.time_ns, missing }
            }
            RecordKind::Unreadable => {
                SpoolRecord::Gap { at, time_ns: record.time_ns, missing: Missing::Unreadable }
            }
            RecordKind::Data => SpoolRecord::Data {
                at,
                stream: if record.stream == 2 { Stream::Stderr } else { Stream::Stdout },
                time_ns: record.time_ns,
                held_ns: i64::from(record.held_ms) * 1_000_000,
                data: record.payload,
            },
        }
    });
    Ok((records.collect(), next))
}

async fn load<T: DeserializeOwned + Send + 'static>(
    what: &'static str,
    file: PathBuf,
) -> Result<Option<T>, PortError> {
    blocking(what, move || match std::fs::read(&file) {
        Ok(text) => Ok(serde_json::from_slice(&text).ok()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    })
    .await
}

async fn store<T: Serialize + Sync>(what: &'static str, file: PathBuf, value: &T) -> Result<(), PortError> {
    let text = serde_json::to_vec(value).map_err(|e| PortError::caused(Kind::Bug, what, e))?;
    blocking(what, move || {
        // Cursors are stored many times a second: a new file each time would each time go to the disk.
        if overwrite(&file, text.clone()).is_ok() {
            return Ok(());
        }
        if let Some(folder) = file.parent() {
            // Not what is above: a delivery that ends after its container was removed must not bring its folder back.
            match std::fs::create_dir(folder) {
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
                _ => {}
            }
        }
        replace(&file, &text)
    })
    .await
}

/// Replaces a file by one beside it.
fn replace(file: &Path, text: &[u8]) -> io::Result<()> {
    let mut temporary = file.as_os_str().to_owned();
    temporary.push(".tmp");
    let written = std::fs::write(&temporary, text).and_then(|()| std::fs::rename(&temporary, file));
    if written.is_err() {
        // It may not be there.
        let _gone = std::fs::remove_file(&temporary);
    }
    written
}

/// Bytes that the kernel writes wholly or not at all when the writer is killed.
const AT_ONCE: usize = 4096;

/// In one write, so that a kill leaves the old or the new. On a disk that is full, what the file has is enough for that.
fn overwrite(file: &Path, mut text: Vec<u8>) -> io::Result<()> {
    let there = OpenOptions::new().write(true).open(file)?;
    let length = usize::try_from(there.metadata()?.len()).unwrap_or(usize::MAX).max(text.len());
    if length > AT_ONCE {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    // White space at the end means nothing in JSON.
    text.resize(length, b' ');
    there.write_all_at(&text, 0)
}

#[async_trait]
impl Spool for FileSpool {
    async fn read(
        &self,
        from: Position,
        max_bytes: usize,
    ) -> Result<(Vec<SpoolRecord>, Position), PortError> {
        let (records, next) = read(self.segments.clone(), place(from), max_bytes).await?;
        Ok((records, position(next)))
    }

    async fn end(&self) -> Result<Position, PortError> {
        let dir = self.segments.clone();
        blocking("find the end of the spool", move || spool::end(&dir)).await.map(position)
    }

    fn more(&self) -> watch::Receiver<u64> {
        self.more.clone()
    }

    async fn trim(&self, keep: &[Stretch]) -> Result<(), PortError> {
        let (dir, mut keep) = (self.segments.clone(), keep.to_vec());
        blocking("trim the spool", move || {
            for stretch in &mut keep {
                // A position at a closed segment's end stands for the next one's beginning, even if that one is empty: who
                // reads on would take one that went for lost lines.
                let (records, next) = spool::read(&dir, place(stretch.from), 1)?;
                let first = records.first().map_or(next.segment, |(at, _)| at.segment);
                let first = first.min(stretch.from.segment + 1);
                stretch.from.segment = first.min(stretch.to.map_or(first, |to| to.segment));
            }
            spool::trim(&dir, |segment| keep.iter().any(|k| k.has(segment)))
        })
        .await
    }

    fn budget(&self) -> u64 {
        self.budget
    }

    async fn extent(&self) -> Result<Vec<(u64, u64)>, PortError> {
        let dir = self.segments.clone();
        blocking("measure the spool", move || spool::extent(&dir)).await
    }

    async fn owes(&self) -> Result<bool, PortError> {
        let dir = self.segments.clone();
        blocking("ask whether the spool is full", move || spool::owes(&dir)).await
    }

    async fn load_cursor(&self, sink: &str) -> Result<Option<Cursor>, PortError> {
        load("read a cursor", self.beside(sink, "json")).await
    }

    async fn store_cursor(&self, sink: &str, cursor: &Cursor) -> Result<(), PortError> {
        store("write a cursor", self.beside(sink, "json"), cursor).await
    }

    async fn load_losses(&self, sink: &str) -> Result<Option<Losses>, PortError> {
        load("read what a sink was not given", self.beside(sink, "losses")).await
    }

    async fn store_losses(&self, sink: &str, losses: &Losses) -> Result<(), PortError> {
        store("write what a sink was not given", self.beside(sink, "losses"), losses).await
    }

    async fn keep_cursors(&self, sinks: &[String]) -> Result<(), PortError> {
        let folder = self.cursors.clone();
        // One that is about to take another's place is its own to rename.
        let files = |sink: &String| {
            ["json", "json.tmp", "losses", "losses.tmp"].map(|extension| self.beside(sink, extension))
        };
        let kept: Vec<PathBuf> = sinks.iter().flat_map(files).collect();
        blocking("forget cursors", move || {
            let entries = match std::fs::read_dir(&folder) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
                found => found?,
            };
            for entry in entries {
                let file = entry?.path();
                if kept.contains(&file) {
                    continue;
                }
                match std::fs::remove_file(file) {
                    // Renamed since it was listed.
                    Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                    removed => removed?,
                }
            }
            Ok(())
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_segment_after_what_was_read_is_not_let_go_of() {
        // A start that wrote nothing leaves one; trimmed, its absence was told as lost lines.
        let folder = tempfile::tempdir().unwrap();
        let (_news, more) = watch::channel(0);
        let segments = folder.path().join("spool");
        for text in ["one", "", "two"] {
            let mut writer = spool::Writer::open(&segments, 1 << 20).unwrap();
            if !text.is_empty() {
                writer.append(RecordKind::Data, 1, 0, text.as_bytes()).unwrap();
                writer.append(RecordKind::End, 0, 0, &[]).unwrap();
            }
            writer.close().unwrap();
        }
        let spool = FileSpool { segments, cursors: folder.path().join("cursors"), more, budget: 64 << 20 };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (_, end) = spool.read(Position::default(), 1).await.unwrap();
            spool.trim(&[Stretch::from(end)]).await.unwrap();
            let left: Vec<u64> =
                spool.extent().await.unwrap().into_iter().map(|(number, _)| number).collect();
            assert_eq!(left, [1, 2]);
            let (_, end) = spool.read(Position { segment: 2, offset: 0 }, 1).await.unwrap();
            spool.trim(&[Stretch::from(end)]).await.unwrap();
            assert_eq!(spool.extent().await.unwrap().len(), 1);
        });
    }

    #[test]
    fn a_cursor_on_its_way_to_its_place_is_not_forgotten_with_the_others() {
        // It was removed just before it was renamed, and the rest of the others stayed.
        let folder = tempfile::tempdir().unwrap();
        let (_news, more) = watch::channel(0);
        let cursors = folder.path().join("cursors");
        std::fs::create_dir(&cursors).unwrap();
        let files = ["a.json", "a.json.tmp", "a.losses.tmp", "b.json", "b.json.tmp", "b.losses"];
        files.iter().for_each(|name| std::fs::write(cursors.join(name), "{}").unwrap());
        let segments = folder.path().join("spool");
        let spool = FileSpool { segments, cursors: cursors.clone(), more, budget: 64 << 20 };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(spool.keep_cursors(&["a".to_owned()])).unwrap();
        let left = std::fs::read_dir(&cursors).unwrap().map(|entry| entry.unwrap().file_name());
        let mut left: Vec<_> = left.map(|name| name.into_string().unwrap()).collect();
        left.sort();
        assert_eq!(left, files[..3]);
    }

    #[test]
    fn a_delivery_that_ends_late_does_not_bring_a_removed_container_back() {
        let folder = tempfile::tempdir().unwrap();
        let container = folder.path().join("c");
        let (_news, more) = watch::channel(0);
        let spool = FileSpool {
            segments: container.join("spool"),
            cursors: container.join("cursors"),
            more,
            budget: 64 << 20,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let store = || runtime.block_on(spool.store_cursor("gelf", &Cursor::default()));
        std::fs::create_dir(&container).unwrap();
        store().unwrap();
        store().unwrap();
        assert_eq!(runtime.block_on(spool.load_cursor("gelf")).unwrap(), Some(Cursor::default()));
        std::fs::remove_dir_all(&container).unwrap();
        assert!(store().is_err());
        assert!(!container.exists());
    }

    #[test]
    fn a_shorter_text_over_a_longer_one_is_read_back_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gelf.json");
        replace(&file, br#"{"stdout":{"skip":1000000}}"#).unwrap();
        overwrite(&file, br#"{"stdout":{}}"#.to_vec()).unwrap();
        let text = std::fs::read(&file).unwrap();
        assert_eq!(
            serde_json::from_slice::<serde_json::Value>(&text).unwrap(),
            serde_json::json!({"stdout": {}})
        );
    }
}
