//! Reading back over rotated and compressed files, up to exactly the point the committed cursor stands for.
//!
//! Files and places in them are found by time without reading what lies before: lines stand in a file in the order they
//! ended, and have the time at which they did; but pieces of a long line and joined lines have that of their first, so that
//! they may be earlier than those before them by as long as they took, and any line by as far as the clock was set back. The
//! writer notes how much that ever was; [`MARGIN`] is the least that is reckoned with.

mod files;
pub(crate) mod find;
pub(crate) mod scan;
mod select;
#[cfg(test)]
mod tests;

use super::{Places, RecordParser};
use contract::log::{Hole, Piece, Place, ReadRequest, Reading, StoredLine};
use contract::{Kind, PortError};
use files::{Part, Scan, snapshot};
use scan::Found;
use select::{Selection, Start, select};
use std::time::Duration;
use tokio::sync::mpsc;

/// Files of unknown writers may be so much out of order.
const MARGIN: Duration = Duration::from_secs(2);
/// Lines and bytes given at once, and how many such pieces wait for a slow reader, besides what is on its way to them and
/// what is read ahead.
const LINES: usize = 512;
const BYTES: usize = 256 * 1024;
const CHANNEL: usize = 3;

type To = mpsc::Sender<Result<Piece, PortError>>;

/// Fixes the end of what is read and starts reading in the background.
pub(crate) async fn start<P: RecordParser>(
    places: Places,
    request: ReadRequest,
) -> Result<Reading, PortError> {
    let path = places.log.clone();
    let wanted = request.clone();
    let work = move || {
        let (parts, at) = snapshot(&places)?;
        Ok((select::<P>(parts, &at, &wanted)?, at))
    };
    let (selection, at) = tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| PortError::caused(Kind::Bug, "opening log files", e))?
        .map_err(|e: std::io::Error| {
            PortError::caused(Kind::Unavailable, format!("open {}", path.display()), e)
        })?;
    let (to, pieces) = mpsc::channel(CHANNEL);
    let found = selection.found;
    tokio::spawn(send_all(Walk::<P>::new(selection, &request), to));
    let end = Place { generation: at.base_generation, offset: at.base_length, cuts: at.cuts };
    Ok(Reading { pieces, cursor: at.cursor, end, found })
}

/// A stretch of what is read, done by one turn on a thread that may block.
#[derive(Default)]
struct Chunk {
    pieces: Vec<Piece>,
    /// Of the last piece.
    lines: Vec<StoredLine>,
    bytes: usize,
    /// Of all of it, with what lines take besides their text.
    weight: usize,
}

impl Chunk {
    fn end_piece(&mut self) {
        self.bytes = 0;
        if !self.lines.is_empty() {
            self.pieces.push(Piece::Lines(std::mem::take(&mut self.lines)));
        }
    }

    fn add(&mut self, line: StoredLine) {
        self.bytes += line.line.data.len();
        self.weight += line.line.data.len() + size_of::<StoredLine>();
        self.lines.push(line);
        if self.lines.len() >= LINES || self.bytes >= BYTES {
            self.end_piece();
        }
    }

    fn hole(&mut self, hole: Hole) {
        self.end_piece();
        self.weight += size_of::<Piece>();
        self.pieces.push(Piece::Hole(hole));
    }

    fn is_full(&self) -> bool {
        self.weight >= BYTES
    }

    fn into_pieces(mut self) -> Vec<Piece> {
        self.end_piece();
        self.pieces
    }
}

/// A file on the way through it.
struct Within<P> {
    name: String,
    /// Records still to be left out.
    skip: usize,
    scan: Scan<P>,
}

/// The way through what was selected. It rests between chunks, and holds no thread then.
struct Walk<P> {
    parts: std::vec::IntoIter<(Part, Start)>,
    within: Option<Within<P>>,
    hole: Option<Hole>,
    since_ns: Option<i64>,
    until_ns: Option<i64>,
    /// A line later than `until_ns` is not shown; behind one that is later than this none is to come.
    over_ns: Option<i64>,
}

impl<P: RecordParser> Walk<P> {
    fn new(selection: Selection, request: &ReadRequest) -> Self {
        let Selection { parts, hole, disorder, .. } = selection;
        Self {
            parts: parts.into_iter(),
            within: None,
            hole,
            since_ns: request.since_ns,
            until_ns: request.until_ns,
            over_ns: request.until_ns.map(|until| until.saturating_add(disorder)),
        }
    }

    /// The next chunk, and the way on unless that was the last.
    fn on(mut self) -> (Vec<Piece>, Option<Self>) {
        let mut out = Chunk::default();
        if let Some(hole) = self.hole.take() {
            out.hole(hole);
        }
        while !out.is_full() {
            if self.within.is_none() {
                let open = |(part, start): (Part, Start)| Within {
                    name: part.name.clone(),
                    skip: start.records,
                    scan: part.into_scan(start.offset),
                };
                self.within = self.parts.next().map(open);
            }
            let Some(within) = &mut self.within else { return (out.into_pieces(), None) };
            let Some(found) = within.scan.next() else {
                self.within = None;
                continue;
            };
            match found {
                Found::Record(..) if within.skip > 0 => within.skip -= 1,
                Found::Record(_, line) => {
                    let time_ns = line.line.time_ns;
                    if self.since_ns.is_some_and(|since| time_ns < since) {
                        continue;
                    }
                    self.since_ns = None;
                    if self.over_ns.is_some_and(|over| time_ns > over) {
                        return (out.into_pieces(), None);
                    }
                    if self.until_ns.is_none_or(|until| time_ns <= until) {
                        out.add(line);
                    }
                }
                Found::Damaged(..) | Found::Cut(..) if within.skip > 0 => {}
                Found::Damaged(from, to) => out.hole(Hole::Damaged { file: within.name.clone(), from, to }),
                Found::Cut(at, cause) => out.hole(Hole::Cut { file: within.name.clone(), at, cause }),
            }
        }
        (out.into_pieces(), Some(self))
    }
}

/// Sends what is read. A reader that takes nothing costs memory and open files, never a thread: those that block are few,
/// and what is written to files needs them too.
async fn send_all<P: RecordParser>(walk: Walk<P>, to: To) {
    let read_on = |walk: Walk<P>| tokio::task::spawn_blocking(move || walk.on());
    let mut chunk = read_on(walk);
    loop {
        let (pieces, walk) = match chunk.await {
            Ok(read) => read,
            Err(e) => {
                // Nobody may be listening any more.
                to.send(Err(PortError::caused(Kind::Bug, "reading log files", e))).await.ok();
                return;
            }
        };
        // The next is read while these are sent.
        let next = walk.map(read_on);
        for piece in pieces {
            if to.send(Ok(piece)).await.is_err() {
                return;
            }
        }
        match next {
            Some(next) => chunk = next,
            None => return,
        }
    }
}
