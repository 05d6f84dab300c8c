//! `GET /images/get`, `POST /images/load`, and `POST /images/create?fromSrc=…`: archives in the request's body or behind a URL.

use super::super::hijack::tokio_stream;
use super::super::query::Query;
use super::super::status::{Answer, Failure};
use super::super::{Shared, streamed_bytes};
use super::{channel, joined, line, platform, progress_value, stream_response, streamed};
use axum::body::Body;
use axum::extract::{RawQuery, Request, State};
use axum::http::StatusCode;
use bytes::BytesMut;
use contract::image::{ImageSummary, ImportSpec, Progress};
use contract::incoming::{Inlet, incoming};
use contract::{Kind, PortError};
use futures::StreamExt;
use serde_json::{Value, json as object};
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc::error::TrySendError;

fn failed(error: std::io::Error) -> Failure {
    Failure::new(StatusCode::INTERNAL_SERVER_ERROR, format!("receive the archive: {error}"))
}

/// Hands the request's body on. A client hears of an error only once it has sent everything: what nobody takes any more
/// goes nowhere. A body that breaks off is an error of whoever takes it.
async fn receive(request: Request, mut to: Inlet) -> Result<(), Failure> {
    let mut body = request.into_body().into_data_stream();
    let mut wanted = true;
    while let Some(piece) = body.next().await {
        let piece =
            piece.map_err(|e| Failure::new(StatusCode::BAD_REQUEST, format!("receive the archive: {e}")))?;
        wanted = wanted && to.put(piece).await;
    }
    to.end().await;
    Ok(())
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
    let (to, content) = incoming();
    let work = tokio::spawn(async move { gateway.engine.import(content, spec).await });
    receive(request, to).await?;
    let id = joined(work.await)?;
    Ok(stream_response(Body::from(line(&object!({ "status": id.as_str() })))))
}

/// Bytes of a piece that is fetched.
const PIECE: usize = 1 << 16;
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
        let (mut to, taken) = incoming();
        let engine = gateway.engine.clone();
        let made = tokio::spawn(async move { engine.import(taken, spec).await });
        let (mut content, mut have) = (download.content.take(FETCHED), 0);
        loop {
            let mut piece = BytesMut::with_capacity(PIECE);
            if content.read_buf(&mut piece).await.map_err(failed)? == 0 {
                break;
            }
            have += piece.len() as u64;
            if !to.put(piece.freeze()).await {
                // Its error comes below.
                break;
            }
            // A client that does not keep up misses some; one that left ends it.
            let line = Progress { current: have, ..said("Importing".into()) };
            if let Err(TrySendError::Closed(_)) = sender.try_send(line) {
                return Err(Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "the client has left"));
            }
        }
        if have == FETCHED {
            return Err(Failure::new(StatusCode::BAD_REQUEST, format!("{url} is too large")));
        }
        to.end().await;
        let id = joined(made.await)?;
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
    let wanted = match platform::asked(&query).and_then(|p| one(&query).map(|()| p)) {
        Ok(platform) => platform.map(platform::Platform::wanted),
        Err(error) => return refused(request, error).await,
    };
    let quiet = query.flag_or("quiet", true);
    let (sender, receiver) = channel();
    let (to, archive) = incoming();
    let load = tokio::spawn(async move { gateway.engine.load(archive, wanted, sender).await });
    // Whoever sends an archive may take the first line for the end.
    receive(request, to).await?;
    let lines = tokio_stream(receiver)
        .filter_map(move |p| async move { (!quiet || p.id.is_empty()).then(|| loaded(&p)) });
    // As in Docker, the answer begins with its first line: skopeo takes the beginning for the end.
    let mut lines = Box::pin(lines.fuse());
    let first = lines.next().await;
    Ok(streamed(futures::stream::iter(first).chain(lines), async move { joined(load.await) }))
}

/// No more platforms than one.
fn one(query: &Query) -> Result<(), PortError> {
    match query.all("platform").len() {
        0 | 1 => Ok(()),
        _ => Err(PortError::new(Kind::Invalid, "multiple platform parameters not supported")),
    }
}

/// The images as an archive.
pub async fn saved(gateway: &Shared, names: &[String], query: &Query) -> Answer {
    let platform = super::platform::asked(query)?;
    one(query)?;
    let fit = |image: &ImageSummary| platform.as_ref().map_or(Ok(()), |p| p.exported(image));
    Ok(streamed_bytes(gateway.engine.save(names, fit).await?, "application/x-tar"))
}

pub async fn save(State(gateway): State<Shared>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::parse(query.as_deref());
    saved(&gateway, &query.all("names"), &query).await
}
