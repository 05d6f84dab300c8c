//! `/containers/…`.

use super::create::resolve;
use super::detach::DetachKeys;
use super::filter::{Filter, KNOWN};
use super::hijack::{self, Shape, tokio_stream};
use super::lines::{self, Dress};
use super::query::Query;
use super::status::{Answer, Failure};
use super::{Shared, empty, json, now_ns, render, status_json};
use actors::{AttachRequest, LogsRequest, WaitCondition};
use axum::body::Body;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use bollard_stubs::models::ContainerCreateBody;
use contract::{ContainerId, Kind, PortError};
use futures::StreamExt;
use serde_json::{Value, json as object};

pub(super) async fn body_json(request: Request) -> Result<Value, Failure> {
    const LIMIT: usize = 8 << 20;
    let bad = |text: String| Failure::new(StatusCode::BAD_REQUEST, text);
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let kind = kind.to_owned();
    let bytes = axum::body::to_bytes(request.into_body(), LIMIT).await.map_err(|e| bad(e.to_string()))?;
    if bytes.is_empty() {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    match kind.split(';').next().unwrap_or_default().trim() {
        "" => return Err(bad(format!("malformed Content-Type header ({kind}): mime: no media type"))),
        media if media.eq_ignore_ascii_case("application/json") => {}
        _ => {
            let text = format!("unsupported Content-Type header ({kind}): must be 'application/json'");
            return Err(bad(text));
        }
    }
    serde_json::from_slice(&bytes).map_err(|e| bad(format!("invalid JSON: {e}")))
}

pub async fn list(State(gateway): State<Shared>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::parse(query.as_deref());
    let engine = &gateway.engine;
    if query.flag("size") {
        return Err(super::create::unsupported("ps with size").into());
    }
    let filter = Filter::new(query.filters(&KNOWN)?, |name| Ok(engine.find(name)?.spec.created_ns))?;
    let limit: Option<i64> = query.number("limit")?;
    let limit = limit.and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
    let all = query.flag("all") || limit.is_some() || filter.implies_all();
    let mut image_ids = Vec::new();
    for name in filter.ancestors() {
        if let Ok(image) = engine.find_image(name).await {
            image_ids.push(image.id);
        }
    }
    let mut chosen = engine.list();
    chosen.retain(|s| {
        (all || matches!(s.status.as_str(), "running" | "paused" | "restarting"))
            && filter.matches(s, &image_ids)
    });
    chosen.sort_by_key(|s| std::cmp::Reverse(s.spec.created_ns));
    chosen.truncate(limit.unwrap_or(usize::MAX));
    let now = now_ns();
    let lines: Vec<Value> = chosen.iter().map(|s| render::summary(s, now)).collect();
    Ok(json(&lines))
}

pub async fn create(State(gateway): State<Shared>, RawQuery(query): RawQuery, request: Request) -> Answer {
    let query = Query::parse(query.as_deref());
    let raw = body_json(request).await?;
    let body: ContainerCreateBody = serde_json::from_value(raw.clone())
        .map_err(|e| Failure::new(StatusCode::BAD_REQUEST, format!("invalid JSON: {e}")))?;
    let image = gateway.engine.find_image(body.image.as_deref().unwrap_or_default()).await?;
    let warnings = super::create::warnings(&body);
    let spec = resolve(body, raw, &image, &gateway.defaults)?;
    let name = query.text("name").map(|n| n.trim_start_matches('/').to_owned());
    let id = gateway.engine.create(name, spec).await?;
    Ok(status_json(StatusCode::CREATED, &object!({ "Id": id.as_str(), "Warnings": warnings })))
}

fn id_of(gateway: &Shared, name: &str) -> Result<ContainerId, PortError> {
    Ok(ContainerId::new(gateway.engine.find(name)?.spec.id.clone()))
}

pub async fn inspect(State(gateway): State<Shared>, Path(name): Path<String>) -> Answer {
    let snapshot = gateway.engine.find(&name)?;
    let directory = gateway.engine.directory(&ContainerId::new(snapshot.spec.id.clone()));
    let log_path = gateway.engine.log_path(&snapshot);
    Ok(json(&render::inspect(&snapshot, &directory, log_path.as_deref())))
}

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
        return Err(super::create::unsupported("removing links").into());
    }
    gateway.engine.remove(&id_of(&gateway, &name)?, query.flag("force"), query.flag("v")).await?;
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

pub async fn top(
    State(gateway): State<Shared>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref());
    let arguments = query.text("ps_args").unwrap_or("-ef").to_owned();
    let pids = gateway.engine.processes(&id_of(&gateway, &name)?).await?;
    Ok(json(&super::system::processes(&arguments, &pids).await?))
}

pub async fn logs(
    State(gateway): State<Shared>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref());
    let snapshot = gateway.engine.find(&name)?;
    let (stdout, stderr) = (query.flag("stdout"), query.flag("stderr"));
    if !stdout && !stderr {
        return Err(Failure::new(
            StatusCode::BAD_REQUEST,
            "Bad parameters: you must choose at least one stream",
        ));
    }
    let request = LogsRequest {
        stdout,
        stderr,
        since_ns: query.time_ns("since")?,
        until_ns: query.time_ns("until")?,
        tail: query.text("tail").and_then(|t| t.parse().ok()),
        follow: query.flag("follow"),
    };
    let dress = Dress {
        tty: snapshot.spec.tty,
        timestamps: query.flag("timestamps"),
        details: query.flag("details"),
    };
    let lines = gateway.engine.logs(&ContainerId::new(snapshot.spec.id.clone()), request).await?;
    let body = tokio_stream(lines).map(move |item| match item {
        Ok(stored) => Ok(lines::encode(&stored, dress)),
        Err(error) => Err(std::io::Error::other(error.chain())),
    });
    let mut response = Response::new(Body::from_stream(body));
    let kind = if dress.tty {
        "application/vnd.docker.raw-stream"
    } else {
        "application/vnd.docker.multiplexed-stream"
    };
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok(response)
}

pub async fn attach(
    State(gateway): State<Shared>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Answer {
    let query = Query::parse(query.as_deref());
    let snapshot = gateway.engine.find(&name)?;
    if query.flag("logs") {
        return Err(super::create::unsupported("attach with logs=1").into());
    }
    let detach = DetachKeys::parse(query.text("detachKeys").unwrap_or_default())?;
    let shape =
        Shape { tty: snapshot.spec.tty, stdout: query.flag("stdout"), stderr: query.flag("stderr"), detach };
    let id = ContainerId::new(snapshot.spec.id.clone());
    let wanted = AttachRequest { stdin: query.flag("stdin") };
    let attachment = gateway.engine.attach(&id, wanted).await?;
    let engine = gateway.engine.clone();
    hijack::answer(request, attachment, shape, move |end| {
        if end == hijack::End::Detached {
            engine.detached(&id);
        }
    })
}
