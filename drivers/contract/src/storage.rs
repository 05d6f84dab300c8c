//! The storage port: container records and roots.

use crate::error::PortError;
use crate::id::ContainerId;
use crate::record::{ContainerRecord, ContainerSpec, ContainerState, NetworkSpec};
use crate::runtime::RootSpec;
use async_trait::async_trait;
use std::path::PathBuf;

/// What a record has to outlive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Power loss: written through to the disk.
    Disk,
    /// The daemon: for containers that are removed when they end, which no reboot brings back.
    Daemon,
}

impl Durability {
    /// What this container's record has to outlive.
    pub fn of(spec: &ContainerSpec) -> Self {
        if spec.auto_remove || !spec.build.is_empty() { Self::Daemon } else { Self::Disk }
    }
}

/// Container records, one folder each, written by temporary file, sync, rename.
#[async_trait]
pub trait Records: Send + Sync {
    /// Every readable record; a broken one is set aside and reported in the second list.
    async fn load_all(&self) -> Result<(Vec<ContainerRecord>, Vec<PortError>), PortError>;
    /// One record.
    async fn load(&self, id: &ContainerId) -> Result<ContainerRecord, PortError>;
    /// Writes a new record.
    async fn create(&self, spec: &ContainerSpec, state: &ContainerState) -> Result<(), PortError>;
    /// Writes the history anew.
    async fn save_state(
        &self,
        id: &ContainerId,
        state: &ContainerState,
        durability: Durability,
    ) -> Result<(), PortError>;
    /// Writes the wish anew.
    async fn save_spec(
        &self,
        id: &ContainerId,
        spec: &ContainerSpec,
        durability: Durability,
    ) -> Result<(), PortError>;
    /// The container's folder.
    fn directory(&self, id: &ContainerId) -> PathBuf;
    /// Removes the folder with all in it (logs, spool).
    async fn remove(&self, id: &ContainerId) -> Result<(), PortError>;
}

/// Container roots over image layers.
#[async_trait]
pub trait Roots: Send + Sync {
    /// Folders for a container on an image; makes upper and work, mounts nothing.
    async fn ensure_root(&self, id: &ContainerId, image: &str) -> Result<RootSpec, PortError>;
    /// Lets a new container's own layer take only so many bytes; before [`Roots::ensure_root`]. Docker's refusal where the
    /// file system cannot do that.
    async fn limit_root(&self, id: &ContainerId, bytes: u64) -> Result<(), PortError>;
    /// Where the parts of a container's root are, made or not.
    fn root(&self, id: &ContainerId, image: &str) -> Result<RootSpec, PortError>;
    /// The folder of the container's own layer; it need not be there.
    fn own_layer(&self, id: &ContainerId) -> PathBuf;
    /// Removes them (unmounting what is still mounted).
    async fn remove_root(&self, id: &ContainerId) -> Result<(), PortError>;
    /// Finishes what a killed daemon was removing.
    async fn sweep(&self) -> Result<(), PortError>;
}

/// Records of networks, one file each.
#[async_trait]
pub trait NetworkRecords: Send + Sync {
    /// Every readable record, the oldest first; what is wrong with the others.
    async fn load_all(&self) -> Result<(Vec<NetworkSpec>, Vec<PortError>), PortError>;
    /// Writes a record.
    async fn save(&self, network: &NetworkSpec) -> Result<(), PortError>;
    /// Removes one; absent is fine.
    async fn remove(&self, id: &str) -> Result<(), PortError>;
}
