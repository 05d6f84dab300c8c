//! Health checks: probed one at a time, over panics, pauses and the daemon's end.

use super::stage::*;
use crate::Status;
use contract::ContainerId;
use contract::record::{ContainerSpec, Health, HealthState, Wellbeing};
use std::sync::Arc;
use std::time::Duration;

/// Probed all the time.
fn checked(timeout: Duration) -> ContainerSpec {
    let timeout_ns = i64::try_from(timeout.as_nanos()).unwrap();
    let health = Health {
        test: vec!["CMD".into(), "check".into()],
        args: vec!["check".into()],
        interval_ns: 1_000_000,
        timeout_ns,
        retries: 2,
        ..Health::default()
    };
    ContainerSpec { health: Some(health), ..spec() }
}

const PATIENT: Duration = Duration::from_secs(30);

fn health(d: &Daemon, id: &ContainerId) -> HealthState {
    d.shown(id).and_then(|s| s.state.health.clone()).expect("a health")
}

/// The probe that runs now.
async fn probe(d: &Daemon, id: &ContainerId) -> String {
    until("a probe runs", || !d.shown(id).unwrap().execs.is_empty()).await;
    let execs = d.shown(id).unwrap().execs.clone();
    assert_eq!(execs.len(), 1, "one probe at a time");
    execs[0].clone()
}

/// Lets the probe that runs now, or next, end so.
async fn probed(d: &Daemon, id: &ContainerId, code: i32) {
    let exec = probe(d, id).await;
    d.world().runtime.exec_exit(id.as_str(), &exec, code);
    until("it is over", || !d.shown(id).unwrap().execs.contains(&exec)).await;
}

async fn comes_to(d: &Daemon, id: &ContainerId, wanted: Wellbeing) {
    until("its health", || health(d, id).status == wanted).await;
}

async fn over(d: Arc<Daemon>, id: ContainerId) {
    d.remove(&id, true, false).await.unwrap();
    d.bare().await;
}

#[test]
fn probes_tell_whether_it_is_healthy_and_only_changes_are_events() {
    daemon(|d| async move {
        let id = d.made("web", checked(PATIENT)).await;
        assert_eq!(d.shown(&id).unwrap().state.health, None, "nothing is known before a start");
        d.start(&id).await.unwrap();
        assert_eq!(health(&d, &id).status, Wellbeing::Starting);
        let mut live = d.subscribe().await.unwrap().1;
        for code in [0, 0, 1, 1, 0] {
            probed(&d, &id, code).await;
        }
        let mut told = Vec::new();
        while told.len() < 3 {
            let next = tokio::time::timeout(Duration::from_secs(20), live.recv()).await;
            let action = next.expect("an event").unwrap().action;
            told.extend(Some(action).filter(|a| a.starts_with("health_status")));
        }
        assert_eq!(told, ["healthy", "unhealthy", "healthy"].map(|w| format!("health_status: {w}")));
        until("five are kept", || health(&d, &id).log.len() == 5).await;
        let codes: Vec<i32> = health(&d, &id).log.iter().map(|p| p.exit_code).collect();
        assert_eq!(codes, [0, 0, 1, 1, 0]);
        over(d, id).await;
    });
}

#[test]
fn a_probe_over_its_time_is_killed_before_the_next_begins() {
    daemon(|d| async move {
        let id = d.started("web", checked(Duration::from_millis(20))).await;
        comes_to(&d, &id, Wellbeing::Unhealthy).await;
        let last = health(&d, &id).log.last().unwrap().clone();
        assert_eq!((last.exit_code, last.output.as_str()), (-1, "Health check exceeded timeout (20ms)"));
        assert!(d.shown(&id).unwrap().execs.len() <= 1, "those killed are gone");
        over(d, id).await;
    });
}

#[test]
fn a_probe_that_cannot_be_started_counts_as_failed() {
    daemon(|d| async move {
        let id = d.made("web", checked(PATIENT)).await;
        for _ in 0..2 {
            d.world().script.fail("exec", contract::Kind::NotFound, "exec: \"check\": not found");
        }
        d.start(&id).await.unwrap();
        comes_to(&d, &id, Wellbeing::Unhealthy).await;
        let log = health(&d, &id).log;
        assert!(log[0].output.contains("not found") && log[0].exit_code == -1, "{log:?}");
        over(d, id).await;
    });
}

#[test]
fn a_paused_container_is_not_probed_and_its_next_probe_comes_when_it_goes_on() {
    daemon(|d| async move {
        let id = d.started("web", checked(PATIENT)).await;
        probed(&d, &id, 0).await;
        comes_to(&d, &id, Wellbeing::Healthy).await;
        let running = probe(&d, &id).await;
        d.pause(&id).await.unwrap();
        assert_eq!(health(&d, &id).status, Wellbeing::Unhealthy, "Docker's word for one that is not probed");
        d.world().runtime.exec_exit(id.as_str(), &running, 0);
        let calls = d.world().script.calls("exec", id.as_str());
        tokio::time::sleep(Duration::from_millis(30)).await;
        assert_eq!(d.world().script.calls("exec", id.as_str()), calls);
        assert_eq!(health(&d, &id).status, Wellbeing::Unhealthy, "what was begun before tells nothing");
        d.unpause(&id).await.unwrap();
        probed(&d, &id, 0).await;
        comes_to(&d, &id, Wellbeing::Healthy).await;
        over(d, id).await;
    });
}

#[test]
fn probes_stop_with_their_container_and_begin_anew_with_it() {
    daemon(|d| async move {
        let id = d.started("web", checked(PATIENT)).await;
        probed(&d, &id, 0).await;
        comes_to(&d, &id, Wellbeing::Healthy).await;
        probe(&d, &id).await;
        d.stop(&id, Some(0), None).await.unwrap();
        d.comes_to(&id, Status::Exited).await;
        until("its probe is over", || d.shown(&id).unwrap().execs.is_empty()).await;
        assert_eq!(health(&d, &id).status, Wellbeing::Unhealthy);
        d.start(&id).await.unwrap();
        assert_eq!((health(&d, &id).status, health(&d, &id).failing_streak), (Wellbeing::Starting, 0));
        probed(&d, &id, 0).await;
        comes_to(&d, &id, Wellbeing::Healthy).await;
        over(d, id).await;
    });
}

#[test]
fn an_actor_that_panics_at_each_of_its_handlers_goes_on_probing() {
    for handler in ["ProbeDue", "Probed", "ExecChanged", "StartDone", "Frozen"] {
        daemon(|d| async move {
            let id = d.made("web", checked(PATIENT)).await;
            let name = format!("container:{}", id.short());
            if handler == "StartDone" {
                assert_eq!(d.inject_at(&name, handler, 1), 1);
            }
            again(|| d.start(&id)).await.unwrap();
            d.comes_to(&id, Status::Running).await;
            until("a health", || d.shown(&id).unwrap().state.health.is_some()).await;
            if handler == "Frozen" {
                assert_eq!(d.inject_at(&name, handler, 1), 1);
                again(|| d.pause(&id)).await.ok();
                d.comes_to(&id, Status::Paused).await;
                again(|| d.unpause(&id)).await.ok();
                d.comes_to(&id, Status::Running).await;
            } else if handler != "StartDone" {
                assert_eq!(d.inject_at(&name, handler, 1), 1);
            }
            for _ in 0..3 {
                probed(&d, &id, 0).await;
            }
            comes_to(&d, &id, Wellbeing::Healthy).await;
            assert_eq!(d.respawns(&name), 1, "{handler}");
            over(d, id).await;
        });
    }
}

#[test]
fn a_probe_under_way_when_its_actor_panics_holds_up_the_next() {
    daemon(|d| async move {
        let id = d.started("web", checked(PATIENT)).await;
        let running = probe(&d, &id).await;
        d.panicked(&id).await;
        tokio::time::sleep(Duration::from_millis(30)).await;
        assert_eq!(probe(&d, &id).await, running, "one at a time");
        probed(&d, &id, 1).await;
        probed(&d, &id, 0).await;
        comes_to(&d, &id, Wellbeing::Healthy).await;
        over(d, id).await;
    });
}

#[test]
fn a_daemon_that_comes_back_knows_the_verdict_and_goes_on_probing() {
    let stage = Stage::new();
    stage.daemon(|d| async move {
        let made = d.started("web", checked(PATIENT)).await;
        probed(&d, &made, 0).await;
        comes_to(&d, &made, Wellbeing::Healthy).await;
        d.settle(Duration::from_secs(5)).await;
    });
    stage.daemon(|d| async move {
        let made = ContainerId::new(d.find("web").unwrap().spec.id.clone());
        assert_eq!(health(&d, &made).status, Wellbeing::Healthy);
        for _ in 0..2 {
            probed(&d, &made, 1).await;
        }
        comes_to(&d, &made, Wellbeing::Unhealthy).await;
        over(d, made).await;
    });
}
