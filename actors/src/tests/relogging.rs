//! Log drivers changed while containers run.

use super::stage::*;
use crate::{Changes, LogsRequest, Status};
use contract::log::{Cursor, Options};
use contract::record::ContainerSpec;
use contract::runtime::{Spool, WhenFull};
use contract::{ContainerId, Kind, PortError};
use std::collections::BTreeSet;
use std::time::Duration;

fn all() -> LogsRequest {
    LogsRequest { stdout: true, stderr: true, ..LogsRequest::default() }
}

async fn read(d: &Daemon, id: &ContainerId, request: LogsRequest) -> Vec<String> {
    rest(d.logs(id, request).await.unwrap()).await
}

async fn rest(mut lines: crate::log::Lines) -> Vec<String> {
    let mut out = Vec::new();
    while let Some(lines) = lines.recv().await {
        let text =
            |l: &contract::log::StoredLine| String::from_utf8_lossy(&l.line.data).trim_end().to_owned();
        out.extend(lines.unwrap().iter().map(text));
    }
    out
}

fn numbers(from: usize, to: usize) -> Vec<String> {
    (from..to).map(|n| n.to_string()).collect()
}

fn write(d: &Daemon, id: &ContainerId, from: usize, to: usize) {
    for n in from..to {
        d.world().runtime.write(id.as_str(), &format!("{n}\n"));
    }
}

fn driver(name: &str) -> Changes {
    with(name, &[])
}

fn with(name: &str, options: &[(&str, &str)]) -> Changes {
    let options: Options = options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Changes { log: Some((name.to_owned(), options)), ..Changes::default() }
}

async fn cursor(d: &Daemon, id: &ContainerId, sink: &str) -> Option<Cursor> {
    d.world().spools.of(id.as_str()).load_cursor(sink).await.unwrap()
}

#[test]
fn the_new_file_goes_on_where_the_old_one_ended_and_logs_reads_both() {
    daemon(|d| async move {
        let id = d.started("web", spec()).await;
        write(&d, &id, 0, 50);
        until("some of it is stored", || d.stage.file.lines(id.as_str()).len() > 10).await;
        d.update(&id, driver("local")).await.unwrap();
        write(&d, &id, 50, 80);
        until("the rest", || {
            d.stage.file.lines(id.as_str()).len() + d.stage.other.lines(id.as_str()).len() == 80
        })
        .await;
        let parts = [d.stage.file.lines(id.as_str()), d.stage.other.lines(id.as_str())].concat();
        assert_eq!(parts, numbers(0, 80));
        assert_eq!(read(&d, &id, all()).await, numbers(0, 80));
        let last = LogsRequest { tail: Some(40), ..all() };
        assert_eq!(read(&d, &id, last).await, numbers(40, 80));
        d.update(&id, driver("json-file")).await.unwrap();
        write(&d, &id, 80, 90);
        until("back in the first", || d.stage.file.lines(id.as_str()).last() == Some(&"89".to_owned())).await;
        assert_eq!(read(&d, &id, all()).await, numbers(0, 90));
        assert_eq!(d.stage.other.lines(id.as_str()).last(), Some(&"79".to_owned()));
    });
}

#[test]
fn a_receiver_that_hangs_is_left_and_the_next_one_gets_what_it_lacked() {
    daemon(|d| async move {
        let _held = d.world().script.hold("deliver:remote");
        let id = d.started("web", ContainerSpec { log_driver: "remote".into(), ..spec() }).await;
        write(&d, &id, 0, 40);
        until("it hangs", || d.world().script.calls("deliver:remote", id.as_str()) == 1).await;
        until("the copy is whole", || d.stage.file.lines(id.as_str()).len() == 40).await;
        d.update(&id, driver("far")).await.unwrap();
        write(&d, &id, 40, 60);
        until("all of it", || d.stage.far.lines(id.as_str()) == numbers(0, 60)).await;
        assert_eq!(d.stage.remote.lines(id.as_str()), Vec::<String>::new());
        assert_eq!(read(&d, &id, all()).await, numbers(0, 60));
        let sinks: Vec<String> = d.log_status(None).await.unwrap().into_iter().map(|s| s.sink).collect();
        assert_eq!(sinks, ["far", "json-file"]);
        assert_eq!(cursor(&d, &id, "remote").await, None, "nothing of it stays");
        assert!(cursor(&d, &id, "far").await.is_some());
    });
}

#[test]
fn a_change_that_fails_leaves_the_old_driver_at_work() {
    for verb in ["save_spec", "open:other"] {
        daemon(|d| async move {
            let id = d.started("web", spec()).await;
            write(&d, &id, 0, 10);
            let (_, mut live) = d.subscribe().await.unwrap();
            for text in ["no space left on device", "panic"] {
                let script = &d.world().script;
                script.fail(
                    verb,
                    Kind::Exhausted,
                    if verb == "save_spec" { "no space left on device" } else { text },
                );
                let error = d.update(&id, driver("local")).await.unwrap_err();
                assert!(error.text.starts_with(&format!("Cannot update container {id}: ")), "{error}");
            }
            assert_eq!(d.shown(&id).unwrap().spec.log_driver, "json-file");
            assert_eq!(d.world().records.get(id.as_str()).unwrap().spec.log_driver, "json-file");
            write(&d, &id, 10, 20);
            until("stored", || d.stage.file.lines(id.as_str()) == numbers(0, 20)).await;
            d.update(&id, driver("local")).await.unwrap();
            assert_eq!(actions(&mut live, "log_driver_set").await, ["update", "log_driver_set"]);
            write(&d, &id, 20, 30);
            until("in the other", || d.stage.other.lines(id.as_str()) == numbers(20, 30)).await;
        });
    }
}

#[test]
fn options_that_are_wrong_are_refused_as_in_a_create_and_change_nothing() {
    daemon(|d| async move {
        let id = d.started("web", spec()).await;
        let refused = async |changes| -> PortError { d.update(&id, changes).await.unwrap_err() };
        let wrong = with("fanout", &[("drivers", "")]);
        assert!(refused(wrong).await.text.contains("must name at least one driver"));
        assert!(refused(driver("nope")).await.text.contains("no log driver named 'nope' is registered"));
        write(&d, &id, 0, 5);
        until("stored", || d.stage.file.lines(id.as_str()) == numbers(0, 5)).await;
    });
}

#[test]
fn a_follower_that_was_there_before_the_change_misses_nothing() {
    daemon(|d| async move {
        let id = d.started("web", spec()).await;
        write(&d, &id, 0, 20);
        let (reading, own) = (d.clone(), id.clone());
        let follow = LogsRequest { follow: true, ..all() };
        let follower = tokio::spawn(async move { read(&reading, &own, follow).await });
        for (round, name) in ["local", "json-file", "local", "remote"].into_iter().enumerate() {
            d.update(&id, driver(name)).await.unwrap();
            write(&d, &id, 20 + round * 30, 50 + round * 30);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        d.world().runtime.exit(id.as_str(), 0);
        assert_eq!(follower.await.unwrap(), numbers(0, 140));
        assert_eq!(read(&d, &id, all()).await, numbers(0, 140));
    });
}

#[test]
fn a_stopped_container_starts_with_its_new_driver() {
    daemon(|d| async move {
        let id = d.started("web", spec()).await;
        write(&d, &id, 0, 10);
        d.kill(&id, "KILL").await.unwrap();
        d.comes_to(&id, Status::Exited).await;
        d.update(&id, driver("remote")).await.unwrap();
        d.start(&id).await.unwrap();
        write(&d, &id, 10, 20);
        until("far away", || d.stage.remote.lines(id.as_str()).last() == Some(&"19".to_owned())).await;
        let both: BTreeSet<String> =
            d.stage.file.lines(id.as_str()).into_iter().chain(d.stage.remote.lines(id.as_str())).collect();
        assert_eq!(both, numbers(0, 20).into_iter().collect());
        assert_eq!(read(&d, &id, all()).await, numbers(0, 20));
    });
}

#[test]
fn what_is_thrown_away_from_now_on_leaves_what_was_stored_readable() {
    daemon(|d| async move {
        let id = d.started("web", spec()).await;
        write(&d, &id, 0, 10);
        until("stored", || d.stage.file.lines(id.as_str()).len() == 10).await;
        d.update(&id, driver("none")).await.unwrap();
        assert_eq!(read(&d, &id, all()).await, numbers(0, 10));
        assert_eq!(read(&d, &id, LogsRequest { tail: Some(3), ..all() }).await, numbers(7, 10));
        let error = d.logs(&id, LogsRequest { follow: true, ..all() }).await.unwrap_err();
        assert_eq!(error.text, "configured logging driver does not support reading");
    });
}

/// Whichever step the daemon dies at: the next one finds one wish or the other, and no line is lost.
#[test]
fn a_daemon_that_dies_in_the_middle_of_a_change_loses_no_line() {
    for verb in ["open:other", "save_spec", "deliver:other", "open:far", "deliver:far"] {
        let stage = Stage::new();
        let id = std::sync::Arc::new(std::sync::Mutex::new(None));
        let own = id.clone();
        let held = std::sync::Mutex::new(None);
        stage.daemon(|d| async move {
            let id = d.started("web", spec()).await;
            write(&d, &id, 0, 30);
            until("some of it", || d.stage.file.lines(id.as_str()).len() > 5).await;
            *held.lock().unwrap() = Some(d.world().script.hold(verb));
            let fan = with("fanout", &[("drivers", "local,far")]);
            let (changing, of) = (d.clone(), id.clone());
            let change = tokio::spawn(async move { changing.update(&of, fan).await });
            let amid = matches!(verb, "open:other" | "save_spec");
            // What is done afterwards is done for lines that come afterwards.
            until("it has ended", || amid || change.is_finished()).await;
            write(&d, &id, 30, 40);
            until(verb, || d.world().script.calls(verb, id.as_str()) > 0).await;
            *own.lock().unwrap() = Some(id);
            change.abort();
        });
        let id = id.lock().unwrap().take().unwrap();
        stage.daemon(|d| async move {
            write(&d, &id, 40, 50);
            let stored = || -> BTreeSet<String> {
                [d.stage.file.lines(id.as_str()), d.stage.other.lines(id.as_str())]
                    .concat()
                    .into_iter()
                    .collect()
            };
            until("all of it", || stored() == numbers(0, 50).into_iter().collect()).await;
            assert_eq!(read(&d, &id, all()).await, numbers(0, 50), "{verb}");
            let wish = d.shown(&id).unwrap().spec.log_driver.clone();
            if wish == "fanout" {
                until("far away", || d.stage.far.lines(id.as_str()).last() == Some(&"49".to_owned())).await;
            } else {
                assert_eq!(d.stage.file.lines(id.as_str()), numbers(0, 50), "{verb}");
            }
        });
    }
}

#[test]
fn actors_that_panic_amid_changes_lose_no_line() {
    daemon(|d| async move {
        let id = d.started("web", spec()).await;
        let mut written = 0;
        for round in 0..12 {
            let name = ["local", "json-file", "remote"][round % 3];
            match round % 4 {
                0 => drop(d.registry.inject("sink", 1)),
                1 => drop(d.registry.inject(&format!("router:{id}"), 1)),
                2 => drop(d.inject_at(&format!("container:{}", id.short()), "Updated", 1)),
                _ => {}
            }
            write(&d, &id, written, written + 25);
            written += 25;
            let changed = again(|| d.update(&id, driver(name))).await;
            assert!(changed.is_ok() || round % 4 == 2, "{changed:?}");
            d.comes_to(&id, Status::Running).await;
        }
        until("read", || true).await;
        let mut lines = Vec::new();
        for _ in 0..2000 {
            lines = read(&d, &id, all()).await;
            if lines.len() >= written {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(lines, numbers(0, written));
    });
}

#[test]
fn the_mode_is_told_to_the_shim_and_taken_back_when_the_change_fails() {
    daemon(|d| async move {
        let id = d.started("web", spec()).await;
        let mode = with("json-file", &[("mode", "non-blocking")]);
        d.update(&id, mode.clone()).await.unwrap();
        assert_eq!(d.shown(&id).unwrap().spec.when_full(), WhenFull::Drop);
        assert_eq!(d.world().script.calls("set_when_full", id.as_str()), 1);
        d.world().script.fail("save_spec", Kind::Exhausted, "no");
        d.update(&id, driver("json-file")).await.unwrap_err();
        assert_eq!(d.world().script.calls("set_when_full", id.as_str()), 3);
        // A shim of an older gantry.
        d.world().script.fail("set_when_full", Kind::Unsupported, "an older shim");
        let error = d.update(&id, driver("json-file")).await.unwrap_err();
        assert!(error.text.ends_with("an older shim"), "{error}");
        assert_eq!(d.shown(&id).unwrap().spec.when_full(), WhenFull::Drop);
        assert_eq!(d.world().script.calls("set_when_full", id.as_str()), 5, "it may have heard it");
    });
}

#[test]
fn a_file_whose_write_hangs_is_not_opened_again_beside_it_when_the_change_is_refused() {
    daemon(|d| async move {
        let held = d.world().script.hold("deliver:file");
        let id = d.started("web", spec()).await;
        write(&d, &id, 0, 5);
        until("it writes", || d.world().script.calls("deliver:file", id.as_str()) == 1).await;
        let opened = d.world().script.calls("open:file", id.as_str());
        let error = d.update(&id, driver("local")).await.unwrap_err();
        assert!(error.text.ends_with("has not come to the end of a write"), "{error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(d.world().script.calls("open:file", id.as_str()), opened);
        drop(held);
        write(&d, &id, 5, 9);
        until("stored", || d.stage.file.lines(id.as_str()) == numbers(0, 9)).await;
    });
}

#[test]
fn a_follower_that_fell_behind_has_the_lines_of_a_driver_that_came_and_went_meanwhile() {
    daemon(|d| async move {
        let id = d.started("web", spec()).await;
        write(&d, &id, 0, 10);
        let lines = d.logs(&id, LogsRequest { follow: true, ..all() }).await.unwrap();
        write(&d, &id, 10, 40);
        for (round, name) in ["local", "json-file"].into_iter().enumerate() {
            d.update(&id, driver(name)).await.unwrap();
            write(&d, &id, 40 + round * 40, 80 + round * 40);
        }
        until("stored", || d.stage.file.lines(id.as_str()).last() == Some(&"119".to_owned())).await;
        until("let go of", || d.world().spools.of(id.as_str()).segments() <= 2).await;
        d.world().runtime.exit(id.as_str(), 0);
        assert_eq!(rest(lines).await, numbers(0, 120));
    });
}

#[test]
fn what_a_change_that_failed_wanted_is_neither_shown_nor_in_the_one_after_it() {
    daemon(|d| async move {
        let id = d.started("web", spec()).await;
        let held = d.world().script.hold("open:other");
        d.world().script.fail("save_spec", Kind::Exhausted, "no");
        let ask = |changes| {
            let (changing, of) = (d.clone(), id.clone());
            tokio::spawn(async move { changing.update(&of, changes).await })
        };
        let first = ask(driver("local"));
        until("it is under way", || d.world().script.calls("open:other", id.as_str()) == 1).await;
        d.container(&id).unwrap().push(crate::container::messages::ExecChanged {}).await.unwrap();
        until("it is shown", || d.shown(&id).unwrap().spec.log_driver == "local").await;
        let second = ask(Changes { restart: Some(("always".into(), 0)), ..Changes::default() });
        tokio::time::sleep(Duration::from_millis(20)).await;
        drop(held);
        first.await.unwrap().unwrap_err();
        assert_eq!(d.shown(&id).unwrap().spec.log_driver, "json-file");
        second.await.unwrap().unwrap();
        let record = d.world().records.get(id.as_str()).unwrap().spec;
        assert_eq!((record.log_driver.as_str(), record.restart.0.as_str()), ("json-file", "always"));
    });
}

#[test]
fn a_change_that_ends_while_its_actor_is_rebuilt_shows_no_container_without_an_id() {
    daemon(|d| async move {
        let id = d.started("web", spec()).await;
        let held = d.world().script.hold("open:other");
        let (changing, of) = (d.clone(), id.clone());
        let change = tokio::spawn(async move { changing.update(&of, driver("local")).await });
        until("it is under way", || d.world().script.calls("open:other", id.as_str()) == 1).await;
        d.panicked(&id).await;
        drop(held);
        change.await.unwrap().unwrap();
        until("adopted", || d.shown(&id).is_some_and(|s| s.spec.log_driver == "local")).await;
        assert_eq!(d.list().len(), 1);
    });
}
