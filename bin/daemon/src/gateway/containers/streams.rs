//! Logs and attachments.

use crate::gateway::Shared;
use crate::gateway::detach::DetachKeys;
use crate::gateway::hijack::{self, Shape, tokio_stream};
use crate::gateway::lines::{self, Dress};
use crate::gateway::query::Query;
use crate::gateway::status::{Answer, Failure};
use actors::{AttachRequest, LogsRequest};
use axum::body::Body;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use contract::ContainerId;
use futures::StreamExt;
use std::convert::Infallible;

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
    let id = ContainerId::new(snapshot.spec.id.clone());
    let lines = gateway.engine.logs(&id, request).await?;
    let body = tokio_stream(lines).map(move |item| {
        Ok::<_, Infallible>(match item {
            Ok(batch) => lines::encode(&batch, dress),
            Err(error) => {
                let cause = error.chain();
                tracing::warn!(container = id.short(), "reading its log: {cause}");
                lines::broken(&cause, dress)
            }
        })
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
    let tty = snapshot.spec.tty;
    let keys = DetachKeys::parse(query.text("detachKeys").unwrap_or_default())?;
    let (stdout, stderr) = (query.flag("stdout"), query.flag("stderr"));
    let shape = Shape { raw: tty, stdout, stderr, detach: tty.then_some(keys) };
    let id = ContainerId::new(snapshot.spec.id.clone());
    let wanted = AttachRequest {
        stdin: query.flag("stdin"),
        logs: query.flag("logs"),
        past_only: !query.flag("stream"),
    };
    let attachment = gateway.engine.attach(&id, wanted).await?;
    let engine = gateway.engine.clone();
    hijack::answer(request, attachment, shape, move |end| {
        // Docker tells both so.
        if matches!(end, hijack::End::Detached | hijack::End::ClientLeft) {
            engine.detached(&id);
        }
    })
}
