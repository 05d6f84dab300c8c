//! A container's health check and what it found.

use serde::{Deserialize, Serialize};

/// How health is checked; times in nanoseconds, 0 = Docker's default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Health {
    /// As Docker words it: `NONE`, `CMD` or `CMD-SHELL` first.
    pub test: Vec<String>,
    /// Argument vector of the probe; empty = there is none.
    pub args: Vec<String>,
    /// Between probes.
    pub interval_ns: i64,
    /// Of one probe.
    pub timeout_ns: i64,
    /// After a start, failures do not count.
    pub start_period_ns: i64,
    /// Between probes while the start period lasts.
    pub start_interval_ns: i64,
    /// Failures in a row that make it unhealthy.
    pub retries: i64,
}

/// Docker's health states.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wellbeing {
    /// No probe has told yet.
    #[default]
    Starting,
    /// The last probe was fine.
    Healthy,
    /// Too many failures in a row.
    Unhealthy,
}

/// One probe's outcome.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// ns since the epoch.
    pub start_ns: i64,
    /// ns since the epoch.
    pub end_ns: i64,
    /// Exit code; -1 = it did not end in time.
    pub exit_code: i32,
    /// Its output, at most 4096 bytes.
    pub output: String,
}

/// What the probes have found since the last start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HealthState {
    /// Verdict.
    pub status: Wellbeing,
    /// Failures in a row.
    pub failing_streak: i64,
    /// The last five probes, oldest first.
    pub log: Vec<Probe>,
}
