//! `GET /distribution/{name}/json`.

use super::images::credentials;
use super::status::{Answer, Failure};
use super::{Shared, json};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode};

/// What a name stands for at its registry; names hold slashes.
pub async fn inspect(
    State(gateway): State<Shared>,
    method: Method,
    Path(rest): Path<String>,
    headers: HeaderMap,
) -> Answer {
    let Some(name) = rest.strip_suffix("/json").filter(|_| method == Method::GET) else {
        return Err(Failure::new(StatusCode::NOT_FOUND, "page not found"));
    };
    let reference = storage::Reference::parse(name)?;
    Ok(json(&gateway.registries.inspect(&reference.remote(), credentials(&headers)).await?))
}
