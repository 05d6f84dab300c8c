//! Limits changed afterwards, and want of memory.

use super::stage::*;
use crate::{Changes, Status};
use contract::Kind;
use contract::record::{ContainerSpec, Resources};
use std::sync::Arc;

fn limited() -> ContainerSpec {
    ContainerSpec { resources: Resources { memory: 100, memory_swap: 200, ..Resources::default() }, ..spec() }
}

fn shares(cpu_shares: i64) -> Changes {
    Changes { resources: Resources { cpu_shares, ..Resources::default() }, ..Changes::default() }
}

#[test]
fn a_change_is_in_force_recorded_and_shown() {
    daemon(|d| async move {
        let id = d.started("web", limited()).await;
        let changes = Changes { restart: Some(("always".into(), 0)), ..shares(7) };
        d.update(&id, changes).await.unwrap();
        let wanted = Resources { cpu_shares: 7, ..limited().resources };
        let record = d.world().records.get(id.as_str()).unwrap();
        assert_eq!(d.world().runtime.limits(id.as_str()), Some(wanted.clone()));
        assert_eq!((record.spec.resources, record.spec.restart.0), (wanted.clone(), "always".into()));
        assert_eq!(d.shown(&id).unwrap().spec.resources, wanted);
    });
}

#[test]
fn a_change_that_cannot_be_made_or_recorded_leaves_everything_as_it_was() {
    for verb in ["change_limits", "save_spec"] {
        daemon(|d| async move {
            let id = d.started("web", limited()).await;
            let script = &d.world().script;
            script.fail(verb, Kind::Exhausted, "no");
            let error = d.update(&id, shares(7)).await.unwrap_err();
            assert_eq!(error.text, format!("Cannot update container {id}: no"));
            assert_eq!(d.world().runtime.limits(id.as_str()), Some(limited().resources), "{verb}");
            assert_eq!(d.world().records.get(id.as_str()).unwrap().spec.resources, limited().resources);
            assert_eq!(d.shown(&id).unwrap().spec.resources, limited().resources);
            d.update(&id, shares(8)).await.unwrap();
            assert_eq!(d.shown(&id).unwrap().spec.resources.cpu_shares, 8);
        });
    }
}

#[test]
fn a_container_started_after_a_change_has_it() {
    daemon(|d| async move {
        let id = d.made("web", limited()).await;
        d.update(&id, shares(7)).await.unwrap();
        d.start(&id).await.unwrap();
        assert_eq!(d.world().runtime.limits(id.as_str()).unwrap().cpu_shares, 7);
    });
}

#[test]
fn a_child_killed_for_memory_is_told_once() {
    daemon(|d| async move {
        let id = d.started("web", limited()).await;
        let (_, mut live) = d.subscribe().await.unwrap();
        d.world().runtime.kill_member(id.as_str());
        assert_eq!(actions(&mut live, "oom").await, ["oom"]);
        until("it is recorded", || d.world().records.get(id.as_str()).unwrap().state.oom_killed).await;
        assert_eq!(d.status(&id), Some(Status::Running));
        d.panicked(&id).await;
        d.kill(&id, "KILL").await.unwrap();
        let told = actions(&mut live, "die").await;
        assert!(!told.contains(&"oom".to_owned()), "{told:?}");
        assert!(d.shown(&id).unwrap().state.oom_killed);
        d.start(&id).await.unwrap();
        assert!(!d.shown(&id).unwrap().state.oom_killed, "the next start knows nothing of it");
    });
}

#[test]
fn a_sampler_serves_all_who_look_and_ends_with_them() {
    daemon(|d| async move {
        let id = d.started("web", spec()).await;
        let snapshot: Arc<_> = d.shown(&id).unwrap();
        let (mut one, mut other) = (d.samples(&snapshot), d.samples(&snapshot));
        let (first, same) = (one.recv().await.unwrap().unwrap(), other.recv().await.unwrap().unwrap());
        assert!(Arc::ptr_eq(&first, &same), "one sample for both");
        drop((one, other));
        until("it has ended", || !d.is_sampled(&id)).await;
        let mut last = d.samples(&snapshot);
        d.remove(&id, true, false).await.unwrap();
        while last.recv().await.is_ok() {}
        assert!(!d.is_sampled(&id));
    });
}
