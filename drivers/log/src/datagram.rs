//! Datagrams over UDP, to a name that is looked up again now and then.

use crate::dial::{NO_HOST, plain, undialed, unresolved};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::net::{UdpSocket, lookup_host};
use tokio::time::timeout;

/// EMSGSIZE on Linux.
pub(crate) const MESSAGE_SIZE: i32 = 90;

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
        socket.connect(to).await.map_err(|e| undialed(&format_args!("udp {to}"), &e))?;
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
        in_time(self.socket.send(datagram)).await.map(drop).map_err(|e| self.unwritten(e))
    }

    /// That nobody listens is told after the fact, if at all.
    pub(crate) fn refused(&self) -> io::Result<()> {
        self.socket.take_error()?.map_or(Ok(()), |e| Err(self.unwritten(e)))
    }

    /// Names the receiver, unless it is the datagram that does not fit: that is known by its number.
    fn unwritten(&self, error: io::Error) -> io::Error {
        if error.raw_os_error() == Some(MESSAGE_SIZE) {
            return error;
        }
        io::Error::new(error.kind(), format!("write udp {}: write: {}", self.to, plain(&error)))
    }
}

async fn address(target: &str) -> io::Result<SocketAddr> {
    let found = in_time(lookup_host(target)).await.map_err(|e| unresolved("udp", target, &e))?.next();
    found.ok_or_else(|| unresolved("udp", target, &io::Error::other(NO_HOST)))
}

async fn in_time<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(LIMIT, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_refusal_that_is_told_after_the_fact_names_who_refused() {
        let closed = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let socket = Socket::open(&closed.to_string()).await.unwrap();
        let sent = socket.send(b"anybody there?").await;
        let refused = sent.and_then(|()| socket.refused()).unwrap_err();
        assert_eq!(refused.to_string(), format!("write udp {closed}: write: connection refused"));
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        let large = socket.send(&vec![b'x'; 70_000]).await.unwrap_err();
        assert_eq!(large.raw_os_error(), Some(MESSAGE_SIZE));
    }
}
