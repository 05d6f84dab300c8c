//! API version prefixes, taken off before routing.

use axum::http::Uri;
use contract::{Kind, PortError};
use wire::version::{self, Versioned};

/// `/v1.43/containers/json` → `/containers/json`; versions outside the served range are refused.
pub fn strip(uri: &Uri) -> Result<Uri, PortError> {
    let path = uri.path_and_query().map_or("/", |p| p.as_str());
    match version::strip(path) {
        Versioned::Bare => Ok(uri.clone()),
        Versioned::Refused(text) => Err(PortError::new(Kind::Invalid, text)),
        Versioned::Served(rest) => rest.parse().map_err(|e| {
            PortError::caused(Kind::Invalid, format!("invalid path {path}"), Box::new(e) as Box<_>)
        }),
    }
}
