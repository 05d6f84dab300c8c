//! Reaching into containers, and images made of them.

use super::stage::*;
use crate::{CommitRequest, Status};
use contract::Kind;
use contract::archive::Put;
use contract::image::CommitSpec;
use std::time::Duration;
use tokio::io::AsyncReadExt;

fn pausing() -> CommitRequest {
    CommitRequest { spec: CommitSpec::default(), pause: true }
}

#[test]
fn a_commit_that_fails_leaves_no_container_frozen() {
    daemon(|d| async move {
        let id = d.started("aa", spec()).await;
        for verb in ["archive_layer", "image_commit"] {
            d.world().script.fail(verb, Kind::Exhausted, "no space");
            assert_eq!(d.commit(&id, pausing()).await.unwrap_err().text, "no space");
            assert_eq!(d.status(&id), Some(Status::Running));
        }
        assert_eq!(d.world().script.calls("set_frozen", id.as_str()), 4);
    });
}

#[test]
fn a_commit_whose_container_actor_panics_and_whose_client_leaves_still_thaws() {
    daemon(|d| async move {
        let id = d.started("aa", spec()).await;
        let held = d.world().script.hold("image_commit");
        let (own, one) = (d.clone(), id.clone());
        let commit = tokio::spawn(async move { own.commit(&one, pausing()).await });
        d.comes_to(&id, Status::Paused).await;
        commit.abort();
        d.panicked(&id).await;
        drop(held);
        d.comes_to(&id, Status::Running).await;
    });
}

#[test]
fn one_that_was_paused_before_stays_so() {
    daemon(|d| async move {
        let id = d.started("aa", spec()).await;
        d.pause(&id).await.unwrap();
        d.commit(&id, pausing()).await.unwrap();
        assert_eq!(d.status(&id), Some(Status::Paused));
    });
}

#[test]
fn a_container_that_is_written_to_starts_and_goes_only_afterwards() {
    daemon(|d| async move {
        let id = d.made("aa", spec()).await;
        let held = d.world().script.hold("archive_write");
        let (own, one) = (d.clone(), id.clone());
        let content: contract::archive::Stream = Box::new(&b""[..]);
        let write = tokio::spawn(async move { own.write_path(&one, Put::default(), content).await });
        until("the write is under way", || d.world().script.calls("archive_write", id.as_str()) == 1).await;
        let (own, one) = (d.clone(), id.clone());
        let start = tokio::spawn(async move { own.start(&one).await });
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(d.world().script.calls("ensure_created", id.as_str()), 0);
        // It may panic meanwhile: the order of its effects outlives its actor.
        d.panicked(&id).await;
        drop(held);
        write.await.unwrap().unwrap();
        // Whether the start outlives the panic is the client's to try again.
        let _either = start.await.unwrap();
        again(|| d.start(&id)).await.unwrap();
        d.remove(&id, true, false).await.unwrap();
        d.bare().await;
    });
}

#[test]
fn a_reader_that_leaves_gives_the_container_back() {
    daemon(|d| async move {
        let id = d.made("aa", spec()).await;
        let (_, mut stream) = d.read_path(&id, b"/").await.unwrap();
        stream.read_to_end(&mut Vec::new()).await.unwrap();
        let (own, one) = (d.clone(), id.clone());
        let removal = tokio::spawn(async move { own.remove(&one, false, false).await });
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!removal.is_finished());
        drop(stream);
        removal.await.unwrap().unwrap();
        let error = d.stat_path(&id, b"/").await.unwrap_err();
        assert_eq!(error.kind, Kind::NotFound);
        d.bare().await;
    });
}

#[test]
fn one_that_ends_just_then_is_entered_as_it_is_now() {
    daemon(|d| async move {
        let id = d.started("aa", spec()).await;
        d.world().script.fail("archive_stat", Kind::Unavailable, "it is not running");
        d.stat_path(&id, b"/").await.unwrap();
        assert_eq!(d.world().script.calls("archive_stat", id.as_str()), 2);
    });
}
