//! Talking to the daemon: bollard for typed calls, plain hyper where the bytes themselves matter, one way to connect.

mod address;
mod body;
mod error;

use std::sync::Arc;

use bollard::{BollardRequest, ClientVersion, Docker};
use bytes::Bytes;
use futures::Stream;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use hyper::{Method, Request, Response, Uri, client::conn::http1, upgrade::Upgraded};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use wire::error::ErrorBody;

use crate::configuration::Configuration;

pub use address::{Address, Tls};
pub use body::{Body, encode, query};
pub use error::ClientError;

/// The API version spoken to the daemon.
pub const API_VERSION: ClientVersion =
    ClientVersion { major_version: 1, minor_version: wire::version::API_MINOR as usize };
/// Where the daemon listens unless told otherwise.
pub const DEFAULT_HOST: &str = "unix:///run/gantry.sock";
// Waiting for a stop or a pull is the daemon's business; a year is "no limit" to a timer.
const NO_LIMIT: u64 = 365 * 24 * 3600;

/// A way to the daemon; connections are made per request.
#[derive(Debug, Clone)]
pub struct Client {
    host: String,
    address: Address,
    tls: Option<Arc<rustls::ClientConfig>>,
    configuration: Arc<Configuration>,
}

/// A connection taken over for raw bytes.
pub type Hijacked = TokioIo<Upgraded>;

/// What a request carries.
pub type Payload = UnsyncBoxBody<Bytes, std::io::Error>;

/// Bytes in both directions.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A request without a body.
pub fn nothing() -> Payload {
    Full::default().map_err(|never| match never {}).boxed_unsync()
}

/// A body of pieces as they come.
pub fn streamed(pieces: impl Stream<Item = std::io::Result<Bytes>> + Send + 'static) -> Payload {
    use futures::StreamExt;
    BodyExt::boxed_unsync(StreamBody::new(pieces.map(|piece| piece.map(Frame::data))))
}

impl Client {
    /// A client for `host`, such as `unix:///run/gantry.sock`.
    pub fn new(host: &str, tls: Option<&Tls>, configuration: Configuration) -> Result<Self, ClientError> {
        let address = Address::parse(host, tls.is_some())?;
        let tls = tls.filter(|_| matches!(address, Address::Tcp(..))).map(Tls::configuration).transpose()?;
        Ok(Self {
            host: host.to_owned(),
            address,
            tls: tls.map(Arc::new),
            configuration: Arc::new(configuration),
        })
    }

    /// What the user set up for this client.
    pub fn configuration(&self) -> &Configuration {
        &self.configuration
    }

    async fn dial(&self) -> std::io::Result<Box<dyn Duplex>> {
        let stream = match &self.address {
            Address::Unix(path) => return Ok(Box::new(UnixStream::connect(path).await?)),
            Address::Tcp(name, port) => TcpStream::connect((name.as_str(), *port)).await?,
        };
        let (Some(tls), Address::Tcp(name, _)) = (&self.tls, &self.address) else {
            return Ok(Box::new(stream));
        };
        let name = ServerName::try_from(name.clone()).map_err(std::io::Error::other)?;
        Ok(Box::new(tokio_rustls::TlsConnector::from(Arc::clone(tls)).connect(name, stream).await?))
    }

    /// A bare connection to the daemon.
    pub async fn connect(&self) -> Result<Box<dyn Duplex>, ClientError> {
        self.dial().await.map_err(|error| self.unreachable(&error))
    }

    fn unreachable(&self, error: &std::io::Error) -> ClientError {
        let host = self.host.clone();
        match error.kind() {
            std::io::ErrorKind::PermissionDenied => ClientError::Forbidden { host },
            std::io::ErrorKind::InvalidData | std::io::ErrorKind::Other => {
                ClientError::Failed(format!("error during connect: {host}: {error}"))
            }
            _ => ClientError::Unreachable { host },
        }
    }

    /// bollard, for typed calls.
    pub fn docker(&self) -> Result<Docker, ClientError> {
        let client = self.clone();
        let transport = move |request: BollardRequest| {
            let client = client.clone();
            async move { client.carry(request).await }
        };
        Docker::connect_with_custom_transport(transport, Some("http://gantry"), NO_LIMIT, &API_VERSION)
            .map_err(|error| self.because(error))
    }

    /// One request of bollard's, over a connection of its own.
    async fn carry(&self, request: BollardRequest) -> Result<Response<Incoming>, bollard::errors::Error> {
        let stream = self.dial().await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection.with_upgrades());
        let (mut head, body) = request.into_parts();
        if let Some(path) = head.uri.path_and_query().cloned() {
            head.uri = Uri::from(path);
        }
        head.headers.insert("host", hyper::header::HeaderValue::from_static("gantry"));
        Ok(sender.send_request(Request::from_parts(head, body)).await?)
    }

    /// Puts bollard's error into the words of this client.
    pub fn because(&self, error: bollard::errors::Error) -> ClientError {
        use bollard::errors::Error;
        match error {
            Error::DockerResponseServerError { status_code, message } => {
                ClientError::Daemon { status: status_code, message }
            }
            Error::IOError { err } => self.unreachable(&err),
            Error::DockerStreamError { error } => ClientError::Failed(error),
            other => ClientError::Call(other),
        }
    }

    async fn send(&self, request: Request<Payload>) -> Result<Response<Incoming>, ClientError> {
        let stream = self.dial().await.map_err(|error| self.unreachable(&error))?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(ClientError::Connection)?;
        tokio::spawn(connection.with_upgrades());
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
        let request = Request::get(path).header("Host", "gantry").body(nothing());
        let response = self.send(request.map_err(ClientError::Request)?).await?;
        let body = response.into_body().collect().await.map_err(ClientError::Connection)?.to_bytes();
        serde_json::from_slice(&body).map_err(ClientError::Json)
    }

    /// Sends a request and returns its answer once the head is there.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        body: Payload,
    ) -> Result<Response<Incoming>, ClientError> {
        let request = Request::builder().method(method).uri(Self::versioned(path)).header("Host", "gantry");
        self.send(request.body(body).map_err(ClientError::Request)?).await
    }

    /// The same with headers of its own.
    pub async fn call_with(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, String)],
        body: Payload,
    ) -> Result<Response<Incoming>, ClientError> {
        let mut request =
            Request::builder().method(method).uri(Self::versioned(path)).header("Host", "gantry");
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        self.send(request.body(body).map_err(ClientError::Request)?).await
    }

    /// Sends JSON and reads JSON.
    pub async fn post(&self, path: &str, body: Option<&Value>) -> Result<Value, ClientError> {
        let payload = body.map(|value| Bytes::from(value.to_string())).unwrap_or_default();
        let request = Request::post(Self::versioned(path))
            .header("Host", "gantry")
            .header("Content-Type", "application/json")
            .body(Full::new(payload).map_err(|never| match never {}).boxed_unsync());
        let response = self.send(request.map_err(ClientError::Request)?).await?;
        let body = response.into_body().collect().await.map_err(ClientError::Connection)?.to_bytes();
        if body.trim_ascii().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body).map_err(ClientError::Json)
    }

    /// Starts a request whose answer is read as it comes. Returns once the headers are there.
    pub async fn stream(&self, method: Method, path: &str) -> Result<Body, ClientError> {
        Ok(Body::new(self.call(method, path, nothing()).await?.into_body()))
    }

    /// Posts JSON and gives the answer as it comes.
    pub async fn post_stream(&self, path: &str, body: &Value) -> Result<Body, ClientError> {
        let payload = Full::new(Bytes::from(body.to_string())).map_err(|never| match never {}).boxed_unsync();
        let json = [("Content-Type", "application/json".to_owned())];
        Ok(Body::new(self.call_with(Method::POST, path, &json, payload).await?.into_body()))
    }

    /// Takes a connection over for raw bytes in both directions.
    pub async fn hijack(&self, path: &str, body: Option<&Value>) -> Result<Hijacked, ClientError> {
        let mut request = Request::post(Self::versioned(path))
            .header("Host", "gantry")
            .header("Connection", "Upgrade")
            .header("Upgrade", "tcp");
        if body.is_some() {
            request = request.header("Content-Type", "application/json");
        }
        let body = Full::new(body.map(|value| Bytes::from(value.to_string())).unwrap_or_default());
        let request = request.body(body.map_err(|never| match never {}).boxed_unsync());
        let response = self.send(request.map_err(ClientError::Request)?).await?;
        Ok(TokioIo::new(hyper::upgrade::on(response).await.map_err(ClientError::Connection)?))
    }
}
