//! Stream connections to receivers: TCP, TLS over TCP, unix sockets; all with deadlines.

use rustix::net::sockopt;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How long a connection may take to stand.
const CONNECT: Duration = Duration::from_secs(5);
/// A receiver's machine that has been silent for so long is asked whether it is still there,
const SILENT: Duration = Duration::from_secs(30);
/// so often, with such pauses, until the connection is given up: whoever waits for a confirmation waits for ever otherwise.
const ASKED: u32 = 3;
const PAUSE: Duration = Duration::from_secs(10);
/// Bytes that this kernel takes before the receiver's does. By itself it would let them grow to megabytes for a receiver
/// that does not read, more than is remembered of what has been written.
const AHEAD: usize = 256 * 1024;

/// Where to, resolved at each connection.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    /// `host:port`.
    Tcp(String),
    /// `host:port`, with the TLS side.
    Tls(String, Arc<ClientConfig>),
    /// A socket's path.
    Unix(PathBuf),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) | Self::Tls(address, _) => write!(f, "tcp {address}"),
            Self::Unix(path) => write!(f, "unix {}", path.display()),
        }
    }
}

trait Duplex: AsyncRead + AsyncWrite + Send + Sync + Unpin {
    /// Whether the kernel has heard a reset that reading does not tell.
    fn was_reset(&self) -> bool;

    /// Has the kernel acknowledge at once what comes next. The far side may hold its second answer back until it hears that the
    /// first has come (RFC 896), and this kernel that word for 40 ms.
    fn acknowledge_soon(&self) {}
}

impl Duplex for TcpStream {
    fn was_reset(&self) -> bool {
        !matches!(self.take_error(), Ok(None))
    }

    fn acknowledge_soon(&self) {
        // Without it answers come, too.
        let _later = sockopt::set_tcp_quickack(self, true);
    }
}

impl Duplex for UnixStream {
    fn was_reset(&self) -> bool {
        !matches!(self.take_error(), Ok(None))
    }
}

impl Duplex for TlsStream<TcpStream> {
    fn was_reset(&self) -> bool {
        self.get_ref().0.was_reset()
    }

    fn acknowledge_soon(&self) {
        self.get_ref().0.acknowledge_soon();
    }
}

/// How the other end of a stream stands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum State {
    Open,
    /// It closed in order.
    Closed,
    Broken,
}

/// An open stream.
pub(crate) struct Connection {
    stream: Box<dyn Duplex>,
    /// Whom it leads to, in Go's words.
    to: String,
}

impl Target {
    pub(crate) async fn connect(&self) -> io::Result<Connection> {
        let (stream, to): (Box<dyn Duplex>, String) = match self {
            Self::Tcp(address) => {
                let stream = tcp(address).await?;
                let to = self.reached(&stream);
                (Box::new(stream), to)
            }
            Self::Unix(path) => {
                let stream = in_time(CONNECT, UnixStream::connect(path)).await;
                (Box::new(stream.map_err(|e| undialed(self, &e))?), self.to_string())
            }
            Self::Tls(address, config) => {
                let host = address.rsplit_once(':').map_or(address.as_str(), |(host, _)| host);
                let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
                let name = ServerName::try_from(host).map_err(io::Error::other)?;
                let plain = tcp(address).await?;
                let to = self.reached(&plain);
                let connector = TlsConnector::from(Arc::clone(config));
                let stream = in_time(CONNECT, connector.connect(name, plain)).await;
                (Box::new(stream.map_err(|e| undialed(self, &e))?), to)
            }
        };
        Ok(Connection { stream, to })
    }

    /// Which of a name's addresses it is.
    fn reached(&self, stream: &TcpStream) -> String {
        stream.peer_addr().map_or_else(|_| self.to_string(), |at| format!("tcp {at}"))
    }
}

async fn tcp(address: &str) -> io::Result<TcpStream> {
    let found = in_time(CONNECT, lookup_host(address)).await;
    let found: Vec<SocketAddr> = found.map_err(|e| unresolved("tcp", address, &e))?.collect();
    let mut failed = unresolved("tcp", address, &io::Error::other(NO_HOST));
    for at in found {
        // One that does not answer leaves the others their time.
        match in_time(CONNECT, TcpStream::connect(at)).await {
            Ok(stream) => return tuned(stream),
            Err(error) => failed = undialed(&format_args!("tcp {at}"), &error),
        }
    }
    Err(failed)
}

/// Go's word for a name without addresses.
pub(crate) const NO_HOST: &str = "no such host";

/// A connection that does not come about, in Go's words, as Docker's drivers tell it: the system's alone name nobody.
pub(crate) fn undialed(to: &dyn fmt::Display, error: &io::Error) -> io::Error {
    let why = match error.raw_os_error() {
        Some(_) => format!("connect: {}", plain(error)),
        None if error.kind() == io::ErrorKind::TimedOut => "i/o timeout".to_owned(),
        None => error.to_string(),
    };
    io::Error::new(error.kind(), format!("dial {to}: {why}"))
}

/// What went wrong on a connection that stood, likewise.
fn broken(doing: &str, to: &str, error: &io::Error) -> io::Error {
    let why = match error.kind() {
        _ if error.raw_os_error().is_some() => plain(error),
        // Without words of its own.
        io::ErrorKind::TimedOut if error.get_ref().is_none() => "i/o timeout".to_owned(),
        io::ErrorKind::UnexpectedEof if error.get_ref().is_none() => "EOF".to_owned(),
        io::ErrorKind::ConnectionReset if error.get_ref().is_none() => "connection reset by peer".to_owned(),
        _ => error.to_string(),
    };
    io::Error::new(error.kind(), format!("{doing} {to}: {why}"))
}

/// The same for a name that could not be looked up.
pub(crate) fn unresolved(network: &str, address: &str, error: &io::Error) -> io::Error {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let text = error.to_string();
    let why = match text.strip_prefix("failed to lookup address information: ").unwrap_or(&text) {
        _ if error.kind() == io::ErrorKind::TimedOut => "i/o timeout",
        "Name or service not known" | "Name does not resolve" | "No address associated with hostname" => {
            NO_HOST
        }
        other => other,
    };
    io::Error::new(error.kind(), format!("dial {network}: lookup {host}: {why}"))
}

/// The system's word for an error, as Go writes it.
pub(crate) fn plain(error: &io::Error) -> String {
    error.to_string().split(" (os error").next().unwrap_or_default().to_lowercase()
}

fn tuned(stream: TcpStream) -> io::Result<TcpStream> {
    // The end of a message would wait for the receiver's word on what came before it, which that delays.
    stream.set_nodelay(true)?;
    sockopt::set_socket_send_buffer_size(&stream, AHEAD)?;
    sockopt::set_socket_keepalive(&stream, true)?;
    sockopt::set_tcp_keepidle(&stream, SILENT)?;
    sockopt::set_tcp_keepintvl(&stream, PAUSE)?;
    sockopt::set_tcp_keepcnt(&stream, ASKED)?;
    Ok(stream)
}

impl Connection {
    /// False once the other end is known to be closed: the first write after that would be lost silently.
    pub(crate) async fn alive(&mut self) -> bool {
        let mut scratch = [0; 512];
        self.read_now(&mut scratch).await.is_none_or(|read| read.is_ok_and(|n| n > 0))
    }

    /// Reads what is there, if anything is. A timeout of nothing would be one of a whole tick of the runtime's clock, a
    /// millisecond before each write.
    async fn read_now(&mut self, into: &mut [u8]) -> Option<io::Result<usize>> {
        // The runtime looks for what has come while nobody else has anything to do.
        tokio::task::yield_now().await;
        let read = pin!(self.stream.read(into));
        match read.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(read) => Some(read),
            Poll::Pending => None,
        }
    }

    /// The same for receivers that have nothing to say, with how it was closed.
    pub(crate) async fn state(&mut self) -> State {
        let mut scratch = [0; 512];
        loop {
            match self.read_now(&mut scratch).await {
                None => return State::Open,
                Some(Ok(0)) if !self.stream.was_reset() => return State::Closed,
                Some(Ok(1..)) => {}
                Some(Ok(0) | Err(_)) => return State::Broken,
            }
        }
    }

    /// Fails once the other end takes nothing for so long; a slow one is written to as long as it goes on.
    pub(crate) async fn write(&mut self, bytes: &[u8], limit: Duration) -> io::Result<()> {
        let written = self.put(bytes, limit).await;
        written.map_err(|e| broken("write", &self.to, &e))
    }

    async fn put(&mut self, mut bytes: &[u8], limit: Duration) -> io::Result<()> {
        while !bytes.is_empty() {
            let taken = in_time(limit, self.stream.write(bytes)).await?;
            if taken == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            bytes = bytes.get(taken..).unwrap_or_default();
        }
        in_time(limit, self.stream.flush()).await
    }

    /// Reads once, appending; an end is an error.
    pub(crate) async fn read(&mut self, into: &mut Vec<u8>, limit: Duration) -> io::Result<()> {
        self.stream.acknowledge_soon();
        let error = match in_time(limit, self.stream.read_buf(into)).await {
            Ok(1..) => return Ok(()),
            Ok(0) => io::Error::from(io::ErrorKind::UnexpectedEof),
            Err(error) => error,
        };
        Err(broken("read", &self.to, &error))
    }

    /// Tells the other end that nothing follows, and waits until it has closed as well: then it has read everything. That the
    /// time is over has no words: it says nothing about what was waited for.
    pub(crate) async fn finish(mut self, limit: Duration) -> io::Result<()> {
        let finished = in_time(limit, async {
            self.stream.shutdown().await?;
            let mut scratch = [0; 512];
            loop {
                match self.stream.read(&mut scratch).await {
                    Ok(1..) => {}
                    Ok(0) => break,
                    // TLS without its own word for the end.
                    Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => break,
                    Err(e) => return Err(e),
                }
            }
            if self.stream.was_reset() { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
        })
        .await;
        finished.map_err(|e| if is_own_limit(&e) { e } else { broken("close", &self.to, &e) })
    }

    /// Tells the other end that nothing follows.
    pub(crate) async fn close(mut self, limit: Duration) {
        // Whether it hears of it makes no difference to what was delivered.
        let _unheard = in_time(limit, self.stream.shutdown()).await;
    }
}

/// Whether a time of ours was over, and not one of the kernel's.
pub(crate) fn is_own_limit(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::TimedOut && error.raw_os_error().is_none() && error.get_ref().is_none()
}

async fn in_time<T>(limit: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(limit, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_receiver_whose_machine_vanished_is_not_waited_for_for_ever() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = tcp(&listener.local_addr().unwrap().to_string()).await.unwrap();
        assert!(sockopt::socket_keepalive(&stream).unwrap());
        let asked = (sockopt::tcp_keepidle(&stream), sockopt::tcp_keepintvl(&stream));
        assert_eq!(asked, (Ok(SILENT), Ok(PAUSE)));
    }

    #[tokio::test]
    async fn a_connection_that_does_not_stand_tells_to_whom_it_was() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let closed = listener.local_addr().unwrap().to_string();
        drop(listener);
        let refused = Target::Tcp(closed.clone()).connect().await.err().unwrap();
        assert_eq!(refused.to_string(), format!("dial tcp {closed}: connect: connection refused"));
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        let missing = Target::Unix("/nowhere/socket".into()).connect().await.err().unwrap();
        let text = "dial unix /nowhere/socket: connect: no such file or directory";
        assert_eq!((missing.kind(), missing.to_string().as_str()), (io::ErrorKind::NotFound, text));
        let late = undialed(&Target::Tcp("10.0.0.1:514".to_owned()), &io::ErrorKind::TimedOut.into());
        assert_eq!(late.to_string(), "dial tcp 10.0.0.1:514: i/o timeout");
        let unknown = io::Error::other("failed to lookup address information: Name or service not known");
        let unknown = unresolved("tcp", "collector:24224", &unknown);
        assert_eq!(unknown.to_string(), "dial tcp: lookup collector: no such host");
    }

    #[tokio::test]
    async fn a_connection_that_breaks_tells_to_whom_it_was() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let target = Target::Tcp(address.replace("127.0.0.1", "localhost"));
        let (limit, mut into) = (Duration::from_secs(5), Vec::new());
        let mut connection = target.connect().await.unwrap();
        drop(listener.accept().await.unwrap());
        let ended = connection.read(&mut into, limit).await.unwrap_err();
        assert_eq!(ended.to_string(), format!("read tcp {address}: EOF"));
        assert_eq!(ended.kind(), io::ErrorKind::UnexpectedEof);
        let error = loop {
            // The first is answered by a reset.
            if let Err(error) = connection.write(b"x", limit).await {
                break error;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        assert_eq!(error.to_string(), format!("write tcp {address}: broken pipe"));
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        let mut silent = target.connect().await.unwrap();
        let _held = listener.accept().await.unwrap();
        let late = silent.read(&mut into, Duration::from_millis(10)).await.unwrap_err();
        assert_eq!(late.to_string(), format!("read tcp {address}: i/o timeout"));
    }

    impl Duplex for tokio::io::DuplexStream {
        fn was_reset(&self) -> bool {
            false
        }
    }

    #[test]
    fn whether_the_other_end_is_open_is_known_without_asking_the_clock() {
        // A millisecond before each write was most of the time that a connection took.
        let without_clock = tokio::runtime::Builder::new_current_thread().build().unwrap();
        without_clock.block_on(async {
            let (ours, theirs) = tokio::io::duplex(64);
            let mut connection = Connection { stream: Box::new(ours), to: String::new() };
            assert_eq!(connection.state().await, State::Open);
            assert!(connection.alive().await);
            drop(theirs);
            assert_eq!(connection.state().await, State::Closed);
            assert!(!connection.alive().await);
        });
    }

    #[tokio::test]
    async fn a_slow_receiver_is_written_to_for_longer_than_a_hung_one() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let reads = tokio::spawn(async move {
            let (mut piece, mut count) = (vec![0; 128 * 1024], 0);
            while let Ok(read @ 1..) = theirs.read(&mut piece).await {
                count += read;
                tokio::time::sleep(Duration::from_millis(150)).await;
            }
            count
        });
        let over = |stream| Connection { stream: Box::new(stream), to: "unix /x".to_owned() };
        let mut connection = over(ours);
        let (bytes, limit) = (vec![b'x'; 2 << 20], Duration::from_secs(2));
        connection.write(&bytes, limit).await.unwrap();
        connection.close(limit).await;
        assert_eq!(reads.await.unwrap(), bytes.len());
        let (ours, _silent) = UnixStream::pair().unwrap();
        let hung = over(ours).write(&bytes, Duration::from_millis(50)).await.unwrap_err();
        assert_eq!(
            (hung.kind(), hung.to_string().as_str()),
            (io::ErrorKind::TimedOut, "write unix /x: i/o timeout")
        );
    }

    #[tokio::test]
    async fn a_receiver_that_never_reads_is_not_sent_more_than_is_remembered() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut stream = tcp(&listener.local_addr().unwrap().to_string()).await.unwrap();
        let (_silent, _) = listener.accept().await.unwrap();
        let mut sent = 0;
        while let Ok(written) = in_time(Duration::from_millis(300), stream.write(&[b'x'; 4096])).await {
            sent += written;
        }
        assert!(sent < 1 << 20, "{sent}");
    }
}
