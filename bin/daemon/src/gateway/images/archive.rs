//! `GET /images/get`, `POST /images/load`, and `POST /images/create?fromSrc=-`: archives in the request's body.

use super::super::hijack::tokio_stream;
use super::super::query::Query;
use super::super::status::{Answer, Failure};
use super::super::{Shared, create::unsupported, streamed_bytes};
use super::{channel, joined, line, progress_value, stream_response, streamed};
use axum::body::Body;
use axum::extract::{RawQuery, Request, State};
use axum::http::StatusCode;
use contract::image::{ImageSummary, Progress};
use futures::StreamExt;
use serde_json::{Value, json as object};
use std::path::Path;
use tokio::io::AsyncWriteExt;

/// The request's body in a file of the data root that vanishes with its handle: images are too large for `/tmp`.
async fn spooled(data_root: &Path, request: Request) -> Result<tempfile::TempPath, Failure> {
    let failed = |e: std::io::Error| {
        Failure::new(StatusCode::INTERNAL_SERVER_ERROR, format!("receive the archive: {e}"))
    };
    let folder = data_root.join("tmp");
    let made = tokio::task::spawn_blocking(move || tempfile::NamedTempFile::new_in(folder)).await;
    let (file, path) = made.map_err(|e| failed(e.into()))?.map_err(failed)?.into_parts();
    let mut file = tokio::fs::File::from_std(file);
    let mut body = request.into_body().into_data_stream();
    let mut written = Ok(());
    while let Some(piece) = body.next().await {
        let piece =
            piece.map_err(|e| Failure::new(StatusCode::BAD_REQUEST, format!("receive the archive: {e}")))?;
        // A client hears of the error only once it has sent everything: the rest goes nowhere.
        if written.is_ok() {
            written = file.write_all(&piece).await;
            if written.is_err() {
                // Others need the room meanwhile. The error to tell is the first.
                let _kept = file.set_len(0).await;
            }
        }
    }
    written.map_err(failed)?;
    file.flush().await.map_err(failed)?;
    Ok(path)
}

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
    // As in Docker, the answer begins with its first line: skopeo takes the beginning for the end.
    let mut lines = Box::pin(lines);
    let first = lines.next().await;
    Ok(streamed(futures::stream::iter(first).chain(lines), async move { joined(load.await) }))
}

/// The images as an archive.
pub async fn saved(gateway: &Shared, names: &[String], query: &Query) -> Answer {
    let platform = super::platform::asked(query)?;
    if query.all("platform").len() > 1 {
        let text = "multiple platform parameters not supported";
        return Err(Failure::new(StatusCode::BAD_REQUEST, text));
    }
    let fit = |image: &ImageSummary| platform.as_ref().map_or(Ok(()), |p| p.exported(image));
    Ok(streamed_bytes(gateway.engine.save(names, fit).await?, "application/x-tar"))
}

pub async fn save(State(gateway): State<Shared>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::parse(query.as_deref());
    saved(&gateway, &query.all("names"), &query).await
}
