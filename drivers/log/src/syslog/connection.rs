//! Where syslog goes, and the open socket.

use crate::dial;
use crate::options::invalid;
use crate::tls::Identity;
use contract::PortError;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket, UnixDatagram, UnixStream};
use tokio::time::timeout;

const CONNECT: Duration = Duration::from_secs(5);
const WRITE: Duration = Duration::from_secs(30);
const LOCAL: [&str; 3] = ["/dev/log", "/var/run/syslog", "/var/run/log"];

/// A parsed `syslog-address`.
#[derive(Debug, Clone)]
pub(crate) enum Address {
    Local,
    Unix(PathBuf),
    Unixgram(PathBuf),
    Udp(String),
    Tcp(String),
    Tls(dial::Target),
}

impl Address {
    pub(crate) fn parse(text: &str, identity: &Identity) -> Result<Self, PortError> {
        if text.is_empty() {
            return Ok(Self::Local);
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(invalid(format!(
                "unsupported scheme: '{}'",
                text.split(':').next().unwrap_or_default()
            )));
        };
        match scheme {
            "unix" => Ok(Self::Unix(rest.into())),
            "unixgram" => Ok(Self::Unixgram(rest.into())),
            "udp" => Ok(Self::Udp(with_port(rest)?)),
            "tcp" => Ok(Self::Tcp(with_port(rest)?)),
            "tcp+tls" => Ok(Self::Tls(dial::Target::Tls(with_port(rest)?, identity.client()?))),
            other => Err(invalid(format!("unsupported scheme: '{other}'"))),
        }
    }

    /// A socket named by path must exist when options are checked.
    pub(crate) fn check(&self) -> Result<(), PortError> {
        match self {
            Self::Unix(path) | Self::Unixgram(path) => std::fs::metadata(path)
                .map(drop)
                .map_err(|_| invalid(format!("stat {}: no such file or directory", path.display()))),
            _ => Ok(()),
        }
    }

    pub(crate) async fn connect(&self) -> io::Result<Connection> {
        match self {
            Self::Local => {
                let mut last = io::Error::other("Unix syslog delivery error");
                for path in LOCAL {
                    match unixgram(path.into()).await {
                        Ok(connection) => return Ok(connection),
                        Err(error) => last = error,
                    }
                    if let Ok(stream) = in_time(CONNECT, UnixStream::connect(path)).await {
                        return Ok(Connection::Unix(stream));
                    }
                }
                Err(last)
            }
            Self::Unix(path) => Ok(Connection::Unix(in_time(CONNECT, UnixStream::connect(path)).await?)),
            Self::Unixgram(path) => unixgram(path.clone()).await,
            Self::Udp(target) => {
                let target = in_time(CONNECT, tokio::net::lookup_host(target)).await?.next();
                let target = target.ok_or_else(|| io::Error::other("the host has no address"))?;
                let any = if target.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                let socket = UdpSocket::bind(any).await?;
                socket.connect(target).await?;
                Ok(Connection::Udp(socket))
            }
            Self::Tls(target) => Ok(Connection::Tls(target.connect().await?)),
            Self::Tcp(target) => Ok(Connection::Tcp(in_time(CONNECT, TcpStream::connect(target)).await?)),
        }
    }
}

fn with_port(rest: &str) -> Result<String, PortError> {
    let rest = rest.trim_end_matches('/');
    if rest.is_empty() {
        return Err(invalid("syslog-address: missing host"));
    }
    let name_end = rest.rfind(']').map_or(0, |i| i + 1);
    let has_port = rest.get(name_end..).is_some_and(|r| r.contains(':'));
    Ok(if has_port { rest.to_owned() } else { format!("{rest}:514") })
}

async fn unixgram(path: PathBuf) -> io::Result<Connection> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    Ok(Connection::Unixgram(socket))
}

async fn in_time<T>(limit: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(limit, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// An open socket.
pub(crate) enum Connection {
    Unix(UnixStream),
    Unixgram(UnixDatagram),
    Udp(UdpSocket),
    Tcp(TcpStream),
    Tls(dial::Connection),
}

impl Connection {
    /// False once a stream's other end is known to be closed: the first write after that would be lost silently.
    pub(crate) async fn alive(&mut self) -> bool {
        let mut scratch = [0; 512];
        let state = match self {
            Self::Tls(stream) => return stream.alive().await,
            Self::Unix(stream) => stream.try_read(&mut scratch),
            Self::Tcp(stream) => stream.try_read(&mut scratch),
            _ => return true,
        };
        match state {
            Ok(n) => n > 0,
            Err(e) => e.kind() == io::ErrorKind::WouldBlock,
        }
    }

    /// Sends frames, of which `ends` gives line index and end; answers the lines too long to be sent.
    pub(crate) async fn send(&mut self, frames: &[u8], ends: &[(usize, usize)]) -> io::Result<Vec<usize>> {
        match self {
            Self::Unix(stream) => in_time(WRITE, stream.write_all(frames)).await.map(|()| Vec::new()),
            Self::Tcp(stream) => in_time(WRITE, stream.write_all(frames)).await.map(|()| Vec::new()),
            Self::Tls(stream) => stream.write(frames, WRITE).await.map(|()| Vec::new()),
            Self::Unixgram(_) | Self::Udp(_) => {
                let mut refused = Vec::new();
                let mut start = 0;
                for (line, end) in ends {
                    let frame = frames.get(start..*end).unwrap_or_default();
                    start = *end;
                    let sent = match self {
                        Self::Unixgram(socket) => in_time(WRITE, socket.send(frame)).await,
                        Self::Udp(socket) => in_time(WRITE, socket.send(frame)).await,
                        _ => continue,
                    };
                    match sent {
                        Ok(_) => {}
                        Err(e) if e.raw_os_error() == Some(MESSAGE_SIZE) => refused.push(*line),
                        Err(e) => return Err(e),
                    }
                }
                Ok(refused)
            }
        }
    }

    pub(crate) async fn close(self) {
        match self {
            Self::Unix(mut stream) => drop(in_time(WRITE, stream.shutdown()).await),
            Self::Tls(stream) => stream.close(WRITE).await,
            Self::Tcp(mut stream) => drop(in_time(WRITE, stream.shutdown()).await),
            _ => {}
        }
    }
}

/// EMSGSIZE on Linux.
const MESSAGE_SIZE: i32 = 90;
