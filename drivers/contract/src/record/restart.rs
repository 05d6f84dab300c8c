//! The pauses before a container is restarted by its policy.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The first pause, doubled with each restart up to the longest; a run that was long enough starts over with the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Backoff {
    /// The first.
    pub min: Duration,
    /// The longest.
    pub max: Duration,
    /// A run at least this long starts over.
    pub reset: Duration,
}

impl Default for Backoff {
    /// Docker's (moby `restartmanager`).
    fn default() -> Self {
        Self { min: Duration::from_millis(100), max: Duration::from_secs(60), reset: Duration::from_secs(10) }
    }
}
