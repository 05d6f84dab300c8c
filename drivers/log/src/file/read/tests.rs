mod going_on;

use super::super::{RecordFormat, RecordParser};
use super::find::{earliest, tail};
use super::scan::{Found, Scanner, Stretch};
use crate::find as driver;
use crate::json_file::{JsonLines, JsonParser};
use crate::local::{Entries, EntryParser};
use contract::log::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;

const START: i64 = 1_700_000_000_000_000_000;

/// What happens to a record.
#[derive(Debug, Clone)]
enum Harm {
    None,
    Byte(prop::sample::Index, u8),
    Zeroes(prop::sample::Index),
    Head(prop::sample::Index),
    Foot(prop::sample::Index),
    Before(Vec<u8>),
}

fn harm() -> impl Strategy<Value = Harm> {
    let place = any::<prop::sample::Index>;
    prop_oneof![
        12 => Just(Harm::None),
        1 => (place(), 1u8..).prop_map(|(at, by)| Harm::Byte(at, by)),
        1 => place().prop_map(Harm::Zeroes),
        1 => place().prop_map(Harm::Head),
        1 => place().prop_map(Harm::Foot),
        1 => prop::collection::vec(any::<u8>(), 1..300).prop_map(Harm::Before),
    ]
}

fn line(nth: usize, text: &str) -> LogLine {
    let stream = if nth.is_multiple_of(3) { Stream::Stderr } else { Stream::Stdout };
    let data = format!("{nth} {text}").into_bytes().into();
    LogLine { stream, time_ns: START + nth as i64, data, partial: None }
}

/// The bytes, and the lines that were not harmed.
fn harmed(format: &mut dyn RecordFormat, records: &[(String, usize, Harm)]) -> (Vec<u8>, Vec<String>) {
    let (mut bytes, mut whole) = (Vec::new(), Vec::new());
    for (nth, (text, length, harm)) in records.iter().enumerate() {
        let line = line(nth, &text.repeat(*length));
        let mut record = Vec::new();
        format.encode(&line, &mut record);
        match harm {
            Harm::None => {}
            Harm::Byte(at, by) => {
                let at = at.index(record.len());
                record[at] ^= by;
            }
            Harm::Zeroes(at) => {
                let at = at.index(record.len());
                record[at..].fill(0);
            }
            Harm::Head(at) => drop(record.drain(..=at.index(record.len()))),
            Harm::Foot(at) => record.truncate(at.index(record.len())),
            Harm::Before(garbage) => bytes.extend_from_slice(garbage),
        }
        bytes.extend_from_slice(&record);
        if matches!(harm, Harm::None | Harm::Before(_)) {
            whole.push(format!("{}\n", String::from_utf8(line.data.to_vec()).unwrap()));
        }
    }
    (bytes, whole)
}

fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn scan<P: RecordParser>(file: &File, from: u64, end: u64) -> (Vec<(u64, String)>, u64) {
    let (mut lines, mut damaged) = (Vec::new(), 0);
    for found in Scanner::<P, _>::new(Stretch { file, at: from, end }, from, 4096) {
        match found {
            Found::Record(at, line) => {
                lines.push((at, String::from_utf8_lossy(&line.line.data).into_owned()))
            }
            Found::Damaged(from, to) => damaged += to - from,
            Found::Cut(..) => panic!("nothing is compressed"),
        }
    }
    (lines, damaged)
}

fn check<P: RecordParser>(format: &mut dyn RecordFormat, records: &[(String, usize, Harm)], wanted: usize) {
    let (bytes, whole) = harmed(format, records);
    let (file, end) = (file(&bytes), bytes.len() as u64);
    let (lines, damaged) = scan::<P>(&file, 0, end);
    let mut found = lines.iter();
    for one in &whole {
        assert!(found.any(|(_, line)| line == one), "{one:?} is missing or out of order");
    }
    if records.iter().all(|(.., harm)| matches!(harm, Harm::None)) {
        assert_eq!(damaged, 0);
    }
    let (begin, count) = tail::<P>(&file, end, wanted);
    let last = &lines[lines.len().saturating_sub(wanted)..];
    assert_eq!(count, last.len());
    assert_eq!(scan::<P>(&file, begin, end).0, last);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn whatever_is_damaged_every_other_record_is_given_in_order_and_a_tail_is_the_end_of_all(
        records in prop::collection::vec(("[ -~\\x01é]{0,9}", 0usize..60, harm()), 0..700),
        wanted in 0usize..900,
    ) {
        let attrs = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
        check::<JsonParser>(&mut JsonLines::new(&BTreeMap::new()), &records, wanted);
        check::<JsonParser>(&mut JsonLines::new(&attrs), &records, wanted);
        check::<EntryParser>(&mut Entries { attrs }, &records, wanted);
    }

    #[test]
    fn a_search_by_time_passes_over_nothing_and_ends_near(
        steps in prop::collection::vec((-40i64..50, 0usize..400), 1500..3000), back in 0i64..500, at in 0.0f64..1.0,
    ) {
        // Each record is up to `back` earlier than the latest before it.
        let (mut bytes, mut times, mut now) = (Vec::new(), Vec::new(), START);
        let mut format = JsonLines::new(&BTreeMap::new());
        for (step, length) in &steps {
            now += (*step).max(0);
            let time_ns = now - if *step < 0 { (-step * 13).min(back) } else { 0 };
            times.push((bytes.len() as u64, time_ns));
            format.encode(&LogLine { time_ns, ..line(1, &"x".repeat(*length)) }, &mut bytes);
        }
        let (file, end) = (file(&bytes), bytes.len() as u64);
        let wanted = START + ((now - START) as f64 * at) as i64;
        let place = earliest::<JsonParser>(&file, end, wanted, back);
        prop_assert!(times.iter().all(|(at, time)| *time < wanted || *at >= place));
        let early = times.iter().take_while(|(_, time)| *time < wanted - 2 * back).map(|(at, _)| *at).last();
        prop_assert!(place + 70_000 >= early.unwrap_or(0), "{place} is far before {early:?} of {end}");
    }
}

fn source(folder: &Path) -> LogSource {
    LogSource { container_id: "c".into(), directory: folder.to_owned(), ..LogSource::default() }
}

async fn read(kind: &str, folder: &Path, request: ReadRequest) -> (Vec<(i64, String)>, Vec<Hole>, Reading) {
    let reader = driver(kind).unwrap().reader().unwrap();
    let mut reading = reader.read(&source(folder), &Options::new(), request).await.unwrap();
    let (mut lines, mut holes) = (Vec::new(), Vec::new());
    while let Some(piece) = reading.pieces.recv().await {
        match piece.unwrap() {
            Piece::Lines(some) => lines.extend(
                some.iter().map(|l| (l.line.time_ns, String::from_utf8(l.line.data.to_vec()).unwrap())),
            ),
            Piece::Hole(hole) => holes.push(hole),
        }
    }
    (lines, holes, reading)
}

async fn opened(kind: &str, folder: &Path, limits: [&str; 3]) -> Box<dyn LogDriver> {
    let keys = ["max-size", "max-file", "compress"];
    let options = keys.iter().zip(limits).map(|(k, v)| ((*k).to_owned(), v.to_owned())).collect();
    driver(kind).unwrap().open(&source(folder), &options).await.unwrap()
}

async fn write(kind: &str, folder: &Path, limits: [&str; 3], times: &[i64]) {
    deliver(&mut *opened(kind, folder, limits).await, times).await;
}

async fn deliver(driver: &mut dyn LogDriver, times: &[i64]) {
    for (nth, some) in times.chunks(40).enumerate() {
        let lines =
            some.iter().enumerate().map(|(n, time)| LogLine { time_ns: *time, ..line(nth * 40 + n, "text") });
        driver.deliver(&Batch { lines: lines.collect(), ..Batch::default() }).await.unwrap();
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(25))]
    #[test]
    fn since_until_and_tail_over_rotated_files_are_what_they_are_of_all_lines(
        steps in prop::collection::vec((0i64..3_000_000_000, prop::bool::weighted(0.03)), 1..400),
        bounds in (0.0f64..1.2, 0.0f64..1.2), wanted in 0usize..450, local: bool, compress: bool,
    ) {
        let mut now = START;
        // Some lines are minutes late, as those that were begun long before they ended.
        let times: Vec<i64> = steps.iter().map(|(step, late)| {
            now += step;
            if *late { now - 200_000_000_000 } else { now }
        }).collect();
        runtime().block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let kind = if local { "local" } else { "json-file" };
            write(kind, folder.path(), ["2k", "60", if compress { "true" } else { "false" }], &times).await;
            let all = read(kind, folder.path(), ReadRequest::default()).await.0;
            assert_eq!(all.iter().map(|(time, _)| *time).collect::<Vec<_>>(), times);
            let at = |share: f64| START + ((now - START) as f64 * share) as i64;
            let (since, until) = (at(bounds.0), at(bounds.1));
            let after: Vec<_> = all.iter().skip_while(|(time, _)| *time < since).cloned().collect();
            let got = read(kind, folder.path(), ReadRequest { since_ns: Some(since), ..ReadRequest::default() }).await;
            assert_eq!(got.0, after);
            let both = ReadRequest { since_ns: Some(since), until_ns: Some(until), ..ReadRequest::default() };
            let between: Vec<_> = after.iter().filter(|(time, _)| *time <= until).cloned().collect();
            assert_eq!(read(kind, folder.path(), both).await.0, between);
            let last = ReadRequest { tail: Some(wanted), ..ReadRequest::default() };
            let got = read(kind, folder.path(), last).await;
            assert_eq!(got.0, all[all.len().saturating_sub(wanted)..]);
            assert_eq!(got.2.found, Some(wanted.min(all.len())));
        });
    }
}

#[test]
fn a_compressed_file_that_was_cut_gives_what_it_has_and_the_files_after_it() {
    runtime().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let times: Vec<i64> = (0..4000).map(|n| START + n).collect();
        write("json-file", folder.path(), ["100k", "9", "false"], &times).await;
        let all = read("json-file", folder.path(), ReadRequest::default()).await.0;
        let plain = folder.path().join("c-json.log.2");
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packed.write_all(&std::fs::read(&plain).unwrap()).unwrap();
        let packed = packed.finish().unwrap();
        let archive = folder.path().join("c-json.log.2.gz");
        std::fs::write(&archive, &packed[..packed.len() / 2]).unwrap();
        std::fs::remove_file(&plain).unwrap();
        let (lines, holes, _) = read("json-file", folder.path(), ReadRequest::default()).await;
        assert!(matches!(&holes[..], [Hole::Cut { file, .. }] if file == "c-json.log.2.gz"), "{holes:?}");
        let missing = all.iter().position(|l| !lines.contains(l)).unwrap();
        let lost = all.len() - lines.len();
        assert!(
            lost > 100 && lines[..missing] == all[..missing] && lines[missing..] == all[missing + lost..]
        );
        let tail = ReadRequest { tail: Some(lines.len() - 5), ..ReadRequest::default() };
        assert_eq!(read("json-file", folder.path(), tail).await.0, lines[5..]);
    });
}

#[test]
fn readers_that_stand_still_leave_the_threads_that_files_are_written_on_alone() {
    let few = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(3).build();
    few.unwrap().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let times: Vec<i64> = (0..12_000).map(|n| START + n).collect();
        write("json-file", folder.path(), ["100m", "1", "false"], &times).await;
        let (reader, source) = (driver("json-file").unwrap().reader().unwrap(), source(folder.path()));
        let mut still = Vec::new();
        for _ in 0..3 {
            still.push(reader.read(&source, &Options::new(), ReadRequest::default()).await.unwrap());
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        let written = write("json-file", folder.path(), ["100m", "1", "false"], &[START]);
        let written = tokio::time::timeout(std::time::Duration::from_secs(20), written).await;
        let is_written = written.is_ok();
        let mut pieces = still.remove(0).pieces;
        // Those that still stand would hold the runtime's end up.
        drop(still);
        assert!(is_written, "who reads nothing holds up who writes");
        let mut got = Vec::new();
        while let Some(piece) = pieces.recv().await {
            if let Piece::Lines(lines) = piece.unwrap() {
                got.extend(lines.iter().map(|l| l.line.time_ns));
            }
        }
        assert_eq!(got, times);
    });
}

#[test]
fn a_log_without_a_readable_cursor_is_shown_whole_and_none_is_empty() {
    runtime().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let (lines, holes, reading) = read("json-file", folder.path(), ReadRequest::default()).await;
        assert_eq!((lines.len(), holes.len(), reading.end), (0, 0, Place::default()));
        let times: Vec<i64> = (0..400).map(|n| START + n).collect();
        write("json-file", folder.path(), ["5k", "9", "false"], &times).await;
        let cursor = folder.path().join("json-file.cursor");
        let length = std::fs::metadata(folder.path().join("c-json.log")).unwrap().len();
        std::fs::write(&cursor, b"damaged").unwrap();
        for there in [true, false] {
            let (lines, holes, reading) = read("json-file", folder.path(), ReadRequest::default()).await;
            assert_eq!(lines.iter().map(|(time, _)| *time).collect::<Vec<_>>(), times, "{there}: {holes:?}");
            assert_eq!(reading.end.offset, length);
            std::fs::remove_file(&cursor).ok();
        }
    });
}

#[test]
fn a_damaged_stretch_is_told_with_its_bytes() {
    runtime().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let times: Vec<i64> = (0..100).map(|n| START + n).collect();
        write("json-file", folder.path(), ["1m", "1", "false"], &times).await;
        let log = folder.path().join("c-json.log");
        let mut bytes = std::fs::read(&log).unwrap();
        let starts: Vec<usize> = memchr::memchr_iter(b'\n', &bytes).map(|lf| lf + 1).collect();
        bytes[starts[9] + 5..starts[12] - 5].fill(0);
        std::fs::write(&log, &bytes).unwrap();
        let (lines, holes, _) = read("json-file", folder.path(), ReadRequest::default()).await;
        assert_eq!(lines.len(), 97);
        let text =
            format!("bytes {}-{} of c-json.log are damaged and were skipped", starts[9], starts[12] - 1);
        assert_eq!(holes.iter().map(ToString::to_string).collect::<Vec<_>>(), [text]);
    });
}
