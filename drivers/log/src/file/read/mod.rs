//! Reading back over rotated and compressed files, up to exactly the point the committed cursor stands for.
//!
//! Files and places in them are found by time without reading what lies before: lines stand in a file in the order they
//! ended, so that one may be earlier than those before it by as long as it was unfinished while the other stream went on, or
//! as far as the clock was set back. The writer notes how much that ever was; [`MARGIN`] is the least that is reckoned with.

mod files;
pub(crate) mod find;
pub(crate) mod scan;
mod select;
#[cfg(test)]
mod tests;

use super::{Places, RecordParser};
use contract::log::{Hole, Piece, Place, ReadRequest, Reading, StoredLine};
use contract::{Kind, PortError};
use files::snapshot;
use scan::Found;
use select::{Selection, select};
use std::time::Duration;
use tokio::sync::mpsc;

/// Files of unknown writers may be so much out of order.
const MARGIN: Duration = Duration::from_secs(2);
/// Lines and bytes given at once, and how many such pieces wait for a slow reader.
const LINES: usize = 512;
const BYTES: usize = 256 * 1024;
const CHANNEL: usize = 4;

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
    tokio::task::spawn_blocking(move || send_all::<P>(selection, &request, &to));
    let end = Place { generation: at.base_generation, offset: at.base_length };
    Ok(Reading { pieces, cursor: at.cursor, end, found })
}

/// Whether reading goes on.
enum Flow {
    Goes,
    Ends,
}

/// What was read and not yet given.
struct Gathered<'a> {
    lines: Vec<StoredLine>,
    bytes: usize,
    to: &'a To,
}

impl Gathered<'_> {
    fn give(&mut self) -> Flow {
        self.bytes = 0;
        let lines = std::mem::take(&mut self.lines);
        if lines.is_empty() || self.to.blocking_send(Ok(Piece::Lines(lines))).is_ok() {
            return Flow::Goes;
        }
        Flow::Ends
    }

    fn add(&mut self, line: StoredLine) -> Flow {
        self.bytes += line.line.data.len();
        self.lines.push(line);
        if self.lines.len() >= LINES || self.bytes >= BYTES { self.give() } else { Flow::Goes }
    }

    fn hole(&mut self, hole: Hole) -> Flow {
        match self.give() {
            Flow::Goes if self.to.blocking_send(Ok(Piece::Hole(hole))).is_ok() => Flow::Goes,
            _ => Flow::Ends,
        }
    }
}

fn send_all<P: RecordParser>(selection: Selection, request: &ReadRequest, to: &To) {
    let mut out = Gathered { lines: Vec::new(), bytes: 0, to };
    if let Some(hole) = selection.hole
        && matches!(out.hole(hole), Flow::Ends)
    {
        return;
    }
    // A later line is not shown; behind one that is so much later none is to come.
    let over = request.until_ns.map(|until| until.saturating_add(selection.disorder));
    let mut since = request.since_ns;
    for (part, start) in selection.parts {
        let mut skip = start.records;
        for found in part.scan::<P>(start.offset) {
            let flow = match found {
                Found::Record(..) if skip > 0 => {
                    skip -= 1;
                    Flow::Goes
                }
                Found::Record(_, line) => {
                    let time_ns = line.line.time_ns;
                    if since.is_some_and(|since| time_ns < since) {
                        continue;
                    }
                    since = None;
                    if over.is_some_and(|over| time_ns > over) {
                        out.give();
                        return;
                    }
                    if request.until_ns.is_some_and(|until| time_ns > until) {
                        continue;
                    }
                    out.add(line)
                }
                Found::Damaged(..) | Found::Cut(..) if skip > 0 => Flow::Goes,
                Found::Damaged(from, to) => out.hole(Hole::Damaged { file: part.name.clone(), from, to }),
                Found::Cut(at, cause) => out.hole(Hole::Cut { file: part.name.clone(), at, cause }),
            };
            if matches!(flow, Flow::Ends) {
                return;
            }
        }
    }
    out.give();
}
