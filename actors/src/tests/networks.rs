//! Networks joined while a container runs.

use super::stage::*;
use contract::ContainerId;
use contract::network::{Networks, Segment};
use contract::record::Attachment;
use std::sync::{Arc, Mutex};

async fn interfaces(d: &Daemon) -> usize {
    d.world().networks.survey(&Segment::default()).await.unwrap().interfaces.len()
}

/// The attachment stood in a ledger in memory alone: the next daemon knew nothing of the interface.
#[test]
fn a_connection_that_a_killed_daemon_left_half_made_is_taken_away_by_the_next() {
    let stage = Stage::new();
    let noted: Arc<Mutex<Option<ContainerId>>> = Arc::default();
    let own = Arc::clone(&noted);
    stage.daemon(|d| async move {
        let id = d.started("web", spec()).await;
        let four = Some(crate::Asked::default());
        let wanted = crate::Wanted { name: "own".into(), four, ..crate::Wanted::default() };
        d.create_network(wanted).await.unwrap();
        std::mem::forget(d.world().script.hold("ensure_resolver"));
        let (engine, container) = (d.engine.clone(), id.clone());
        tokio::spawn(async move { engine.connect(&container, "own", Attachment::default()).await });
        until("it is being connected", || d.world().script.calls("ensure_resolver", id.as_str()) == 1).await;
        assert_eq!(interfaces(&d).await, 2);
        *own.lock().unwrap() = Some(id);
    });
    let id = noted.lock().unwrap().clone().unwrap();
    stage.daemon(|d| async move {
        assert_eq!(d.shown(&id).unwrap().state.networks.keys().collect::<Vec<_>>(), ["bridge"]);
        until("what was begun is asked for", || d.world().script.calls("recall_endpoint", id.as_str()) == 1)
            .await;
        assert_eq!(interfaces(&d).await, 1);
        d.connect(&id, "own", Attachment::default()).await.unwrap();
        assert_eq!((interfaces(&d).await, d.shown(&id).unwrap().state.endpoints.len()), (2, 2));
        d.remove(&id, true, false).await.unwrap();
        d.bare().await;
    });
}
