use super::*;
use crate::log::stores::Stores;
use contract::fake::{FakeKind, FakeSpool, Keeps, Script};
use contract::log::{Dropped, LogDriverKind, Losses, Options, Position, Streams};
use contract::runtime::Spool;
use std::sync::Arc;

fn kind(name: &'static str) -> &'static dyn LogDriverKind {
    let keeps = if matches!(name, "json-file" | "local") { Keeps::Cursor } else { Keeps::Nothing };
    Box::leak(Box::new(FakeKind::new(name, ["open", "deliver"], keeps, &Script::default())))
}

fn sink(name: &str, driver: &'static str) -> SinkSpec {
    SinkSpec { name: name.to_owned(), ..SinkSpec::new(kind(driver), Options::new()) }
}

fn at(stdout: u64, stderr: u64) -> Cursor {
    let mark = |offset| Mark { at: Position { segment: 1, offset }, ..Mark::default() };
    Cursor { stdout: mark(stdout), stderr: mark(stderr), ..Cursor::default() }
}

fn stood(sink: SinkSpec, place: u64) -> Stood {
    Stood { sink, cursor: at(place, place) }
}

#[test]
fn one_file_takes_over_where_the_other_ended() {
    let old = [stood(sink("json-file", "json-file"), 70)];
    assert_eq!(begins(&old, &[sink("local", "local")]), [Begin::At(at(70, 70))]);
    assert_eq!(begins(&old, &[sink("json-file", "json-file")]), [Begin::WhereItEnded]);
}

#[test]
fn a_receiver_takes_over_what_another_one_lacked_and_the_file_does_not_repeat_it() {
    let old = [stood(sink("syslog", "syslog"), 20), stood(sink("json-file", "json-file"), 70)];
    let new = [sink("fluentd", "fluentd"), sink("local", "local")];
    assert_eq!(begins(&old, &new), [Begin::At(at(20, 20)), Begin::At(at(70, 70))]);
    // The copy beside it stays: the new one begins where what went away stood all the same.
    let new = [sink("fluentd", "fluentd"), sink("json-file", "json-file")];
    assert_eq!(begins(&old, &new), [Begin::At(at(20, 20)), Begin::WhereItEnded]);
}

#[test]
fn what_comes_beside_those_that_stay_begins_with_the_furthest_of_them() {
    let old = [stood(sink("json-file", "json-file"), 70), stood(sink("a", "syslog"), 20)];
    let new = [sink("json-file", "json-file"), sink("a", "syslog"), sink("gelf", "gelf")];
    assert_eq!(begins(&old, &new), [Begin::WhereItEnded, Begin::At(at(20, 20)), Begin::At(at(70, 70))]);
}

#[test]
fn a_sink_of_the_same_name_takes_the_place_of_the_other() {
    let old = [stood(sink("a", "syslog"), 20), stood(sink("b", "syslog"), 50)];
    let new = [sink("b", "fluentd"), sink("a", "fluentd"), sink("c", "gelf")];
    let places = [50, 20, 20].map(|place| Begin::At(at(place, place)));
    assert_eq!(begins(&old, &new), places);
}

#[test]
fn each_stream_begins_where_the_slowest_had_got_with_it() {
    let slow = |stdout, stderr, name| Stood { sink: sink(name, "syslog"), cursor: at(stdout, stderr) };
    let old = [slow(10, 90, "out"), slow(80, 30, "err")];
    assert_eq!(begins(&old, &[sink("gelf", "gelf")]), [Begin::At(at(10, 30))]);
    assert_eq!(furthest(&at(10, 90), &at(80, 30)), at(80, 90));
}

fn store(driver: &str, shares: bool) -> LogStore {
    LogStore { driver: driver.to_owned(), options: Options::new(), shares }
}

fn first(sinks: &[SinkSpec], stores: &[LogStore]) -> Option<&'static str> {
    read_first(sinks, stores).map(|sink| sink.kind.name())
}

#[test]
fn what_was_read_is_read_on_while_it_takes_lines() {
    let (json, local) = (sink("json-file", "json-file"), sink("local", "local"));
    let one = stores((std::slice::from_ref(&json), &[]), std::slice::from_ref(&local));
    assert_eq!(one, [store("json-file", false)]);
    assert_eq!(first(std::slice::from_ref(&local), &one), Some("local"));
    // Both: local has everything since, json-file what was before.
    let both = [json.clone(), local.clone()];
    let two = stores((std::slice::from_ref(&local), &one), &both);
    assert_eq!(two, [store("local", true), store("json-file", true)]);
    assert_eq!(first(&both, &two), Some("local"));
    let three = stores((&both, &two), std::slice::from_ref(&json));
    assert_eq!(three, [store("local", true), store("json-file", true)]);
    assert_eq!(first(std::slice::from_ref(&json), &three), Some("json-file"));
}

#[test]
fn a_driver_without_all_lines_is_no_store() {
    let errors = SinkSpec { streams: Streams::Stderr, ..sink("json-file", "json-file") };
    let old = [sink("local", "local"), errors];
    assert_eq!(stores((&old, &[]), &[sink("none", "none")]), [store("local", true)]);
    assert_eq!(first(&[sink("none", "none")], &[store("local", false)]), None);
}

#[tokio::test]
async fn a_file_that_goes_on_under_another_name_knows_what_it_was_not_given() {
    // Its holes were told as lost in unknown number, and its counts began anew.
    let spool = FakeSpool::default();
    let (before, after) = (sink("json-file", "json-file"), sink("main", "json-file"));
    let dropped = Dropped { lines: 7, ..Dropped::default() };
    let losses = Losses { version: 3, dropped, ..Losses::default() };
    spool.store_losses("json-file", &losses).await.unwrap();
    after.inherit(&before, &spool).await.unwrap();
    assert_eq!(spool.load_losses("main").await.unwrap(), Some(losses));
}

#[test]
fn lines_of_a_file_that_was_given_one_stream_are_not_read_twice_once_it_is_given_both() {
    let errors = SinkSpec { streams: Streams::Stderr, ..sink("local", "local") };
    let old = [sink("json-file", "json-file"), errors];
    let whole = sink("local", "local");
    let known = stores((&old, &[]), std::slice::from_ref(&whole));
    assert_eq!(known, [store("json-file", true)]);
    assert_eq!(first(&[whole], &known), Some("local"));
}

#[test]
fn a_former_file_that_is_still_given_one_stream_is_read_no_further_than_the_main_one() {
    let errors = SinkSpec { streams: Streams::Stderr, ..sink("json-file", "json-file") };
    let (before, after) = ([sink("json-file", "json-file")], [sink("local", "local"), errors]);
    let known = stores((&before, &[]), &after);
    assert_eq!(known, [store("json-file", true)]);
    let drivers = contract::fake::FakeCatalogue(vec![kind("json-file"), kind("local")]);
    let read = Stores::of(&drivers, &after, &known);
    assert_eq!(read.main.map(|m| m.kind.name()), Some("local"));
    assert!(read.others.iter().all(|other| other.active && other.shares));
}

#[test]
fn who_follows_a_log_that_is_kept_no_longer_finds_what_was_kept_last() {
    let drivers = contract::fake::FakeCatalogue(vec![kind("json-file"), kind("local")]);
    let (json, local) = ([sink("json-file", "json-file")], [sink("local", "local")]);
    let first = Arc::new(Stores::of(&drivers, &json, &[]));
    let known = stores((&json, &[]), &local);
    let second = Arc::new(Stores::of(&drivers, &local, &known).following(&first));
    let mut none = Arc::clone(&second);
    let known = stores((&local, &known), &[]);
    for _ in 0..2 {
        none = Arc::new(Stores::of(&drivers, &[], &known).following(&none));
        let found = Stores::with_main(&none).unwrap();
        assert!(Arc::ptr_eq(&found, &second), "and not what was kept before that");
    }
}

#[test]
fn a_sink_that_is_given_the_other_stream_too_begins_with_it_where_those_that_go_ended() {
    let given = |streams, name, driver| SinkSpec { streams, ..sink(name, driver) };
    let old =
        [stood(given(Streams::Stdout, "json-file", "json-file"), 70), stood(sink("local", "local"), 50)];
    let whole = [sink("json-file", "json-file")];
    assert_eq!(begins(&old, &whole), [Begin::At(at(70, 50))]);
    assert_eq!(begins(&old[..1], &whole), [Begin::WhereItEnded], "nobody else had any");
    let parts =
        [stood(given(Streams::Stdout, "a", "syslog"), 80), stood(given(Streams::Stderr, "b", "syslog"), 30)];
    for driver in ["syslog", "fluentd"] {
        assert_eq!(begins(&parts, &[sink("a", driver)]), [Begin::At(at(80, 30))]);
    }
}
