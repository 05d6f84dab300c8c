//! What can go wrong below the port, per family of operation.

use contract::error::{Kind, PortError};
use nix::errno::Errno;
use std::path::PathBuf;

/// A refused or broken netlink exchange.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NetlinkError {
    /// The kernel answered with an error.
    #[error("{what}: {errno}")]
    Refused {
        /// Which request.
        what: String,
        /// The kernel's answer.
        errno: Errno,
    },
    /// The socket itself failed.
    #[error("netlink socket: {0}")]
    Socket(Errno),
}

impl NetlinkError {
    /// The errno behind the failure.
    pub fn errno(&self) -> Errno {
        match self {
            Self::Refused { errno, .. } | Self::Socket(errno) => *errno,
        }
    }
}

/// A host port that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum PortsError {
    /// Docker's text for a bind that failed.
    #[error("failed to bind host port for {host}:{target}/{protocol}: {reason}")]
    Bind {
        /// Host address and port.
        host: String,
        /// Container address and port.
        target: String,
        /// `tcp` or `udp`.
        protocol: &'static str,
        /// The system's reason in Docker's words.
        reason: String,
        /// The errno behind it.
        errno: Errno,
    },
    /// Docker's text for a port that another container has.
    #[error("Bind for {host} failed: port is already allocated")]
    Allocated {
        /// Host address and port.
        host: String,
    },
    /// The ephemeral range is used up.
    #[error("all ports are allocated")]
    Exhausted,
}

/// Any failure of this crate.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// A name exists but is something else.
    #[error("interface {0} exists and is not a bridge")]
    NotABridge(String),
    /// The bridge an endpoint belongs to is missing.
    #[error("bridge {0} not found")]
    NoBridge(String),
    /// The parent of containers' interfaces is missing, in Docker's words.
    #[error("{0}")]
    Parent(String),
    /// An interface could not be made, in Docker's words.
    #[error("failed to {what}: {}", reason(*errno))]
    Made {
        /// What was tried.
        what: String,
        /// The kernel's answer.
        errno: Errno,
    },
    /// The kernel has no such kind of interface.
    #[error("network driver {driver} is not supported by this kernel: {}", reason(*errno))]
    NoDriver {
        /// The driver.
        driver: &'static str,
        /// The kernel's answer.
        errno: Errno,
    },
    /// A spec that no kernel would take.
    #[error("{0}")]
    Invalid(String),
    /// A kernel setting could not be written.
    #[error("setting {path}: {source}")]
    Setting {
        /// The sysctl file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The network namespace could not be entered.
    #[error("network namespace {path}: {reason}")]
    Namespace {
        /// Where it was looked for.
        path: PathBuf,
        /// The cause.
        reason: String,
    },
    /// Names cannot be answered in a namespace.
    #[error("answer names: {0}")]
    Resolver(String),
    /// Netlink.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// Host ports.
    #[error(transparent)]
    Ports(#[from] PortsError),
    /// The thread that owns the sockets is gone.
    #[error("network thread ended")]
    ThreadGone,
}

impl NetworkError {
    /// In place of a setting that is not there: the kernel has no IPv6.
    pub fn without_ipv6(self, address: std::net::Ipv6Addr) -> Self {
        match &self {
            Self::Setting { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                Self::Invalid(format!("no bridge can have the address {address}: this kernel has no IPv6"))
            }
            _ => self,
        }
    }

    /// The class a caller decides on.
    pub fn kind(&self) -> Kind {
        match self {
            Self::NotABridge(_) => Kind::Conflict,
            Self::NoBridge(_) | Self::Namespace { .. } => Kind::NotFound,
            Self::Invalid(_) => Kind::Invalid,
            // Docker answers 500.
            Self::Parent(_) | Self::Made { .. } => Kind::Exhausted,
            Self::NoDriver { .. } => Kind::Unsupported,
            Self::Ports(PortsError::Exhausted) => Kind::Exhausted,
            Self::Ports(PortsError::Allocated { .. }) => Kind::Conflict,
            Self::Ports(PortsError::Bind { errno, .. }) => of_errno(*errno),
            Self::Netlink(e) => of_errno(e.errno()),
            Self::Setting { source, .. } => of_errno(Errno::from_raw(source.raw_os_error().unwrap_or(0))),
            Self::Resolver(_) => Kind::Bug,
            Self::ThreadGone => Kind::Unavailable,
        }
    }
}

/// The kernel's reason as Go words it.
fn reason(errno: Errno) -> String {
    match errno {
        Errno::EBUSY => "device or resource busy".into(),
        Errno::EOPNOTSUPP => "operation not supported".into(),
        other => other.desc().to_lowercase(),
    }
}

fn of_errno(errno: Errno) -> Kind {
    match errno {
        Errno::EADDRINUSE | Errno::EEXIST | Errno::EBUSY => Kind::Conflict,
        Errno::EADDRNOTAVAIL | Errno::EINVAL => Kind::Invalid,
        Errno::EPERM | Errno::EACCES => Kind::Denied,
        Errno::EOPNOTSUPP => Kind::Unsupported,
        Errno::ENOSPC | Errno::ENOMEM | Errno::ENOBUFS | Errno::EMFILE | Errno::ENFILE => Kind::Exhausted,
        _ => Kind::Bug,
    }
}

impl From<NetworkError> for PortError {
    fn from(error: NetworkError) -> Self {
        PortError::new(error.kind(), error.to_string())
    }
}
