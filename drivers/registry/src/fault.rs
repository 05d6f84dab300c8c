//! What can go wrong in a pull, in the words of Docker's client library (which are Go's).

use crate::handshake;
use contract::{Kind, PortError};
use reqwest::{Method, StatusCode};
use std::error::Error as _;

/// A failure on the way to an image.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The registry cannot be reached, or broke off.
    #[error("{verb} \"{url}\": {cause}")]
    Transport {
        /// The method, as Go writes it: `Get`.
        verb: String,
        /// What was asked for.
        url: String,
        /// The innermost reason.
        cause: String,
    },
    /// The registry names an error (distribution-spec, "Error Codes").
    #[error("{}: {message}", spoken(.code))]
    Named {
        /// `MANIFEST_UNKNOWN`, …
        code: String,
        /// Its words.
        message: String,
    },
    /// An answer that is no registry's.
    #[error("received unexpected HTTP status: {0}")]
    Status(StatusCode),
    /// Content is not what its digest says; a fresh download may be.
    #[error("filesystem layer verification failed for digest {0}")]
    Blob(String),
    /// What a request was to be shown with could not be had.
    #[error("{verb} \"{url}\": {cause}")]
    Unauthorized {
        /// The method, as Go writes it.
        verb: String,
        /// What was asked for.
        url: String,
        /// Why not.
        cause: Box<Fault>,
    },
    /// The registry refuses what we have to show.
    #[error("{0}")]
    Denied(String),
    /// Content that no image has.
    #[error("{0}")]
    Content(String),
    /// There is no such thing.
    #[error("{0}")]
    Missing(String),
    /// The disk is full, or would be.
    #[error("{0}: no space left on device")]
    Full(String),
    /// A failure of our own.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// `Get`.
fn verb(method: &Method) -> String {
    let (first, rest) = method.as_str().split_at(1);
    format!("{first}{}", rest.to_lowercase())
}

/// `MANIFEST_UNKNOWN` as Go's client says it: `manifest unknown`.
fn spoken(code: &str) -> String {
    code.to_lowercase().replace('_', " ")
}

impl Fault {
    /// The request failed before an answer, or while one came.
    pub fn transport(url: &str, error: &reqwest::Error) -> Self {
        Self::unsent(&Method::GET, url, error)
    }

    /// The same of any request.
    pub fn unsent(method: &Method, url: &str, error: &reqwest::Error) -> Self {
        Self::Transport { verb: verb(method), url: url.to_owned(), cause: cause(url, error) }
    }

    /// The same, for want of something to show: a request that was not sent.
    pub fn before(self, method: &Method, url: &str) -> Self {
        // Docker asks for a tag by HEAD first, and that is where it fails.
        let by_tag =
            method == Method::GET && url.contains("/manifests/") && !url.contains("/manifests/sha256:");
        let verb = if by_tag { "Head".into() } else { verb(method) };
        Self::Unauthorized { verb, url: url.to_owned(), cause: Box::new(self) }
    }

    /// What a challenge says of itself (RFC 6750, 3.1).
    pub fn challenged(error: &str, description: Option<&str>) -> Option<Self> {
        let (code, usual) = match error {
            "invalid_token" => ("UNAUTHORIZED", "authentication required"),
            "insufficient_scope" => ("DENIED", "requested access to the resource is denied"),
            _ => return None,
        };
        let message = description.filter(|d| !d.is_empty()).unwrap_or(usual).chars().take(500).collect();
        Some(Self::Named { code: code.into(), message })
    }

    /// A refusal in plain text.
    pub fn told(status: StatusCode, body: &[u8]) -> Self {
        let message: String = String::from_utf8_lossy(body).trim().chars().take(500).collect();
        let code = match status {
            StatusCode::UNAUTHORIZED => "UNAUTHORIZED",
            StatusCode::FORBIDDEN => "DENIED",
            StatusCode::TOO_MANY_REQUESTS => "TOOMANYREQUESTS",
            status if status.is_client_error() => "UNKNOWN",
            _ => return Self::answer(status, body),
        };
        if message.is_empty() {
            Self::answer(status, &[])
        } else {
            Self::Named { code: code.into(), message }
        }
    }

    /// Whether whoever asked is not who they say.
    pub fn unknown_user(&self) -> bool {
        match self {
            Self::Unauthorized { cause, .. } => cause.unknown_user(),
            Self::Named { code, .. } => code == "UNAUTHORIZED",
            _ => false,
        }
    }

    /// The registry did not say anything in time.
    pub fn silent(method: &Method, url: &str) -> Self {
        let cause = "net/http: request canceled (Client.Timeout exceeded while awaiting headers)".into();
        Self::Transport { verb: verb(method), url: url.to_owned(), cause }
    }

    /// The registry broke off early.
    pub fn eof(url: &str) -> Self {
        Self::Transport { verb: "Get".into(), url: url.to_owned(), cause: "unexpected EOF".into() }
    }

    /// A failure to write at that place.
    pub fn disk(what: &str, path: &std::path::Path, error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                Self::Full(format!("{what} {}", path.display()))
            }
            _ => PortError::caused(Kind::Bug, format!("{what} {}", path.display()), error).into(),
        }
    }

    /// What an answer that is no success says.
    pub fn answer(status: StatusCode, body: &[u8]) -> Self {
        let parsed: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |value: &serde_json::Value, key: &str| {
            value
                .get(key)
                .and_then(serde_json::Value::as_str)
                .map(|t| t.chars().take(500).collect::<String>())
        };
        if let Some(first) = parsed.pointer("/errors/0") {
            let code = text(first, "code").unwrap_or_else(|| "UNKNOWN".into());
            let message = text(first, "message").filter(|m| !m.is_empty()).unwrap_or_else(|| spoken(&code));
            return Self::Named { code, message };
        }
        let details = || text(&parsed, "details");
        match status {
            StatusCode::UNAUTHORIZED => Self::Named {
                code: "UNAUTHORIZED".into(),
                message: details().unwrap_or_else(|| "authentication required".into()),
            },
            StatusCode::FORBIDDEN => Self::Named {
                code: "DENIED".into(),
                message: details().unwrap_or_else(|| "requested access to the resource is denied".into()),
            },
            StatusCode::TOO_MANY_REQUESTS => Self::Named {
                code: "TOOMANYREQUESTS".into(),
                message: details().unwrap_or_else(|| "too many requests".into()),
            },
            status => Self::Status(status),
        }
    }

    /// Whether another try may succeed.
    pub fn passing(&self) -> bool {
        match self {
            Self::Transport { .. } => true,
            Self::Status(status) => status.is_server_error(),
            Self::Unauthorized { cause, .. } => cause.passing(),
            _ => false,
        }
    }

    /// Whether the failure is this machine's: no other registry does better.
    pub fn ours(&self) -> bool {
        matches!(self, Self::Full(_) | Self::Port(_))
    }

    /// For the port, with the image's name where Docker says it.
    pub fn about(self, familiar: &str, shown: &str) -> PortError {
        let text = match &self {
            Self::Named { code, .. } => match code.as_str() {
                "DENIED" => Some(format!(
                    "pull access denied for {familiar}, repository does not exist or may require 'docker login': {self}"
                )),
                "MANIFEST_UNKNOWN" => Some(format!("manifest for {shown} not found: {self}")),
                "NAME_UNKNOWN" => Some(format!("repository {familiar} not found: {self}")),
                _ => None,
            },
            _ => None,
        };
        match (text, self) {
            (Some(text), _) => PortError::new(Kind::NotFound, text),
            (None, Self::Port(error)) => error,
            (None, fault) => {
                let kind = match &fault {
                    Self::Content(_) | Self::Blob(_) => Kind::Invalid,
                    Self::Missing(_) => Kind::NotFound,
                    Self::Full(_) => Kind::Exhausted,
                    _ => Kind::Unavailable,
                };
                PortError::new(kind, fault.to_string())
            }
        }
    }
}

/// The failure of TLS in an I/O error, which may be in another one.
fn wrapped(mut io: &std::io::Error) -> Option<&rustls::Error> {
    loop {
        let inner = io.get_ref()?;
        if let Some(tls) = inner.downcast_ref::<rustls::Error>() {
            return Some(tls);
        }
        io = inner.downcast_ref::<std::io::Error>()?;
    }
}

/// Go's words for the commonest reasons, ours for the others.
fn cause(url: &str, error: &reqwest::Error) -> String {
    let host = url.split('/').nth(2).unwrap_or_default();
    let mut at: Option<&(dyn std::error::Error + 'static)> = error.source();
    let (mut last, mut chain) = (error.to_string(), Vec::new());
    while let Some(reason) = at {
        last = reason.to_string();
        chain.push(last.clone());
        if let Some(io) = reason.downcast_ref::<std::io::Error>() {
            // What an I/O error wraps is not among its sources.
            if let Some(tls) = wrapped(io) {
                return handshake::words(tls, host);
            }
            match io.kind() {
                std::io::ErrorKind::ConnectionRefused => {
                    return format!("dial tcp {host}: connect: connection refused");
                }
                std::io::ErrorKind::HostUnreachable => {
                    return format!("dial tcp {host}: connect: no route to host");
                }
                std::io::ErrorKind::NetworkUnreachable => {
                    return format!("dial tcp {host}: connect: network is unreachable");
                }
                std::io::ErrorKind::ConnectionReset => return "read: connection reset by peer".into(),
                _ => {}
            }
        }
        if let Some(tls) = reason.downcast_ref::<rustls::Error>() {
            return handshake::words(tls, host);
        }
        at = reason.source();
    }
    if chain.iter().any(|c| c.contains("failed to lookup address") || c.contains("dns error")) {
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        return format!("dial tcp: lookup {name}: no such host");
    }
    if error.is_timeout() {
        return "net/http: request canceled (Client.Timeout exceeded while awaiting headers)".into();
    }
    if chain
        .iter()
        .any(|c| c.contains("unexpected EOF") || c.contains("message completed") || c.contains("end of file"))
    {
        return "unexpected EOF".into();
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_errors_are_told_in_dockers_words() {
        let about = |status, body: &str| {
            let error = Fault::answer(status, body.as_bytes()).about("l:5000/a", "l:5000/a:1");
            (error.kind, error.text)
        };
        let named = |code: &str| format!(r#"{{"errors":[{{"code":"{code}","message":"words"}}]}}"#);
        assert_eq!(
            about(StatusCode::NOT_FOUND, &named("MANIFEST_UNKNOWN")),
            (Kind::NotFound, "manifest for l:5000/a:1 not found: manifest unknown: words".into())
        );
        assert_eq!(
            about(StatusCode::NOT_FOUND, &named("NAME_UNKNOWN")),
            (Kind::NotFound, "repository l:5000/a not found: name unknown: words".into())
        );
        let denied = "pull access denied for l:5000/a, repository does not exist or may require 'docker login': denied: words";
        assert_eq!(about(StatusCode::UNAUTHORIZED, &named("DENIED")), (Kind::NotFound, denied.into()));
        assert_eq!(
            about(StatusCode::UNAUTHORIZED, ""),
            (Kind::Unavailable, "unauthorized: authentication required".into())
        );
        assert_eq!(
            about(StatusCode::BAD_GATEWAY, "<html>"),
            (Kind::Unavailable, "received unexpected HTTP status: 502 Bad Gateway".into())
        );
    }
}
