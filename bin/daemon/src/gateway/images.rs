//! `/images/…`.

use super::hijack::tokio_stream;
use super::query::Query;
use super::status::{Answer, Failure};
use super::{Shared, empty, json};
use axum::body::Body;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use contract::id::ImageId;
use contract::image::{Credentials, ImageSummary, Progress, Removed};
use contract::{Kind, PortError};
use futures::StreamExt;
use serde_json::{Value, json as object};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

pub async fn list(State(gateway): State<Shared>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::parse(query.as_deref());
    let filters = query.filters(&["reference", "dangling", "label", "before", "since"])?;
    if let Some(key) = filters.keys().find(|k| matches!(k.as_str(), "before" | "since")) {
        return Err(super::create::unsupported(&format!("the image filter {key}")).into());
    }
    let containers = gateway.engine.list();
    let mut images = gateway.engine.images().await?;
    images.retain(|image| {
        let named = filters.get("reference").is_none_or(|all| {
            all.iter().any(|wanted| {
                image
                    .tags
                    .iter()
                    .any(|t| t == wanted || t.rsplit_once(':').is_some_and(|(name, _)| name == wanted))
            })
        });
        let dangling = filters.get("dangling").and_then(|v| v.first());
        let labelled =
            filters.get("label").is_none_or(|all| all.iter().all(|l| super::filter::label(l, &image.labels)));
        named
            && labelled
            && dangling.is_none_or(|d| matches!(d.as_str(), "true" | "1") == image.tags.is_empty())
    });
    images.sort_by_key(|i| std::cmp::Reverse(i.created_ns));
    let lines: Vec<Value> = images
        .iter()
        .map(|i| {
            object!({
                "Id": i.id, "ParentId": "", "RepoTags": i.tags, "RepoDigests": i.digests,
                "Created": i.created_ns / 1_000_000_000, "Size": i.size, "VirtualSize": i.size, "SharedSize": -1,
                "Labels": i.labels, "Containers": containers.iter().filter(|c| c.spec.image == i.id).count(),
            })
        })
        .collect();
    Ok(json(&lines))
}

/// One JSON message of a progress stream.
fn line(value: &Value) -> Result<String, std::io::Error> {
    Ok(format!("{value}\r\n"))
}

fn progress_line(progress: &Progress) -> Value {
    let mut out = object!({ "status": progress.status });
    if let Some(map) = out.as_object_mut() {
        if !progress.id.is_empty() {
            map.insert("id".into(), progress.id.clone().into());
        }
        if progress.total > 0 || progress.current > 0 {
            map.insert(
                "progressDetail".into(),
                object!({ "current": progress.current, "total": progress.total }),
            );
        } else if !progress.id.is_empty() {
            map.insert("progressDetail".into(), object!({}));
        }
    }
    out
}

fn stream_response(body: Body) -> Response {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn credentials(headers: &HeaderMap) -> Result<Option<Credentials>, PortError> {
    let Some(value) = headers.get("x-registry-auth").and_then(|v| v.to_str().ok()).filter(|v| !v.is_empty())
    else {
        return Ok(None);
    };
    let bad = || PortError::new(Kind::Invalid, "invalid X-Registry-Auth header");
    let decoded = base64(value).ok_or_else(bad)?;
    let found: Credentials = serde_json::from_slice(&decoded).map_err(|_| bad())?;
    Ok(Some(found).filter(|c| !c.username.is_empty() || !c.identitytoken.is_empty()))
}

/// Base64 in either alphabet, padding optional (RFC 4648).
fn base64(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let (mut bits, mut count) = (0u32, 0u32);
    for byte in text.bytes().filter(|b| *b != b'=') {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    Some(out)
}

pub async fn create(State(gateway): State<Shared>, RawQuery(query): RawQuery, request: Request) -> Answer {
    let query = Query::parse(query.as_deref());
    if query.text("fromSrc").is_some() {
        return import(gateway, query, request).await;
    }
    let auth = credentials(request.headers())?;
    let from = query.text("fromImage").unwrap_or_default();
    let name = match query.text("tag") {
        Some(digest) if digest.contains(':') => format!("{from}@{digest}"),
        Some(tag) => format!("{from}:{tag}"),
        None => from.to_owned(),
    };
    let platform = query.text("platform").map(str::to_owned);
    let (sender, mut receiver) = mpsc::channel::<Progress>(512);
    let engine = gateway.engine.clone();
    let pull = tokio::spawn(async move { engine.pull(&name, platform, auth, sender).await });
    // An error before the first line is the answer's status; later ones are lines of the stream.
    let Some(first) = receiver.recv().await else {
        joined(pull.await)?;
        return Ok(empty(StatusCode::OK));
    };
    let lines = futures::stream::once(async move { first })
        .chain(tokio_stream(receiver))
        .map(|p| line(&progress_line(&p)));
    let end = futures::stream::once(async move { joined(pull.await).err() })
        .filter_map(|failure| async move { failure.map(|f| line(&error_line(f.text()))) });
    Ok(stream_response(Body::from_stream(lines.chain(end))))
}

fn error_line(text: &str) -> Value {
    object!({ "errorDetail": { "message": text }, "error": text })
}

fn joined<T>(outcome: Result<Result<T, PortError>, tokio::task::JoinError>) -> Result<T, Failure> {
    match outcome {
        Ok(done) => Ok(done?),
        Err(error) => Err(Failure::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
    }
}

/// The request's body in a file that vanishes with its handle.
async fn spooled(request: Request) -> Result<tempfile::TempPath, Failure> {
    let failed = |e: std::io::Error| {
        Failure::new(StatusCode::INTERNAL_SERVER_ERROR, format!("receive the archive: {e}"))
    };
    let (file, path) = tempfile::NamedTempFile::new().map_err(failed)?.into_parts();
    let mut file = tokio::fs::File::from_std(file);
    let mut body = request.into_body().into_data_stream();
    while let Some(piece) = body.next().await {
        let piece =
            piece.map_err(|e| Failure::new(StatusCode::BAD_REQUEST, format!("receive the archive: {e}")))?;
        file.write_all(&piece).await.map_err(failed)?;
    }
    file.flush().await.map_err(failed)?;
    Ok(path)
}

async fn import(gateway: Shared, query: Query, request: Request) -> Answer {
    if query.text("fromSrc") != Some("-") {
        return Err(super::create::unsupported("importing from a URL").into());
    }
    let archive = spooled(request).await?;
    let name = query.text("repo").map(|repo| match query.text("tag") {
        Some(tag) => format!("{repo}:{tag}"),
        None => repo.to_owned(),
    });
    let message = query.text("message").unwrap_or_default().to_owned();
    let id = gateway.engine.import(archive.to_path_buf(), name, message, query.all("changes")).await?;
    let text = line(&object!({ "status": id.as_str() })).unwrap_or_default();
    Ok(stream_response(Body::from(text)))
}

pub async fn load(State(gateway): State<Shared>, request: Request) -> Answer {
    let archive = spooled(request).await?;
    let (sender, _progress) = mpsc::channel(1);
    let names = gateway.engine.load(archive.to_path_buf(), sender).await?;
    let mut text = String::new();
    for name in names {
        let what = if name.starts_with("sha256:") { "Loaded image ID" } else { "Loaded image" };
        text += &line(&object!({ "stream": format!("{what}: {name}\n") })).unwrap_or_default();
    }
    Ok(stream_response(Body::from(text)))
}

/// `/images/{name}/json`, `/images/{name}/tag`, `/images/{name}`: names hold slashes.
pub async fn named(
    State(gateway): State<Shared>,
    method: Method,
    Path(rest): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref());
    let engine = &gateway.engine;
    if let (true, Some(name)) = (method == Method::GET, rest.strip_suffix("/json")) {
        return Ok(json(&inspect(&engine.find_image(name).await?)));
    }
    if let (true, Some(name)) = (method == Method::POST, rest.strip_suffix("/tag")) {
        let image = engine.find_image(name).await?;
        let to =
            format!("{}:{}", query.text("repo").unwrap_or_default(), query.text("tag").unwrap_or("latest"));
        engine.tag(&ImageId::new(image.id), &to).await?;
        return Ok(empty(StatusCode::CREATED));
    }
    if method == Method::DELETE {
        let removed = engine.remove_image(&rest, query.flag("force")).await?;
        let lines: Vec<Value> = removed
            .into_iter()
            .map(|one| match one {
                Removed::Untagged(name) => object!({ "Untagged": name }),
                Removed::Deleted(id) => object!({ "Deleted": id }),
            })
            .collect();
        return Ok(json(&lines));
    }
    Err(super::create::unsupported(&format!("{method} /images/{rest}")).into())
}

fn inspect(image: &ImageSummary) -> Value {
    let of = |key: &str| image.config.get(key).cloned().unwrap_or(Value::Null);
    object!({
        "Id": image.id, "RepoTags": image.tags, "RepoDigests": image.digests, "Parent": "", "Comment": "",
        "Created": super::render::time(image.created_ns), "DockerVersion": "", "Author": of("author"),
        "Config": of("config"), "Architecture": of("architecture"), "Variant": of("variant"), "Os": of("os"),
        "Size": image.size, "GraphDriver": { "Name": "overlay2", "Data": {} },
        "RootFS": { "Type": "layers", "Layers": image.layers }, "Metadata": { "LastTagTime": "0001-01-01T00:00:00Z" },
    })
}
