//! Answers and texts as Docker gives them.

use super::stage::*;
use crate::{Status, WaitCondition};
use contract::Kind;
use contract::record::{Backoff, ContainerSpec};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

#[test]
fn a_container_that_does_not_run_is_not_stopped_again() {
    daemon(|d| async move {
        let id = d.made("aa", spec()).await;
        assert!(!d.stop(&id, None, None).await.unwrap());
        d.start(&id).await.unwrap();
        assert!(!d.start(&id).await.unwrap());
        assert!(d.stop(&id, None, None).await.unwrap());
        assert!(!d.stop(&id, None, None).await.unwrap());
        assert_eq!(d.shown(&id).unwrap().state.exit_code, 143);
        d.remove(&id, false, false).await.unwrap();
        d.bare().await;
    });
}

#[test]
fn a_stop_during_a_start_waits_for_it_and_then_stops() {
    daemon(|d| async move {
        let id = d.made("aa", spec()).await;
        let held = d.world().script.hold("ensure_started");
        let (starting, stopping) = (d.clone(), d.clone());
        let (one, two) = (id.clone(), id.clone());
        let start = tokio::spawn(async move { starting.start(&one).await });
        until("the start is under way", || d.world().script.calls("ensure_started", id.as_str()) == 1).await;
        let stop = tokio::spawn(async move { stopping.stop(&two, None, None).await });
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!stop.is_finished());
        drop(held);
        assert!(start.await.unwrap().unwrap());
        assert!(stop.await.unwrap().unwrap());
        assert_eq!(d.status(&id), Some(Status::Exited));
    });
}

#[test]
fn killing_with_sigkill_answers_after_the_end_so_that_a_removal_may_follow_at_once() {
    daemon(|d| async move {
        for _ in 0..20 {
            let id = d.started("aa", spec()).await;
            d.kill(&id, "KILL").await.unwrap();
            d.remove(&id, false, false).await.unwrap();
        }
    });
}

#[test]
fn what_does_not_run_is_not_killed() {
    daemon(|d| async move {
        let id = d.made("aa", spec()).await;
        let error = d.kill(&id, "KILL").await.unwrap_err();
        assert_eq!(error.kind, Kind::Conflict);
        assert_eq!(error.text, format!("cannot kill container: aa: container {id} is not running"));
        assert_eq!(d.kill(&id, "NOPE").await.unwrap_err().kind, Kind::Invalid);
    });
}

#[test]
fn a_frozen_container_is_stopped_and_killed_too() {
    daemon(|d| async move {
        for killed in [false, true] {
            let id = d.started("aa", spec()).await;
            d.pause(&id).await.unwrap();
            assert_eq!(d.status(&id), Some(Status::Paused));
            assert_eq!(
                d.remove(&id, false, false).await.unwrap_err().text,
                "cannot remove container \"/aa\": container is paused and must be unpaused first"
            );
            match killed {
                true => d.kill(&id, "KILL").await.unwrap(),
                false => assert!(d.stop(&id, None, None).await.unwrap()),
            }
            d.remove(&id, false, false).await.unwrap();
        }
    });
}

#[test]
fn removals_are_refused_in_dockers_words() {
    daemon(|d| async move {
        let id = d.started("aa", spec()).await;
        let error = d.remove(&id, false, false).await.unwrap_err();
        assert_eq!(error.kind, Kind::Conflict);
        assert_eq!(
            error.text,
            "cannot remove container \"/aa\": container is running: stop the container before removing or force remove"
        );
        let held = d.world().script.hold("remove_root");
        let (removing, own) = (d.clone(), id.clone());
        let first = tokio::spawn(async move { removing.remove(&own, true, false).await });
        d.comes_to(&id, Status::Removing).await;
        let error = d.remove(&id, false, false).await.unwrap_err();
        assert_eq!(
            (error.kind, error.text.as_str()),
            (Kind::Conflict, "removal of container aa is already in progress")
        );
        let error = d.start(&id).await.unwrap_err();
        assert_eq!(error.text, "container is marked for removal and cannot be started");
        drop(held);
        first.await.unwrap().unwrap();
        assert_eq!(d.remove(&id, true, false).await.unwrap_err().kind, Kind::NotFound);
        d.bare().await;
    });
}

#[test]
fn a_failed_removal_reports_every_error_and_can_be_repeated() {
    daemon(|d| async move {
        let id = d.made("aa", spec()).await;
        d.world().script.fail("remove_root", Kind::Bug, "layer is busy");
        d.world().script.fail("runtime_remove", Kind::Bug, "cgroup is busy");
        let error = d.remove(&id, false, false).await.unwrap_err();
        assert_eq!(error.text, "cannot remove container \"/aa\": cgroup is busy; layer is busy");
        assert_eq!(d.status(&id), Some(Status::Dead));
        assert!(d.world().records.get(id.as_str()).is_some(), "without its record nobody could try again");
        assert_eq!(d.start(&id).await.unwrap_err().kind, Kind::Conflict);
        d.remove(&id, false, false).await.unwrap();
        d.bare().await;
    });
}

#[test]
fn names_are_taken_once() {
    daemon(|d| async move {
        let a = d.made("aa", spec()).await;
        let b = d.made("bb", spec()).await;
        let taken = format!(
            "Conflict. The container name \"/aa\" is already in use by container \"{a}\". You have to remove (or rename) \
             that container to be able to reuse that name."
        );
        let error = d.create(Some("aa".into()), spec()).await.unwrap_err();
        assert_eq!((error.kind, &error.text), (Kind::Conflict, &taken));
        let error = d.rename(&b, "aa").await.unwrap_err();
        assert_eq!(error.kind, Kind::Conflict);
        assert_eq!(error.text, format!("Error when allocating new name: {taken}"));
        let error = d.rename(&b, "bb").await.unwrap_err();
        assert_eq!(error.text, "Renaming a container with the same name as its current name");
        d.rename(&a, "cc").await.unwrap();
        d.rename(&b, "aa").await.unwrap();
        assert_eq!(d.find("cc").unwrap().spec.id, a.as_str());
        assert_eq!(d.world().records.get(b.as_str()).unwrap().state.name, "aa");
        d.remove(&b, false, false).await.unwrap();
        d.made("aa", spec()).await;
    });
}

#[test]
fn a_create_that_cannot_be_written_leaves_the_name_free() {
    daemon(|d| async move {
        d.world().script.fail("create", Kind::Exhausted, "no space left on device");
        assert_eq!(d.create(Some("aa".into()), spec()).await.unwrap_err().kind, Kind::Exhausted);
        assert!(d.list().is_empty());
        d.made("aa", spec()).await;
    });
}

#[test]
fn waits_end_as_their_conditions_say() {
    daemon(|d| async move {
        let id = d.made("aa", spec()).await;
        assert_eq!(d.wait(&id, WaitCondition::NotRunning).await.unwrap().await.unwrap(), 0);
        let next = d.wait(&id, WaitCondition::NextExit).await.unwrap();
        d.start(&id).await.unwrap();
        let running = d.wait(&id, WaitCondition::NotRunning).await.unwrap();
        let removed = d.wait(&id, WaitCondition::Removed).await.unwrap();
        d.world().runtime.exit(id.as_str(), 7);
        assert_eq!((next.await.unwrap(), running.await.unwrap()), (7, 7));
        assert_eq!(d.wait(&id, WaitCondition::NotRunning).await.unwrap().await.unwrap(), 7);
        d.remove(&id, false, false).await.unwrap();
        assert_eq!(removed.await.unwrap(), 7);
    });
}

/// Looks at the very moment in which it is woken.
struct Looking {
    finds: Box<dyn Fn() -> bool + Send + Sync>,
    found: AtomicBool,
}

impl Wake for Looking {
    fn wake(self: Arc<Self>) {
        self.found.fetch_or((self.finds)(), Ordering::SeqCst);
    }
}

#[test]
fn who_hears_of_a_removal_does_not_find_the_container_any_more() {
    daemon(|d| async move {
        let id = d.made("aa", spec()).await;
        let mut removed = d.wait(&id, WaitCondition::Removed).await.unwrap();
        let (daemon, own) = (d.clone(), id.clone());
        let finds = Box::new(move || daemon.shown(&own).is_some());
        let looking = Arc::new(Looking { finds, found: AtomicBool::new(false) });
        let waker = Waker::from(Arc::clone(&looking));
        assert!(removed.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        d.remove(&id, false, false).await.unwrap();
        removed.await.unwrap();
        assert!(!looking.found.load(Ordering::SeqCst), "it was still listed");
    });
}

#[test]
fn a_failed_start_answers_everybody_and_undoes_what_it_did() {
    daemon(|d| async move {
        for (auto_remove, kind, code) in [(false, Kind::NotFound, 127), (true, Kind::Denied, 126)] {
            let spec = ContainerSpec { auto_remove, ..spec() };
            let id = d.made("aa", spec).await;
            let next = d.wait(&id, WaitCondition::NextExit).await.unwrap();
            let removed = d.wait(&id, WaitCondition::Removed).await.unwrap();
            let mut attached = d
                .attach(&id, crate::AttachRequest { stdin: true, logs: false, past_only: false })
                .await
                .unwrap();
            d.world().script.fail("ensure_started", kind, "exec: \"nosuch\": not found in $PATH");
            let error = d.start(&id).await.unwrap_err();
            assert_eq!(error.kind, kind);
            assert!(
                error.text.contains("runc create failed") && error.text.contains("nosuch"),
                "{}",
                error.text
            );
            assert_eq!(next.await.unwrap(), code);
            assert_eq!(attached.output.recv().await, None);
            if auto_remove {
                assert!(d.shown(&id).is_none(), "removed before the start is answered");
            } else {
                assert_eq!(
                    (d.status(&id), d.shown(&id).unwrap().state.exit_code),
                    (Some(Status::Created), code)
                );
                assert!(d.start(&id).await.unwrap(), "it may be started again");
                d.remove(&id, true, false).await.unwrap();
            }
            assert_eq!(removed.await.unwrap(), if auto_remove { code } else { 137 });
            d.bare().await;
        }
    });
}

#[test]
fn a_driver_that_panics_in_a_start_fails_it() {
    daemon(|d| async move {
        let spec = ContainerSpec { log_driver: "nosuch".into(), ..spec() };
        let id = d.made("aa", spec).await;
        let error = d.start(&id).await.unwrap_err();
        assert!(error.text.contains("failed to initialize logging driver"), "{}", error.text);
        d.remove(&id, false, false).await.unwrap();
        d.bare().await;
    });
}

#[test]
fn a_log_driver_that_does_not_fit_the_container_refuses_the_start_and_leaves_nothing() {
    daemon(|d| async move {
        let unfit = [("unfit".to_owned(), "template: log-tag:1: no".to_owned())];
        let spec = ContainerSpec { log_opts: unfit.into(), ..spec() };
        let id = d.made("aa", spec).await;
        let error = d.start(&id).await.unwrap_err();
        let text = "failed to create task for container: failed to initialize logging driver: template: log-tag:1: no";
        assert_eq!(error.text, text);
        assert_eq!(d.status(&id), Some(Status::Created));
        assert!(!d.actors().iter().any(|a| a.kind == "router"), "it would go on trying");
        assert_eq!(d.world().runtime.shims(), Vec::<String>::new());
        d.remove(&id, false, false).await.unwrap();
        d.bare().await;
    });
}

#[test]
fn a_running_container_does_not_change_to_a_log_driver_that_does_not_fit_it() {
    daemon(|d| async move {
        let id = d.started("aa", spec()).await;
        let log = ("local".to_owned(), [("unfit".to_owned(), "no".to_owned())].into());
        let error = d.update(&id, crate::Changes { log: Some(log), ..Default::default() }).await.unwrap_err();
        assert!(error.text.ends_with(": no"), "{}", error.text);
        assert_eq!(d.shown(&id).unwrap().spec.log_driver, "json-file");
    });
}

#[test]
fn a_policy_restarts_until_the_user_stops() {
    daemon(|d| async move {
        // Long enough to be seen waiting: the second pause is twice as long.
        let backoff = Backoff { min: Duration::from_secs(1), ..Backoff::default() };
        let id = d.started("aa", ContainerSpec { backoff, ..policy("always") }).await;
        d.world().runtime.exit(id.as_str(), 0);
        until("restarted", || d.world().runtime.starts(id.as_str()) == 2).await;
        d.comes_to(&id, Status::Running).await;
        assert_eq!(d.shown(&id).unwrap().state.restart_count, 1);
        d.world().runtime.exit(id.as_str(), 1);
        d.comes_to(&id, Status::Restarting).await;
        let waiting = d.wait(&id, WaitCondition::NotRunning).await.unwrap();
        assert!(
            d.stop(&id, None, None).await.unwrap(),
            "a container waiting to be restarted counts as running"
        );
        assert_eq!(waiting.await.unwrap(), 1);
        assert_eq!(d.status(&id), Some(Status::Exited));
        assert!(d.start(&id).await.unwrap());
        d.kill(&id, "KILL").await.unwrap();
        assert_eq!(d.status(&id), Some(Status::Exited));
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert_eq!(d.status(&id), Some(Status::Exited));
    });
}

#[test]
fn a_restart_keeps_a_container_that_removes_itself() {
    daemon(|d| async move {
        let id = d.started("aa", removed_at_its_end()).await;
        d.restart(&id, None, None).await.unwrap();
        assert_eq!((d.status(&id), d.world().runtime.starts(id.as_str())), (Some(Status::Running), 2));
        let made = d.made("bb", spec()).await;
        d.restart(&made, None, None).await.unwrap();
        assert_eq!(d.status(&made), Some(Status::Running));
        assert!(d.stop(&id, None, None).await.unwrap());
        d.gone(&id).await;
    });
}

#[test]
fn what_survives_its_killing_is_reported_and_can_be_killed_again() {
    daemon(|d| async move {
        let id = d.started("aa", spec()).await;
        d.world().script.fail("signal", Kind::Conflict, "no answer");
        let (removing, own) = (d.clone(), id.clone());
        let removal = tokio::spawn(async move { removing.remove(&own, true, false).await });
        until("it was signalled", || d.world().script.calls("signal", id.as_str()) == 1).await;
        let over = crate::container::messages::KillOver { attempt: 1 };
        d.container(&id).unwrap().push(over).await.unwrap();
        let error = removal.await.unwrap().unwrap_err();
        assert!(
            error.text.contains("tried to kill container, but did not receive an exit event"),
            "{}",
            error.text
        );
        assert_eq!(d.status(&id), Some(Status::Running));
        d.remove(&id, true, false).await.unwrap();
        d.bare().await;
    });
}

#[test]
fn addresses_are_reused_from_the_lowest() {
    daemon(|d| async move {
        let address =
            |id: &contract::ContainerId| d.shown(id).unwrap().state.endpoints[0].address.unwrap().octets()[3];
        let (a, b) = (d.started("aa", spec()).await, d.started("bb", spec()).await);
        assert_eq!((address(&a), address(&b)), (2, 3));
        d.remove(&a, true, false).await.unwrap();
        until("given back", || d.leases().len() == 1).await;
        let c = d.started("cc", spec()).await;
        assert_eq!(address(&c), 2);
    });
}
