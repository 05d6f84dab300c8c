use super::rotate::Limits;
use super::{FileDriver, Places};
use crate::json_file::JsonLines;
use contract::log::*;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

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
