//! Output on its way to sinks and readers.

use super::stage::*;
use crate::log::Lines;
use crate::supervise::State;
use crate::{LogsRequest, Status};
use contract::record::ContainerSpec;
use contract::{ContainerId, Kind};
use std::time::Duration;

fn remote() -> ContainerSpec {
    ContainerSpec { log_driver: "remote".into(), ..spec() }
}

fn all() -> LogsRequest {
    LogsRequest { stdout: true, stderr: true, ..LogsRequest::default() }
}

fn follow() -> LogsRequest {
    LogsRequest { follow: true, ..all() }
}

async fn read(d: &Daemon, id: &ContainerId, request: LogsRequest) -> Vec<String> {
    texts(d.logs(id, request).await.unwrap()).await
}

async fn texts(mut lines: Lines) -> Vec<String> {
    let mut out = Vec::new();
    while let Some(lines) = lines.recv().await {
        let lines = lines.unwrap();
        out.extend(lines.iter().map(|l| String::from_utf8_lossy(&l.line.data).trim_end().to_owned()));
    }
    out
}

fn numbers(to: usize) -> Vec<String> {
    (0..to).map(|n| n.to_string()).collect()
}

fn write(d: &Daemon, id: &ContainerId, from: usize, to: usize) {
    for n in from..to {
        d.world().runtime.write(id.as_str(), &format!("{n}\n"));
    }
}

#[test]
fn a_sink_that_is_down_delays_nothing_and_gets_its_lines_when_it_is_back() {
    daemon(|d| async move {
        let held = d.world().script.hold("deliver:remote");
        let id = d.started("web", remote()).await;
        write(&d, &id, 0, 100);
        // Its local copy can be read all the while, also when it has ended.
        until("stored", || d.stage.file.lines(id.as_str()) == numbers(100)).await;
        assert!(d.stop(&id, None, None).await.unwrap());
        assert_eq!(read(&d, &id, all()).await, numbers(100));
        assert!(d.start(&id).await.unwrap());
        assert_eq!(d.list().len(), 1);
        drop(held);
        until("it is back", || d.stage.remote.lines(id.as_str()) == numbers(100)).await;
    });
}

/// Where a reader waited for all sinks, each `logs` of an ended container took two seconds while a remote one was down.
#[test]
fn reading_an_ended_container_does_not_wait_for_a_remote_sink() {
    daemon(|d| async move {
        let _held = d.world().script.hold("deliver:remote");
        let id = d.started("web", remote()).await;
        write(&d, &id, 0, 10);
        d.stop(&id, None, None).await.unwrap();
        // A busy machine may take as long by itself, though not again and again.
        for attempt in 1.. {
            let quick = tokio::time::timeout(Duration::from_millis(1500), read(&d, &id, all())).await;
            if let Ok(lines) = quick {
                assert_eq!(lines, numbers(10));
                return;
            }
            assert!(attempt < 10, "it waited");
        }
    });
}

#[test]
fn removing_a_container_whose_sink_is_stuck_drops_its_lines_and_ends_its_router() {
    daemon(|d| async move {
        let held = d.world().script.hold("deliver:remote");
        let id = d.started("web", remote()).await;
        write(&d, &id, 0, 10);
        until("it is stuck", || d.world().script.calls("deliver:remote", id.as_str()) == 1).await;
        d.remove(&id, true, false).await.unwrap();
        assert!(!d.world().spools.ids().contains(&id.to_string()));
        d.bare().await;
        drop(held);
    });
}

#[test]
fn what_a_sink_that_is_down_has_in_memory_is_bounded() {
    daemon(|d| async move {
        for _ in 0..3 {
            d.world().script.fail("deliver:remote", Kind::Unavailable, "connection refused");
        }
        let _held = d.world().script.hold("open:remote");
        let id = d.started("web", remote()).await;
        write(&d, &id, 0, 400);
        until("stored", || d.stage.file.lines(id.as_str()).len() == 400).await;
        // All of it waits in the spool, none of which may go, and nothing of it was read for the stuck one.
        assert!(d.world().spools.of(id.as_str()).segments() >= 50);
        drop(_held);
        until("arrived", || d.stage.remote.lines(id.as_str()) == numbers(400)).await;
        until("trimmed", || d.world().spools.of(id.as_str()).segments() <= 1).await;
    });
}

#[test]
fn failing_opening_and_panicking_drivers_lose_and_double_nothing() {
    daemon(|d| async move {
        let script = &d.world().script;
        script.fail("open:file", Kind::Unavailable, "no space left on device");
        for text in ["panic", "retry", "fatal"] {
            let kind = if text == "retry" { Kind::Unavailable } else { Kind::Bug };
            script.fail("deliver:file", kind, text);
            script.fail("deliver:remote", kind, text);
        }
        let id = d.started("web", remote()).await;
        write(&d, &id, 0, 50);
        until("in the file", || d.stage.file.lines(id.as_str()) == numbers(50)).await;
        until("far away", || d.stage.remote.lines(id.as_str()) == numbers(50)).await;
    });
}

#[test]
fn following_ends_with_the_run_it_was_asked_for() {
    daemon(|d| async move {
        let id = d.started("web", policy("always")).await;
        let first = tokio::spawn(texts(d.logs(&id, follow()).await.unwrap()));
        write(&d, &id, 0, 30);
        d.world().runtime.exit(id.as_str(), 0);
        assert_eq!(first.await.unwrap(), numbers(30));
        until("restarted", || d.world().runtime.starts(id.as_str()) == 2).await;
        d.comes_to(&id, Status::Running).await;
        // The end of the run before must not end this one, which has written nothing yet.
        let (reading, own) = (d.clone(), id.clone());
        let second = tokio::spawn(async move { read(&reading, &own, follow()).await });
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(!second.is_finished());
        write(&d, &id, 30, 40);
        d.kill(&id, "KILL").await.unwrap();
        assert_eq!(second.await.unwrap(), numbers(40));
        assert_eq!(read(&d, &id, follow()).await, numbers(40), "of what does not run, nothing is waited for");
    });
}

#[test]
fn a_follower_begun_at_any_moment_of_a_short_run_ends_and_has_every_line() {
    daemon(|d| async move {
        for pause in 0..12 {
            let id = d.started("web", spec()).await;
            let (reading, own) = (d.clone(), id.clone());
            let follower = tokio::spawn(async move {
                tokio::time::sleep(Duration::from_micros(pause * 300)).await;
                read(&reading, &own, follow()).await
            });
            write(&d, &id, 0, 20);
            d.world().runtime.exit(id.as_str(), 0);
            let lines =
                tokio::time::timeout(Duration::from_secs(20), follower).await.expect("it hangs").unwrap();
            assert_eq!(lines, numbers(20));
            d.comes_to(&id, Status::Exited).await;
            d.remove(&id, false, false).await.unwrap();
        }
    });
}

#[test]
fn what_is_being_removed_has_no_log_any_more() {
    daemon(|d| async move {
        let id = d.made("web", spec()).await;
        let held = d.world().script.hold("remove_root");
        let (removing, own) = (d.clone(), id.clone());
        let removal = tokio::spawn(async move { removing.remove(&own, false, false).await });
        d.comes_to(&id, Status::Removing).await;
        let error = d.logs(&id, all()).await.unwrap_err();
        assert_eq!(error.text, "can not get logs from container which is dead or marked for removal");
        drop(held);
        removal.await.unwrap().unwrap();
        d.bare().await;
    });
}

#[test]
fn what_only_the_shim_knows_to_be_missing_is_shown_and_is_the_same_once_the_spool_and_the_sink_know() {
    daemon(|d| async move {
        let held = d.world().script.hold("deliver:remote");
        let log_opts = [("mode".to_owned(), "non-blocking".to_owned())].into();
        let id = d.started("web", ContainerSpec { log_opts, ..remote() }).await;
        write(&d, &id, 0, 1);
        until("it hangs", || d.world().script.calls("deliver:remote", id.as_str()) == 1).await;
        let shown = || async {
            let all = d.log_status(None).await.unwrap();
            let remote = all.into_iter().find(|s| s.sink == "remote").unwrap();
            remote.reading.status.losses.dropped.unspooled
        };
        assert_eq!(shown().await, 0);
        d.world().runtime.leave_out(id.as_str(), 700);
        assert_eq!(shown().await, 700);
        d.world().spools.of(id.as_str()).drop_bytes(700);
        d.world().runtime.leave_out(id.as_str(), 0);
        assert_eq!(shown().await, 700, "the spool tells of it now");
        drop(held);
        until("it is told", || d.stage.remote.lines(id.as_str()).len() == 2).await;
        assert_eq!(shown().await, 700);
        d.world().runtime.leave_out(id.as_str(), 5);
        assert_eq!(shown().await, 705);
    });
}

#[test]
fn sinks_whose_router_is_away_are_not_shown_as_it_left_them() {
    // It panicked again and again, and they stood there as idle and up.
    daemon(|d| async move {
        let id = d.started("web", spec()).await;
        write(&d, &id, 0, 1);
        until("stored", || d.stage.file.lines(id.as_str()) == numbers(1)).await;
        let shown = || async { d.log_status(None).await.unwrap().remove(0) };
        while shown().await.reading.status.lines < 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        for nth in 1..8 {
            d.inject_at("router", "started", nth);
        }
        d.inject_at("router", "Report", 1);
        write(&d, &id, 1, 2);
        until("parked", || d.actors().iter().any(|a| a.kind == "router" && a.state == State::Parked)).await;
        let told = shown().await;
        assert_eq!(told.reading.status.word(), "reopening");
        assert!(told.reading.status.last_error.is_some() && told.reading.up_since_ns.is_none());
        assert_eq!(told.lag.map(|lag| lag.lines), Some(1));
    });
}
