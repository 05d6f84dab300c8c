//! API version prefixes, taken off before routing.

use axum::http::Uri;
use contract::{Kind, PortError};
use wire::version::API_MINOR;
use wire::version::{self, Versioned};

/// The minor number of the API version that a request speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiMinor(pub u32);

impl ApiMinor {
    /// The newest.
    pub fn newest() -> Self {
        Self(API_MINOR)
    }

    /// The one that a path names, else the newest.
    pub fn of(path: &str) -> Self {
        let version = path.strip_prefix("/v1.").and_then(|p| p.split('/').next());
        Self(version.and_then(|minor| minor.parse().ok()).unwrap_or(API_MINOR))
    }
}

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
