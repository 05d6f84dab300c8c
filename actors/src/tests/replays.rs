//! Stored lines sent elsewhere, and drivers tried out.

use super::stage::*;
use crate::{LogsRequest, ReplayNews, ReplayProgress};
use contract::log::Options;
use contract::{ContainerId, Kind};
use std::time::Duration;
use tokio::sync::mpsc;

fn all() -> LogsRequest {
    LogsRequest { stdout: true, stderr: true, ..LogsRequest::default() }
}

async fn written(d: &Daemon, count: usize) -> ContainerId {
    let id = d.started("web", spec()).await;
    for n in 0..count {
        d.world().runtime.write(id.as_str(), &format!("{n}\n"));
    }
    until("stored", || d.stage.file.lines(id.as_str()).len() == count).await;
    id
}

async fn end(news: &mut mpsc::Receiver<ReplayNews>) -> ReplayProgress {
    while let Some(told) = news.recv().await {
        if let ReplayNews::Over(progress) = told {
            return progress;
        }
    }
    panic!("it ended without a word");
}

#[test]
fn stored_lines_go_to_another_driver_once_each_and_what_fails_is_sent_again() {
    daemon(|d| async move {
        let id = written(&d, 20).await;
        for _ in 0..2 {
            d.world().script.fail("deliver:far", Kind::Unavailable, "away");
        }
        d.world().script.fail("deliver:far", Kind::Bug, "broken");
        let options = Options::new();
        let mut news = d.replay(&id, all(), ("far", &options), Duration::from_secs(30)).await.unwrap();
        let progress = end(&mut news).await;
        assert_eq!((progress.lines, progress.retries, progress.error), (20, 3, None));
        assert_eq!(d.stage.far.lines(id.as_str()), d.stage.file.lines(id.as_str()));
        until("its actor has gone", || !d.actors().iter().any(|a| a.kind == "replay")).await;
    });
}

#[test]
fn a_replay_whose_client_leaves_ends_and_closes_its_driver() {
    daemon(|d| async move {
        let id = written(&d, 5).await;
        let _held = d.world().script.hold("deliver:far");
        let options = Options::new();
        let news = d.replay(&id, all(), ("far", &options), Duration::from_secs(30)).await.unwrap();
        until("it is under way", || d.world().script.calls("deliver:far", id.as_str()) == 1).await;
        drop(news);
        until("it has ended", || !d.actors().iter().any(|a| a.kind == "replay")).await;
        until("its driver is closed", || d.world().script.calls("close", id.as_str()) == 1).await;
    });
}

#[test]
fn a_replay_to_a_driver_that_panics_or_never_takes_anything_says_so() {
    daemon(|d| async move {
        let id = written(&d, 5).await;
        let options = Options::new();
        d.world().script.fail("deliver:far", Kind::Bug, "panic");
        let mut news = d.replay(&id, all(), ("far", &options), Duration::from_secs(30)).await.unwrap();
        let error = end(&mut news).await.error.unwrap();
        assert!(error.contains("a driver's own panic"), "{error}");
        for _ in 0..9 {
            d.world().script.fail("deliver:far", Kind::Unavailable, "away");
        }
        let mut news = d.replay(&id, all(), ("far", &options), Duration::from_millis(300)).await.unwrap();
        let progress = end(&mut news).await;
        assert!(progress.lines == 0 && progress.error.unwrap().contains("away"));
        let refused =
            d.replay(&id, all(), ("json-file", &options), Duration::from_secs(1)).await.unwrap_err();
        assert!(refused.text.starts_with("replay: json-file sends lines nowhere"), "{refused}");
    });
}

#[test]
fn a_probe_tells_what_became_of_it_and_leaves_nothing() {
    daemon(|d| async move {
        let options = Options::new();
        let probe =
            async |name: &str| d.probe_log(name, &options, Duration::from_secs(30)).await.unwrap().remove(0);
        assert!(probe("far").await.outcome.is_ok());
        assert!(probe("json-file").await.outcome.is_ok());
        d.world().script.fail("deliver:far", Kind::Unavailable, "connection refused");
        assert_eq!(probe("far").await.outcome.unwrap_err(), ["connection refused"]);
        d.world().script.fail("deliver:far", Kind::Bug, "panic");
        assert_eq!(probe("far").await.outcome.unwrap_err()[0], "the driver panicked");
        let _held = d.world().script.hold("deliver:far");
        let hung = d.probe_log("far", &options, Duration::from_millis(300)).await.unwrap().remove(0);
        assert_eq!(hung.outcome.unwrap_err(), ["no answer within 0.3 s"]);
        assert!(d.log_drivers().await.iter().any(|one| one.name == "far" && !one.readable));
    });
}

#[test]
fn a_replay_whose_receiver_never_answers_is_given_up_when_its_time_is_over() {
    daemon(|d| async move {
        let id = written(&d, 5).await;
        let _held = d.world().script.hold("deliver:far");
        let options = Options::new();
        let mut news = d.replay(&id, all(), ("far", &options), Duration::from_millis(100)).await.unwrap();
        let progress = end(&mut news).await;
        assert_eq!((progress.lines, progress.error.as_deref()), (0, Some("no answer within 0.1 s")));
    });
}
