use super::rotate::Limits;
use super::{FileDriver, Open, Places};
use crate::json_file::JsonLines;
use contract::log::*;
use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

const LIMITS: Limits = Limits { max_size: None, max_file: 1, compress: false };

fn places(folder: &Path) -> Places {
    Places { log: folder.join("log"), cursor: folder.join("cursor") }
}

async fn open(folder: &Path, limits: Limits) -> FileDriver<JsonLines> {
    FileDriver::open(JsonLines::new(&BTreeMap::new()), places(folder), limits).await.unwrap()
}

/// Line `n` alone, where the spool offset is the line's number.
fn batch(n: u64) -> Batch {
    let at = Mark { at: Position { segment: 1, offset: n + 1 }, ..Mark::default() };
    let data = format!("line {n}").into();
    let line = LogLine { stream: Stream::Stdout, time_ns: n as i64, data, partial: None };
    let end = Cursor { stdout: at.clone(), stderr: at, pace: None };
    Batch { lines: vec![line], end, suppressed: 0 }
}

fn lines(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let of = |line: &str| {
        serde_json::from_str::<serde_json::Value>(line).unwrap()["log"].as_str().unwrap().to_owned()
    };
    text.lines().map(of).collect()
}

fn texts(numbers: Range<u64>) -> Vec<String> {
    numbers.map(|n| format!("line {n}\n")).collect()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn a_log_that_someone_else_emptied_still_loses_what_a_kill_left_uncommitted() {
    runtime().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let mut driver = open(folder.path(), LIMITS).await;
        for n in 0..5 {
            driver.deliver(&batch(n)).await.unwrap();
        }
        let log = places(folder.path()).log;
        fs::OpenOptions::new().write(true).open(&log).unwrap().set_len(0).unwrap();
        driver.deliver(&batch(5)).await.unwrap();
        drop(driver);
        // The kill came between the write and the commit.
        let mut torn = fs::read(&log).unwrap();
        torn.extend_from_within(..);
        fs::write(&log, &torn).unwrap();
        let mut driver = open(folder.path(), LIMITS).await;
        driver.deliver(&batch(6)).await.unwrap();
        assert_eq!(lines(&log), ["line 5\n", "line 6\n"]);
    });
}

#[test]
fn what_a_failed_write_left_behind_does_not_stay_in_the_file() {
    runtime().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let mut driver = open(folder.path(), LIMITS).await;
        driver.deliver(&batch(0)).await.unwrap();
        let log = places(folder.path()).log;
        let mut torn = fs::read(&log).unwrap();
        torn.extend_from_slice(b"{\"log\":\"li");
        fs::write(&log, &torn).unwrap();
        driver.deliver(&batch(1)).await.unwrap();
        assert_eq!(lines(&log), ["line 0\n", "line 1\n"]);
    });
}

#[test]
fn a_log_that_others_cut_while_a_write_fails_is_not_made_longer_with_zeros() {
    let folder = tempfile::tempdir().unwrap();
    let mut open = Open::recover(places(folder.path()), LIMITS).unwrap();
    let length = || fs::metadata(places(folder.path()).log).unwrap().len();
    open.at.length = 100;
    open.cut_back().unwrap();
    assert_eq!(length(), 0);
    fs::write(places(folder.path()).log, [b'x'; 120]).unwrap();
    open.cut_back().unwrap();
    assert_eq!(length(), 100);
}

#[test]
fn a_driver_whose_log_was_opened_again_writes_no_more() {
    runtime().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let mut before = open(folder.path(), LIMITS).await;
        before.deliver(&batch(0)).await.unwrap();
        let mut after = open(folder.path(), LIMITS).await;
        let refused = before.deliver(&batch(1)).await;
        assert!(matches!(refused, Err(DeliverError::Fatal { .. })), "{refused:?}");
        after.deliver(&batch(1)).await.unwrap();
        drop((before, after));
        let mut again = open(folder.path(), LIMITS).await;
        again.deliver(&batch(2)).await.unwrap();
        assert_eq!(lines(&places(folder.path()).log), ["line 0\n", "line 1\n", "line 2\n"]);
    });
}

/// What takes a log away from its path, and how many lines it leaves there.
type Taking = (fn(&Path), usize);

const TAKINGS: [Taking; 4] = [
    (|log| fs::remove_file(log).unwrap(), 0),
    (|log| fs::rename(log, log.with_file_name("away")).unwrap(), 0),
    // As logrotate does it with `create`.
    (
        |log| {
            fs::rename(log, log.with_file_name("away")).unwrap();
            fs::write(log, "").unwrap();
        },
        0,
    ),
    // As an editor does it: more than there was.
    (
        |log| {
            let text = fs::read_to_string(log).unwrap();
            fs::rename(log, log.with_file_name("away")).unwrap();
            fs::write(log, text.repeat(2)).unwrap();
        },
        10,
    ),
];

#[test]
fn lines_that_come_after_the_log_was_taken_away_from_its_path_are_at_that_path() {
    runtime().block_on(async {
        for (nth, (take, left)) in TAKINGS.into_iter().enumerate() {
            let folder = tempfile::tempdir().unwrap();
            let mut driver = open(folder.path(), LIMITS).await;
            for n in 0..5 {
                driver.deliver(&batch(n)).await.unwrap();
            }
            let log = places(folder.path()).log;
            take(&log);
            for n in 5..7 {
                driver.deliver(&batch(n)).await.unwrap();
            }
            drop(driver);
            // The kill came between the write and the commit.
            let mut torn = fs::read(&log).unwrap();
            torn.extend_from_within(..);
            fs::write(&log, &torn).unwrap();
            let mut driver = open(folder.path(), LIMITS).await;
            assert_eq!(driver.cursor(), Some(batch(6).end), "{nth}");
            driver.deliver(&batch(7)).await.unwrap();
            let there = lines(&log);
            assert_eq!((there.len(), &there[left..]), (left + 3, &texts(5..8)[..]), "{nth}");
            let away = log.with_file_name("away");
            assert!(!away.exists() || lines(&away) == texts(0..5), "{nth}");
        }
    });
}

#[test]
fn a_kill_right_after_the_log_was_taken_away_loses_and_repeats_no_later_line() {
    runtime().block_on(async {
        // Before the writer could notice, and when it had made the new file and noted nothing.
        for made in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let mut driver = open(folder.path(), LIMITS).await;
            for n in 0..5 {
                driver.deliver(&batch(n)).await.unwrap();
            }
            let log = places(folder.path()).log;
            fs::remove_file(&log).unwrap();
            if made {
                fs::write(&log, "").unwrap();
            }
            drop(driver);
            let mut driver = open(folder.path(), LIMITS).await;
            assert_eq!(driver.cursor(), Some(batch(4).end));
            driver.deliver(&batch(5)).await.unwrap();
            assert_eq!(lines(&log), ["line 5\n"], "{made}");
        }
    });
}

#[test]
fn a_log_that_was_removed_is_rotated_and_compressed_as_before() {
    runtime().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let limits = Limits { max_size: Some(200), max_file: 3, compress: true };
        let mut driver = open(folder.path(), limits).await;
        for n in 0..5 {
            driver.deliver(&batch(n)).await.unwrap();
        }
        let log = places(folder.path()).log;
        let turned = log.with_file_name("log.1");
        assert!(turned.exists() || turned.with_extension("1.gz").exists());
        fs::remove_file(&log).unwrap();
        let mut seen = Vec::new();
        for n in 5..9 {
            driver.deliver(&batch(n)).await.unwrap();
            seen.push(lines(&log));
        }
        // Each record has about 70 bytes.
        assert_eq!(seen, [texts(5..6), texts(5..7), texts(5..8), texts(8..9)]);
        let begun = Instant::now();
        for name in ["log.1.gz", "log.2.gz"] {
            while !folder.path().join(name).exists() {
                assert!(begun.elapsed() < Duration::from_secs(60), "{name} is never made");
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    });
}

#[test]
fn a_log_that_was_removed_with_its_cursor_is_committed_in_a_new_one() {
    runtime().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let mut driver = open(folder.path(), LIMITS).await;
        driver.deliver(&batch(0)).await.unwrap();
        let Places { log, cursor } = places(folder.path());
        fs::remove_file(&log).unwrap();
        fs::remove_file(cursor).unwrap();
        driver.deliver(&batch(1)).await.unwrap();
        drop(driver);
        let driver = open(folder.path(), LIMITS).await;
        assert_eq!((driver.cursor(), lines(&log)), (Some(batch(1).end), texts(1..2)));
    });
}

#[test]
fn a_cursor_that_was_removed_while_its_log_stays_is_written_anew() {
    // It was written on where nobody found it: `logs` showed what was in the spool twice, and the next daemon stored it again.
    runtime().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let mut driver = open(folder.path(), LIMITS).await;
        driver.deliver(&batch(0)).await.unwrap();
        let Places { log, cursor } = places(folder.path());
        fs::remove_file(cursor).unwrap();
        driver.deliver(&batch(1)).await.unwrap();
        drop(driver);
        let driver = open(folder.path(), LIMITS).await;
        assert_eq!((driver.cursor(), lines(&log)), (Some(batch(1).end), texts(0..2)));
    });
}

#[test]
fn a_log_whose_folder_was_removed_is_to_be_opened_again_and_makes_no_folder_of_a_removed_container() {
    runtime().block_on(async {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("container");
        let mut driver = open(&folder, LIMITS).await;
        driver.deliver(&batch(0)).await.unwrap();
        fs::remove_dir_all(&folder).unwrap();
        let refused = driver.deliver(&batch(1)).await;
        assert!(matches!(refused, Err(DeliverError::Fatal { .. })), "{refused:?}");
        assert!(!folder.exists());
        let mut driver = open(&folder, LIMITS).await;
        driver.deliver(&batch(1)).await.unwrap();
        assert_eq!(lines(&places(&folder).log), texts(1..2));
    });
}

#[test]
fn a_log_that_was_removed_is_made_anew_with_the_mode_it_had() {
    use std::os::unix::fs::PermissionsExt;
    runtime().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let mut driver = open(folder.path(), LIMITS).await;
        let log = places(folder.path()).log;
        let mode = || fs::metadata(&log).unwrap().permissions().mode();
        let before = mode();
        fs::remove_file(&log).unwrap();
        driver.deliver(&batch(0)).await.unwrap();
        assert_eq!(mode(), before);
    });
}

/// Twelve lines, those with odd numbers on standard error, so many of a stream joined to one.
fn joined(by: usize) -> Batch {
    let numbers: Vec<u64> = (0..12).collect();
    let record = |some: &[u64], stream: Stream, odd: u64| {
        let texts: Vec<String> =
            some.iter().filter(|n| **n % 2 == odd).map(|n| format!("line {n}")).collect();
        LogLine { stream, time_ns: 0, data: texts.join("\n").into(), partial: None }
    };
    let both = |some: &[u64]| [record(some, Stream::Stdout, 0), record(some, Stream::Stderr, 1)];
    Batch { lines: numbers.chunks(2 * by).flat_map(both).collect(), ..batch(11) }
}

/// What stands in all files of each stream.
fn said(folder: &Path) -> [String; 2] {
    let mut said = [String::new(), String::new()];
    for index in (0..9).rev() {
        let text = fs::read_to_string(super::rotate::numbered(&places(folder).log, index, ""));
        for line in text.unwrap_or_default().lines() {
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            said[usize::from(record["stream"] == "stderr")].push_str(record["log"].as_str().unwrap());
        }
    }
    said
}

fn whole() -> [String; 2] {
    [0, 1].map(|odd| (0..6).map(|n| format!("line {}\n", 2 * n + odd)).collect())
}

/// A batch of which a part stands in a file that was put aside: what follows could not be written.
async fn broken_off(folder: &Path, batch: &Batch) {
    let limits = Limits { max_size: Some(200), max_file: 2, ..LIMITS };
    let mut driver = open(folder, limits).await;
    let in_the_way = super::rotate::numbered(&places(folder).log, 1, "");
    fs::create_dir(&in_the_way).unwrap();
    let failed = driver.deliver(batch).await;
    assert!(matches!(failed, Err(DeliverError::Fatal { .. })), "{failed:?}");
    fs::remove_dir(&in_the_way).unwrap();
}

const ROOMY: Limits = Limits { max_size: Some(200), max_file: 9, compress: false };

#[test]
fn a_batch_that_was_broken_off_is_in_the_files_once_also_where_its_lines_come_again_as_others() {
    runtime().block_on(async {
        for (before, after) in [(1, 1), (1, 2), (1, 6), (2, 1), (2, 3), (3, 1), (3, 2)] {
            let folder = tempfile::tempdir().unwrap();
            broken_off(folder.path(), &joined(before)).await;
            let attributes = [("label".to_owned(), "new".to_owned())].into();
            let format = JsonLines::new(&attributes);
            let mut driver = FileDriver::open(format, places(folder.path()), ROOMY).await.unwrap();
            assert_eq!(driver.cursor(), Some(Cursor::default()));
            driver.deliver(&joined(after)).await.unwrap();
            assert_eq!(said(folder.path()), whole(), "{before} {after}");
            assert_eq!(driver.cursor(), Some(batch(11).end));
        }
    });
}

#[test]
fn a_batch_that_was_broken_off_is_not_doubled_by_a_stream_that_is_taken_over_from_another_driver() {
    runtime().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let of = |stream: Stream, by| {
            let all = joined(by);
            Batch { lines: all.lines.into_iter().filter(|line| line.stream == stream).collect(), ..all }
        };
        let one = of(Stream::Stdout, 1);
        broken_off(folder.path(), &one).await;
        let mut driver = open(folder.path(), ROOMY).await;
        let from = Cursor { stderr: batch(3).end.stderr, ..Cursor::default() };
        driver.begin_at(&from).await.unwrap();
        assert_eq!(driver.cursor(), Some(from));
        let both = [one.lines, of(Stream::Stderr, 1).lines].concat();
        driver.deliver(&Batch { lines: both, ..batch(11) }).await.unwrap();
        assert_eq!(said(folder.path()), whole());
    });
}
