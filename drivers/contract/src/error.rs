//! What can go wrong at a port, in the few kinds a caller decides on.

use serde::{Deserialize, Serialize};
use std::error::Error as StdError;

/// The class of a failure; the gateway alone turns it into an HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// The named object does not exist.
    NotFound,
    /// The object's state or another holder forbids it.
    Conflict,
    /// The request itself is wrong.
    Invalid,
    /// Known, but gantry or this kernel cannot do it.
    Unsupported,
    /// A pool or budget is used up.
    Exhausted,
    /// Try again: the other side is down or restarting.
    Unavailable,
    /// Not allowed.
    Denied,
    /// Credentials missing or refused.
    Unauthorized,
    /// A defect or an unexpected system failure.
    Bug,
}

/// A failure of a port: `text` is Docker-compatible and names operation and object, `source` is the cause.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct PortError {
    /// Class of the failure.
    pub kind: Kind,
    /// What failed, as the user reads it.
    pub text: String,
    /// The cause.
    #[source]
    pub source: Option<Box<dyn StdError + Send + Sync>>,
}

impl PortError {
    /// A failure without a deeper cause.
    pub fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into(), source: None }
    }

    /// A failure with its cause.
    pub fn caused(
        kind: Kind,
        text: impl Into<String>,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self { kind, text: text.into(), source: Some(source.into()) }
    }

    /// The text followed by each cause, parted by `: `.
    pub fn chain(&self) -> String {
        let mut out = self.text.clone();
        let mut next: Option<&(dyn StdError + 'static)> = self.source.as_ref().map(|s| s.as_ref() as _);
        while let Some(cause) = next {
            out.push_str(": ");
            out.push_str(&cause.to_string());
            next = cause.source();
        }
        out
    }
}
