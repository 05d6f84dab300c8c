//! `POST /gantry/logs/replay`: stored lines sent to another driver; how it goes is told a JSON object a line.

use super::containers::body_json;
use super::hijack::tokio_stream;
use super::log_drivers::{asked, seconds};
use super::query::Query;
use super::status::{Answer, Failure};
use super::{Shared, render};
use actors::{LogsRequest, ReplayNews, ReplayProgress};
use axum::body::Body;
use axum::extract::{RawQuery, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use contract::ContainerId;
use futures::StreamExt;
use serde_json::{Value, json as object};

/// Seconds without any arrival after which a replay is given up, unless told otherwise.
const PATIENCE: u64 = 60;

pub async fn replay(State(gateway): State<Shared>, RawQuery(query): RawQuery, request: Request) -> Answer {
    let query = Query::parse(query.as_deref());
    let Some(container) = query.text("container") else {
        return Err(Failure::new(StatusCode::BAD_REQUEST, "the parameter container is missing"));
    };
    let of = LogsRequest {
        stdout: query.flag_or("stdout", true),
        stderr: query.flag_or("stderr", true),
        since_ns: query.time_ns("since")?,
        until_ns: query.time_ns("until")?,
        ..LogsRequest::default()
    };
    let patience = seconds(&query, PATIENCE)?;
    let id = ContainerId::new(gateway.engine.find(container)?.spec.id.clone());
    let (driver, options) = asked(&gateway, body_json(request).await?)?;
    let news = gateway.engine.replay(&id, of, (&driver, &options), patience).await?;
    let lines =
        tokio_stream(news).map(|news| Ok::<_, std::convert::Infallible>(format!("{}\n", told(&news))));
    let mut response = Response::new(Body::from_stream(lines));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

fn told(news: &ReplayNews) -> Value {
    let (ReplayNews::Progress(progress) | ReplayNews::Over(progress)) = news;
    let ReplayProgress { lines, bytes, refused, retries, last_ns, error } = progress;
    object!({
        "Over": matches!(news, ReplayNews::Over(_)), "Lines": lines, "Bytes": bytes, "Refused": refused,
        "Retries": retries, "Last": last_ns.map(render::time), "Error": error,
    })
}
