//! `/containers/{id}/exec` and `/exec/…`.

use super::containers::body_json;
use super::detach::DetachKeys;
use super::hijack::{self, Shape};
use super::query::Query;
use super::status::{Answer, Failure};
use super::{Shared, empty, json, status_json};
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::StatusCode;
use bytes::Bytes;
use contract::log::Stream;
use contract::runtime::{Attachment, ExecSpec};
use contract::{ContainerId, ExecId, Kind};
use serde_json::{Value, json as object};

/// Whatever the case of the key: Docker reads JSON so, and docker-py writes `detachKeys`.
fn field<'a>(body: &'a Value, key: &str) -> Option<&'a Value> {
    let map = body.as_object()?;
    map.get(key).or_else(|| map.iter().find(|(k, _)| k.eq_ignore_ascii_case(key)).map(|(_, v)| v))
}

fn flag(body: &Value, key: &str) -> bool {
    field(body, key).and_then(Value::as_bool).unwrap_or(false)
}

fn text(body: &Value, key: &str) -> String {
    field(body, key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn list(body: &Value, key: &str) -> Vec<String> {
    let values = field(body, key).and_then(Value::as_array);
    values.into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect()
}

pub async fn create(State(gateway): State<Shared>, Path(name): Path<String>, request: Request) -> Answer {
    let snapshot = gateway.engine.find(&name)?;
    let body = body_json(request).await?;
    let spec = ExecSpec {
        args: list(&body, "Cmd"),
        env: list(&body, "Env"),
        working_dir: text(&body, "WorkingDir"),
        user: text(&body, "User"),
        tty: flag(&body, "Tty"),
        stdin: flag(&body, "AttachStdin"),
        output: flag(&body, "AttachStdout") || flag(&body, "AttachStderr"),
        privileged: flag(&body, "Privileged"),
        bound: false,
        attach: [flag(&body, "AttachStdout"), flag(&body, "AttachStderr")],
        detach_keys: text(&body, "DetachKeys"),
    };
    if spec.args.is_empty() {
        return Err(Failure::new(StatusCode::BAD_REQUEST, "No exec command specified"));
    }
    DetachKeys::parse(&spec.detach_keys)?;
    let id = gateway.engine.exec_create(&ContainerId::new(snapshot.spec.id.clone()), spec)?;
    Ok(status_json(StatusCode::CREATED, &object!({ "Id": id.as_str() })))
}

pub async fn start(State(gateway): State<Shared>, Path(id): Path<String>, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    // The body is read first; the connection's upgrade lives in the parts.
    let sent = body_json(Request::from_parts(parts_without_upgrade(&parts), body)).await?;
    let exec = ExecId::new(id);
    let info = gateway.engine.exec_inspect(&exec).await?;
    let detached = flag(&sent, "Detach");
    let run = gateway.engine.exec_run(&exec, !detached).await;
    let [stdout, stderr] = info.spec.attach;
    let detach = DetachKeys::parse(&info.spec.detach_keys)?;
    // How it looks is this request's choice, whatever the session was made with.
    let shape = Shape { raw: flag(&sent, "Tty"), stdout, stderr, detach: info.spec.tty.then_some(detach) };
    let request = Request::from_parts(parts, axum::body::Body::empty());
    let attachment = match run {
        Ok(attachment) => attachment,
        // Docker has answered with the stream by now, and its clients look for the reason there.
        Err(error) if !detached => {
            return hijack::answer(request, said(format!("{}\r\n", error.chain())), shape, |_| {});
        }
        Err(error) if matches!(error.kind, Kind::NotFound | Kind::Denied) => {
            return Err(Failure::new(StatusCode::BAD_REQUEST, error.chain()));
        }
        Err(error) => return Err(error.into()),
    };
    let Some(attachment) = attachment else { return Ok(empty(StatusCode::OK)) };
    let size = field(&sent, "ConsoleSize").and_then(Value::as_array).map(|s| {
        let cell =
            |i: usize| s.get(i).and_then(Value::as_u64).and_then(|n| u16::try_from(n).ok()).unwrap_or(0);
        (cell(0), cell(1))
    });
    if let Some((rows, cols)) = size.filter(|(rows, cols)| info.spec.tty && *rows > 0 && *cols > 0) {
        gateway.engine.exec_resize(&exec, rows, cols).await?;
    }
    let engine = gateway.engine.clone();
    hijack::answer_then(request, attachment, shape, move |end| async move {
        match end {
            // The client asks for the exit code as soon as the stream ends.
            hijack::End::Finished => engine.exec_ended(&exec).await,
            hijack::End::Detached => engine.exec_detached(&exec),
            hijack::End::ClientLeft => {}
        }
    })
}

/// A session that says one thing and ends.
fn said(text: String) -> Attachment {
    let (sender, output) = tokio::sync::mpsc::channel(1);
    // The channel is new: there is room.
    let _kept = sender.try_send((Stream::Stdout, Bytes::from(text)));
    Attachment { input: None, output }
}

fn parts_without_upgrade(parts: &axum::http::request::Parts) -> axum::http::request::Parts {
    let mut builder = axum::http::Request::builder().method(parts.method.clone()).uri(parts.uri.clone());
    if let Some(headers) = builder.headers_mut() {
        headers.clone_from(&parts.headers);
    }
    match builder.body(()) {
        Ok(request) => request.into_parts().0,
        Err(_) => axum::http::Request::new(()).into_parts().0,
    }
}

pub async fn inspect(State(gateway): State<Shared>, Path(id): Path<String>) -> Answer {
    let info = gateway.engine.exec_inspect(&ExecId::new(id)).await?;
    let mut args = info.spec.args.iter();
    Ok(json(&object!({
        "ID": info.id, "ContainerID": info.container, "Running": info.running, "ExitCode": info.exit_code,
        "Pid": info.pid, "CanRemove": info.exit_code.is_some(), "DetachKeys": info.spec.detach_keys,
        "OpenStdin": info.spec.stdin, "OpenStdout": info.spec.attach[0], "OpenStderr": info.spec.attach[1],
        "ProcessConfig": {
            "tty": info.spec.tty, "entrypoint": args.next(), "arguments": args.collect::<Vec<_>>(),
            "privileged": info.spec.privileged, "user": info.spec.user,
        },
    })))
}

pub async fn resize(
    State(gateway): State<Shared>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref());
    let (rows, cols) = (query.number("h")?.unwrap_or(0), query.number("w")?.unwrap_or(0));
    gateway.engine.exec_resize(&ExecId::new(id), rows, cols).await?;
    Ok(empty(StatusCode::OK))
}
