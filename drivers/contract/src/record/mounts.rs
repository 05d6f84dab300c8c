//! What is mounted into a container.

use serde::{Deserialize, Serialize};

/// A host path inside the container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Bind {
    /// Absolute host path.
    pub source: String,
    /// Absolute path inside.
    pub target: String,
    /// No writing.
    pub read_only: bool,
    /// `rprivate` (default), `rshared`, …
    pub propagation: String,
    /// As the user wrote it.
    pub text: String,
    /// A missing source becomes a folder at the start, as Docker does for `-v`.
    pub make_source: bool,
}

/// A volume inside the container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VolumeUse {
    /// The volume's name.
    pub name: String,
    /// It was made for this container and has no name of the user's.
    pub anonymous: bool,
    /// Absolute path inside.
    pub target: String,
    /// No writing.
    pub read_only: bool,
    /// What the image has at the target is not copied into an empty volume.
    pub no_copy: bool,
    /// A folder inside the volume; empty = the whole.
    pub subpath: String,
    /// As the user wrote it.
    pub text: String,
}
