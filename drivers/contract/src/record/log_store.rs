//! Where a container's lines lie that its log driver of now does not have.

use crate::log::Options;
use serde::{Deserialize, Serialize};

/// A driver that took a container's lines once and gives them back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogStore {
    /// The driver's name.
    pub driver: String,
    /// The options it had.
    pub options: Options,
    /// For a time it took them beside another one: lines that both have are the same lines.
    pub shares: bool,
}
