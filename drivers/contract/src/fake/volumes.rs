use super::{Script, lock};
use crate::error::PortError;
use crate::record::Bind;
use crate::volume::{Content, Origin, Purpose, Volume, VolumeWish, Volumes, no_such_volume};
use async_trait::async_trait;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Mutex;

#[derive(Default)]
struct Disk {
    volumes: BTreeMap<String, Volume>,
    pending: BTreeSet<String>,
    mounted: BTreeSet<String>,
    filled: BTreeMap<String, String>,
}

/// Volumes. Verbs: `volume_create`, `volume_keep`, `volume_mount`, `volume_unmount`, `volume_populate`, `volume_remove`,
/// `ensure_sources`, `volume_sweep`.
pub struct FakeVolumes {
    script: Script,
    disk: Mutex<Disk>,
}

impl FakeVolumes {
    pub(super) fn new(script: Script) -> Self {
        Self { script, disk: Mutex::default() }
    }

    /// Names of those there are.
    pub fn names(&self) -> Vec<String> {
        lock(&self.disk).volumes.keys().cloned().collect()
    }

    /// Names of those mounted.
    pub fn mounted(&self) -> Vec<String> {
        lock(&self.disk).mounted.iter().cloned().collect()
    }

    /// Names of those whose container is not recorded.
    pub fn pending(&self) -> Vec<String> {
        lock(&self.disk).pending.iter().cloned().collect()
    }

    /// Which path of an image a volume was filled from.
    pub fn filled(&self, name: &str) -> Option<String> {
        lock(&self.disk).filled.get(name).cloned()
    }
}

fn path(name: &str) -> PathBuf {
    PathBuf::from("/volumes").join(name).join("_data")
}

#[async_trait]
impl Volumes for FakeVolumes {
    async fn list(&self) -> Result<Vec<Volume>, PortError> {
        Ok(lock(&self.disk).volumes.values().cloned().collect())
    }

    async fn get(&self, name: &str) -> Result<Volume, PortError> {
        lock(&self.disk).volumes.get(name).cloned().ok_or_else(|| no_such_volume(name))
    }

    async fn create(&self, wish: &VolumeWish, purpose: Purpose) -> Result<(Volume, Origin), PortError> {
        self.script.at("volume_create", &wish.name).await?;
        let mut disk = lock(&self.disk);
        if let Some(found) = disk.volumes.get(&wish.name) {
            return Ok((found.clone(), Origin::Found));
        }
        let VolumeWish { name, options, labels, .. } = wish.clone();
        let mountpoint = path(&name);
        let made = Volume { name, options, labels, mountpoint, ..Volume::default() };
        disk.volumes.insert(wish.name.clone(), made.clone());
        if matches!(purpose, Purpose::Pending(_)) {
            disk.pending.insert(wish.name.clone());
        }
        Ok((made, Origin::Made))
    }

    async fn keep(&self, name: &str) -> Result<(), PortError> {
        self.script.at("volume_keep", name).await?;
        lock(&self.disk).pending.remove(name);
        Ok(())
    }

    async fn mount(&self, name: &str) -> Result<PathBuf, PortError> {
        self.script.at("volume_mount", name).await?;
        self.get(name).await?;
        lock(&self.disk).mounted.insert(name.to_owned());
        Ok(path(name))
    }

    async fn unmount(&self, name: &str) -> Result<(), PortError> {
        self.script.at("volume_unmount", name).await?;
        lock(&self.disk).mounted.remove(name);
        Ok(())
    }

    async fn populate(&self, name: &str, content: &Content) -> Result<(), PortError> {
        self.script.at("volume_populate", name).await?;
        lock(&self.disk).filled.entry(name.to_owned()).or_insert_with(|| content.path.clone());
        Ok(())
    }

    async fn size(&self, _: &str) -> Result<u64, PortError> {
        Ok(1000)
    }

    async fn remove(&self, name: &str) -> Result<(), PortError> {
        self.script.at("volume_remove", name).await?;
        let mut disk = lock(&self.disk);
        disk.volumes.remove(name);
        disk.pending.remove(name);
        disk.mounted.remove(name);
        disk.filled.remove(name);
        Ok(())
    }

    async fn ensure_sources(&self, _: &[Bind]) -> Result<(), PortError> {
        self.script.at("ensure_sources", "").await
    }

    async fn sweep(&self, known: &BTreeSet<String>, held: &BTreeSet<String>) -> Result<(), PortError> {
        self.script.at("volume_sweep", "").await?;
        let mut disk = lock(&self.disk);
        let pending = std::mem::take(&mut disk.pending);
        for name in pending.iter().filter(|name| !known.contains(*name)) {
            disk.volumes.remove(name);
        }
        disk.mounted.retain(|name| held.contains(name));
        Ok(())
    }
}
