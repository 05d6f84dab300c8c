//! `POST /images/load`, and `POST /images/create?fromSrc=-`: archives in the request's body.

use super::super::hijack::tokio_stream;
use super::super::query::Query;
use super::super::status::Answer;
use super::super::{Shared, create::unsupported};
use super::spool::spooled;
use super::{channel, joined, line, progress_value, stream_response, streamed};
use axum::body::Body;
use axum::extract::{RawQuery, Request, State};
use contract::image::Progress;
use futures::StreamExt;
use serde_json::{Value, json as object};

pub async fn import(gateway: Shared, query: &Query, request: Request) -> Answer {
    if query.text("fromSrc") != Some("-") {
        return Err(unsupported("importing from a URL").into());
    }
    if query.text("platform").is_some() {
        return Err(unsupported("the import parameter platform").into());
    }
    let name = query.text("repo").map(|repo| match query.text("tag") {
        Some(digest) if digest.contains(':') => format!("{repo}@{digest}"),
        Some(tag) => format!("{repo}:{tag}"),
        None => repo.to_owned(),
    });
    let archive = spooled(&gateway.data_root, request).await?;
    let message = query.text("message").unwrap_or_default().to_owned();
    let id = gateway.engine.import(archive.to_path_buf(), name, message, query.all("changes")).await?;
    Ok(stream_response(Body::from(line(&object!({ "status": id.as_str() })))))
}

/// A line about the whole is text to show; lines about layers are progress.
fn loaded(progress: &Progress) -> Value {
    if progress.id.is_empty() {
        object!({ "stream": format!("{}\n", progress.status) })
    } else {
        progress_value(progress)
    }
}

pub async fn load(State(gateway): State<Shared>, RawQuery(query): RawQuery, request: Request) -> Answer {
    let query = Query::parse(query.as_deref());
    if query.text("platform").is_some() {
        return Err(unsupported("the load parameter platform").into());
    }
    let quiet = query.flag_or("quiet", true);
    let archive = spooled(&gateway.data_root, request).await?;
    let (sender, receiver) = channel();
    let load = tokio::spawn(async move { gateway.engine.load(archive.to_path_buf(), sender).await });
    let lines = tokio_stream(receiver)
        .filter_map(move |p| async move { (!quiet || p.id.is_empty()).then(|| loaded(&p)) });
    Ok(streamed(lines, async move { joined(load.await) }))
}
