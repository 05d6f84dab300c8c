//! The volume port: data that outlives containers, and what is mounted from the host.

use crate::error::{Kind, PortError};
use crate::record::Bind;
use crate::storage::Durability;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// The only volume driver there is.
pub const LOCAL: &str = "local";

/// Docker's mark on a volume that was given no name.
pub const ANONYMOUS: &str = "com.docker.volume.anonymous";

/// What a volume is to be made as.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VolumeWish {
    /// Its name.
    pub name: String,
    /// Its driver; empty = `local`.
    pub driver: String,
    /// The driver's options; `None` when none were spoken of, which Docker shows.
    pub options: Option<BTreeMap<String, String>>,
    /// Labels; `None` likewise.
    pub labels: Option<BTreeMap<String, String>>,
}

/// A volume.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// Options of the driver.
    pub options: Option<BTreeMap<String, String>>,
    /// Labels.
    pub labels: Option<BTreeMap<String, String>>,
    /// ns since the epoch.
    pub created_ns: i64,
    /// Where its data lies on the host.
    pub mountpoint: PathBuf,
}

impl Volume {
    /// Whether it was given no name.
    pub fn is_anonymous(&self) -> bool {
        self.labels.as_ref().is_some_and(|l| l.contains_key(ANONYMOUS))
    }

    /// Whether it has options, and so lies elsewhere than it seems to.
    pub fn is_mount(&self) -> bool {
        self.options.as_ref().is_some_and(|o| !o.is_empty())
    }
}

/// Whether a volume was there before it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It is new.
    Made,
    /// It was there, whatever was wished of it.
    Found,
}

/// For whom a volume is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To be kept until somebody removes it.
    Keep,
    /// For a container whose record is not written yet: one that a killed daemon never wrote takes an anonymous
    /// volume along. [`Volumes::keep`] ends this.
    Pending(Durability),
}

/// What an image has at a path is wanted in a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Folders of the image's layers, lowest first.
    pub layers: Vec<PathBuf>,
    /// Path in the image, links read as inside it.
    pub path: String,
}

/// Docker's text for a volume that is not there.
pub fn no_such_volume(name: &str) -> PortError {
    PortError::new(Kind::NotFound, format!("get {name}: no such volume"))
}

/// Volumes on disk. What is done to one volume is done one after the other; that is the callers' business.
#[async_trait]
pub trait Volumes: Send + Sync {
    /// Every readable volume, by name.
    async fn list(&self) -> Result<Vec<Volume>, PortError>;
    /// One volume; missing: `get NAME: no such volume`.
    async fn get(&self, name: &str) -> Result<Volume, PortError>;
    /// Makes a volume, or finds the one of that name. Errors carry Docker's texts for names, drivers and options.
    async fn create(&self, wish: &VolumeWish, purpose: Purpose) -> Result<(Volume, Origin), PortError>;
    /// The container that a volume was made for is recorded.
    async fn keep(&self, name: &str) -> Result<(), PortError>;
    /// Makes its data appear at the answered path, which its options may demand a mount for; may be repeated.
    async fn mount(&self, name: &str) -> Result<PathBuf, PortError>;
    /// Takes such a mount away; may be repeated.
    async fn unmount(&self, name: &str) -> Result<(), PortError>;
    /// Copies what an image has at the path into an empty volume, which may be mounted for it, if there is something.
    /// A kill in between leaves it empty.
    async fn populate(&self, name: &str, content: &Content) -> Result<(), PortError>;
    /// Bytes its data takes.
    async fn size(&self, name: &str) -> Result<u64, PortError>;
    /// Removes it with its data; absent is fine.
    async fn remove(&self, name: &str) -> Result<(), PortError>;
    /// Makes the sources that binds want made, and proves that mounts can be passed on where that was asked for.
    async fn ensure_sources(&self, binds: &[Bind]) -> Result<(), PortError>;
    /// Finishes what a killed daemon left half done. `known`: volumes of recorded containers; `held`: of running ones.
    async fn sweep(&self, known: &BTreeSet<String>, held: &BTreeSet<String>) -> Result<(), PortError>;
}
