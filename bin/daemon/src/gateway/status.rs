//! The one map from error kinds to HTTP, and Docker's error body.

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use contract::{Kind, PortError};
use wire::error::ErrorBody;

/// A failure on its way to the client.
pub struct Failure {
    status: StatusCode,
    text: String,
}

impl Failure {
    /// A failure with an explicit status.
    pub fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Docker's text, for streams that already answered 200.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl Failure {
    /// A registry that is away or refuses is the daemon's failure to Docker's clients, not a daemon that is away.
    pub fn of_registry(self) -> Self {
        match self.status {
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::FORBIDDEN => {
                Self { status: StatusCode::INTERNAL_SERVER_ERROR, ..self }
            }
            _ => self,
        }
    }
}

impl From<PortError> for Failure {
    fn from(error: PortError) -> Self {
        let status = match error.kind {
            Kind::NotFound => StatusCode::NOT_FOUND,
            Kind::Conflict => StatusCode::CONFLICT,
            Kind::Invalid => StatusCode::BAD_REQUEST,
            Kind::Unsupported => StatusCode::NOT_IMPLEMENTED,
            Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Kind::Denied => StatusCode::FORBIDDEN,
            Kind::Unauthorized => StatusCode::UNAUTHORIZED,
            Kind::Exhausted | Kind::Bug => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self { status, text: error.chain() }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        if self.status.is_server_error() {
            tracing::warn!(status = self.status.as_u16(), "request failed: {}", self.text);
        }
        let text = ErrorBody { message: self.text };
        let body = serde_json::to_string(&text).unwrap_or_default() + "\n";
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
        response
    }
}

/// What every handler answers.
pub type Answer = Result<Response, Failure>;
