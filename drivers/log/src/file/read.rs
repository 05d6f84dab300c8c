//! Reading back over rotated and compressed files, up to exactly the point the committed cursor stands for.

use super::commit::{self, Commit};
use super::rotate::numbered;
use super::{Places, RecordParser, Step};
use contract::log::{Cursor, ReadRequest, StoredLine};
use contract::{Kind, PortError};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};
use tokio::sync::mpsc;

const CHUNK: usize = 64 * 1024;
const CHANNEL: usize = 256;
const ATTEMPTS: u32 = 200;

/// The lines, oldest first.
pub(crate) type Lines = mpsc::Receiver<Result<StoredLine, PortError>>;

/// A file's bytes, unpacked if they were compressed.
pub(crate) enum Bytes {
    /// Read where they stand.
    Plain(File),
    /// Unpacked.
    Memory(Vec<u8>),
}

impl Bytes {
    /// Fills as much of `out` as there is at `offset`.
    pub(crate) fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<usize> {
        match self {
            Bytes::Plain(file) => file.read_at(out, offset),
            Bytes::Memory(all) => {
                let from = all.get(usize::try_from(offset).unwrap_or(usize::MAX)..).unwrap_or_default();
                let n = from.len().min(out.len());
                if let (Some(to), Some(from)) = (out.get_mut(..n), from.get(..n)) {
                    to.copy_from_slice(from);
                }
                Ok(n)
            }
        }
    }
}

/// One file, held open so that rotation cannot take it away.
struct Piece {
    file: File,
    packed: bool,
    limit: Option<u64>,
}

impl Piece {
    fn load(self) -> io::Result<(Bytes, u64)> {
        let (bytes, length) = if self.packed {
            let mut all = Vec::new();
            flate2::read::MultiGzDecoder::new(self.file).read_to_end(&mut all)?;
            let length = all.len() as u64;
            (Bytes::Memory(all), length)
        } else {
            let length = self.file.metadata()?.len();
            (Bytes::Plain(self.file), length)
        };
        Ok((bytes, self.limit.map_or(length, |l| l.min(length))))
    }
}

/// Fixes the end of what is read and starts reading in the background.
pub(crate) async fn start<P: RecordParser>(
    places: Places,
    request: ReadRequest,
) -> Result<(Lines, Cursor), PortError> {
    let path = places.log.clone();
    let (pieces, cursor) = tokio::task::spawn_blocking(move || snapshot(&places))
        .await
        .map_err(|e| PortError::caused(Kind::Bug, "opening log files", e))?
        .map_err(|e| PortError::caused(Kind::Unavailable, format!("open {}", path.display()), e))?;
    let (sender, receiver) = mpsc::channel(CHANNEL);
    tokio::task::spawn_blocking(move || {
        if let Err(error) = send_all::<P>(pieces, &request, &sender) {
            let text = format!("read {}", path.display());
            // The receiver may be gone, then nobody wants to know.
            sender.blocking_send(Err(PortError::caused(Kind::Unavailable, text, error))).ok();
        }
    });
    Ok((receiver, cursor))
}

/// The files newest first, and the cursor that belongs to their end.
fn snapshot(places: &Places) -> io::Result<(Vec<Piece>, Cursor)> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        let before = commit::load(&places.cursor)?.unwrap_or_default();
        let pieces = open_all(&places.log, &before)?;
        let after = commit::load(&places.cursor)?.unwrap_or_default();
        // An interrupted rotation nobody has finished yet stays so: then what is there is given.
        let steady = !before.rotating && before.generation == after.generation && !after.rotating;
        if steady || attempt > ATTEMPTS {
            return Ok((pieces, before.cursor));
        }
        drop(pieces);
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn open_all(log: &Path, at: &Commit) -> io::Result<Vec<Piece>> {
    let open = |path: &Path| match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    };
    let newer = at.generation.saturating_sub(at.base_generation);
    let mut pieces = Vec::new();
    for index in 0.. {
        let limit = (u64::from(index) == newer).then_some(at.base_length);
        let mut found = open(&numbered(log, index, ""))?.map(|file| Piece { file, packed: false, limit });
        if found.is_none() && index > 0 {
            found = open(&numbered(log, index, ".gz"))?.map(|file| Piece { file, packed: true, limit });
        }
        match found {
            Some(piece) if u64::from(index) >= newer => pieces.push(piece),
            Some(_) => {}
            None if index == 0 => {}
            None => break,
        }
    }
    Ok(pieces)
}

fn send_all<P: RecordParser>(
    newest_first: Vec<Piece>,
    request: &ReadRequest,
    to: &mpsc::Sender<Result<StoredLine, PortError>>,
) -> io::Result<()> {
    let mut wanted = request.tail.unwrap_or(usize::MAX);
    let mut chosen = Vec::new();
    for piece in newest_first {
        if wanted == 0 {
            break;
        }
        // A file last written before `since` holds nothing to show, nor does any older one.
        let written = piece.file.metadata()?.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok());
        let written = written.and_then(|d| i64::try_from(d.as_nanos()).ok());
        if let (Some(since), Some(written)) = (request.since_ns, written)
            && written < since
        {
            break;
        }
        if request.tail.is_none() {
            chosen.push(Chosen::Whole(piece));
            continue;
        }
        let Ok((bytes, end)) = piece.load() else { continue };
        let (start, found) = P::tail(&bytes, end, wanted)?;
        wanted -= found.min(wanted);
        chosen.push(Chosen::End(bytes, start, end));
    }
    for chosen in chosen.into_iter().rev() {
        let (bytes, start, end) = match chosen {
            Chosen::End(bytes, start, end) => (bytes, start, end),
            // A damaged archive must not hide the files after it.
            Chosen::Whole(piece) => match piece.load() {
                Ok((bytes, end)) => (bytes, 0, end),
                Err(_) => continue,
            },
        };
        if !send_one::<P>(&bytes, start, end, request, to)? {
            break;
        }
    }
    Ok(())
}

/// What of a file is read.
enum Chosen {
    Whole(Piece),
    End(Bytes, u64, u64),
}

fn send_one<P: RecordParser>(
    bytes: &Bytes,
    mut offset: u64,
    end: u64,
    request: &ReadRequest,
    to: &mpsc::Sender<Result<StoredLine, PortError>>,
) -> io::Result<bool> {
    let mut buffer: Vec<u8> = Vec::with_capacity(CHUNK);
    let mut start = 0;
    loop {
        match P::next(buffer.get(start..).unwrap_or_default()) {
            Step::Record(used, line) => {
                start += used;
                let Some(line) = line else { continue };
                if request.since_ns.is_some_and(|since| line.line.time_ns < since) {
                    continue;
                }
                if request.until_ns.is_some_and(|until| line.line.time_ns > until) {
                    return Ok(false);
                }
                if to.blocking_send(Ok(*line)).is_err() {
                    return Ok(false);
                }
            }
            Step::Broken => return Ok(true),
            Step::Need => {
                buffer.drain(..start);
                start = 0;
                let left = usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX);
                if left == 0 {
                    return Ok(true);
                }
                let held = buffer.len();
                buffer.resize(held + left.min(CHUNK), 0);
                let n = bytes.read_at(buffer.get_mut(held..).unwrap_or_default(), offset)?;
                buffer.truncate(held + n);
                offset += n as u64;
                if n == 0 {
                    return Ok(true);
                }
            }
        }
    }
}
