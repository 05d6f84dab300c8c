//! What is mounted into a container.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

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
    /// `rprivate`, `rshared`, … as asked for; empty = the engine's choice.
    pub propagation: String,
    /// The part of the user's text that says how.
    pub mode: String,
    /// A missing source becomes a folder at the start, as Docker does for `-v`.
    pub make_source: bool,
    /// What is mounted below the source is not brought along.
    pub top_only: bool,
    /// Where it is read-only, what is mounted below stays writable.
    pub writable_below: bool,
    /// The source holds the daemon's own data, or lies in it.
    pub of_daemon: bool,
}

impl Bind {
    /// Its propagation: one that shares the daemon's data would keep the daemon's mounts from being taken away.
    pub fn effective_propagation(&self) -> &str {
        match self.propagation.as_str() {
            "" if self.of_daemon => "rslave",
            "" => "rprivate",
            given => given,
        }
    }
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
    /// Where its data lies on the host, as last known.
    pub source: PathBuf,
    /// No writing.
    pub read_only: bool,
    /// What the image has at the target is not copied into an empty volume.
    pub no_copy: bool,
    /// A folder inside the volume; empty = the whole.
    pub subpath: String,
    /// How, in Docker's words.
    pub mode: String,
    /// Propagation, shown only.
    pub propagation: String,
    /// The driver it is made with, if it is not there.
    pub driver: String,
    /// Options it is made with.
    pub options: Option<BTreeMap<String, String>>,
    /// Labels it is made with.
    pub labels: Option<BTreeMap<String, String>>,
    /// It is another container's: missing, it is not made.
    pub borrowed: bool,
}
