//! Which files are read, and from where.

use super::super::RecordParser;
use super::super::commit::Commit;
use super::MARGIN;
use super::files::Part;
use super::find;
use super::scan::Found;
use contract::log::{Hole, Place, ReadRequest};
use std::io;

/// Where reading a file begins.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Start {
    /// Bytes before it.
    pub(crate) offset: u64,
    /// Records behind that which are left out.
    pub(crate) records: usize,
}

/// What is read.
pub(crate) struct Selection {
    /// Oldest first.
    pub(crate) parts: Vec<(Part, Start)>,
    /// What is known to be missing before them.
    pub(crate) hole: Option<Hole>,
    /// For a tail: how many records there are for it.
    pub(crate) found: Option<usize>,
    /// By how much a line may be earlier than one before it, ns.
    pub(crate) disorder: i64,
}

/// Chooses from `parts`, which come newest first.
pub(crate) fn select<P: RecordParser>(
    mut parts: Vec<Part>,
    at: &Commit,
    request: &ReadRequest,
) -> io::Result<Selection> {
    let least = i64::try_from(MARGIN.as_nanos()).unwrap_or(i64::MAX);
    let disorder = at.disorder_ns.max(at.older_disorder_ns).max(least);
    let hole = request.after.and_then(|place| cut_before(&mut parts, place, at));
    let begin = |part: &Part| match request.after {
        Some(place) if hole.is_none() && part.generation == Some(place.generation) => place.offset,
        _ => 0,
    };
    let mut chosen = Vec::new();
    let mut left = request.tail.unwrap_or(usize::MAX);
    for (nth, part) in parts.into_iter().enumerate() {
        if left == 0 {
            break;
        }
        let mut start = Start { offset: begin(&part), records: 0 };
        if request.tail.is_some() {
            let count;
            (start, count) = tail::<P>(&part, start.offset, left);
            left -= count;
            chosen.push((part, start));
            continue;
        }
        let Some(since) = request.since_ns else {
            chosen.push((part, start));
            continue;
        };
        let current = nth == 0 && at.generation == at.base_generation;
        let own = if current { at.disorder_ns.max(least) } else { disorder };
        // Everything before a file's first record is at most so much later than that.
        let older_are_early = part.begins::<P>().is_some_and(|time| time.saturating_add(own) < since);
        if older_are_early && !part.packed {
            start.offset = start.offset.max(find::earliest::<P>(&part.file, part.end, since, own));
        }
        chosen.push((part, start));
        if older_are_early {
            break;
        }
    }
    chosen.reverse();
    let found = request.tail.map(|wanted| wanted - left);
    Ok(Selection { parts: chosen, hole, found, disorder })
}

/// Leaves out what was written before `place`; tells if the file it is in is gone, or was cut by others: then all of it is
/// left in, for what stands at that place now is not what followed it.
fn cut_before(parts: &mut Vec<Part>, place: Place, at: &Commit) -> Option<Hole> {
    let file = parts.first().map_or_else(|| "the log".to_owned(), |part| part.name.clone());
    let holds = |part: &Part| part.generation == Some(place.generation) && place.offset <= part.end;
    // Nobody had cut a log that had not begun.
    let cuts = if place == Place::default() { at.first_cut } else { place.cuts };
    let there = cuts == at.cuts && parts.iter().any(holds);
    // Whoever takes the cursor away with the files has them numbered anew: then none of these is older.
    let count = |cuts: u16| cuts.wrapping_sub(at.first_cut);
    if count(cuts) <= count(at.cuts) && place.generation <= at.generation {
        parts.retain(|part| part.generation.is_some_and(|g| g >= place.generation));
    }
    let end = Place { generation: at.base_generation, offset: at.base_length, cuts: at.cuts };
    (!there && place != end).then_some(Hole::Rotated { file })
}

fn tail<P: RecordParser>(part: &Part, from: u64, wanted: usize) -> (Start, usize) {
    if !part.packed {
        let (offset, count) = find::tail::<P>(&part.file, part.end, wanted);
        return (Start { offset: offset.max(from), records: 0 }, count);
    }
    // Nothing can be read from a compressed file's end: it is gone through twice, and never held.
    let count = part.scan::<P>(from).filter(|found| matches!(found, Found::Record(..))).count();
    (Start { offset: from, records: count.saturating_sub(wanted) }, count.min(wanted))
}
