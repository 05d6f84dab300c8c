//! Accepts connections on the daemon's sockets and strips the API version from paths.

use axum::Router;
use axum::extract::Request;
use axum::response::IntoResponse;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use std::convert::Infallible;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use super::status::Failure;
use super::version;

/// Serves until `stop`; open sessions end with the process.
pub async fn unix(listener: UnixListener, router: Router, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, _)) => {
                let own = Peer(socket.as_fd().try_clone_to_owned().ok().map(Arc::new));
                tokio::spawn(connection(TokioIo::new(socket), router.clone(), own));
            }
            Err(error) => {
                tracing::warn!(%error, "accepting a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Serves TCP without TLS.
pub async fn tcp(listener: tokio::net::TcpListener, router: Router, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, _)) => {
                tokio::spawn(connection(TokioIo::new(socket), router.clone(), Peer(None)));
            }
            Err(error) => {
                tracing::warn!(%error, "accepting a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// The connection a request came on, if it is a unix socket: what the client has not read yet can be asked of it.
#[derive(Debug, Clone)]
pub struct Peer(Option<Arc<OwnedFd>>);

impl Peer {
    /// Waits until the client has read all that was sent, or for so long that it does not seem to want to.
    pub async fn has_read(&self) {
        let Some(socket) = &self.0 else { return };
        for _ in 0..1000 {
            match sandbox::socket::unread_by_peer(socket.as_fd()) {
                Ok(0) | Err(_) => return,
                Ok(_) => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        }
    }
}

async fn connection<S>(io: TokioIo<S>, router: Router, peer: Peer)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let (router, mut request) = (router.clone(), request.map(axum::body::Body::new));
        request.extensions_mut().insert(peer.clone());
        async move { Ok::<_, Infallible>(route(router, request).await) }
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    if let Err(error) = builder.serve_connection_with_upgrades(io, service).await {
        tracing::debug!(%error, "connection ended");
    }
}

async fn route(mut router: Router, mut request: Request) -> axum::response::Response {
    let minor = version::ApiMinor::of(request.uri().path());
    request.extensions_mut().insert(minor);
    match version::strip(request.uri()) {
        Ok(uri) => *request.uri_mut() = uri,
        Err(error) => return Failure::from(error).into_response(),
    }
    use tower_service::Service;
    match router.call(request).await {
        Ok(response) => response,
    }
}
