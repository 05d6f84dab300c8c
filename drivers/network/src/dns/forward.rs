//! Questions for names that are nobody's here, handed on as they came.

use super::Transport;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

/// How long one server may take (moby `extIOTimeout`).
const PATIENCE: Duration = Duration::from_secs(4);
const PORT: u16 = 53;
/// The largest datagram.
const LARGEST: usize = 65_535;

/// The servers this host asks, loopback ones included: they are asked from here.
pub fn host_servers() -> Vec<IpAddr> {
    let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let named = text.lines().filter_map(|l| l.trim().strip_prefix("nameserver")?.trim().parse().ok());
    named.collect()
}

/// Asks one server after the other, the way the query came; the first answer counts.
pub async fn forward(query: &[u8], servers: &[IpAddr], transport: Transport) -> Option<Vec<u8>> {
    for server in servers {
        let address = SocketAddr::new(*server, PORT);
        let asked = async {
            match transport {
                Transport::Udp => by_datagram(query, address).await,
                Transport::Tcp => by_stream(query, address).await,
            }
        };
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(error)) => tracing::debug!(%server, %error, "asking for a name"),
            Err(_) => tracing::debug!(%server, "asking for a name: no answer in time"),
        }
    }
    None
}

async fn by_datagram(query: &[u8], server: SocketAddr) -> io::Result<Vec<u8>> {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(query).await?;
    let mut buffer = vec![0; LARGEST];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let answer = buffer.get(..length).unwrap_or_default();
        // Another's number is a late or a forged answer.
        if answer.get(..2) == query.get(..2) {
            return Ok(answer.to_vec());
        }
    }
}

async fn by_stream(query: &[u8], server: SocketAddr) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    write(&mut stream, query).await?;
    read(&mut stream).await
}

/// A message with its length before it (RFC 1035, 4.2.2).
pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut message = vec![0; usize::from(length)];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

/// The same, written.
pub async fn write(stream: &mut (impl AsyncWrite + Unpin), message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(|_| io::Error::other("a message of over 64 KiB"))?;
    let mut whole = length.to_be_bytes().to_vec();
    whole.extend_from_slice(message);
    stream.write_all(&whole).await
}
