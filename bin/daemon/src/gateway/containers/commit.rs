//! `POST /commit`.

use super::{body_json, id_of};
use crate::gateway::query::Query;
use crate::gateway::status::{Answer, Failure};
use crate::gateway::{Shared, render, status_json};
use actors::CommitRequest;
use axum::extract::{RawQuery, Request, State};
use axum::http::StatusCode;
use contract::image::CommitSpec;
use serde_json::{Map, Value, json as object};

/// Whether a JSON value has the right type.
type Fits = fn(&Value) -> bool;

/// What a container's configuration has in Docker's API, and the JSON type it needs; the rest is not kept.
const KEYS: [(&str, Fits); 19] = [
    ("Hostname", Value::is_string),
    ("Domainname", Value::is_string),
    ("User", Value::is_string),
    ("Env", Value::is_array),
    ("Cmd", Value::is_array),
    ("Entrypoint", Value::is_array),
    ("OnBuild", Value::is_array),
    ("Shell", Value::is_array),
    ("ExposedPorts", Value::is_object),
    ("Volumes", Value::is_object),
    ("Labels", Value::is_object),
    ("Healthcheck", Value::is_object),
    ("Image", Value::is_string),
    ("WorkingDir", Value::is_string),
    ("StopSignal", Value::is_string),
    ("StopTimeout", Value::is_number),
    ("Tty", Value::is_boolean),
    ("OpenStdin", Value::is_boolean),
    ("ArgsEscaped", Value::is_boolean),
];

/// The configuration in the request's body; `None` when there is none.
fn config(body: Value) -> Result<Option<Value>, Failure> {
    let Value::Object(mut body) = body else { return Ok(None) };
    let mut out = Map::new();
    for (key, fits) in KEYS {
        let Some(mut value) = body.remove(key).filter(|v| !v.is_null()) else { continue };
        // Docker takes a string for a list of one.
        if matches!(key, "Cmd" | "Entrypoint" | "Shell") && value.is_string() {
            value = Value::Array(vec![value]);
        }
        if !fits(&value) {
            return Err(Failure::new(
                StatusCode::BAD_REQUEST,
                format!("invalid JSON: {key} has a wrong type"),
            ));
        }
        out.insert(key.to_owned(), value);
    }
    Ok((!out.is_empty()).then_some(Value::Object(out)))
}

pub async fn commit(State(gateway): State<Shared>, RawQuery(query): RawQuery, request: Request) -> Answer {
    let query = Query::parse(query.as_deref());
    let id = id_of(&gateway, query.text("container").unwrap_or_default())?;
    let config = config(body_json(request).await?)?;
    let name = query.text("repo").map(|repo| match query.text("tag") {
        Some(digest) if digest.contains(':') => format!("{repo}@{digest}"),
        Some(tag) => format!("{repo}:{tag}"),
        None => repo.to_owned(),
    });
    let text = |key: &str| query.text(key).unwrap_or_default().to_owned();
    let snapshot = gateway.engine.find(id.as_str())?;
    let spec = CommitSpec {
        container: String::new(),
        name,
        author: text("author"),
        comment: text("comment"),
        container_config: render::config(&snapshot.spec),
        config,
        changes: query.all("changes"),
    };
    let request = CommitRequest { spec, pause: query.flag_or("pause", true) };
    let image = gateway.engine.commit(&id, request).await?;
    Ok(status_json(StatusCode::CREATED, &object!({ "Id": image.as_str() })))
}
