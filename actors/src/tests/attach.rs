//! Attached clients get everything, and an end.

use super::stage::*;
use crate::{AttachRequest, Status};
use contract::Kind;
use std::time::Duration;

const OUTPUT: AttachRequest = AttachRequest { stdin: false, logs: false, past_only: false };

#[test]
fn a_slow_client_of_a_container_that_removes_itself_gets_all_its_output() {
    daemon(|d| async move {
        let id = d.made("web", removed_at_its_end()).await;
        let mut attached = d.attach(&id, OUTPUT).await.unwrap();
        d.start(&id).await.unwrap();
        for n in 0..200 {
            d.world().runtime.write(id.as_str(), &format!("{n}\n"));
        }
        d.world().runtime.exit(id.as_str(), 0);
        d.comes_to(&id, Status::Removing).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        for n in 0..200 {
            assert_eq!(&attached.output.recv().await.expect("cut short").1[..], format!("{n}\n").as_bytes());
        }
        assert!(attached.output.recv().await.is_none());
        d.gone(&id).await;
        d.bare().await;
    });
}

#[test]
fn an_attachment_to_what_is_removed_unstarted_ends() {
    daemon(|d| async move {
        let id = d.made("web", spec()).await;
        let mut attached = d.attach(&id, OUTPUT).await.unwrap();
        d.remove(&id, false, false).await.unwrap();
        assert!(attached.output.recv().await.is_none());
        assert_eq!(d.attach(&id, OUTPUT).await.err().unwrap().kind, Kind::NotFound);
    });
}

#[test]
fn an_attachment_outlives_its_containers_actor() {
    daemon(|d| async move {
        let id = d.started("web", spec()).await;
        let mut attached = d.attach(&id, OUTPUT).await.unwrap();
        d.panicked(&id).await;
        d.world().runtime.write(id.as_str(), "still here\n");
        assert_eq!(&attached.output.recv().await.unwrap().1[..], b"still here\n");
        d.world().runtime.exit(id.as_str(), 0);
        assert!(attached.output.recv().await.is_none());
    });
}

#[test]
fn an_attachment_to_a_lost_shim_ends() {
    daemon(|d| async move {
        let id = d.started("web", spec()).await;
        let mut attached = d.attach(&id, OUTPUT).await.unwrap();
        d.world().runtime.lose(id.as_str());
        d.comes_to(&id, Status::Exited).await;
        let ended = tokio::time::timeout(Duration::from_secs(20), attached.output.recv()).await;
        assert!(ended.expect("it hangs").is_none());
    });
}

#[test]
fn what_is_frozen_or_waits_for_its_policy_is_not_attached_to() {
    daemon(|d| async move {
        let id = d.started("web", policy("always")).await;
        d.pause(&id).await.unwrap();
        let error = d.attach(&id, OUTPUT).await.err().unwrap();
        assert_eq!(error.text, "container web is paused, unpause the container before attach");
        assert_eq!(error.kind, Kind::Conflict);
    });
}
