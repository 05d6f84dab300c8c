//! Addresses the API is served on.

use std::path::PathBuf;
use std::str::FromStr;

/// Default socket.
const SOCKET: &str = "/run/gantry.sock";
/// Docker's ports without and with TLS.
const PORT: u16 = 2375;
const TLS_PORT: u16 = 2376;

/// Where the daemon listens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Host {
    /// Sockets handed over by systemd: all, or the one with this number (from 3 on).
    Fd(Option<i32>),
    /// A TCP address: name or address without brackets, and port.
    Tcp(String, u16),
    /// A unix socket.
    Unix(PathBuf),
}

impl Host {
    /// What is served when nothing is said: with TLS, a TCP port on loopback, as Docker does.
    pub fn default_for(tls: bool) -> Self {
        if tls { Self::Tcp("localhost".into(), TLS_PORT) } else { Self::Unix(SOCKET.into()) }
    }
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fd(None) => write!(f, "fd://"),
            Self::Fd(Some(number)) => write!(f, "fd://{number}"),
            Self::Tcp(name, port) if name.contains(':') => write!(f, "tcp://[{name}]:{port}"),
            Self::Tcp(name, port) => write!(f, "tcp://{name}:{port}"),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

impl FromStr for Host {
    type Err = String;

    /// `unix://path`, `tcp://host:port`, `fd://`, or a bare `host:port`; what is left out is Docker's default.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let invalid = |why: String| format!("invalid bind address ({text}): {why}");
        let (scheme, rest) = text.split_once("://").unwrap_or(("tcp", text));
        match scheme {
            "unix" if rest.contains("://") => Err(invalid(format!("invalid unix address: {rest}"))),
            "unix" => Ok(Self::Unix(if rest.is_empty() { SOCKET.into() } else { rest.into() })),
            "fd" if rest.is_empty() || rest == "*" => Ok(Self::Fd(None)),
            "fd" => {
                let number: i32 = rest
                    .parse()
                    .map_err(|_| format!("failed to parse systemd fd address: should be a number: {rest}"))?;
                if number < 3 {
                    return Err(invalid("sockets of systemd's begin with 3".into()));
                }
                Ok(Self::Fd(Some(number)))
            }
            "tcp" => tcp(rest).map_err(invalid),
            other => Err(invalid(format!("unsupported proto '{other}'"))),
        }
    }
}

fn tcp(text: &str) -> Result<Host, String> {
    let text = text.strip_suffix('/').unwrap_or(text);
    if text.contains('/') {
        return Err("should not contain a path element".into());
    }
    let (name, port) = match text.rsplit_once(':') {
        // The colons of an address in brackets are its own.
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (text, None),
    };
    let port = match port.filter(|p| !p.is_empty()) {
        None => PORT,
        Some(port) => port.parse().ok().filter(|p| *p != 0).ok_or_else(|| format!("invalid port: {port}"))?,
    };
    let name = match name.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']').ok_or("missing ']' in host")?,
        None if name.contains(':') => return Err("too many colons in address".into()),
        None => name,
    };
    Ok(Host::Tcp(if name.is_empty() { "localhost".into() } else { name.to_owned() }, port))
}

#[cfg(test)]
mod tests {
    use super::Host;

    #[test]
    fn addresses_are_completed_as_docker_does() {
        for (text, wanted) in [
            ("unix:///s", "unix:///s"),
            ("unix://", "unix:///run/gantry.sock"),
            ("tcp://", "tcp://localhost:2375"),
            ("tcp://:99", "tcp://localhost:99"),
            ("0.0.0.0:99", "tcp://0.0.0.0:99"),
            ("tcp://[::1]:99", "tcp://[::1]:99"),
            ("tcp://[::]", "tcp://[::]:2375"),
            ("fd://", "fd://"),
            ("fd://*", "fd://"),
            ("fd://4", "fd://4"),
        ] {
            assert_eq!(text.parse::<Host>().map(|h| h.to_string()).as_deref(), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_in_dockers_words() {
        for (text, wanted) in [
            ("ssh://a", "invalid bind address (ssh://a): unsupported proto 'ssh'"),
            ("tcp://a:0", "invalid bind address (tcp://a:0): invalid port: 0"),
            ("tcp://a:1/p", "invalid bind address (tcp://a:1/p): should not contain a path element"),
            ("tcp://::1", "invalid bind address (tcp://::1): too many colons in address"),
            ("fd://x", "failed to parse systemd fd address: should be a number: x"),
        ] {
            assert_eq!(text.parse::<Host>().unwrap_err(), wanted);
        }
    }
}
