//! What the fuzz targets in `tests/fuzz` drive; not for others. Panics are findings.

use crate::file::read::scan::{Found, Scanner};
use crate::file::{RecordFormat, RecordParser};
use crate::json_file::{JsonLines, JsonParser};
use crate::local::{Entries, EntryParser};
use crate::{Drivers, catalogue, find};
use contract::log::{LogLine, Options, Pattern, Records, StoredLine, Stream, datetime_pattern, destinations};
use std::collections::BTreeMap;

/// Bytes that a scanner reads at once.
const BLOCKS: [usize; 3] = [64 * 1024, 7, 1];

/// Reads a driver and its options: its name in the first line, `KEY=VALUE` in those up to an empty one. What follows are
/// lines in which a pattern is looked for. Answers whether a container could have them: then all that is made of them later
/// can be.
pub fn options(input: &[u8]) -> bool {
    let text = String::from_utf8_lossy(input);
    let (head, lines) = text.split_once("\n\n").unwrap_or((&*text, ""));
    let (driver, rest) = head.split_once('\n').unwrap_or((head, ""));
    // Certificates are read where options say, and devices may have no end.
    let pairs = rest.lines().filter_map(|line| line.split_once('=')).filter(|(_, v)| !v.contains("/dev"));
    let options: Options = pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    let is_found = |pattern: &Pattern| lines.lines().any(|line| pattern.is_in(line.as_bytes()));
    for value in options.values() {
        let pattern = datetime_pattern(value);
        assert!(pattern.len() <= value.len() * 64, "{value:?} becomes {pattern:?}");
        let _either = Pattern::compile(&pattern).is_ok_and(|pattern| is_found(&pattern));
    }
    for kind in catalogue() {
        let _refused = kind.validate(&options);
    }
    if Drivers::default().check(driver, &options).is_err() {
        return false;
    }
    if driver == "none" {
        return true;
    }
    let all = destinations(driver, &options);
    assert!(all.as_ref().is_ok_and(|all| !all.is_empty()), "{driver} goes nowhere");
    for one in all.into_iter().flatten() {
        let records = Records::parse(&one.records);
        assert!(records.is_ok(), "{:?}", one.records);
        let policy = find(&one.driver).map(|kind| kind.batching(&one.options));
        assert!(policy.is_some_and(|p| p.max_lines > 0 && p.max_bytes > 0 && p.max_line > 0), "{one:?}");
        let join = records.ok().and_then(|records| records.join);
        let _either = join.is_some_and(|join| is_found(&join.begins));
    }
    true
}

/// Looks for records in a file's bytes, as each driver with files does; and writes the bytes as a line, which is found again.
/// Answers how many records there were.
pub fn file(input: &[u8]) -> usize {
    let found = scan::<JsonParser>(input) + scan::<EntryParser>(input);
    let text: Vec<u8> = input.iter().copied().filter(|byte| *byte != b'\n').collect();
    let line = LogLine { stream: Stream::Stderr, time_ns: 5, data: text.clone().into(), partial: None };
    let attrs: BTreeMap<String, String> =
        [("key".to_owned(), String::from_utf8_lossy(&text).into_owned())].into();
    let json = again::<JsonParser>(JsonLines::new(&attrs), &line);
    assert!(json.is_some_and(|read| read.attrs == attrs));
    let local = again::<EntryParser>(Entries { attrs }, &line);
    assert!(local.is_some_and(|read| read.line.data == [text.as_slice(), b"\n"].concat()));
    found
}

/// What is found is the same however much is read at once, and each place is told of once.
fn scan<P: RecordParser>(input: &[u8]) -> usize {
    let [first, others @ ..] = BLOCKS;
    let all = parts::<P>(input, first);
    let mut end = 0;
    for (from, to, _) in &all {
        assert!(end <= *from && from < to && *to <= input.len() as u64, "{from}-{to} behind {end}");
        end = *to;
    }
    assert!(others.into_iter().all(|block| parts::<P>(input, block) == all));
    all.iter().filter(|(_, _, line)| line.is_some()).count()
}

/// From where to where something stands, a record at least one byte, and the record where it is one.
fn parts<P: RecordParser>(input: &[u8], block: usize) -> Vec<(u64, u64, Option<StoredLine>)> {
    let part = |found| match found {
        Found::Record(at, line) => Some((at, at + 1, Some(line))),
        Found::Damaged(from, to) => Some((from, to, None)),
        // Memory can be read to its end.
        Found::Cut(..) => None,
    };
    Scanner::<P, _>::new(input, 0, block).filter_map(part).collect()
}

/// The line as it is read back, if it alone is.
fn again<P: RecordParser>(mut format: impl RecordFormat, line: &LogLine) -> Option<StoredLine> {
    let mut out = Vec::new();
    format.encode(line, &mut out);
    let mut found = parts::<P>(&out, out.len()).into_iter();
    let (_, _, read) = found.next()?;
    read.filter(|_| found.next().is_none())
}

#[cfg(test)]
mod tests {
    /// Each input of a target's corpus.
    fn corpus(target: &str) -> Vec<Vec<u8>> {
        let folder =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus").join(target);
        let files = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
        let inputs: Vec<_> = files.map(|path| std::fs::read(path).unwrap()).collect();
        assert!(!inputs.is_empty());
        inputs
    }

    #[test]
    fn options_of_the_corpus_are_taken_or_refused() {
        let outcomes: Vec<bool> = corpus("logoptions").iter().map(|i| super::options(i)).collect();
        assert!(outcomes.contains(&true) && outcomes.contains(&false));
    }

    #[test]
    fn files_of_the_corpus_are_read_past_their_damage() {
        let found: Vec<usize> = corpus("localfile").iter().map(|i| super::file(i)).collect();
        assert!(found.contains(&0) && found.iter().any(|records| *records > 1));
    }
}
