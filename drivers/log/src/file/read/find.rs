//! Places in a file, found without reading all of it.

use super::super::RecordParser;
use super::scan::{Found, LONGEST, Scanner, Stretch};
use std::fs::File;

/// What a probe reads at once.
const PROBE: usize = 16 * 1024;
/// Where a search ends and reading begins, and what is first read for a tail.
const NEAR: u64 = 64 * 1024;
/// What is read at once for a long tail.
const FAR: u64 = 1 << 20;

/// The first record in `from..end`: where it begins and its time.
pub(crate) fn first<P: RecordParser>(file: &File, from: u64, end: u64) -> Option<(u64, i64)> {
    let mut scanner = Scanner::<P, _>::new(Stretch { file, at: from, end }, from, PROBE);
    scanner.find_map(|found| match found {
        Found::Record(at, line) => Some((at, line.line.time_ns)),
        _ => None,
    })
}

/// A place before which no record has `time` or a later one, if none is more than `disorder` earlier than one before it;
/// close before the first that has. Nanoseconds both.
pub(crate) fn earliest<P: RecordParser>(file: &File, end: u64, time: i64, disorder: i64) -> u64 {
    // All times before a record are at most its own and the disorder: below this they are all too early.
    let early = time.saturating_sub(disorder);
    let (mut low, mut high) = (0, end);
    while high - low > NEAR {
        let middle = low + (high - low) / 2;
        match first::<P>(file, middle, high) {
            Some((at, found)) if found < early => low = at,
            // Also where nothing can be read: it may hide what is wanted.
            _ => high = middle,
        }
    }
    low
}

/// Where the last `wanted` records before `end` begin, and how many there are.
pub(crate) fn tail<P: RecordParser>(file: &File, end: u64, wanted: usize) -> (u64, usize) {
    let (mut end, mut begin, mut count, mut block) = (end, end, 0, NEAR);
    while count < wanted && end > 0 {
        let from = end.saturating_sub(block);
        let scanner =
            Scanner::<P, _>::new(Stretch { file, at: from, end }, from, PROBE.max(block as usize / 4));
        let starts: Vec<u64> = scanner
            .filter_map(|found| match found {
                Found::Record(at, _) => Some(at),
                _ => None,
            })
            .collect();
        match starts.first() {
            Some(head) => {
                let missing = wanted - count;
                if let Some(start) = starts.len().checked_sub(missing).and_then(|n| starts.get(n)) {
                    return (*start, wanted);
                }
                // What stands before it belongs to a record that began earlier, or is damaged.
                (begin, end) = (*head, *head);
                count += starts.len();
                block = (block * 2).min(FAR);
            }
            None if from == 0 => break,
            // Longer than any record, so damaged, but for one that reaches into it.
            None if block >= 2 * LONGEST as u64 => end = from + LONGEST as u64,
            None => block *= 4,
        }
    }
    (begin, count)
}
