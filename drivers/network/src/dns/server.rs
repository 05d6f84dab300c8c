//! Sockets inside a container's namespace, and the tasks that answer on them.

use super::answer::{Verdict, answer};
use super::{ADDRESS, Transport, forward};
use crate::error::NetworkError;
use crate::nft::redirect;
use crate::socket::Socket;
use contract::network::{PortBinding, Protocol, Resolver};
use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

/// Where containers ask, and the name of the table that leads from there to the sockets.
const PORT: u16 = 53;
const TABLE: &str = "dns";
/// Queries under way, and connections, of one container (moby `maxConcurrent`).
const AT_ONCE: usize = 1024;
/// How long a connection may be silent.
const SILENCE: Duration = Duration::from_secs(10);
/// Pause after a socket failed.
const AGAIN: Duration = Duration::from_millis(100);
/// The largest datagram.
const LARGEST: usize = 65_535;

/// Bound sockets.
#[derive(Debug)]
pub struct Open {
    udp: std::net::UdpSocket,
    tcp: std::net::TcpListener,
}

impl Open {
    /// Binds them in a namespace. A short-lived thread enters it. Port 53 itself stays free for the container's own
    /// servers: a rule inside leads from there to whatever ports were free.
    pub fn inside(namespace: &File) -> Result<Self, NetworkError> {
        let failed = |e: &dyn ToString| NetworkError::Resolver(e.to_string());
        let namespace = namespace.try_clone().map_err(|e| failed(&e))?;
        let thread = std::thread::Builder::new()
            .name("netns".into())
            .stack_size(128 * 1024)
            .spawn(move || {
                setns(&namespace, CloneFlags::CLONE_NEWNET)
                    .map_err(|e| NetworkError::Resolver(format!("enter the namespace: {e}")))?;
                Self::here()
            })
            .map_err(|e| failed(&e))?;
        thread.join().map_err(|_| failed(&"thread panicked"))?
    }

    fn here() -> Result<Self, NetworkError> {
        let failed = |e: std::io::Error| NetworkError::Resolver(e.to_string());
        let udp = std::net::UdpSocket::bind((ADDRESS, 0)).map_err(failed)?;
        let tcp = std::net::TcpListener::bind((ADDRESS, 0)).map_err(failed)?;
        udp.set_nonblocking(true).and_then(|()| tcp.set_nonblocking(true)).map_err(failed)?;
        let to = |protocol, address: SocketAddr| {
            let port = PortBinding {
                protocol,
                host_ip: ADDRESS.into(),
                host_port: PORT,
                container_port: address.port(),
            };
            (port, ADDRESS.into())
        };
        let ports = [
            to(Protocol::Udp, udp.local_addr().map_err(failed)?),
            to(Protocol::Tcp, tcp.local_addr().map_err(failed)?),
        ];
        let mut netfilter = Socket::netfilter()?;
        redirect::ensure(&mut netfilter, TABLE, &ports)?;
        Ok(Self { udp, tcp })
    }
}

/// What the tasks of one container share.
struct Shared {
    resolver: RwLock<Resolver>,
    turn: AtomicUsize,
    places: Arc<Semaphore>,
}

/// A container whose questions are answered, until this is dropped.
pub struct Serving {
    shared: Arc<Shared>,
    tasks: [AbortHandle; 2],
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Serving {
    /// Begins to answer; within a tokio runtime.
    pub fn start(open: Open, resolver: Resolver) -> Result<Self, NetworkError> {
        let failed = |e: std::io::Error| NetworkError::Resolver(e.to_string());
        let udp = Arc::new(UdpSocket::from_std(open.udp).map_err(failed)?);
        let tcp = TcpListener::from_std(open.tcp).map_err(failed)?;
        let shared = Arc::new(Shared {
            resolver: RwLock::new(resolver),
            turn: AtomicUsize::new(0),
            places: Arc::new(Semaphore::new(AT_ONCE)),
        });
        let datagrams = tokio::spawn(datagrams(udp, Arc::clone(&shared))).abort_handle();
        let connections = tokio::spawn(connections(tcp, Arc::clone(&shared))).abort_handle();
        Ok(Self { shared, tasks: [datagrams, connections] })
    }

    /// Answers by this from now on.
    pub fn change(&self, resolver: Resolver) {
        *self.shared.resolver.write().unwrap_or_else(PoisonError::into_inner) = resolver;
    }
}

impl Shared {
    async fn answer(&self, query: &[u8], transport: Transport) -> Option<Vec<u8>> {
        let resolver = self.resolver.read().unwrap_or_else(PoisonError::into_inner).clone();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let otherwise = match answer(query, &resolver.container, &*resolver.names, transport, turn) {
            Verdict::Answer(bytes) => return Some(bytes),
            Verdict::Ignore => return None,
            Verdict::Forward(otherwise) => otherwise,
        };
        if !resolver.forwards {
            return Some(otherwise);
        }
        let servers = match resolver.servers.is_empty() {
            true => forward::host_servers(),
            false => resolver.servers,
        };
        Some(forward::forward(query, &servers, transport).await.unwrap_or(otherwise))
    }
}

async fn datagrams(socket: Arc<UdpSocket>, shared: Arc<Shared>) {
    let mut buffer = vec![0; LARGEST];
    loop {
        let (length, client) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            Err(error) => {
                tracing::debug!(%error, "a question for a name was lost");
                tokio::time::sleep(AGAIN).await;
                continue;
            }
        };
        // Too many under way: as on any busy network this one is lost, and asked again.
        let Ok(place) = Arc::clone(&shared.places).try_acquire_owned() else { continue };
        let query = buffer.get(..length).unwrap_or_default().to_vec();
        let (socket, shared) = (Arc::clone(&socket), Arc::clone(&shared));
        tokio::spawn(async move {
            let _place = place;
            if let Some(answer) = shared.answer(&query, Transport::Udp).await
                && let Err(error) = socket.send_to(&answer, client).await
            {
                tracing::debug!(%error, "an answer was lost");
            }
        });
    }
}

async fn connections(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "a connection for names was lost");
                tokio::time::sleep(AGAIN).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&shared.places).try_acquire_owned() else { continue };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let _place = place;
            converse(stream, &shared).await;
        });
    }
}

async fn converse(mut stream: TcpStream, shared: &Shared) {
    // Its end, its silence and its nonsense all mean that it is over.
    while let Ok(Ok(query)) = tokio::time::timeout(SILENCE, forward::read(&mut stream)).await {
        let Some(answer) = shared.answer(&query, Transport::Tcp).await else { return };
        if forward::write(&mut stream, &answer).await.is_err() {
            return;
        }
    }
}
