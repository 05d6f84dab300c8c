//! Where syslog goes, and what is open to it.

use crate::datagram::{MESSAGE_SIZE, Socket};
use crate::dial::{Target, undialed};
use crate::options::invalid;
use crate::tls::Identity;
use crate::unconfirmed::Line;
use contract::PortError;
use contract::log::{Certain, Cursor};
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::UnixDatagram;
use tokio::time::timeout;

const WRITE: Duration = Duration::from_secs(30);
const LOCAL: [&str; 3] = ["/dev/log", "/var/run/syslog", "/var/run/log"];

/// A parsed `syslog-address`.
#[derive(Debug, Clone)]
pub(crate) enum Address {
    Local,
    Unixgram(PathBuf),
    Udp(String),
    Stream(Target),
}

impl Address {
    pub(crate) fn parse(text: &str, identity: &Identity) -> Result<Self, PortError> {
        if text.is_empty() {
            return Ok(Self::Local);
        }
        let (scheme, rest) = scheme(text)?;
        // What follows host or path means nothing, as in Docker.
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        let (host, path) = match rest.strip_prefix("//") {
            Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
            None if rest.starts_with('/') => ("", rest),
            // Neither, to Docker.
            None => ("", ""),
        };
        match &*scheme {
            "unix" => Ok(Self::Stream(Target::Unix(path.into()))),
            "unixgram" => Ok(Self::Unixgram(path.into())),
            "udp" => Ok(Self::Udp(with_port(text, host)?)),
            "tcp" => Ok(Self::Stream(Target::Tcp(with_port(text, host)?))),
            "tcp+tls" => Ok(Self::Stream(Target::Tls(with_port(text, host)?, identity.client()?))),
            other => Err(invalid(format!("unsupported scheme: '{other}'"))),
        }
    }

    /// A socket named by path must exist when options are checked.
    pub(crate) fn check(&self) -> Result<(), PortError> {
        match self {
            Self::Stream(Target::Unix(path)) | Self::Unixgram(path) => std::fs::metadata(path)
                .map(drop)
                .map_err(|_| invalid(format!("stat {}: no such file or directory", path.display()))),
            _ => Ok(()),
        }
    }
}

/// The scheme and what follows its colon, with the refusals of Go's `url.Parse`.
fn scheme(text: &str) -> Result<(String, &str), PortError> {
    let is_scheme = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_alphabetic())
            && word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
    };
    match text.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) => Ok((scheme.to_ascii_lowercase(), rest)),
        Some(("", _)) => Err(invalid(format!("parse {text:?}: missing protocol scheme"))),
        Some((first, _)) if !first.contains('/') => {
            Err(invalid(format!("parse {text:?}: first path segment in URL cannot contain colon")))
        }
        _ => Err(invalid("unsupported scheme: ''")),
    }
}

/// The host and the port that `host` of the address `text` names: Docker's are this machine and 514.
fn with_port(text: &str, host: &str) -> Result<String, PortError> {
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let bare = host.rfind(']').map_or(0, |i| i + 1);
    let (name, port) = match host.get(bare..).and_then(|rest| rest.find(':')) {
        Some(colon) => host.split_at(bare + colon),
        None => (host, ""),
    };
    let port = port.strip_prefix(':').unwrap_or(port);
    if port.contains(':') {
        return Err(invalid(format!("address {host}: too many colons in address")));
    }
    let name = if name.is_empty() { "127.0.0.1" } else { name };
    match port {
        "" => Ok(format!("{name}:514")),
        _ if port.parse::<u16>().is_ok() => Ok(format!("{name}:{port}")),
        // One that never opens.
        _ => Err(invalid(format!("parse {text:?}: invalid port \":{port}\" after host"))),
    }
}

fn unixgram(path: &str) -> io::Result<Open> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path).map_err(|e| undialed(&format_args!("unixgram {path}"), &e))?;
    Ok(Open::Unixgram(socket))
}

/// The first local syslogd there is.
async fn local() -> io::Result<Open> {
    let mut first = None;
    for path in LOCAL {
        match unixgram(path) {
            Ok(open) => return Ok(open),
            // The place where one is looked for.
            Err(error) => first = first.or(Some(error)),
        }
        let target = Target::Unix(path.into());
        if target.connect().await.is_ok() {
            return Ok(Open::Stream(Box::new(Line::new(target))));
        }
    }
    Err(first.unwrap_or_else(|| io::Error::other("Unix syslog delivery error")))
}

/// What is open.
enum Open {
    Stream(Box<Line>),
    Unixgram(UnixDatagram),
    Udp(Socket),
}

/// The way to a receiver, made when it is needed.
pub(crate) struct Way {
    address: Address,
    open: Option<Open>,
}

impl Way {
    pub(crate) fn new(address: Address) -> Self {
        Self { address, open: None }
    }

    /// Sends frames, of which `ends` gives line index and end; answers the lines too long to be sent. What streams
    /// carried is kept for a while, so their buffer is another afterwards.
    pub(crate) async fn send(
        &mut self,
        frames: &mut Vec<u8>,
        ends: &[(usize, usize)],
        end: &Cursor,
    ) -> io::Result<Vec<usize>> {
        let mut open = self.ready().await?;
        let sent = match &mut open {
            Open::Stream(line) => match line.write(std::mem::take(frames), Some(end)).await {
                Ok(free) => {
                    *frames = free;
                    Ok(Vec::new())
                }
                Err(error) => Err(error),
            },
            datagrams => datagrams.send_each(frames, ends).await,
        };
        // A stream remembers what may be unread, also when its connection broke.
        if sent.is_ok() || matches!(open, Open::Stream(_)) {
            self.open = Some(open);
        }
        sent
    }

    async fn ready(&mut self) -> io::Result<Open> {
        match (self.open.take(), &self.address) {
            (Some(Open::Udp(mut socket)), Address::Udp(target)) => {
                let current = socket.current(target).await;
                Ok(Open::Udp(if current { socket } else { Socket::open(target).await? }))
            }
            (Some(open), _) => Ok(open),
            (None, Address::Local) => local().await,
            (None, Address::Unixgram(path)) => unixgram(&path.to_string_lossy()),
            (None, Address::Udp(target)) => Ok(Open::Udp(Socket::open(target).await?)),
            (None, Address::Stream(target)) => Ok(Open::Stream(Box::new(Line::new(target.clone())))),
        }
    }

    pub(crate) fn is_stream(&self) -> bool {
        matches!(self.open, Some(Open::Stream(_)))
    }

    /// Sends again what a stream's receiver may not have read; false when there is nothing to look after.
    pub(crate) async fn look_after(&mut self) -> io::Result<bool> {
        match &mut self.open {
            Some(Open::Stream(line)) => line.look_after().await,
            _ => Ok(false),
        }
    }

    pub(crate) fn certain(&self) -> Certain {
        match &self.open {
            Some(Open::Stream(line)) => line.certain(),
            _ => Certain::All,
        }
    }

    pub(crate) fn may_end_within(&mut self, limit: Duration) {
        if let Some(Open::Stream(line)) = &mut self.open {
            line.may_end_within(limit);
        }
    }

    pub(crate) async fn close(self) -> io::Result<()> {
        match self.open {
            Some(Open::Stream(line)) => line.close().await,
            _ => Ok(()),
        }
    }
}

impl Open {
    async fn send_each(&mut self, frames: &[u8], ends: &[(usize, usize)]) -> io::Result<Vec<usize>> {
        let mut refused = Vec::new();
        let mut start = 0;
        for (line, end) in ends {
            let frame = frames.get(start..*end).unwrap_or_default();
            start = *end;
            let sent = match self {
                Self::Unixgram(socket) => in_time(WRITE, socket.send(frame)).await.map(drop),
                Self::Udp(socket) => socket.send(frame).await,
                Self::Stream(_) => continue,
            };
            match sent {
                Ok(()) => {}
                Err(e) if e.raw_os_error() == Some(MESSAGE_SIZE) => refused.push(*line),
                Err(e) => return Err(e),
            }
        }
        if let Self::Udp(socket) = self {
            socket.refused()?;
        }
        Ok(refused)
    }
}

async fn in_time<T>(limit: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(limit, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_the_host_in_an_address_is_no_part_of_it() {
        for (text, wanted) in [
            ("udp://h", "h:514"),
            ("udp://h:1/", "h:1"),
            ("udp://h/path", "h:514"),
            ("udp://[::1]?x", "[::1]:514"),
        ] {
            let found = Address::parse(text, &Identity::default()).unwrap();
            assert!(matches!(&found, Address::Udp(host) if host == wanted), "{text}: {found:?}");
        }
    }

    #[test]
    fn an_address_without_a_host_is_this_machines_and_a_path_needs_no_slashes_before_it() {
        for (text, wanted) in [
            ("udp://", "127.0.0.1:514"),
            ("udp:", "127.0.0.1:514"),
            ("udp://:5514", "127.0.0.1:5514"),
            ("UDP://u@h:", "h:514"),
        ] {
            let found = Address::parse(text, &Identity::default()).unwrap();
            assert!(matches!(&found, Address::Udp(host) if host == wanted), "{text}: {found:?}");
        }
        let tcp = Address::parse("tcp://", &Identity::default()).unwrap();
        assert!(matches!(&tcp, Address::Stream(Target::Tcp(host)) if host == "127.0.0.1:514"), "{tcp:?}");
        for text in ["unix:/dev/log", "unix:///dev/log", "unix://host/dev/log"] {
            let found = Address::parse(text, &Identity::default()).unwrap();
            let is_there = matches!(&found, Address::Stream(Target::Unix(path)) if path.ends_with("dev/log"));
            assert!(is_there, "{text}: {found:?}");
        }
        let datagrams = Address::parse("unixgram:/dev/log", &Identity::default()).unwrap();
        assert!(matches!(&datagrams, Address::Unixgram(path) if path.ends_with("dev/log")));
        let refused = |text| Address::parse(text, &Identity::default()).and_then(|found| found.check());
        for (text, wanted) in [
            ("unix:dev/log", "stat : no such file or directory"),
            ("/dev/log", "unsupported scheme: ''"),
            ("host:514", "unsupported scheme: 'host'"),
            ("127.0.0.1:514", "parse \"127.0.0.1:514\": first path segment in URL cannot contain colon"),
            (":514", "parse \":514\": missing protocol scheme"),
            ("udp://::1", "address ::1: too many colons in address"),
            ("udp://h:x", "parse \"udp://h:x\": invalid port \":x\" after host"),
        ] {
            assert_eq!(refused(text).unwrap_err().chain(), wanted);
        }
    }
}
