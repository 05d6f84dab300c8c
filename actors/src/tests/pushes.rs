//! Pushes: shared by those who ask for the same, ended by the last who leaves, and told of when their actor panics.

use super::stage::*;
use crate::PushNews;
use contract::fake::FakeImages;
use contract::image::Credentials;
use contract::{Kind, PortError};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

type Pushing = JoinHandle<Result<(), PortError>>;

fn pushing(d: &Arc<Daemon>, auth: Option<Credentials>) -> (Pushing, mpsc::Receiver<PushNews>) {
    let (d, (news, told)) = (Arc::clone(d), mpsc::channel(64));
    (tokio::spawn(async move { d.push("busybox", auth, news).await }), told)
}

/// A second client, which has joined the push that is under way.
async fn joining(d: &Arc<Daemon>) -> (Pushing, mpsc::Receiver<PushNews>) {
    assert_eq!(d.inject_at("push", "Join", 1000), 1);
    let countdown = d.registry.countdown("push");
    let second = pushing(d, None);
    until("the second one joins", || countdown() == 999).await;
    second
}

fn calls(d: &Daemon) -> usize {
    d.world().script.calls("push", "busybox:latest")
}

fn pushers(d: &Daemon) -> usize {
    d.actors().iter().filter(|a| a.kind == "push").count()
}

/// The digest that a client is told at last.
async fn digest(mut told: mpsc::Receiver<PushNews>) -> Option<String> {
    let mut digest = None;
    while let Some(news) = told.recv().await {
        if let PushNews::Done { pushed, .. } = news {
            digest = Some(pushed.digest);
        }
    }
    digest
}

#[test]
fn who_pushes_the_same_shares_one_push_and_who_shows_other_credentials_does_not() {
    daemon(|d| async move {
        let both = [d.world().script.hold("push"), d.world().script.hold("push")];
        let (one, first) = pushing(&d, None);
        until("it pushes", || calls(&d) == 1).await;
        let (other, second) = joining(&d).await;
        let auth = Credentials { username: "user".into(), ..Credentials::default() };
        let (own, third) = pushing(&d, Some(auth));
        until("the one with credentials pushes by itself", || calls(&d) == 2).await;
        assert_eq!(pushers(&d), 2);
        drop(both);
        for push in [one, other, own] {
            push.await.unwrap().unwrap();
        }
        for told in [first, second, third] {
            assert_eq!(digest(told).await, Some(FakeImages::id_of("busybox")));
        }
        assert_eq!(calls(&d), 2);
        until("they have ended", || pushers(&d) == 0).await;
    });
}

#[test]
fn a_client_that_leaves_ends_a_push_only_if_it_is_the_last() {
    daemon(|d| async move {
        let held = d.world().script.hold("push");
        let (one, _first) = pushing(&d, None);
        until("it pushes", || calls(&d) == 1).await;
        let (other, second) = joining(&d).await;
        assert_eq!(d.inject_at("push", "Left", 1000), 1);
        let countdown = d.registry.countdown("push");
        let before = countdown();
        one.abort();
        until("its leaving is seen", || countdown() == before - 1).await;
        assert_eq!(pushers(&d), 1);
        drop(held);
        other.await.unwrap().unwrap();
        assert_eq!(digest(second).await, Some(FakeImages::id_of("busybox")));
        assert_eq!(calls(&d), 1);

        let held = d.world().script.hold("push");
        let (alone, _told) = pushing(&d, None);
        until("it pushes again", || calls(&d) == 2).await;
        alone.abort();
        until("nothing pushes any more", || pushers(&d) == 0).await;
        // The one that ended is in nobody's way.
        drop(held);
        pushing(&d, None).0.await.unwrap().unwrap();
        assert_eq!(calls(&d), 3);
    });
}

#[test]
fn a_push_that_fails_fails_for_all_who_share_it() {
    daemon(|d| async move {
        let held = d.world().script.hold("push");
        let (one, _first) = pushing(&d, None);
        until("it pushes", || calls(&d) == 1).await;
        let (other, _second) = joining(&d).await;
        // Without the image there is nothing to answer with.
        d.remove_image("busybox", contract::image::Force::No, contract::image::Parents::Keep).await.unwrap();
        drop(held);
        for push in [one, other] {
            let error = push.await.unwrap().unwrap_err();
            assert_eq!(error.kind, Kind::NotFound, "{}", error.text);
        }
        until("it has ended", || pushers(&d) == 0).await;
    });
}

#[test]
fn a_push_panics_at_every_handler_and_its_askers_hear_of_it() {
    for handler in ["Join", "Line", "Finished", "Left"] {
        daemon(|d| async move {
            let held = d.world().script.hold("push");
            let (one, _first) = pushing(&d, None);
            until("it pushes", || calls(&d) == 1).await;
            let watch = d.registry.watch("push");
            assert_eq!(d.inject_at("push", handler, 1), 1);
            let (two, _second) = pushing(&d, None);
            match handler {
                "Join" => until("the second one joins", || watch() == 0).await,
                "Left" => {
                    let (third, _third) = pushing(&d, None);
                    third.abort();
                    one.abort();
                    until("somebody leaves", || watch() == 0).await;
                }
                _ => {}
            }
            drop(held);
            for asked in [one, two] {
                match asked.await {
                    Ok(Err(error)) => assert_eq!(error.kind, Kind::Unavailable, "{}", error.text),
                    Ok(Ok(())) => {}
                    Err(left) => assert!(left.is_cancelled() && handler == "Left", "{left}"),
                }
            }
            if handler != "Line" {
                until("the panic has come", || watch() == 0).await;
            }
            again(|| d.push("busybox", None, mpsc::channel(8).0)).await.unwrap();
            until("none is left", || pushers(&d) == 0).await;
        });
    }
}

#[test]
fn the_finder_of_pushes_panics_and_the_push_under_way_is_shared_all_the_same() {
    daemon(|d| async move {
        let held = d.world().script.hold("push");
        let (one, _first) = pushing(&d, None);
        until("it pushes", || calls(&d) == 1).await;
        assert_eq!(d.inject_at("images", "CarrierFor", 1), 1);
        let (other, _second) = joining(&d).await;
        assert_eq!(d.respawns("images"), 1);
        drop(held);
        one.await.unwrap().unwrap();
        other.await.unwrap().unwrap();
        assert_eq!(calls(&d), 1);
    });
}
