//! Restart policies, over panics and the daemon's end.

use super::stage::*;
use crate::Status;
use contract::record::{Backoff, ContainerSpec};
use contract::{ContainerId, Kind};
use std::time::Duration;

/// Its restarts take longer than a test.
fn patient(name: &str) -> ContainerSpec {
    let pause = Duration::from_secs(3600);
    ContainerSpec { backoff: Backoff { min: pause, max: pause, ..Backoff::default() }, ..policy(name) }
}

fn named(d: &Daemon, name: &str) -> ContainerId {
    ContainerId::new(d.find(name).unwrap().spec.id.clone())
}

fn count(d: &Daemon, id: &ContainerId) -> i64 {
    d.shown(id).unwrap().state.restart_count
}

#[test]
fn a_stop_during_the_pause_holds_over_a_panic_and_a_new_daemon() {
    let stage = Stage::new();
    stage.daemon(|d| async move {
        let id = d.started("web", patient("unless-stopped")).await;
        d.world().runtime.exit(id.as_str(), 1);
        d.comes_to(&id, Status::Restarting).await;
        assert!(d.stop(&id, None, None).await.unwrap());
        d.panicked(&id).await;
        d.comes_to(&id, Status::Exited).await;
        d.settle(Duration::from_secs(5)).await;
    });
    stage.daemon(|d| async move {
        let id = named(&d, "web");
        assert_eq!(d.status(&id), Some(Status::Exited));
        d.remove(&id, false, false).await.unwrap();
        d.bare().await;
    });
}

#[test]
fn a_pause_is_cut_short_by_a_new_daemon_and_counts_once() {
    let stage = Stage::new();
    stage.daemon(|d| async move {
        let id = d.started("web", patient("on-failure")).await;
        d.world().runtime.exit(id.as_str(), 1);
        d.comes_to(&id, Status::Restarting).await;
        assert_eq!(count(&d, &id), 1);
        d.settle(Duration::from_secs(5)).await;
    });
    stage.daemon(|d| async move {
        let id = named(&d, "web");
        d.comes_to(&id, Status::Running).await;
        assert_eq!(count(&d, &id), 1);
        d.remove(&id, true, false).await.unwrap();
        d.bare().await;
    });
}

#[test]
fn a_reboot_brings_back_what_its_policy_wants_without_counting() {
    let stage = Stage::new();
    let all = ["no", "always", "unless-stopped", "on-failure"];
    stage.daemon(|d| async move {
        for name in all {
            d.started(&format!("c-{name}"), patient(name)).await;
        }
        d.settle(Duration::from_secs(5)).await;
        for name in all {
            d.world().runtime.lose(named(&d, &format!("c-{name}")).as_str());
        }
    });
    stage.daemon(|d| async move {
        for name in all {
            let id = named(&d, &format!("c-{name}"));
            let wanted = if name == "no" { Status::Exited } else { Status::Running };
            d.comes_to(&id, wanted).await;
            assert_eq!(count(&d, &id), 0, "{name}");
            d.remove(&id, true, false).await.unwrap();
        }
        d.bare().await;
    });
}

#[test]
fn one_whose_restart_failed_is_tried_again_by_the_next_daemon() {
    let stage = Stage::new();
    stage.daemon(|d| async move {
        let id = d.started("web", policy("unless-stopped")).await;
        d.world().script.fail("ensure_created", Kind::Exhausted, "no room");
        d.world().runtime.exit(id.as_str(), 1);
        d.comes_to(&id, Status::Exited).await;
        assert!(d.shown(&id).unwrap().state.error.contains("no room"));
        d.settle(Duration::from_secs(5)).await;
    });
    stage.daemon(|d| async move {
        let id = named(&d, "web");
        d.comes_to(&id, Status::Running).await;
        d.remove(&id, true, false).await.unwrap();
        d.bare().await;
    });
}
