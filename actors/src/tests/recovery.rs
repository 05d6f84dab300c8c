//! A daemon is killed and the next one finds what is there.

use super::stage::*;
use crate::container::messages::WaitCondition;
use crate::{LogsRequest, Status};
use contract::ContainerId;
use contract::record::ContainerSpec;
use contract::runtime::ExecSpec;
use std::sync::{Arc, Mutex};

/// Notes an id for the daemons after.
#[derive(Default, Clone)]
struct Note(Arc<Mutex<Vec<ContainerId>>>);

impl Note {
    fn put(&self, id: &ContainerId) {
        self.0.lock().unwrap().push(id.clone());
    }
    fn all(&self) -> Vec<ContainerId> {
        self.0.lock().unwrap().clone()
    }
    fn one(&self) -> ContainerId {
        self.all()[0].clone()
    }
}

#[test]
fn a_running_container_goes_on_and_is_known_by_everything_about_it() {
    let (stage, note) = (Stage::new(), Note::default());
    let own = note.clone();
    stage.daemon(|d| async move {
        let id = d.started("web", spec()).await;
        d.pause(&id).await.unwrap();
        own.put(&id);
    });
    let id = note.one();
    stage.world.runtime.write(id.as_str(), "while away\n");
    stage.daemon(|d| async move {
        assert_eq!(d.status(&id), Some(Status::Paused));
        d.unpause(&id).await.unwrap();
        assert_eq!(d.find("web").unwrap().state.endpoints[0].address.unwrap().octets()[3], 2);
        let other = d.started("other", spec()).await;
        assert_eq!(d.shown(&other).unwrap().state.endpoints[0].address.unwrap().octets()[3], 3);
        assert_eq!(d.create(Some("web".into()), spec()).await.unwrap_err().kind, contract::Kind::Conflict);
        until("its output arrives", || d.stage.file.lines(id.as_str()) == ["while away"]).await;
        let exec = d.exec_create(&id, ExecSpec::default()).unwrap();
        d.exec_run(&exec, false).await.unwrap();
        assert!(d.stop(&id, None, None).await.unwrap());
        assert_eq!(d.world().runtime.starts(id.as_str()), 1);
        for id in [id, other] {
            d.remove(&id, true, false).await.unwrap();
        }
        d.bare().await;
    });
}

#[test]
fn an_end_while_the_daemon_was_away_is_recorded_and_its_address_given_back() {
    let (stage, note) = (Stage::new(), Note::default());
    let own = note.clone();
    stage.daemon(|d| async move {
        for (name, spec) in
            [("plain", spec()), ("brief", removed_at_its_end()), ("kept", policy("on-failure"))]
        {
            own.put(&d.started(name, spec).await);
        }
        own.put(&d.made("never", removed_at_its_end()).await);
        own.put(&d.made("made", spec()).await);
    });
    let [plain, brief, kept, never, made] = note.all().try_into().unwrap();
    for id in [&plain, &brief, &kept] {
        stage.world.runtime.write(id.as_str(), "last words\n");
        stage.world.runtime.exit(id.as_str(), 9);
    }
    stage.daemon(|d| async move {
        assert_eq!((d.status(&plain), d.shown(&plain).unwrap().state.exit_code), (Some(Status::Exited), 9));
        d.gone(&brief).await;
        d.gone(&never).await;
        assert_eq!(d.status(&made), Some(Status::Created));
        until("restarted by its policy", || d.world().runtime.starts(kept.as_str()) == 2).await;
        d.comes_to(&kept, Status::Running).await;
        assert_eq!(d.wait(&plain, WaitCondition::NotRunning).await.unwrap().await.unwrap(), 9);
        let request = LogsRequest { stdout: true, stderr: true, follow: true, ..LogsRequest::default() };
        let mut lines = d.logs(&plain, request).await.unwrap();
        assert_eq!(&lines.recv().await.unwrap().unwrap()[0].line.data[..], b"last words\n");
        assert!(lines.recv().await.is_none());
        until("one lease", || d.leases().len() == 1).await;
        for id in [plain, kept, made] {
            d.remove(&id, true, false).await.unwrap();
        }
        d.bare().await;
    });
}

#[test]
fn a_shim_that_vanished_counts_as_killed() {
    let (stage, note) = (Stage::new(), Note::default());
    let own = note.clone();
    stage.daemon(|d| async move {
        own.put(&d.started("web", spec()).await);
    });
    let id = note.one();
    stage.world.runtime.lose(id.as_str());
    stage.daemon(|d| async move {
        let shown = d.shown(&id).unwrap();
        assert_eq!((shown.status, shown.state.exit_code), (Status::Exited, 137));
        assert_eq!(shown.state.error, "the container's shim was lost");
    });
}

/// The daemon is killed at each step of a start.
#[test]
fn a_start_cut_short_is_undone_or_kept_but_never_forgotten() {
    for (step, runs) in [
        ("ensure_root", false),
        ("reserve_ports", false),
        ("ensure_created", false),
        ("ensure_started", false),
    ] {
        let (stage, note) = (Stage::new(), Note::default());
        let own = note.clone();
        let held = stage.world.script.hold(step);
        stage.daemon(|d| async move {
            let id = d.made("web", spec()).await;
            own.put(&id);
            let (starting, id) = (d.clone(), id.clone());
            tokio::spawn(async move { starting.start(&id).await });
            let id = own.one();
            until("under way", || d.world().script.calls(step, id.as_str()) == 1).await;
        });
        drop(held);
        let id = note.one();
        stage.daemon(|d| async move {
            assert_eq!(d.world().runtime.runs(id.as_str()), runs, "{step}");
            assert!(matches!(d.status(&id), Some(Status::Created | Status::Exited)), "{step}");
            until("nothing is held", || d.leases().is_empty()).await;
            assert!(d.start(&id).await.unwrap(), "{step}");
            d.remove(&id, true, false).await.unwrap();
            d.bare().await;
        });
    }
}

#[test]
fn policies_decide_what_starts_with_the_daemon() {
    let (stage, note) = (Stage::new(), Note::default());
    let own = note.clone();
    stage.daemon(|d| async move {
        for name in ["always", "unless-stopped", "on-failure", "no"] {
            let id = d.started(name, policy(name)).await;
            assert!(d.stop(&id, None, None).await.unwrap());
            own.put(&id);
        }
        let never = ContainerSpec { restart: ("always".into(), 0), ..spec() };
        own.put(&d.made("never", never).await);
        d.settle(std::time::Duration::from_secs(5)).await;
    });
    stage.daemon(|d| async move {
        let all = note.all();
        // Docker: always means also after the user had stopped it, but not what was never started.
        d.comes_to(&all[0], Status::Running).await;
        for id in &all[1..4] {
            assert_eq!(d.status(id), Some(Status::Exited));
        }
        assert_eq!(d.status(&all[4]), Some(Status::Created));
    });
}

#[test]
fn a_stop_cut_short_is_remembered() {
    let (stage, note) = (Stage::new(), Note::default());
    let own = note.clone();
    stage.world.runtime.ignore(&[15]);
    stage.daemon(|d| async move {
        let id = d.started("web", policy("unless-stopped")).await;
        own.put(&id);
        let (stopping, own) = (d.clone(), id.clone());
        tokio::spawn(async move { stopping.stop(&own, Some(-1), None).await });
        until("noted", || d.world().records.get(id.as_str()).unwrap().state.stopped).await;
    });
    let id = note.one();
    stage.world.runtime.exit(id.as_str(), 0);
    stage.daemon(|d| async move {
        assert_eq!(d.status(&id), Some(Status::Exited));
        assert_eq!(d.world().runtime.starts(id.as_str()), 1);
    });
}

#[test]
fn a_removal_cut_short_can_be_repeated() {
    let (stage, note) = (Stage::new(), Note::default());
    let own = note.clone();
    let held = stage.world.script.hold("remove_root");
    stage.daemon(|d| async move {
        let id = d.started("web", spec()).await;
        own.put(&id);
        let (removing, id) = (d.clone(), id.clone());
        tokio::spawn(async move { removing.remove(&id, true, false).await });
        let id = own.one();
        until("under way", || d.world().script.calls("remove_root", id.as_str()) == 1).await;
    });
    drop(held);
    let id = note.one();
    stage.daemon(|d| async move {
        assert_eq!(d.status(&id), Some(Status::Exited));
        d.remove(&id, false, false).await.unwrap();
        d.bare().await;
    });
}

#[test]
fn what_cannot_be_read_at_first_is_read_again() {
    let (stage, note) = (Stage::new(), Note::default());
    let own = note.clone();
    stage.daemon(|d| async move {
        own.put(&d.started("web", spec()).await);
    });
    stage.world.script.fail("load", contract::Kind::Unavailable, "input/output error");
    stage.world.script.fail("status", contract::Kind::Unavailable, "no answer");
    let id = note.one();
    stage.daemon(|d| async move {
        assert_eq!(d.status(&id), Some(Status::Running));
        assert!(d.stop(&id, None, None).await.unwrap());
    });
}
