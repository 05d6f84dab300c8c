//! Serves connections on the daemon's sockets, strips the API version from paths, and lets requests end.

use axum::Router;
use axum::extract::Request;
use axum::response::IntoResponse;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::convert::Infallible;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::status::Failure;
use super::version;

/// How long a client may take to shake hands.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long answers that are made may take to be sent when the daemon ends; streams without an end are cut then.
const SENDING: Duration = Duration::from_millis(200);

/// An open socket.
pub enum Listener {
    /// On this machine.
    Unix(UnixListener),
    /// Elsewhere too, with or without TLS.
    Tcp(TcpListener, Option<TlsAcceptor>),
}

/// All connections and requests of the daemon.
#[derive(Clone, Default)]
pub struct Traffic {
    stop: CancellationToken,
    connections: TaskTracker,
    /// Requests that have no answer yet.
    open: Arc<AtomicUsize>,
}

impl Traffic {
    /// Accepts until [`Traffic::drain`].
    pub async fn serve(self, listener: Listener, router: Router) {
        loop {
            let accepted = tokio::select! {
                () = self.stop.cancelled() => return,
                accepted = self.accept(&listener, &router) => accepted,
            };
            if let Err(error) = accepted {
                tracing::warn!(%error, "accepting a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    async fn accept(&self, listener: &Listener, router: &Router) -> std::io::Result<()> {
        let (this, router) = (self.clone(), router.clone());
        match listener {
            Listener::Unix(listener) => {
                let (socket, _) = listener.accept().await?;
                let own = Peer(socket.as_fd().try_clone_to_owned().ok().map(Arc::new));
                self.connections.spawn(async move { this.connection(socket, router, own).await });
            }
            Listener::Tcp(listener, None) => {
                let (socket, _) = listener.accept().await?;
                self.connections.spawn(async move { this.connection(socket, router, Peer(None)).await });
            }
            Listener::Tcp(listener, Some(tls)) => {
                let ((socket, from), tls) = (listener.accept().await?, tls.clone());
                self.connections.spawn(async move {
                    match tokio::time::timeout(HANDSHAKE, greet(socket, tls)).await {
                        Ok(Ok(Some(socket))) => this.connection(socket, router, Peer(None)).await,
                        Ok(Ok(None)) => tracing::info!("{from} spoke plain HTTP to a TLS socket"),
                        Ok(Err(error)) => tracing::info!("TLS handshake error from {from}: {error}"),
                        Err(_) => tracing::info!("TLS handshake error from {from}: it took too long"),
                    }
                });
            }
        }
        Ok(())
    }

    async fn connection<S>(&self, socket: S, router: Router, peer: Peer)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let open = Arc::clone(&self.open);
        let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
            let (router, mut request) = (router.clone(), request.map(axum::body::Body::new));
            request.extensions_mut().insert(peer.clone());
            let counted = Counted::new(&open);
            async move {
                let answer = route(router, request).await;
                drop(counted);
                Ok::<_, Infallible>(answer)
            }
        });
        let builder = auto::Builder::new(TokioExecutor::new());
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(socket), service);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "connection ended");
        }
    }

    /// Accepts nothing more, and waits until the requests under way are answered, at most for `patience`.
    pub async fn drain(&self, patience: Duration) {
        self.stop.cancel();
        self.connections.close();
        let answered = async {
            while self.open.load(Ordering::Relaxed) > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(patience, answered).await.is_err() {
            tracing::warn!("requests were left without an answer");
        }
        // Followed logs, events and sessions end with the process.
        let _cut = tokio::time::timeout(SENDING, self.connections.wait()).await;
    }
}

/// One request without an answer.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Shakes hands. A client that begins to speak HTTP is told so, in the words that Docker's clients know, and gets `None`.
async fn greet(
    mut socket: TcpStream,
    tls: TlsAcceptor,
) -> std::io::Result<Option<tokio_rustls::server::TlsStream<TcpStream>>> {
    /// First byte of a TLS record that holds a handshake.
    const RECORD: u8 = 0x16;
    let mut first = [0];
    if socket.peek(&mut first).await? == 1 && first != [RECORD] {
        let text = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
        socket.write_all(text).await?;
        socket.shutdown().await?;
        return Ok(None);
    }
    tls.accept(socket).await.map(Some)
}

/// The connection a request came on, if it is a unix socket: what the client has not read yet, and whether it is still
/// there, can be asked of it.
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

/// How often a client that sends no more is looked for.
const LOOK: Duration = Duration::from_millis(250);

impl Peer {
    /// Resolves once the client has closed both directions of the connection; never, where that cannot be seen.
    pub async fn left(&self) {
        let Some(socket) = &self.0 else { return std::future::pending().await };
        loop {
            let mut look = [PollFd::new(socket.as_fd(), PollFlags::empty())];
            let looked = poll(&mut look, PollTimeout::ZERO);
            let [look] = look;
            if looked.is_ok() && look.revents().is_some_and(|r| r.contains(PollFlags::POLLHUP)) {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

async fn route(mut router: Router, mut request: Request) -> axum::response::Response {
    tracing::debug!("Calling {} {}", request.method(), request.uri().path());
    let minor = version::ApiMinor::of(request.uri().path());
    request.extensions_mut().insert(minor);
    match version::strip(request.uri()) {
        Ok(uri) => *request.uri_mut() = uri,
        Err(error) => return super::stamp(Failure::from(error).into_response(), "false").await,
    }
    use tower_service::Service;
    match router.call(request).await {
        Ok(response) => response,
    }
}
