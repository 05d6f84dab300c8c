//! Talking to the daemon: bollard for typed calls, plain hyper where the bytes themselves matter.

use std::path::PathBuf;

use bollard::{ClientVersion, Docker};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, Response, body::Incoming, client::conn::http1, upgrade::Upgraded};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;
use wire::error::ErrorBody;

/// The API version spoken to the daemon.
pub const API_VERSION: ClientVersion =
    ClientVersion { major_version: 1, minor_version: wire::version::API_MINOR as usize };
/// Where the daemon listens unless told otherwise.
pub const DEFAULT_HOST: &str = "unix:///run/gantry.sock";
// Waiting for a stop or a pull is the daemon's business; a year is "no limit" to a timer.
const NO_LIMIT: u64 = 365 * 24 * 3600;

/// Why a request brought no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The daemon refused.
    #[error("Error response from daemon: {message}")]
    Daemon {
        /// HTTP status.
        status: u16,
        /// The daemon's words.
        message: String,
    },
    /// Nobody listens at the address.
    #[error("Cannot connect to the gantry daemon at {host}. Is gantryd running?")]
    Unreachable {
        /// The address tried.
        host: String,
    },
    /// The address is of a kind this client does not speak.
    #[error("unable to parse host `{host}`: only unix:// addresses are supported")]
    Host {
        /// The address given.
        host: String,
    },
    /// An operation failed after its answer had begun.
    #[error("{0}")]
    Failed(String),
    /// The connection broke.
    #[error("error during connect: {0}")]
    Connection(#[source] hyper::Error),
    /// bollard could not complete the call.
    #[error("error during connect: {0}")]
    Call(#[source] bollard::errors::Error),
    /// The request could not be put into words.
    #[error("invalid request: {0}")]
    Request(#[source] hyper::http::Error),
    /// The answer is not JSON.
    #[error("invalid answer from daemon: {0}")]
    Json(#[source] serde_json::Error),
}

/// A way to the daemon; connections are made per request.
#[derive(Debug, Clone)]
pub struct Client {
    host: String,
    socket: PathBuf,
}

/// A connection taken over for raw bytes.
pub type Hijacked = TokioIo<Upgraded>;

impl Client {
    /// A client for `host`, such as `unix:///run/gantry.sock`.
    pub fn new(host: &str) -> Result<Self, ClientError> {
        match host.strip_prefix("unix://") {
            Some(path) => Ok(Self { host: host.to_owned(), socket: PathBuf::from(path) }),
            None => Err(ClientError::Host { host: host.to_owned() }),
        }
    }

    /// bollard, for typed calls.
    pub fn docker(&self) -> Result<Docker, ClientError> {
        Docker::connect_with_unix(&self.socket.to_string_lossy(), NO_LIMIT, &API_VERSION)
            .map_err(|error| self.because(error))
    }

    /// Puts bollard's error into the words of this client.
    pub fn because(&self, error: bollard::errors::Error) -> ClientError {
        use bollard::errors::Error;
        match error {
            Error::DockerResponseServerError { status_code, message } => {
                ClientError::Daemon { status: status_code, message }
            }
            Error::SocketNotFoundError(_) => ClientError::Unreachable { host: self.host.clone() },
            Error::HyperLegacyError { err } if err.is_connect() => {
                ClientError::Unreachable { host: self.host.clone() }
            }
            Error::DockerStreamError { error } => ClientError::Failed(error),
            other => ClientError::Call(other),
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        upgrade: bool,
    ) -> Result<Response<Incoming>, ClientError> {
        let unreachable = || ClientError::Unreachable { host: self.host.clone() };
        let socket = UnixStream::connect(&self.socket).await.map_err(|_| unreachable())?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(socket)).await.map_err(ClientError::Connection)?;
        tokio::spawn(connection.with_upgrades());
        let mut request = Request::builder().method(method).uri(path).header("Host", "gantry");
        if body.is_some() {
            request = request.header("Content-Type", "application/json");
        }
        if upgrade {
            request = request.header("Connection", "Upgrade").header("Upgrade", "tcp");
        }
        let body = Full::new(body.map(|value| Bytes::from(value.to_string())).unwrap_or_default());
        let request = request.body(body).map_err(ClientError::Request)?;
        let response = sender.send_request(request).await.map_err(ClientError::Connection)?;
        let status = response.status();
        if status.is_client_error() || status.is_server_error() {
            let body = response.into_body().collect().await.map_err(ClientError::Connection)?.to_bytes();
            return Err(ClientError::Daemon {
                status: status.as_u16(),
                message: ErrorBody::read(&body, status.as_u16()),
            });
        }
        Ok(response)
    }

    /// Path of an API call, with the version in front.
    fn versioned(path: &str) -> String {
        format!("/v{}.{}{path}", API_VERSION.major_version, API_VERSION.minor_version)
    }

    /// The JSON at an API path, exactly as the daemon wrote it.
    pub async fn get(&self, path: &str) -> Result<Value, ClientError> {
        self.get_unversioned(&Self::versioned(path)).await
    }

    /// The JSON at a path outside Docker's API.
    pub async fn get_unversioned(&self, path: &str) -> Result<Value, ClientError> {
        let response = self.send(Method::GET, path, None, false).await?;
        let body = response.into_body().collect().await.map_err(ClientError::Connection)?.to_bytes();
        serde_json::from_slice(&body).map_err(ClientError::Json)
    }

    /// Starts a request whose answer is read as it comes. Returns once the headers are there.
    pub async fn stream(&self, method: Method, path: &str) -> Result<Body, ClientError> {
        let response = self.send(method, &Self::versioned(path), None, false).await?;
        Ok(Body { incoming: response.into_body(), pending: Vec::new() })
    }

    /// Takes a connection over for raw bytes in both directions.
    pub async fn hijack(&self, path: &str, body: Option<&Value>) -> Result<Hijacked, ClientError> {
        let response = self.send(Method::POST, &Self::versioned(path), body, true).await?;
        Ok(TokioIo::new(hyper::upgrade::on(response).await.map_err(ClientError::Connection)?))
    }
}

/// An answer that is still being written.
#[derive(Debug)]
pub struct Body {
    incoming: Incoming,
    pending: Vec<u8>,
}

impl Body {
    /// The next bytes, or `None` at the end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, ClientError> {
        while let Some(frame) = self.incoming.frame().await {
            if let Ok(data) = frame.map_err(ClientError::Connection)?.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// The next JSON value of a stream with one a line.
    pub async fn json(&mut self) -> Result<Option<Value>, ClientError> {
        loop {
            if let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.pending.drain(..=end).collect();
                if !line.trim_ascii().is_empty() {
                    return serde_json::from_slice(&line).map(Some).map_err(ClientError::Json);
                }
                continue;
            }
            match self.chunk().await? {
                Some(chunk) => self.pending.extend_from_slice(&chunk),
                None if self.pending.trim_ascii().is_empty() => return Ok(None),
                None => {
                    let rest = std::mem::take(&mut self.pending);
                    return serde_json::from_slice(&rest).map(Some).map_err(ClientError::Json);
                }
            }
        }
    }
}

/// Percent-encodes one path segment or query value.
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' | b':' => {
                out.push(byte as char)
            }
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

/// A query string of the pairs that have a value.
pub fn query(pairs: &[(&str, Option<String>)]) -> String {
    let parts: Vec<String> = pairs
        .iter()
        .filter_map(|(key, value)| value.as_ref().map(|value| format!("{key}={}", encode(value))))
        .collect();
    parts.join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_keep_only_what_is_set() {
        let pairs = [("a", Some("x y&z".to_owned())), ("b", None), ("c", Some("1".to_owned()))];
        assert_eq!(query(&pairs), "a=x%20y%26z&c=1");
    }
}
