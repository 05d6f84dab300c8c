//! Why a sandbox or a process in it could not be made.

use crate::protocol::Reason;
use nix::errno::Errno;
use serde::{Deserialize, Serialize};

/// The step that failed and why; crosses the pipe between the new process and the shim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{}{}{cause}", step, if step.is_empty() { "" } else { ": " })]
pub struct LaunchError {
    /// What was being done, and to what; empty when the cause says it all.
    pub step: String,
    /// The system's answer.
    pub cause: String,
    /// Class of the failure.
    pub reason: Reason,
}

impl LaunchError {
    /// A failure of a step that is nobody's fault but the system's.
    pub fn new(step: impl Into<String>, cause: impl ToString) -> Self {
        Self { step: step.into(), cause: cause.to_string(), reason: Reason::Failed }
    }
}

/// The system's own words, without Rust's.
fn io_text(error: &std::io::Error) -> String {
    error.raw_os_error().map_or_else(|| error.to_string(), |c| Errno::from_raw(c).desc().to_lowercase())
}

/// Names the step of a system call's failure.
pub(crate) trait Step<T> {
    fn step(self, step: impl Into<String>) -> Result<T, LaunchError>;
}

impl<T> Step<T> for Result<T, Errno> {
    fn step(self, step: impl Into<String>) -> Result<T, LaunchError> {
        self.map_err(|e| LaunchError::new(step, e.desc().to_lowercase()))
    }
}

impl<T> Step<T> for Result<T, std::io::Error> {
    fn step(self, step: impl Into<String>) -> Result<T, LaunchError> {
        self.map_err(|e| LaunchError::new(step, io_text(&e)))
    }
}

impl<T> Step<T> for Result<T, rustix::io::Errno> {
    fn step(self, step: impl Into<String>) -> Result<T, LaunchError> {
        self.map_err(|e| LaunchError::new(step, Errno::from_raw(e.raw_os_error()).desc().to_lowercase()))
    }
}

impl<T> Step<T> for Result<T, cgroups_rs::error::Error> {
    fn step(self, step: impl Into<String>) -> Result<T, LaunchError> {
        self.map_err(|e| {
            match std::error::Error::source(&e).and_then(|s| s.downcast_ref::<std::io::Error>()) {
                Some(cause) => LaunchError::new(step, io_text(cause)),
                None => LaunchError::new(step, e),
            }
        })
    }
}
