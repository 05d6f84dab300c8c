//! Starts, ends and all between.

use super::id_of;
use crate::gateway::query::Query;
use crate::gateway::status::{Answer, Failure};
use crate::gateway::{Shared, empty};
use actors::WaitCondition;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use contract::Kind;
use serde_json::json as object;

fn changed(changed: bool) -> Response {
    empty(if changed { StatusCode::NO_CONTENT } else { StatusCode::NOT_MODIFIED })
}

pub async fn start(State(gateway): State<Shared>, Path(name): Path<String>) -> Answer {
    let id = id_of(&gateway, &name)?;
    match gateway.engine.start(&id).await {
        Ok(done) => Ok(changed(done)),
        // A program that cannot be run is the request's fault in Docker's API, a missing file included.
        Err(error)
            if matches!(error.kind, Kind::NotFound | Kind::Denied)
                && error.text.starts_with("failed to create task") =>
        {
            Err(Failure::new(StatusCode::BAD_REQUEST, error.chain()))
        }
        Err(error) => Err(error.into()),
    }
}

pub async fn stop(
    State(gateway): State<Shared>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref());
    let signal = query.text("signal").map(str::to_owned);
    let id = id_of(&gateway, &name)?;
    Ok(changed(gateway.engine.stop(&id, query.number("t")?, signal).await?))
}

pub async fn restart(
    State(gateway): State<Shared>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref());
    let signal = query.text("signal").map(str::to_owned);
    gateway.engine.restart(&id_of(&gateway, &name)?, query.number("t")?, signal).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

pub async fn kill(
    State(gateway): State<Shared>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref());
    gateway.engine.kill(&id_of(&gateway, &name)?, query.text("signal").unwrap_or("KILL")).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

pub async fn wait(
    State(gateway): State<Shared>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref());
    let condition = match query.text("condition") {
        None | Some("not-running") => WaitCondition::NotRunning,
        Some("next-exit") => WaitCondition::NextExit,
        Some("removed") => WaitCondition::Removed,
        Some(other) => {
            return Err(Failure::new(StatusCode::BAD_REQUEST, format!("invalid condition: \"{other}\"")));
        }
    };
    // Headers go out at once: the client starts the container only after it has seen them.
    let waiting = gateway.engine.wait(&id_of(&gateway, &name)?, condition).await?;
    let body = futures::stream::once(async move {
        let answer = match waiting.await {
            Ok(code) => object!({ "StatusCode": code }),
            Err(error) => object!({ "StatusCode": -1, "Error": { "Message": error.chain() } }),
        };
        Ok::<_, std::io::Error>(format!("{answer}\n"))
    });
    let mut response = Response::new(Body::from_stream(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

pub async fn remove(
    State(gateway): State<Shared>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref());
    if query.flag("link") {
        let text = "Conflict, cannot remove the default link name of the container";
        return Err(Failure::new(StatusCode::INTERNAL_SERVER_ERROR, text));
    }
    gateway.engine.remove(&id_of(&gateway, &name)?, query.flag("force"), query.flag("v")).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

/// Removal by the name that another container has linked it under; with `link` only the link goes.
pub async fn unlink(
    State(gateway): State<Shared>,
    Path((linker, alias)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref());
    let path = format!("{linker}/{alias}");
    if query.flag("link") {
        gateway.engine.unlink(&path).await?;
    } else {
        gateway.engine.remove(&id_of(&gateway, &path)?, query.flag("force"), query.flag("v")).await?;
    }
    Ok(empty(StatusCode::NO_CONTENT))
}

pub async fn rename(
    State(gateway): State<Shared>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref());
    let to = query.text("name").unwrap_or_default().trim_start_matches('/');
    gateway.engine.rename(&id_of(&gateway, &name)?, to).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

pub async fn pause(State(gateway): State<Shared>, Path(name): Path<String>) -> Answer {
    gateway.engine.pause(&id_of(&gateway, &name)?).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

pub async fn unpause(State(gateway): State<Shared>, Path(name): Path<String>) -> Answer {
    gateway.engine.unpause(&id_of(&gateway, &name)?).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

pub async fn resize(
    State(gateway): State<Shared>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref());
    let (rows, cols) = (query.number("h")?.unwrap_or(0), query.number("w")?.unwrap_or(0));
    gateway.engine.resize(&id_of(&gateway, &name)?, rows, cols).await?;
    Ok(empty(StatusCode::OK))
}
