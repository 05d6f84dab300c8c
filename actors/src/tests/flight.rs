//! Actors panic while an operation is half done: whoever asked hears of it, and nothing is done twice or lost.

use super::stage::*;
use crate::container::messages::WaitCondition;
use crate::{Engine, Status};
use contract::{ContainerId, Kind, PortError};
use std::sync::Arc;
use tokio::task::JoinHandle;

/// Runs one operation beside the test.
fn beside<T: Send + 'static, F: Future<Output = Result<T, PortError>> + Send + 'static>(
    d: &Arc<Daemon>,
    id: &ContainerId,
    work: impl FnOnce(Engine, ContainerId) -> F,
) -> JoinHandle<Result<T, PortError>> {
    tokio::spawn(work(d.engine.clone(), id.clone()))
}

async fn unavailable<T: std::fmt::Debug>(asked: JoinHandle<Result<T, PortError>>) {
    assert_eq!(asked.await.unwrap().unwrap_err().kind, Kind::Unavailable);
}

#[test]
fn a_start_in_flight_is_answered_and_neither_lost_nor_doubled() {
    daemon(|d| async move {
        let id = d.made("web", spec()).await;
        let held = d.world().script.hold("ensure_started");
        let start = beside(&d, &id, |e, id| async move { e.start(&id).await });
        until("under way", || d.world().script.calls("ensure_started", id.as_str()) == 1).await;
        d.panicked(&id).await;
        unavailable(start).await;
        let second = beside(&d, &id, |e, id| async move { e.start(&id).await });
        drop(held);
        assert!(!second.await.unwrap().unwrap(), "it runs by then");
        assert_eq!(d.world().runtime.starts(id.as_str()), 1);
        assert_eq!(d.status(&id), Some(Status::Running));
        assert!(d.shown(&id).unwrap().pid > 0);
        d.remove(&id, true, false).await.unwrap();
        d.bare().await;
    });
}

#[test]
fn a_failing_start_in_flight_ends_its_waiters_and_removes_what_removes_itself() {
    daemon(|d| async move {
        let id = d.made("web", removed_at_its_end()).await;
        let removed = tokio::spawn(d.wait(&id, WaitCondition::Removed).await.unwrap());
        let next = tokio::spawn(d.wait(&id, WaitCondition::NextExit).await.unwrap());
        let held = d.world().script.hold("ensure_created");
        d.world().script.fail("ensure_started", Kind::NotFound, "nosuch");
        let start = beside(&d, &id, |e, id| async move { e.start(&id).await });
        until("under way", || d.world().script.calls("ensure_created", id.as_str()) == 1).await;
        d.panicked(&id).await;
        drop(held);
        unavailable(start).await;
        assert_eq!(next.await.unwrap().unwrap(), 127);
        assert_eq!(removed.await.unwrap().unwrap(), 127);
        d.gone(&id).await;
        d.bare().await;
    });
}

#[test]
fn a_stop_in_flight_is_answered_and_the_container_is_still_known() {
    daemon(|d| async move {
        d.world().runtime.ignore(&[15]);
        let id = d.started("web", spec()).await;
        let stop = beside(&d, &id, |e, id| async move { e.stop(&id, Some(-1), None).await });
        until("signalled", || d.world().runtime.signals(id.as_str()) == [15]).await;
        d.panicked(&id).await;
        unavailable(stop).await;
        assert_eq!(d.status(&id), Some(Status::Running));
        let stop = beside(&d, &id, |e, id| async move { e.stop(&id, Some(0), None).await });
        assert!(stop.await.unwrap().unwrap());
        d.remove(&id, false, false).await.unwrap();
        d.bare().await;
    });
}

#[test]
fn a_stop_that_was_begun_keeps_the_policy_from_restarting() {
    daemon(|d| async move {
        d.world().runtime.ignore(&[15]);
        let id = d.started("web", policy("unless-stopped")).await;
        let stop = beside(&d, &id, |e, id| async move { e.stop(&id, Some(-1), None).await });
        until("signalled", || d.world().runtime.signals(id.as_str()) == [15]).await;
        until("noted", || d.world().records.get(id.as_str()).unwrap().state.stopped).await;
        d.panicked(&id).await;
        unavailable(stop).await;
        d.world().runtime.exit(id.as_str(), 0);
        d.comes_to(&id, Status::Exited).await;
        assert_eq!(d.world().runtime.starts(id.as_str()), 1);
    });
}

#[test]
fn a_restart_that_is_overtaken_by_a_kill_or_a_stop_is_answered() {
    // Its asker waited for ever: nothing was started any more.
    daemon(|d| async move {
        d.world().runtime.ignore(&[15]);
        for overtaker in ["kill", "stop", "remove"] {
            let id = d.started("web", spec()).await;
            let restart = beside(&d, &id, |e, id| async move { e.restart(&id, Some(-1), None).await });
            until("signalled", || d.world().runtime.signals(id.as_str()) == [15]).await;
            match overtaker {
                "kill" => d.kill(&id, "KILL").await.unwrap(),
                "stop" => assert!(d.stop(&id, Some(0), None).await.unwrap()),
                _ => d.remove(&id, true, false).await.unwrap(),
            }
            restart.await.unwrap().unwrap();
            if overtaker != "remove" {
                assert_eq!(d.status(&id), Some(Status::Exited));
                d.remove(&id, false, false).await.unwrap();
            }
        }
        d.bare().await;
    });
}

#[test]
fn a_kill_in_flight_is_answered() {
    daemon(|d| async move {
        let id = d.started("web", spec()).await;
        let held = d.world().script.hold("signal");
        let kill = beside(&d, &id, |e, id| async move { e.kill(&id, "KILL").await });
        until("under way", || d.world().script.calls("signal", id.as_str()) == 1).await;
        d.panicked(&id).await;
        unavailable(kill).await;
        drop(held);
        d.comes_to(&id, Status::Exited).await;
        assert_eq!(d.shown(&id).unwrap().state.exit_code, 137);
    });
}

#[test]
fn a_removal_in_flight_is_answered_and_goes_on() {
    daemon(|d| async move {
        for force in [false, true] {
            let id = if force { d.started("web", spec()).await } else { d.made("web", spec()).await };
            let removed = tokio::spawn(d.wait(&id, WaitCondition::Removed).await.unwrap());
            let mut live = d.subscribe().await.unwrap().1;
            let held = d.world().script.hold("remove_root");
            let removal = beside(&d, &id, move |e, id| async move { e.remove(&id, force, false).await });
            until("under way", || d.world().script.calls("remove_root", id.as_str()) == 1).await;
            d.panicked(&id).await;
            unavailable(removal).await;
            drop(held);
            d.gone(&id).await;
            removed.await.unwrap().unwrap();
            assert_eq!(actions(&mut live, "destroy").await.iter().filter(|a| *a == "destroy").count(), 1);
        }
        d.made("web", spec()).await;
    });
}

#[test]
fn a_forced_removal_whose_process_lives_is_answered_and_can_be_repeated() {
    daemon(|d| async move {
        let id = d.started("web", spec()).await;
        let held = d.world().script.hold("signal");
        let removal = beside(&d, &id, |e, id| async move { e.remove(&id, true, false).await });
        until("under way", || d.world().script.calls("signal", id.as_str()) == 1).await;
        d.panicked(&id).await;
        unavailable(removal).await;
        d.remove(&id, true, false).await.unwrap();
        drop(held);
        d.bare().await;
    });
}

#[test]
fn a_container_that_removes_itself_is_removed_whatever_panics() {
    daemon(|d| async move {
        for handler in ["Exited", "RemoveDone"] {
            let id = d.started("web", removed_at_its_end()).await;
            let removed = tokio::spawn(d.wait(&id, WaitCondition::Removed).await.unwrap());
            let name = format!("container:{}", id.short());
            let watch = d.registry.watch(&name);
            d.inject_at(&name, handler, 1);
            d.world().runtime.exit(id.as_str(), 5);
            d.gone(&id).await;
            assert_eq!(removed.await.unwrap().unwrap(), 5);
            assert_eq!(watch(), 0);
        }
        d.bare().await;
    });
}

#[test]
fn an_end_during_the_rebuilding_is_noticed() {
    daemon(|d| async move {
        for policy_name in ["no", "always"] {
            let id = d.started("web", policy(policy_name)).await;
            let next = tokio::spawn(d.wait(&id, WaitCondition::NextExit).await.unwrap());
            let name = format!("container:{}", id.short());
            d.inject_at(&name, "ExecChanged", 1);
            let link = d.container(&id).unwrap();
            let _panicking = link.push(crate::container::messages::ExecChanged {}).await;
            until("down", || link.state() == crate::supervise::State::Restarting).await;
            d.world().runtime.exit(id.as_str(), 3);
            assert_eq!(next.await.unwrap().unwrap(), 3);
            if policy_name == "always" {
                until("restarted", || d.world().runtime.starts(id.as_str()) == 2).await;
            }
            again(|| d.remove(&id, true, false)).await.unwrap();
        }
        d.bare().await;
    });
}

#[test]
fn an_address_in_flight_is_not_handed_out_twice() {
    daemon(|d| async move {
        let (one, two) = (d.made("one", spec()).await, d.made("two", spec()).await);
        let held = d.world().script.hold("ensure_created");
        let start = beside(&d, &one, |e, id| async move { e.start(&id).await });
        until("leased", || d.leases().len() == 1).await;
        let before = d.respawns("network:gantry0");
        assert_eq!(d.inject_at("network", "Reserve", 1), 1);
        again(|| d.start(&two)).await.unwrap();
        assert!(d.respawns("network:gantry0") > before);
        drop(held);
        start.await.unwrap().unwrap();
        let addresses = d.world().networks.addresses();
        assert_ne!(addresses[one.as_str()], addresses[two.as_str()]);
        for id in [one, two] {
            d.remove(&id, true, false).await.unwrap();
        }
        d.bare().await;
    });
}

#[test]
fn a_name_in_flight_is_not_given_twice() {
    daemon(|d| async move {
        let held = d.world().script.hold("create");
        let creating = d.clone();
        let first = tokio::spawn(async move { creating.create(Some("web".into()), spec()).await });
        until("it is under way", || d.world().script.all_calls("create") == 1).await;
        assert_eq!(d.inject_at("containers", "ClaimName", 1), 1);
        let error = d.create(Some("web".into()), spec()).await.unwrap_err();
        assert_eq!(error.kind, Kind::Conflict, "{}", error.text);
        assert_eq!(d.respawns("containers"), 1);
        drop(held);
        first.await.unwrap().unwrap();
        assert_eq!(d.list().len(), 1);
    });
}

/// A client that leaves must not leave a claimed name, a half made record or a container without its actor.
#[test]
fn an_operation_whose_client_leaves_goes_on_to_its_end() {
    daemon(|d| async move {
        let held = d.world().script.hold("create");
        let creating = d.clone();
        let left = tokio::spawn(async move { creating.create(Some("web".into()), spec()).await });
        until("it is under way", || d.world().script.all_calls("create") == 1).await;
        left.abort();
        assert!(left.await.unwrap_err().is_cancelled());
        drop(held);
        until("it is made all the same", || d.find("web").is_ok()).await;
        let id = ContainerId::new(d.find("web").unwrap().spec.id.clone());
        let held = d.world().script.hold("save_state");
        let renaming = beside(&d, &id, |e, id| async move { e.rename(&id, "site").await });
        until("under way", || d.world().script.calls("save_state", id.as_str()) == 1).await;
        renaming.abort();
        drop(held);
        until("renamed", || d.world().records.get(id.as_str()).unwrap().state.name == "site").await;
        d.made("web", spec()).await;
    });
}

#[test]
fn exec_sessions_outlive_their_containers_actor() {
    daemon(|d| async move {
        let id = d.started("web", spec()).await;
        let asked = contract::runtime::ExecSpec { args: vec!["sh".into()], ..Default::default() };
        let exec = d.exec_create(&id, asked.clone()).unwrap();
        d.exec_run(&exec, false).await.unwrap();
        assert_eq!(d.exec_run(&exec, false).await.err().unwrap().kind, Kind::Conflict);
        d.panicked(&id).await;
        until("it is shown again", || d.shown(&id).is_some_and(|s| s.execs == [exec.as_str()])).await;
        let waiting = d.clone();
        let own = exec.clone();
        let ended = tokio::spawn(async move { waiting.exec_ended(&own).await });
        d.world().runtime.exit(id.as_str(), 0);
        ended.await.unwrap();
        assert_eq!(d.exec_inspect(&exec).await.unwrap().exit_code, Some(137));
        d.comes_to(&id, Status::Exited).await;
        until("none runs", || d.shown(&id).unwrap().execs.is_empty()).await;
        let error = d.exec_create(&id, asked).unwrap_err();
        assert_eq!(error.text, format!("container {id} is not running"));
        d.remove(&id, false, false).await.unwrap();
        assert_eq!(d.exec_inspect(&exec).await.unwrap_err().text, format!("No such exec instance: {exec}"));
    });
}
