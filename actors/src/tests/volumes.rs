//! Volumes over in-memory ports: who holds them, what goes with a container, and what panics and kills leave.

use super::stage::*;
use crate::Status;
use contract::record::{ContainerSpec, VolumeUse};
use contract::volume::VolumeWish;
use contract::{ContainerId, Kind};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

fn named(name: &str) -> VolumeUse {
    VolumeUse { name: name.into(), target: format!("/{name}"), ..VolumeUse::default() }
}

fn anonymous() -> VolumeUse {
    VolumeUse { anonymous: true, target: "/anonymous".into(), ..VolumeUse::default() }
}

fn with(volumes: Vec<VolumeUse>) -> ContainerSpec {
    ContainerSpec { volumes, ..spec() }
}

/// A volume with options: only such are mounted.
async fn elsewhere(d: &Daemon, name: &str) {
    let options = Some(BTreeMap::from([("type".to_owned(), "tmpfs".to_owned())]));
    let wish = VolumeWish { name: name.into(), options, ..VolumeWish::default() };
    again(|| d.create_volume(wish.clone())).await.unwrap();
}

#[test]
fn a_volume_is_mounted_from_its_first_user_to_its_last() {
    daemon(|d| async move {
        let one = d.started("one", with(vec![named("data")])).await;
        let two = d.started("two", with(vec![named("data")])).await;
        let world = d.world();
        assert_eq!(world.volumes.mounted(), ["data"]);
        d.remove(&one, true, true).await.unwrap();
        assert_eq!(world.volumes.mounted(), ["data"]);
        let error = d.remove_volume("data", false).await.unwrap_err();
        assert_eq!(error.text, format!("remove data: volume is in use - [{two}]"));
        d.stop(&two, None, None).await.unwrap();
        until("unmounted", || world.volumes.mounted().is_empty()).await;
        assert_eq!(d.remove_volume("data", true).await.unwrap_err().kind, Kind::Conflict);
        d.remove(&two, false, true).await.unwrap();
        d.remove_volume("data", false).await.unwrap();
        assert_eq!(d.remove_volume("data", false).await.unwrap_err().text, "get data: no such volume");
        d.bare().await;
    });
}

#[test]
fn anonymous_volumes_go_when_that_was_asked_for() {
    daemon(|d| async move {
        let kept = d.made("kept", with(vec![anonymous(), named("data")])).await;
        let gone = d.made("gone", with(vec![anonymous()])).await;
        let brief = ContainerSpec { auto_remove: true, ..with(vec![anonymous()]) };
        let brief = d.started("brief", brief).await;
        let world = d.world();
        assert_eq!((world.volumes.names().len(), world.volumes.pending().len()), (4, 0));
        let name = d.shown(&kept).unwrap().spec.volumes[0].name.clone();
        assert_eq!(world.volumes.filled(&name).unwrap(), "/anonymous");
        d.remove(&kept, false, false).await.unwrap();
        d.remove(&gone, false, true).await.unwrap();
        world.runtime.exit(brief.as_str(), 0);
        d.gone(&brief).await;
        until("three are gone", || world.volumes.names().len() == 2).await;
        assert!(world.volumes.names().contains(&name));
        d.bare().await;
    });
}

#[test]
fn a_create_or_start_that_fails_lets_go_of_everything() {
    daemon(|d| async move {
        let world = d.world();
        for verb in ["volume_populate", "create"] {
            world.script.fail(verb, Kind::Bug, "no");
            let spec = with(vec![named("data"), anonymous()]);
            assert_eq!(d.create(Some("web".into()), spec).await.unwrap_err().text, "no");
            assert_eq!(world.volumes.names(), Vec::<String>::new(), "{verb}");
        }
        let id = d.made("web", with(vec![named("data"), named("more")])).await;
        for verb in ["volume_mount", "ensure_created"] {
            world.script.fail(verb, Kind::Bug, "no");
            assert!(d.start(&id).await.unwrap_err().text.contains("no"), "{verb}");
            assert_eq!(world.volumes.mounted(), Vec::<String>::new(), "{verb}");
        }
        d.start(&id).await.unwrap();
        d.remove(&id, true, false).await.unwrap();
        assert_eq!(world.volumes.mounted(), Vec::<String>::new());
        d.bare().await;
    });
}

#[test]
fn volumes_panic_at_every_handler_and_nobody_loses_what_he_holds() {
    for (handler, nth) in [("Hold", 1), ("Hold", 2), ("LetGo", 1), ("LetGo", 2)] {
        daemon(|d| async move {
            let watch = d.registry.watch("volumes");
            assert_eq!(d.inject_at("volumes", handler, nth), 1);
            let one = again(|| d.create(Some("one".into()), with(vec![named("data")]))).await.unwrap();
            let two = again(|| d.create(Some("two".into()), with(vec![named("data")]))).await.unwrap();
            for id in [&one, &two] {
                again(|| d.start(id)).await.unwrap();
                d.comes_to(id, Status::Running).await;
            }
            let world = d.world();
            assert_eq!(world.volumes.mounted(), ["data"]);
            again(|| d.stop(&one, None, None)).await.unwrap();
            d.comes_to(&one, Status::Exited).await;
            again(|| d.remove(&one, false, false)).await.unwrap();
            assert_eq!(world.volumes.mounted(), ["data"], "{handler}: the other holds it");
            again(|| d.remove(&two, true, false)).await.unwrap();
            until("unmounted", || world.volumes.mounted().is_empty()).await;
            assert_eq!(watch(), 0, "{handler}");
            d.bare().await;
        });
    }
}

#[test]
fn a_volume_is_not_removed_under_a_create() {
    daemon(|d| async move {
        let held = d.world().script.hold("create");
        let making = d.clone();
        let made =
            tokio::spawn(async move { making.create(Some("web".into()), with(vec![named("data")])).await });
        until("its volume is made", || d.world().volumes.names().len() == 1).await;
        let removing = d.clone();
        let removal = tokio::spawn(async move { removing.remove_volume("data", false).await });
        drop(held);
        let id = made.await.unwrap().unwrap();
        assert_eq!(removal.await.unwrap().unwrap_err().kind, Kind::Conflict);
        d.remove(&id, false, false).await.unwrap();
        d.bare().await;
    });
}

#[test]
fn the_next_daemon_holds_what_runs_and_lets_go_of_what_ended() {
    let (stage, note) = (Stage::new(), Arc::new(Mutex::new(Vec::<ContainerId>::new())));
    let own = Arc::clone(&note);
    stage.daemon(|d| async move {
        for name in ["runs", "ends"] {
            elsewhere(&d, name).await;
            let id = d.started(name, with(vec![named(name)])).await;
            own.lock().unwrap().push(id);
        }
        // A create that a kill interrupts: nobody ever hears of its volume. Let go of, it would go on while the daemon ends.
        std::mem::forget(d.world().script.hold("create"));
        let making = d.clone();
        tokio::spawn(async move { making.create(Some("lost".into()), with(vec![anonymous()])).await });
        until("its volume is made", || d.world().volumes.pending().len() == 1).await;
    });
    let ids = note.lock().unwrap().clone();
    stage.world.runtime.exit(ids[1].as_str(), 0);
    stage.daemon(|d| async move {
        let world = d.world();
        assert_eq!(world.volumes.names(), ["ends", "runs"]);
        until("the ended one's is unmounted", || world.volumes.mounted() == ["runs"]).await;
        d.stop(&ids[0], None, None).await.unwrap();
        until("unmounted", || world.volumes.mounted().is_empty()).await;
    });
}
