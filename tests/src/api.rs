//! Plain calls of the API, for what no command line shows.

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// An answer of the daemon.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("not JSON ({e}): {}", self.text()))
    }

    /// The text of an error body, which must have this status and nothing but `message`.
    #[track_caller]
    pub fn error(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.headers.get("content-type").map(String::as_str), Some("application/json"));
        let body = self.json();
        let fields: Vec<_> = body.as_object().expect("an object").keys().collect();
        assert_eq!(fields, ["message"]);
        body["message"].as_str().expect("text").to_owned()
    }
}

/// Calls a daemon that may not be there.
#[derive(Debug, Clone)]
pub struct Caller {
    socket: PathBuf,
}

impl Caller {
    pub(crate) fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Calls the API; what went wrong when there was no whole answer.
    pub fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer, String> {
        request(&self.socket, method, path, body)
    }
}

/// One request over its own connection.
pub(crate) fn request(
    socket: &Path,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Result<Answer, String> {
    let text = body.map(Value::to_string);
    request_with(socket, method, path, text.as_deref().map(|t| ("application/json", t)))
}

/// One request over its own connection, with a body of any type.
pub(crate) fn request_with(
    socket: &Path,
    method: &str,
    path: &str,
    body: Option<(&str, &str)>,
) -> Result<Answer, String> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    runtime.block_on(async {
        let call = call(socket, method, path, body);
        tokio::time::timeout(crate::PATIENCE, call).await.map_err(|_| "no answer in time".to_owned())?
    })
}

async fn call(socket: &Path, method: &str, path: &str, body: Option<(&str, &str)>) -> Result<Answer, String> {
    let stream = tokio::net::UnixStream::connect(socket).await.map_err(|e| e.to_string())?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| e.to_string())?;
    let connection = tokio::spawn(connection);
    let mut request = hyper::Request::builder().method(method).uri(path).header("host", "docker");
    if let Some((kind, _)) = body {
        request = request.header("content-type", kind);
    }
    let bytes = body.map(|(_, text)| text.to_owned()).unwrap_or_default();
    let request = request.body(Full::new(Bytes::from(bytes))).map_err(|e| e.to_string())?;
    let answer = sender.send_request(request).await.map_err(|e| e.to_string())?;
    let (parts, body) = answer.into_parts();
    let body = body.collect().await.map_err(|e| e.to_string())?.to_bytes().to_vec();
    connection.abort();
    let text = |v: &hyper::header::HeaderValue| String::from_utf8_lossy(v.as_bytes()).into_owned();
    let headers = parts.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    Ok(Answer { status: parts.status.as_u16(), headers, body })
}
