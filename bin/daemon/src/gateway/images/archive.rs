//! `GET /images/get`, `POST /images/load`, and `POST /images/create?fromSrc=…`: archives in the request's body or behind a URL.

use super::super::hijack::tokio_stream;
use super::super::query::Query;
use super::super::status::{Answer, Failure};
use super::super::{Shared, create::unsupported, streamed_bytes};
use super::spool::Spool;
use super::{channel, joined, line, platform, progress_value, stream_response, streamed};
use axum::body::Body;
use axum::extract::{RawQuery, Request, State};
use axum::http::StatusCode;
use contract::PortError;
use contract::image::{ImageSummary, ImportSpec, Progress};
use futures::StreamExt;
use serde_json::{Value, json as object};
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc::error::TrySendError;

fn failed(error: std::io::Error) -> Failure {
    Failure::new(StatusCode::INTERNAL_SERVER_ERROR, format!("receive the archive: {error}"))
}

/// A file of the data root that vanishes with its handle: images are too large for `/tmp`.
async fn temporary(data_root: &Path) -> Result<(tokio::fs::File, tempfile::TempPath), Failure> {
    let folder = data_root.join("tmp");
    let made = tokio::task::spawn_blocking(move || tempfile::NamedTempFile::new_in(folder)).await;
    let (file, path) = made.map_err(|e| failed(e.into()))?.map_err(failed)?.into_parts();
    Ok((tokio::fs::File::from_std(file), path))
}

/// The request's body in such a file.
async fn spooled(data_root: &Path, request: Request) -> Result<tempfile::TempPath, Failure> {
    let (file, path) = temporary(data_root).await?;
    let mut body = request.into_body().into_data_stream();
    let (mut spool, mut written) = (Spool::new(file.into_std().await), Ok(()));
    while let Some(piece) = body.next().await {
        let piece =
            piece.map_err(|e| Failure::new(StatusCode::BAD_REQUEST, format!("receive the archive: {e}")))?;
        // A client hears of the error only once it has sent everything: the rest goes nowhere.
        if written.is_ok() {
            written = spool.add(piece).await;
        }
    }
    written.map_err(failed)?;
    spool.finish().await.map_err(failed)?;
    Ok(path)
}

/// Refuses a request in a way that its client hears: that listens only once it has sent everything.
async fn refused(request: Request, error: PortError) -> Answer {
    let mut body = request.into_body().into_data_stream();
    while let Some(Ok(_)) = body.next().await {}
    Err(error.into())
}

fn described(query: &Query, from: &str) -> Result<ImportSpec, PortError> {
    let message = query.text("message").map_or_else(|| format!("Imported from {from}"), str::to_owned);
    let name = query.text("repo").map(|repo| match query.text("tag") {
        Some(digest) if digest.contains(':') => format!("{repo}@{digest}"),
        Some(tag) => format!("{repo}:{tag}"),
        None => repo.to_owned(),
    });
    if let Some(name) = &name {
        storage::Reference::parse(name)?;
    }
    let architecture = query.text("platform").map(platform::machine).transpose()?.unwrap_or_default();
    Ok(ImportSpec { name, message, changes: query.all("changes"), architecture })
}

pub async fn import(gateway: Shared, query: &Query, request: Request) -> Answer {
    let from = query.text("fromSrc").unwrap_or_default().to_owned();
    let spec = match described(query, &from) {
        Ok(spec) => spec,
        Err(error) => return refused(request, error).await,
    };
    if from != "-" {
        return import_from(gateway, from, spec).await;
    }
    let archive = spooled(&gateway.data_root, request).await?;
    let id = gateway.engine.import(archive.to_path_buf(), spec).await?;
    Ok(stream_response(Body::from(line(&object!({ "status": id.as_str() })))))
}

/// Bytes that are fetched at most. The store bounds what is made of them.
const FETCHED: u64 = 64 << 30;

/// Imports what is behind a URL.
async fn import_from(gateway: Shared, from: String, spec: ImportSpec) -> Answer {
    let url = if from.contains("://") { from } else { format!("http://{from}") };
    let download = gateway.downloads.get(&url).await?;
    let (sender, receiver) = channel();
    let said = |status: String| Progress { status, ..Progress::default() };
    // The first lines find room.
    let _room = sender.try_send(said(format!("Downloading from {url}")));
    let work = async move {
        let (mut file, archive) = temporary(&gateway.data_root).await?;
        let (mut content, mut buffer, mut have) = (download.content.take(FETCHED), vec![0; 1 << 16], 0);
        loop {
            let count = content.read(&mut buffer).await.map_err(failed)?;
            if count == 0 {
                break;
            }
            file.write_all(buffer.get(..count).unwrap_or_default()).await.map_err(failed)?;
            have += count as u64;
            // A client that does not keep up misses some; one that left ends it.
            let line = Progress { current: have, ..said("Importing".into()) };
            if let Err(TrySendError::Closed(_)) = sender.try_send(line) {
                return Err(Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "the client has left"));
            }
        }
        if have == FETCHED {
            return Err(Failure::new(StatusCode::BAD_REQUEST, format!("{url} is too large")));
        }
        file.flush().await.map_err(failed)?;
        let id = gateway.engine.import(archive.to_path_buf(), spec).await?;
        let _left = sender.send(said(id.as_str().to_owned())).await;
        Ok(())
    };
    let work = tokio::spawn(work);
    let outcome = async move {
        match work.await {
            Ok(done) => done,
            Err(error) => Err(Failure::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
        }
    };
    Ok(streamed(tokio_stream(receiver).map(|p| progress_value(&p)), outcome))
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
        return refused(request, unsupported("the load parameter platform")).await;
    }
    let quiet = query.flag_or("quiet", true);
    let archive = spooled(&gateway.data_root, request).await?;
    let (sender, receiver) = channel();
    let load = tokio::spawn(async move { gateway.engine.load(archive.to_path_buf(), sender).await });
    let lines = tokio_stream(receiver)
        .filter_map(move |p| async move { (!quiet || p.id.is_empty()).then(|| loaded(&p)) });
    // As in Docker, the answer begins with its first line: skopeo takes the beginning for the end.
    let mut lines = Box::pin(lines.fuse());
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
