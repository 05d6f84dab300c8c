//! What both file drivers share: one write per batch, a cursor kept beside the file so that each line is in it
//! exactly once across kills, and rotation.

mod again;
pub(crate) mod commit;
mod pack;
mod pen;
pub(crate) mod read;
pub(crate) mod rotate;
#[cfg(test)]
mod tests;

use again::{Again, Texts};
use async_trait::async_trait;
use commit::{Commit, CommitFile};
use contract::log::{Batch, Cursor, DeliverError, LogDriver, LogLine, StoredLine, Stream};
use contract::{Kind, PortError};
use pen::Pen;
use rotate::Limits;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// How lines stand in a file.
pub(crate) trait RecordFormat: Send + Sync + 'static {
    /// Appends one line's record.
    fn encode(&mut self, line: &LogLine, out: &mut Vec<u8>);
}

/// One step through a file's bytes.
pub(crate) enum Step {
    /// A record of so many bytes.
    Record(usize, StoredLine),
    /// So many bytes, at least one, hold no record.
    Damaged(usize),
    /// More bytes are needed.
    Need,
}

/// How records are found again.
pub(crate) trait RecordParser: Send + Sync + 'static {
    /// What stands at the start of `bytes`; `last` when nothing follows them, then more is needed only if there are none.
    /// A record is known by itself, so that it is found from any place before it.
    fn next(bytes: &[u8], last: bool) -> Step;
}

/// The two files of a driver.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    pub(crate) log: PathBuf,
    pub(crate) cursor: PathBuf,
}

/// A stretch of the encoded batch that goes into one file.
struct Part {
    end: usize,
    lines: usize,
    /// Lines of the batch that stand in the files with it, unless it is the last,
    ahead: u64,
    /// and their text.
    texts: Texts,
}

/// The order of lines' times.
#[derive(Debug, Clone, Copy)]
struct Order {
    latest_ns: i64,
    /// By how much a line is earlier than one before it, at most.
    disorder_ns: i64,
}

impl Order {
    fn of(lines: &[LogLine], before_ns: i64) -> Self {
        let start = Self { latest_ns: before_ns, disorder_ns: 0 };
        lines.iter().fold(start, |so_far, line| Self {
            latest_ns: so_far.latest_ns.max(line.time_ns),
            disorder_ns: so_far.disorder_ns.max(so_far.latest_ns.saturating_sub(line.time_ns)),
        })
    }
}

/// What is open.
struct Open {
    places: Places,
    limits: Limits,
    file: File,
    commits: CommitFile,
    at: Commit,
    pen: Pen,
    /// The log was opened again, so that another one writes it, or its folder is gone: opening makes that anew.
    over: bool,
}

/// A file driver.
pub(crate) struct FileDriver<F> {
    format: F,
    open: Option<Open>,
    buffer: Vec<u8>,
    cursor: Cursor,
}

pub(crate) fn open_log(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

/// What cuts are counted from in a log that begins: there may have been another in its place, removed with its cursor, and
/// a place in that means nothing in this. Never as where nothing has begun.
fn first_cut() -> u16 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u16::try_from(since.as_micros() % u128::from(u16::MAX)).map_or(1, |n| n + 1)
}

/// Whether a file is the one at that path.
fn is_at(own: &Metadata, path: &Path) -> io::Result<bool> {
    match std::fs::metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (own.dev(), own.ino())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

fn system(operation: &str, path: &Path, error: io::Error) -> PortError {
    PortError::caused(Kind::Unavailable, format!("{operation} {}", path.display()), error)
}

impl<F: RecordFormat> FileDriver<F> {
    /// Opens the file, finishes an interrupted rotation and cuts what no cursor covers.
    pub(crate) async fn open(format: F, places: Places, limits: Limits) -> Result<Self, PortError> {
        let log = places.log.clone();
        let open = tokio::task::spawn_blocking(move || Open::recover(places, limits))
            .await
            .map_err(|e| PortError::caused(Kind::Bug, "opening a log file", e))?
            .map_err(|e| system("open", &log, e))?;
        let cursor = open.at.cursor.clone();
        Ok(Self { format, open: Some(open), buffer: Vec::new(), cursor })
    }

    fn encode(&mut self, again: &Again<'_>, mut length: u64, limit: u64) -> Vec<Part> {
        let (mut parts, mut ahead, mut texts) = (Vec::new(), again.ahead, again.texts);
        let mut count = 0;
        let mut start = 0;
        for (index, line) in again.lines.iter().enumerate() {
            // As Docker: the check comes before a write, so a file may exceed its bound by one record.
            if length >= limit {
                if count > 0 {
                    let own = again.lines.get(index - count..index).unwrap_or_default();
                    own.iter().for_each(|line| texts.add(line));
                    ahead += count as u64;
                    parts.push(Part { end: self.buffer.len(), lines: count, ahead, texts });
                }
                (count, length) = (0, 0);
            }
            self.format.encode(line, &mut self.buffer);
            length += (self.buffer.len() - start) as u64;
            start = self.buffer.len();
            count += 1;
        }
        parts.push(Part { end: self.buffer.len(), lines: count, ahead, texts });
        parts
    }
}

impl Open {
    fn recover(places: Places, limits: Limits) -> io::Result<Self> {
        let log = places.log.clone();
        Pen::take(&log, |pen| Self::take_up(places, limits, pen))
    }

    fn take_up(places: Places, limits: Limits, pen: Pen) -> io::Result<Self> {
        if let Some(folder) = places.log.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let (mut commits, stored) = CommitFile::open(&places.cursor)?;
        let mut at = stored.clone().unwrap_or_default();
        if at.rotating {
            rotate::finish(&places.log, &limits)?;
            at = at.rotated();
            commits.store(&mut at)?;
        }
        let file = open_log(&places.log)?;
        let found = file.metadata()?.len();
        if stored.is_none() {
            // Without a cursor, what stands in the file is all there is to keep.
            (at.length, at.base_length) = (found, found);
            if found == 0 {
                at.first_cut = first_cut();
                at.cuts = at.first_cut;
            }
            commits.store(&mut at)?;
        } else if found < at.length {
            at = at.cut(found);
            commits.store(&mut at)?;
        } else if found > at.length {
            file.set_len(at.length)?;
        }
        if limits.compress {
            pack::later(&places.log, &limits);
        }
        Ok(Self { places, limits, file, commits, at, pen, over: false })
    }

    /// Sees to it that both files are those at their paths, and the log as long as is noted: others remove, move and cut
    /// logs that grow, and what a failed write left may still be there.
    fn align(&mut self) -> io::Result<()> {
        let own = self.file.metadata()?;
        if !is_at(&own, &self.places.log)? {
            return self.replace();
        }
        if !self.commits.is_at(&self.places.cursor)? {
            // In one that is gone nobody would find how far the log reaches: what is in the spool would be read again.
            self.commits = CommitFile::open(&self.places.cursor)?.0;
            self.commits.store(&mut self.at)?;
        }
        let found = own.len();
        if found > self.at.length {
            self.file.set_len(self.at.length)?;
        } else if found < self.at.length {
            let mut cut = self.at.clone().cut(found);
            self.commits.store(&mut cut)?;
            self.at = cut;
        }
        Ok(())
    }

    /// Goes on in the file that is at the path now, or in a new one. What others put there is kept.
    fn replace(&mut self) -> io::Result<()> {
        // The folder is not made here: it goes with a container that is removed while a write hangs.
        let file =
            open_log(&self.places.log).inspect_err(|e| self.over |= e.kind() == io::ErrorKind::NotFound)?;
        let mut at = self.at.clone().replaced(file.metadata()?.len());
        // Whoever took the log away may have taken the cursor along.
        self.commits = CommitFile::open(&self.places.cursor)?.0;
        // Noted before anything is written: a kill then leaves what is not committed behind the noted length.
        self.commits.store(&mut at)?;
        (self.file, self.at) = (file, at);
        Ok(())
    }

    fn refused(&mut self) -> io::Error {
        self.over = true;
        io::Error::other("the log was opened again: another driver writes it")
    }

    /// What stands in the files is whole; what comes next comes from `cursor`.
    fn begin_at(&mut self, cursor: Cursor) -> io::Result<()> {
        let pen = self.pen.clone();
        let Some(_held) = pen.hold() else { return Err(self.refused()) };
        self.align()?;
        let mut next = self.at.clone();
        // Of a batch that was not finished: its lines are delivered again.
        if next.ahead > 0 && next.base_generation == next.generation {
            next.length = next.base_length;
            next = next.complete(cursor);
        } else {
            // Those in a file that was put aside stay, and are known again where their stream goes on from the same place.
            if cursor.stdout != next.cursor.stdout {
                next.texts.forget(Stream::Stdout);
            }
            if cursor.stderr != next.cursor.stderr {
                next.texts.forget(Stream::Stderr);
            }
            next = if next.texts.is_empty() { next.complete(cursor) } else { Commit { cursor, ..next } };
        }
        self.commits.store(&mut next)?;
        self.at = next;
        self.cut_back()
    }

    /// Takes away what is not committed. Others may have cut the file meanwhile: it must not be made longer, with zeros.
    fn cut_back(&self) -> io::Result<()> {
        if self.file.metadata()?.len() > self.at.length { self.file.set_len(self.at.length) } else { Ok(()) }
    }

    fn write(&mut self, bytes: &[u8], parts: &[Part], order: Order, end: &Cursor) -> io::Result<()> {
        let pen = self.pen.clone();
        let Some(_held) = pen.hold() else { return Err(self.refused()) };
        let mut start = 0;
        for (index, part) in parts.iter().enumerate() {
            self.align()?;
            if part.lines > 0 && self.at.length >= self.limits.max_size.unwrap_or(u64::MAX) {
                self.rotate()?;
            }
            let piece = bytes.get(start..part.end).unwrap_or_default();
            let mut next = self.at.clone();
            next.length += piece.len() as u64;
            (next.ahead, next.texts) = (part.ahead, part.texts);
            next.latest_ns = order.latest_ns;
            next.disorder_ns = next.disorder_ns.max(order.disorder_ns);
            if index + 1 == parts.len() {
                next = next.complete(end.clone());
            }
            let written = self.file.write_all(piece).and_then(|()| self.commits.store(&mut next));
            if let Err(error) = written {
                self.cut_back()?;
                return Err(error);
            }
            self.at = next;
            start = part.end;
        }
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        let mut during = Commit { rotating: true, ..self.at.clone() };
        self.commits.store(&mut during)?;
        self.at = during;
        rotate::finish(&self.places.log, &self.limits)?;
        self.file = open_log(&self.places.log)?;
        let mut after = self.at.rotated();
        self.commits.store(&mut after)?;
        self.at = after;
        if self.limits.compress {
            pack::later(&self.places.log, &self.limits);
        }
        Ok(())
    }
}

#[async_trait]
impl<F: RecordFormat> LogDriver for FileDriver<F> {
    async fn deliver(&mut self, batch: &Batch) -> Result<(), DeliverError> {
        let mut open = self.open.take().ok_or_else(|| DeliverError::Fatal {
            source: "an earlier write was abandoned: the file has to be opened again".into(),
        })?;
        let again = Again::of(&open.at, &batch.lines);
        self.buffer.clear();
        let limit = open.limits.max_size.unwrap_or(u64::MAX);
        let order = Order::of(&again.lines, open.at.latest_ns);
        let parts = self.encode(&again, open.at.length, limit);
        let buffer = std::mem::take(&mut self.buffer);
        let end = batch.end.clone();
        let work = tokio::task::spawn_blocking(move || {
            let result = open.write(&buffer, &parts, order, &end);
            (open, buffer, result)
        });
        let (open, buffer, result) = work.await.map_err(|e| DeliverError::Fatal { source: Box::new(e) })?;
        self.cursor = open.at.cursor.clone();
        // An interrupted rotation is finished by opening again.
        let whole = !open.at.rotating && !open.over;
        self.buffer = buffer;
        match result {
            Ok(()) => {
                self.open = Some(open);
                Ok(())
            }
            Err(source) if whole => {
                self.open = Some(open);
                Err(DeliverError::Retry { source: Box::new(source), after: None })
            }
            Err(source) => Err(DeliverError::Fatal { source: Box::new(source) }),
        }
    }

    fn cursor(&self) -> Option<Cursor> {
        Some(self.cursor.clone())
    }

    async fn begin_at(&mut self, cursor: &Cursor) -> Result<(), DeliverError> {
        let fatal = |source: Box<dyn std::error::Error + Send + Sync>| DeliverError::Fatal { source };
        let mut open = self.open.take().ok_or_else(|| fatal("the file is not open".into()))?;
        let cursor = cursor.clone();
        let work = tokio::task::spawn_blocking(move || {
            let result = open.begin_at(cursor);
            (open, result)
        });
        let (open, result) = work.await.map_err(|e| fatal(Box::new(e)))?;
        self.cursor = open.at.cursor.clone();
        self.open = Some(open);
        result.map_err(|e| fatal(Box::new(e)))
    }

    async fn close(self: Box<Self>) -> Result<(), DeliverError> {
        Ok(())
    }
}
