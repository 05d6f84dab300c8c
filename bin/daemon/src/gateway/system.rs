//! Ping, version, info, events, and gantry's own view of its actors.

use super::query::Query;
use super::status::{Answer, Failure};
use super::{Shared, json};
use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
#[cfg(not(feature = "fault"))]
use axum::http::StatusCode;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use contract::image::Credentials;
use contract::{Kind, PortError};
use serde_json::json as object;
use wire::version::{API, MIN_API};

pub async fn ping() -> Answer {
    let mut response = Response::new(Body::from("OK"));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    // Clients take "1" as: no BuildKit; and the swarm state spares them a question.
    headers.insert("builder-version", HeaderValue::from_static("1"));
    headers.insert("swarm", HeaderValue::from_static("inactive"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store, must-revalidate"));
    Ok(response)
}

pub async fn version(State(gateway): State<Shared>) -> Answer {
    let host = &gateway.host;
    let own = env!("CARGO_PKG_VERSION");
    let experimental = gateway.live.get().daemon.experimental;
    let mut out = object!({
        "Platform": { "Name": "gantry" },
        "Components": [
            { "Name": "Engine", "Version": own, "Details": {
                "ApiVersion": API, "MinAPIVersion": MIN_API, "Arch": host.arch(), "Os": "linux",
                "KernelVersion": host.kernel, "Experimental": experimental.to_string(), "GitCommit": "", "GoVersion": "",
                "BuildTime": "",
            } },
            { "Name": "gantry-shim", "Version": own, "Details": { "GitCommit": "" } },
        ],
        "Version": own, "ApiVersion": API, "MinAPIVersion": MIN_API, "GitCommit": "", "GoVersion": "",
        "Os": "linux", "Arch": host.arch(), "KernelVersion": host.kernel, "BuildTime": "",
    });
    if let (true, Some(map)) = (experimental, out.as_object_mut()) {
        map.insert("Experimental".into(), true.into());
    }
    Ok(json(&out))
}

/// `POST /auth`: `docker login`.
pub async fn auth(State(gateway): State<Shared>, body: Bytes) -> Answer {
    let credentials: Credentials = serde_json::from_slice(&body)
        .map_err(|e| PortError::new(Kind::Invalid, format!("invalid JSON: {e}")))?;
    let identity = gateway.registries.login(credentials).await;
    let identity = identity.map_err(|e| Failure::from(e).of_registry())?;
    let mut out = object!({ "Status": "Login Succeeded" });
    if let (Some(identity), Some(map)) = (identity, out.as_object_mut()) {
        map.insert("IdentityToken".into(), identity.into());
    }
    Ok(json(&out))
}

pub async fn actors(State(gateway): State<Shared>) -> Answer {
    Ok(json(&gateway.engine.actors()))
}

/// Arms a panic in a named actor or in all of a kind; test builds only.
pub async fn fault(State(gateway): State<Shared>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::parse(query.as_deref());
    let target = query.text("target").unwrap_or_default();
    #[cfg(feature = "fault")]
    {
        let armed = gateway.engine.inject(target, query.number("nth")?.unwrap_or(1));
        return Ok(json(&object!({ "Armed": armed })));
    }
    #[cfg(not(feature = "fault"))]
    {
        let _unused = (&gateway, target);
        Err(Failure::new(StatusCode::NOT_FOUND, "page not found"))
    }
}
