//! `GET /containers/{id}/stats`.

use crate::gateway::query::Query;
use crate::gateway::render;
use crate::gateway::status::Answer;
use crate::gateway::{Shared, json};
use actors::{Sample, Snapshot};
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use std::sync::Arc;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

pub async fn stats(
    State(gateway): State<Shared>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref());
    let engine = &gateway.engine;
    let snapshot = engine.find(&name)?;
    if query.flag_or("stream", true) {
        return Ok(stream(snapshot.clone(), engine.samples(&snapshot)));
    }
    if snapshot.pid == 0 {
        return Ok(json(&render::stats(&snapshot, None, None)));
    }
    if query.flag("one-shot") {
        let now = engine.sample(&snapshot).await;
        return Ok(json(&render::stats(&snapshot, now.as_deref(), None)));
    }
    // Two samples, so that a client can tell how much was used in between.
    let mut samples = engine.samples(&snapshot);
    let before = next(&mut samples).await.flatten();
    let now = next(&mut samples).await.flatten();
    Ok(json(&render::stats(&snapshot, now.as_deref(), before.as_deref())))
}

/// `None` when the container is gone.
async fn next(samples: &mut Receiver<Sample>) -> Option<Sample> {
    loop {
        match samples.recv().await {
            Ok(sample) => return Some(sample),
            // A client too slow for its samples misses some.
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return None,
        }
    }
}

fn stream(snapshot: Arc<Snapshot>, samples: Receiver<Sample>) -> Response {
    let lines =
        futures::stream::unfold((snapshot, samples, None), |(snapshot, mut samples, before)| async move {
            let now = next(&mut samples).await?;
            let line = format!("{}\n", render::stats(&snapshot, now.as_deref(), before.as_deref()));
            let before: Sample = now;
            Some((Ok::<_, std::io::Error>(line), (snapshot, samples, before)))
        });
    let mut response = Response::new(Body::from_stream(lines));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
