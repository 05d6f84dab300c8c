//! Datagrams over UDP, to a name that is looked up again now and then.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::net::{UdpSocket, lookup_host};
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(5);
/// After so long the name is looked up again: nothing else tells that a receiver of datagrams has moved.
const FRESH: Duration = Duration::from_secs(30);

/// A socket that sends to a receiver.
pub(crate) struct Socket {
    socket: UdpSocket,
    to: SocketAddr,
    looked_up: Instant,
}

impl Socket {
    pub(crate) async fn open(target: &str) -> io::Result<Self> {
        let to = address(target).await?;
        let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any).await?;
        socket.connect(to).await?;
        Ok(Self { socket, to, looked_up: Instant::now() })
    }

    /// False when the receiver is known to be elsewhere by now.
    pub(crate) async fn current(&mut self, target: &str) -> bool {
        if self.looked_up.elapsed() < FRESH {
            return true;
        }
        self.looked_up = Instant::now();
        // What was right goes on being used while nobody says otherwise.
        address(target).await.map_or(true, |now| now == self.to)
    }

    pub(crate) async fn send(&self, datagram: &[u8]) -> io::Result<()> {
        in_time(self.socket.send(datagram)).await.map(drop)
    }

    /// That nobody listens is told after the fact, if at all.
    pub(crate) fn refused(&self) -> io::Result<()> {
        self.socket.take_error()?.map_or(Ok(()), Err)
    }
}

async fn address(target: &str) -> io::Result<SocketAddr> {
    let found = in_time(lookup_host(target)).await?.next();
    found.ok_or_else(|| io::Error::other("the host has no address"))
}

async fn in_time<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(LIMIT, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
