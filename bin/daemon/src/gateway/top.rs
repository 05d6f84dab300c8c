//! `GET /gantry/top`: containers, where their lines go, and the actors, at one moment; for live views.

use super::query::Query;
use super::status::{Answer, Failure};
use super::{Shared, json, log_status, now_ns, render};
use axum::extract::{RawQuery, State};
use serde_json::{Value, json as object};

/// With `actors=0` without the actors, which are many.
pub async fn top(State(gateway): State<Shared>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::parse(query.as_deref());
    let actors = query.text("actors").is_none_or(|text| text != "0");
    Ok(json(&moment(&gateway, actors).await?))
}

/// What is shown of now.
pub async fn moment(gateway: &Shared, actors: bool) -> Result<Value, Failure> {
    let engine = &gateway.engine;
    let sinks = engine.log_status(None).await?;
    let mut containers = engine.list();
    containers.sort_by(|a, b| a.state.name.cmp(&b.state.name));
    let containers: Vec<Value> = containers
        .iter()
        .map(|c| {
            object!({
                "Id": c.spec.id, "Name": c.state.name, "Image": c.spec.image_name, "State": c.status.as_str(),
                "Driver": c.spec.log_driver, "StartedAt": render::time(c.state.started_ns),
                "RestartCount": c.state.restart_count,
            })
        })
        .collect();
    Ok(object!({
        "Time": render::time(now_ns()), "Version": env!("CARGO_PKG_VERSION"), "Containers": containers,
        "Sinks": log_status::shown(gateway, &sinks), "Actors": actors.then(|| engine.actors()),
    }))
}
