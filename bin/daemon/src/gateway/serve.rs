//! Accepts connections on the daemon's sockets and strips the API version from paths.

use axum::Router;
use axum::extract::Request;
use axum::response::IntoResponse;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use std::convert::Infallible;
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
                tokio::spawn(connection(TokioIo::new(socket), router.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "accepting a connection");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
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
                tokio::spawn(connection(TokioIo::new(socket), router.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "accepting a connection");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connection<S>(io: TokioIo<S>, router: Router)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let router = router.clone();
        async move { Ok::<_, Infallible>(route(router, request.map(axum::body::Body::new)).await) }
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    if let Err(error) = builder.serve_connection_with_upgrades(io, service).await {
        tracing::debug!(%error, "connection ended");
    }
}

async fn route(mut router: Router, mut request: Request) -> axum::response::Response {
    match version::strip(request.uri()) {
        Ok(uri) => *request.uri_mut() = uri,
        Err(error) => return Failure::from(error).into_response(),
    }
    use tower_service::Service;
    match router.call(request).await {
        Ok(response) => response,
    }
}
