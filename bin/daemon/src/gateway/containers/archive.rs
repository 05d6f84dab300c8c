//! Files in and out of containers: `archive`, `changes`, `export`.

use super::id_of;
use crate::gateway::query::Query;
use crate::gateway::status::{Answer, Failure};
use crate::gateway::{Shared, empty, streamed_bytes};
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contract::archive::{PathStat, Put, Stream};
use contract::{Kind, PortError};
use futures::TryStreamExt;
use tokio_util::io::StreamReader;

/// The path asked for, as sent: names need not be text.
fn path(query: Option<&str>) -> Result<Vec<u8>, Failure> {
    let path = Query::bytes(query, "path");
    let bad = |text: &str| Failure::new(StatusCode::BAD_REQUEST, text);
    match path.as_slice() {
        [] => Err(bad("bad parameter: 'path' cannot be empty")),
        path if path.contains(&0) => Err(bad("bad parameter: 'path' has a NUL in it")),
        _ => Ok(path),
    }
}

/// Docker's words for a missing file, which its CLI waits for.
fn failure(error: PortError, path: &[u8], name: &str) -> Failure {
    match error.kind {
        Kind::NotFound if error.text.starts_with("lstat ") => {
            let path = String::from_utf8_lossy(path);
            Failure::new(StatusCode::NOT_FOUND, format!("Could not find the file {path} in container {name}"))
        }
        _ => error.into(),
    }
}

fn described(mut response: Response, stat: &PathStat) -> Answer {
    let failed = |e: String| Failure::new(StatusCode::INTERNAL_SERVER_ERROR, e);
    let text = serde_json::to_vec(stat).map_err(|e| failed(e.to_string()))?;
    let value = HeaderValue::from_str(&STANDARD.encode(text)).map_err(|e| failed(e.to_string()))?;
    response.headers_mut().insert(HeaderName::from_static("x-docker-container-path-stat"), value);
    Ok(response)
}

pub async fn stat_path(
    State(gateway): State<Shared>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let (id, path) = (id_of(&gateway, &name)?, path(query.as_deref())?);
    let stat = gateway.engine.stat_path(&id, &path).await.map_err(|e| failure(e, &path, &name))?;
    described(empty(StatusCode::OK), &stat)
}

pub async fn read_path(
    State(gateway): State<Shared>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let (id, path) = (id_of(&gateway, &name)?, path(query.as_deref())?);
    let (stat, stream) = gateway.engine.read_path(&id, &path).await.map_err(|e| failure(e, &path, &name))?;
    described(streamed_bytes(stream, "application/x-tar"), &stat)
}

pub async fn write_path(
    State(gateway): State<Shared>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Answer {
    let (id, path) = (id_of(&gateway, &name)?, path(query.as_deref())?);
    let query = Query::parse(query.as_deref());
    let put = Put {
        path: path.clone(),
        keep_kinds: query.flag("noOverwriteDirNonDir"),
        owner: query.flag("copyUIDGID").then(String::new),
        ..Put::default()
    };
    let body = request.into_body().into_data_stream().map_err(std::io::Error::other);
    let content: Stream = Box::new(StreamReader::new(body));
    gateway.engine.write_path(&id, put, content).await.map_err(|e| failure(e, &path, &name))?;
    Ok(empty(StatusCode::OK))
}

pub async fn changes(State(gateway): State<Shared>, Path(name): Path<String>) -> Answer {
    Ok(streamed_bytes(gateway.engine.changes(&id_of(&gateway, &name)?).await?, "application/json"))
}

pub async fn export(State(gateway): State<Shared>, Path(name): Path<String>) -> Answer {
    Ok(streamed_bytes(gateway.engine.export(&id_of(&gateway, &name)?).await?, "application/octet-stream"))
}
