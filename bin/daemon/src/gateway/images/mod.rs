//! `/images/…`.

mod archive;
mod list;
mod mismatch;
mod pattern;
mod platform;
mod prune;
mod pull;
mod push;
mod search;
mod show;

pub use archive::{load, save};
pub use list::{list, shared};
pub use prune::prune;
pub use pull::credentials;
pub use search::search;
pub use show::summary;

use super::query::Query;
use super::status::{Answer, Failure};
use super::version::ApiMinor;
use super::{Shared, empty, json};
use axum::body::Body;
use axum::extract::{Extension, Path, RawQuery, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use contract::id::ImageId;
use contract::image::{Force, ImageSummary, Parents, Progress};
use contract::{Kind, PortError};
use futures::{Stream, StreamExt};
use serde_json::{Value, json as object};
use std::future::Future;
use tokio::sync::mpsc;

/// `POST /images/create`: a pull, or an import.
pub async fn create(State(gateway): State<Shared>, RawQuery(query): RawQuery, request: Request) -> Answer {
    let query = Query::parse(query.as_deref());
    match query.text("fromImage") {
        Some(image) => pull::pull(gateway, image, &query, request.headers()).await,
        None => archive::import(gateway, &query, request).await,
    }
}

/// `/images/{name}/json`, `/images/{name}/tag`, …: names hold slashes.
pub async fn named(
    State(gateway): State<Shared>,
    method: Method,
    Path(rest): Path<String>,
    RawQuery(query): RawQuery,
    Extension(api): Extension<ApiMinor>,
    headers: HeaderMap,
) -> Answer {
    let query = Query::parse(query.as_deref());
    let engine = &gateway.engine;
    let (name, action) = rest.rsplit_once('/').unwrap_or((&rest, ""));
    match (&method, action) {
        (&Method::GET, "json") => {
            let platform = platform::asked(&query)?;
            // Images are of one platform each, so there is no list of manifests to show.
            if query.flag("manifests") && platform.is_some() {
                let text = "conflicting options: manifests and platform options cannot both be set";
                return Err(PortError::new(Kind::Invalid, text).into());
            }
            Ok(json(&show::inspect(&found(&gateway, name, platform).await?, api)))
        }
        (&Method::GET, "get") => archive::saved(&gateway, &[name.to_owned()], &query).await,
        (&Method::GET, "history") => {
            let image = found(&gateway, name, platform::asked(&query)?).await?;
            let (mut parents, mut next) = (Vec::new(), image.parent.clone());
            // As far as they are there.
            while let Ok(parent) = engine.find_image(&next).await {
                next.clone_from(&parent.parent);
                parents.push(parent);
            }
            Ok(json(&show::history(&image, &parents)?))
        }
        (&Method::POST, "push") => push::push(gateway.clone(), name, &query, &headers).await,
        (&Method::POST, "tag") => {
            let image = engine.find_image(name).await?;
            let to = format!(
                "{}:{}",
                query.text("repo").unwrap_or_default(),
                query.text("tag").unwrap_or("latest")
            );
            engine.tag(&ImageId::new(image.id), &to).await?;
            Ok(empty(StatusCode::CREATED))
        }
        (&Method::DELETE, _) => {
            refuse(&query, &["platforms"])?;
            if rest.trim().is_empty() {
                return Err(PortError::new(Kind::Invalid, "image name cannot be blank").into());
            }
            let force = if query.flag("force") { Force::Yes } else { Force::No };
            let parents = if query.flag("noprune") { Parents::Keep } else { Parents::Prune };
            let removed = engine.remove_image(&rest, force, parents).await?;
            Ok(json(&removed.iter().map(prune::line).collect::<Vec<Value>>()))
        }
        _ => Err(super::create::unsupported(&format!("{method} /images/{rest}")).into()),
    }
}

/// An image, which must be of the platform if one is named.
async fn found(
    gateway: &Shared,
    name: &str,
    platform: Option<platform::Platform>,
) -> Result<ImageSummary, PortError> {
    let image = gateway.engine.find_image(name).await?;
    platform.map_or(Ok(()), |p| p.check(name, &image))?;
    Ok(image)
}

/// Parameters that would change the answer, but are not built, are refused by name.
fn refuse(query: &Query, names: &[&str]) -> Result<(), PortError> {
    match names.iter().find(|n| query.flag(n)) {
        Some(name) => Err(super::create::unsupported(&format!("the image parameter {name}"))),
        None => Ok(()),
    }
}

/// One JSON message of a progress stream.
pub(super) fn line(value: &Value) -> String {
    format!("{value}\r\n")
}

pub(super) fn progress_value(progress: &Progress) -> Value {
    let mut out = object!({ "status": progress.status });
    if let Some(map) = out.as_object_mut() {
        if progress.total > 0 || progress.current > 0 {
            let counts = object!({ "current": progress.current, "total": progress.total });
            map.insert("progressDetail".into(), counts);
        } else if !progress.id.is_empty() {
            map.insert("progressDetail".into(), object!({}));
        }
        if !progress.id.is_empty() {
            map.insert("id".into(), progress.id.clone().into());
        }
    }
    out
}

fn error_value(text: &str) -> Value {
    object!({ "errorDetail": { "message": text }, "error": text })
}

fn joined<T>(outcome: Result<Result<T, PortError>, tokio::task::JoinError>) -> Result<T, Failure> {
    match outcome {
        Ok(done) => Ok(done?),
        Err(error) => Err(Failure::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
    }
}

pub(super) fn stream_response(body: Body) -> Response {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Lines as they come, and what went wrong as the last one.
fn streamed<T: Send + 'static>(
    lines: impl Stream<Item = Value> + Send + 'static,
    outcome: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Response {
    let end = futures::stream::once(outcome)
        .filter_map(|outcome| async move { outcome.err().map(|f| error_value(f.text())) });
    let lines = lines.chain(end).map(|value| Ok::<_, std::convert::Infallible>(line(&value)));
    stream_response(Body::from_stream(lines))
}

/// A sink of progress that a client may lag behind, and its other end.
fn channel() -> (mpsc::Sender<Progress>, mpsc::Receiver<Progress>) {
    mpsc::channel(512)
}
