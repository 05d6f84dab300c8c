//! `/containers/…`.

mod archive;
mod commit;
mod lifecycle;
mod prune;
mod stats;
mod streams;
mod top;
mod update;

pub use archive::*;
pub use commit::commit;
pub use lifecycle::*;
pub use prune::prune;
pub use stats::stats;
pub use streams::*;
pub use top::top;
pub use update::update;

use crate::gateway::filter::{Filter, KNOWN};
use crate::gateway::query::Query;
use crate::gateway::status::{Answer, Failure};
use crate::gateway::version::ApiMinor;
use crate::gateway::{Shared, json, now_ns, render, status_json, usage};
use axum::extract::{Extension, Path, RawQuery, Request, State};
use axum::http::{StatusCode, header};
use contract::{ContainerId, PortError};
use serde_json::{Value, json as object};

pub(super) async fn body_json(request: Request) -> Result<Value, Failure> {
    const LIMIT: usize = 8 << 20;
    let bad = |text: String| Failure::new(StatusCode::BAD_REQUEST, text);
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let kind = kind.to_owned();
    let bytes = axum::body::to_bytes(request.into_body(), LIMIT).await.map_err(|e| bad(e.to_string()))?;
    if bytes.is_empty() {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    match kind.split(';').next().unwrap_or_default().trim() {
        "" => return Err(bad(format!("malformed Content-Type header ({kind}): mime: no media type"))),
        media if media.eq_ignore_ascii_case("application/json") => {}
        _ => {
            let text = format!("unsupported Content-Type header ({kind}): must be 'application/json'");
            return Err(bad(text));
        }
    }
    serde_json::from_slice(&bytes).map_err(|e| bad(format!("invalid JSON: {e}")))
}

pub async fn list(State(gateway): State<Shared>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::parse(query.as_deref());
    let engine = &gateway.engine;
    let mut chosen = engine.list();
    let filter = Filter::new(query.filters(&KNOWN)?, &chosen)?;
    let limit: Option<i64> = query.number("limit")?;
    let limit = limit.and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
    let all = query.flag("all") || limit.is_some() || filter.implies_all();
    let mut image_ids = Vec::new();
    for name in filter.ancestors() {
        if let Ok(image) = engine.find_image(name).await {
            image_ids.push(image.id);
        }
    }
    chosen.retain(|s| (all || s.is_alive()) && filter.matches(s, &image_ids));
    chosen.sort_by_key(|s| std::cmp::Reverse(s.spec.created_ns));
    chosen.truncate(limit.unwrap_or(usize::MAX));
    let now = now_ns();
    let summary = |s: &std::sync::Arc<actors::Snapshot>| {
        let mut line = render::summary(s, now);
        if let Some(names) = line.get_mut("Names").and_then(Value::as_array_mut) {
            names.extend(engine.linked_as(s).into_iter().map(Value::from));
        }
        line
    };
    let mut lines: Vec<Value> = chosen.iter().map(summary).collect();
    if query.flag("size") {
        usage::add_sizes(engine, &chosen, &mut lines).await?;
    }
    Ok(json(&lines))
}

pub async fn create(
    State(gateway): State<Shared>,
    Extension(api): Extension<ApiMinor>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Answer {
    let query = Query::parse(query.as_deref());
    let raw = body_json(request).await?;
    let (spec, warnings) = gateway.specifier.specify(raw, api).await?;
    let name = query.text("name").map(|n| n.trim_start_matches('/').to_owned());
    let id = gateway.engine.create(name, spec).await?;
    Ok(status_json(StatusCode::CREATED, &object!({ "Id": id.as_str(), "Warnings": warnings })))
}

fn id_of(gateway: &Shared, name: &str) -> Result<ContainerId, PortError> {
    Ok(ContainerId::new(gateway.engine.find(name)?.spec.id.clone()))
}

/// By the name that another container has linked it under.
pub async fn inspect_linked(
    state: State<Shared>,
    api: Extension<ApiMinor>,
    Path((linker, alias)): Path<(String, String)>,
    query: RawQuery,
) -> Answer {
    inspect(state, api, Path(format!("{linker}/{alias}")), query).await
}

pub async fn inspect(
    State(gateway): State<Shared>,
    Extension(ApiMinor(minor)): Extension<ApiMinor>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let snapshot = gateway.engine.find(&name)?;
    let directory = gateway.engine.directory(&ContainerId::new(snapshot.spec.id.clone()));
    let log_path = gateway.engine.log_path(&snapshot);
    let mut shown = render::inspect(
        &snapshot,
        &directory,
        log_path.as_deref(),
        gateway.engine.root(&snapshot).ok().as_ref(),
    );
    // Names that stand in `DNSNames` since API 1.45.
    if minor < 45 {
        render::alias_as_of_old(&mut shown, &snapshot.spec);
    }
    if let Some(host) = shown.get_mut("HostConfig").and_then(Value::as_object_mut) {
        let links = gateway.engine.links(&snapshot);
        host.insert("Links".into(), if links.is_empty() { Value::Null } else { object!(links) });
    }
    if Query::parse(query.as_deref()).flag("size") {
        let objects = std::slice::from_mut(&mut shown);
        usage::add_sizes(&gateway.engine, &[snapshot], objects).await?;
    }
    Ok(json(&shown))
}
