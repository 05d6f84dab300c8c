//! `/build…`: the classic builder.

mod options;
mod prune;
mod stream;

pub use prune::prune;

use super::query::Query;
use super::status::{Answer, Failure};
use super::{Shared, empty};
use axum::extract::{RawQuery, Request, State};
use axum::http::StatusCode;
use build::{Running, Source};

/// `POST /build`.
pub async fn build(State(gateway): State<Shared>, RawQuery(query): RawQuery, request: Request) -> Answer {
    let query = Query::parse(query.as_deref());
    let experimental = gateway.live.get().daemon.experimental;
    let options = options::read(&query, request.headers(), experimental)?;
    let source = match query.text("remote") {
        Some("client-session") => {
            let text = "experimental session with v1 builder is no longer supported, use builder version v2 (BuildKit) instead";
            return Err(Failure::new(StatusCode::BAD_REQUEST, text));
        }
        Some(remote) => Source::Remote(remote.to_owned()),
        None => Source::Sent(stream::content(request.into_body())),
    };
    let Running { lines, outcome } = gateway.builds.begin(options, source).await?;
    stream::answer(lines, outcome).await
}

/// `POST /build/cancel`.
pub async fn cancel(State(gateway): State<Shared>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::parse(query.as_deref());
    let Some(id) = query.text("id") else {
        return Err(Failure::new(StatusCode::BAD_REQUEST, "build ID not provided"));
    };
    // As in Docker, one that is over or unknown is no mistake.
    gateway.builds.cancel(id).await?;
    Ok(empty(StatusCode::OK))
}
