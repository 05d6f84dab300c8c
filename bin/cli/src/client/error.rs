//! Why a request brought no answer.

/// Why a request brought no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The daemon refused.
    #[error("Error response from daemon: {message}")]
    Daemon {
        /// HTTP status.
        status: u16,
        /// The daemon's words.
        message: String,
    },
    /// Nobody listens at the address.
    #[error("Cannot connect to the gantry daemon at {host}. Is gantryd running?")]
    Unreachable {
        /// The address tried.
        host: String,
    },
    /// The socket is there, but not for us.
    #[error("permission denied while trying to connect to the gantry daemon socket at {host}")]
    Forbidden {
        /// The address tried.
        host: String,
    },
    /// The address is of a kind this client does not speak.
    #[error("unable to parse docker host `{host}`: {why}")]
    Host {
        /// The address given.
        host: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Certificates cannot be used.
    #[error("unable to resolve TLS configuration: {0}")]
    Tls(String),
    /// An operation failed after its answer had begun.
    #[error("{0}")]
    Failed(String),
    /// The connection broke.
    #[error("error during connect: {0}")]
    Connection(#[source] hyper::Error),
    /// bollard could not complete the call.
    #[error("error during connect: {0}")]
    Call(#[source] bollard::errors::Error),
    /// The request could not be put into words.
    #[error("invalid request: {0}")]
    Request(#[source] hyper::http::Error),
    /// The answer is not JSON.
    #[error("invalid answer from daemon: {0}")]
    Json(#[source] serde_json::Error),
}
