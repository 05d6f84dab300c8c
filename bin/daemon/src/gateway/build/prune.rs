//! `POST /build/prune`.

use super::super::query::Query;
use super::super::status::Answer;
use super::super::{Shared, json};
use axum::extract::{RawQuery, State};
use serde_json::json as object;

/// The classic builder's cache are images: `docker image prune` removes them. Of BuildKit's there is nothing.
pub async fn prune(State(gateway): State<Shared>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::parse(query.as_deref());
    for key in ["keep-storage", "reserved-space", "max-used-space", "min-free-space"] {
        query.number::<i64>(key)?;
    }
    gateway.engine.pruned("builder", 0);
    Ok(json(&object!({ "CachesDeleted": null, "SpaceReclaimed": 0 })))
}
