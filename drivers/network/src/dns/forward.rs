//! Questions for names that are nobody's here, handed on byte for byte.

use super::exchange::{Worth, id, numbered, worth};
use super::{Transport, inside};
use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, UdpSocket};

/// How long one server may take (moby `extIOTimeout`); a C library asks again after five seconds.
pub const PATIENCE: Duration = Duration::from_secs(4);
/// Servers that are asked for one question (moby `maxExtDNS`), by which all of it is bounded, too.
pub const SERVERS: usize = 3;
const PORT: u16 = 53;
/// The largest message.
pub const LARGEST: usize = 65_535;

/// From where a server is asked.
#[derive(Debug, Clone)]
pub enum From {
    /// The daemon's own network namespace.
    Host,
    /// A container's, whose routes and rules hold.
    Container(Arc<File>),
}

/// Asks one server after the other, the way the query came; the first answer that is not a failure counts.
pub async fn forward(query: &[u8], servers: &[IpAddr], from: &From, transport: Transport) -> Option<Vec<u8>> {
    for server in servers.iter().take(SERVERS) {
        let asked = ask(query, SocketAddr::new(*server, PORT), from, transport);
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(Some(answer))) => return Some(answer),
            Ok(Ok(None)) => tracing::debug!(%server, "asking for a name: the server failed or refused"),
            Ok(Err(error)) => tracing::debug!(%server, %error, "asking for a name"),
            Err(_) => tracing::debug!(%server, "asking for a name: no answer in time"),
        }
    }
    None
}

/// Asks under a number of its own: who wants to forge the answer has to guess it, and the port the kernel chose.
async fn ask(
    query: &[u8],
    server: SocketAddr,
    from: &From,
    transport: Transport,
) -> io::Result<Option<Vec<u8>>> {
    let mut number = [0; 2];
    getrandom::fill(&mut number).map_err(|e| io::Error::other(e.to_string()))?;
    let asked = numbered(query, number);
    let socket = match from {
        From::Container(namespace) => inside::open(namespace, transport, server.ip()).await?,
        From::Host => inside::here(transport, server.ip())?,
    };
    let answer = match transport {
        Transport::Udp => by_datagram(&asked, UdpSocket::from_std(socket.into())?, server).await?,
        Transport::Tcp => by_stream(&asked, TcpSocket::from_std_stream(socket.into()), server).await?,
    };
    Ok(answer.map(|answer| numbered(&answer, id(query))))
}

async fn by_datagram(asked: &[u8], socket: UdpSocket, server: SocketAddr) -> io::Result<Option<Vec<u8>>> {
    // Others' datagrams are the kernel's to refuse from now on.
    socket.connect(server).await?;
    socket.send(asked).await?;
    loop {
        socket.readable().await?;
        let received: io::Result<Vec<u8>> = with_buffer(|buffer| {
            let length = socket.try_recv(buffer)?;
            Ok(buffer.get(..length).unwrap_or_default().to_vec())
        });
        match received {
            Ok(answer) => match worth(asked, &answer) {
                Worth::Answer => return Ok(Some(answer)),
                Worth::Failure => return Ok(None),
                Worth::Nothing => {}
            },
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

async fn by_stream(asked: &[u8], socket: TcpSocket, server: SocketAddr) -> io::Result<Option<Vec<u8>>> {
    let mut stream = socket.connect(server).await?;
    write(&mut stream, asked).await?;
    loop {
        let answer = read(&mut stream).await?;
        match worth(asked, &answer) {
            Worth::Answer => return Ok(Some(answer)),
            Worth::Failure => return Ok(None),
            Worth::Nothing => {}
        }
    }
}

/// Lends a buffer for the largest message. One per thread: who waits for a datagram holds none.
pub fn with_buffer<T>(work: impl FnOnce(&mut [u8]) -> T) -> T {
    thread_local!(static BUFFER: std::cell::RefCell<Vec<u8>> = std::cell::RefCell::new(vec![0; LARGEST]));
    BUFFER.with(|buffer| work(&mut buffer.borrow_mut()))
}

/// A message with its length before it (RFC 1035, 4.2.2).
pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    // Grows with what comes, not with what is announced.
    let mut message = Vec::new();
    stream.take(length.into()).read_to_end(&mut message).await?;
    if message.len() < usize::from(length) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(message)
}

/// The same, written.
pub async fn write(stream: &mut (impl AsyncWrite + Unpin), message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(|_| io::Error::other("a message of over 64 KiB"))?;
    let mut whole = length.to_be_bytes().to_vec();
    whole.extend_from_slice(message);
    stream.write_all(&whole).await
}
