//! `POST /containers/prune`.

use crate::gateway::filter::label;
use crate::gateway::query::Query;
use crate::gateway::status::Answer;
use crate::gateway::{Shared, json, moment, now_ns};
use axum::extract::{RawQuery, State};
use contract::{ContainerId, Kind, PortError};
use serde_json::json as object;

/// One at a time, as Docker.
static PRUNING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

const KNOWN: [&str; 3] = ["label", "label!", "until"];

pub async fn prune(State(gateway): State<Shared>, RawQuery(query): RawQuery) -> Answer {
    let by = Query::parse(query.as_deref()).filters(&KNOWN)?;
    let list = |key: &str| by.get(key).map_or(&[][..], Vec::as_slice);
    let until = match list("until") {
        [] => None,
        [one] => Some(moment::parse(one, now_ns())?),
        _ => return Err(PortError::new(Kind::Invalid, "more than one until filter specified").into()),
    };
    let Ok(_only) = PRUNING.try_lock() else {
        return Err(PortError::new(Kind::Conflict, "a prune operation is already running").into());
    };
    let (mut deleted, mut reclaimed) = (Vec::new(), 0);
    for snapshot in gateway.engine.list() {
        let labels = &snapshot.spec.labels;
        let excluded = list("label!");
        let chosen = !snapshot.is_alive()
            && until.is_none_or(|t| snapshot.spec.created_ns <= t)
            && list("label").iter().all(|l| label(l, labels))
            && (excluded.is_empty() || !excluded.iter().all(|l| label(l, labels)));
        if !chosen {
            continue;
        }
        let id = ContainerId::new(snapshot.spec.id.clone());
        let size = gateway.engine.own_size(&id).await.unwrap_or(0);
        match gateway.engine.remove(&id, false, false).await {
            Ok(()) => {
                deleted.push(id.to_string());
                reclaimed += size;
            }
            // It runs again, or somebody else removed it.
            Err(error) => tracing::warn!(container = id.short(), "not pruned: {}", error.chain()),
        }
    }
    gateway.engine.pruned("container", reclaimed);
    let deleted = (!deleted.is_empty()).then_some(deleted);
    Ok(json(&object!({ "ContainersDeleted": deleted, "SpaceReclaimed": reclaimed })))
}
