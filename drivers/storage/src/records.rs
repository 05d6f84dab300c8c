//! Container records: one folder each, `spec.json` and `state.json`.

use crate::file::{Sync, blocking, discard, failed, replace, sweep_discarded, sync_folder};
use async_trait::async_trait;
use contract::record::{ContainerRecord, ContainerSpec, ContainerState};
use contract::storage::{Durability, Records};
use contract::{ContainerId, Kind, PortError};
use serde::{Serialize, de::DeserializeOwned};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Records under `<data_root>/containers`.
#[derive(Debug, Clone)]
pub struct FileRecords {
    base: PathBuf,
}

impl FileRecords {
    /// Records of this data root; folders appear with the first record.
    pub fn new(data_root: impl AsRef<Path>) -> Self {
        Self { base: data_root.as_ref().join("containers") }
    }

    fn folder(&self, id: &str) -> Result<PathBuf, PortError> {
        let fine = !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric());
        if fine {
            Ok(self.base.join(id))
        } else {
            Err(PortError::new(Kind::Invalid, format!("invalid container id {id:?}")))
        }
    }
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, PortError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return Err(PortError::caused(Kind::NotFound, format!("no record {}", path.display()), e));
        }
        Err(e) => return Err(failed("reading", path)(e)),
    };
    serde_json::from_slice(&bytes)
        .map_err(|e| PortError::caused(Kind::Bug, format!("reading {}", path.display()), e))
}

fn write_json(folder: &Path, name: &str, value: &impl Serialize, sync: Sync) -> Result<(), PortError> {
    let path = folder.join(name);
    let bytes = serde_json::to_vec(value)
        .map_err(|e| PortError::caused(Kind::Bug, format!("encoding {}", path.display()), e))?;
    replace(&path, &bytes, sync).map_err(failed("writing", &path))
}

fn create(base: &Path, folder: &Path, spec: &ContainerSpec, state: &ContainerState) -> Result<(), PortError> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o711)
        .create(folder)
        .map_err(failed("making", folder))?;
    let durability = Durability::of(spec);
    write_json(folder, "state.json", state, content(durability))?;
    write_json(folder, "spec.json", spec, content(durability))?;
    if durability == Durability::Disk {
        sync_folder(folder).and_then(|()| sync_folder(base)).map_err(failed("syncing", folder))?;
    }
    Ok(())
}

fn content(durability: Durability) -> Sync {
    match durability {
        Durability::Disk => Sync::Content,
        Durability::Daemon => Sync::None,
    }
}

fn read_record(folder: &Path, id: &str) -> Result<ContainerRecord, PortError> {
    let spec: ContainerSpec = read_json(&folder.join("spec.json"))?;
    if spec.id != id {
        return Err(PortError::new(
            Kind::Bug,
            format!("record {} names container {:?}", folder.display(), spec.id),
        ));
    }
    let state = read_json(&folder.join("state.json"))?;
    Ok(ContainerRecord { spec, state })
}

/// A create that was broken off: it ends with `spec.json`.
fn half_made(folder: &Path) -> bool {
    !folder.join("spec.json").exists()
}

fn read_all(base: &Path) -> Result<(Vec<ContainerRecord>, Vec<PortError>), PortError> {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    let entries = match std::fs::read_dir(base) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok((good, bad)),
        Err(e) => return Err(failed("listing", base)(e)),
    };
    for entry in entries {
        let folder = entry.map_err(failed("listing", base))?.path();
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.contains('.') || !folder.is_dir() {
            continue;
        }
        match read_record(&folder, &name) {
            Ok(record) => good.push(record),
            Err(_) if half_made(&folder) => {
                if let Err(e) = discard(&folder) {
                    bad.push(failed("removing half a container", &folder)(e));
                }
            }
            Err(error) => {
                // Set aside, not removed: its logs and spool may still matter to the user.
                let aside = base.join(format!("{name}.broken"));
                let _ = std::fs::rename(&folder, &aside);
                bad.push(error);
            }
        }
    }
    good.sort_by(|a, b| (a.spec.created_ns, &a.spec.id).cmp(&(b.spec.created_ns, &b.spec.id)));
    Ok((good, bad))
}

#[async_trait]
impl Records for FileRecords {
    async fn load_all(&self) -> Result<(Vec<ContainerRecord>, Vec<PortError>), PortError> {
        let base = self.base.clone();
        blocking(move || {
            sweep_discarded(&base).map_err(failed("sweeping", &base))?;
            read_all(&base)
        })
        .await
    }

    async fn load(&self, id: &ContainerId) -> Result<ContainerRecord, PortError> {
        let (folder, id) = (self.folder(id.as_str())?, id.as_str().to_owned());
        blocking(move || read_record(&folder, &id)).await
    }

    async fn create(&self, spec: &ContainerSpec, state: &ContainerState) -> Result<(), PortError> {
        let (base, folder) = (self.base.clone(), self.folder(&spec.id)?);
        let (spec, state) = (spec.clone(), state.clone());
        blocking(move || create(&base, &folder, &spec, &state)).await
    }

    async fn save_state(
        &self,
        id: &ContainerId,
        state: &ContainerState,
        durability: Durability,
    ) -> Result<(), PortError> {
        let (folder, state) = (self.folder(id.as_str())?, state.clone());
        blocking(move || write_json(&folder, "state.json", &state, content(durability))).await
    }

    async fn save_spec(
        &self,
        id: &ContainerId,
        spec: &ContainerSpec,
        durability: Durability,
    ) -> Result<(), PortError> {
        let (folder, spec) = (self.folder(id.as_str())?, spec.clone());
        blocking(move || write_json(&folder, "spec.json", &spec, content(durability))).await
    }

    fn directory(&self, id: &ContainerId) -> PathBuf {
        self.base.join(id.as_str())
    }

    async fn remove(&self, id: &ContainerId) -> Result<(), PortError> {
        let folder = self.folder(id.as_str())?;
        blocking(move || discard(&folder).map_err(failed("removing", &folder))).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn records_come_back_and_broken_ones_are_set_aside() {
        let root = tempfile::tempdir().unwrap();
        let records = FileRecords::new(root.path());
        let spec = ContainerSpec { id: "ab12".into(), image: "sha256:0".into(), ..Default::default() };
        let id = ContainerId::new("ab12");
        records.create(&spec, &ContainerState::default()).await.unwrap();
        let named = ContainerState { name: "web".into(), ..Default::default() };
        records.save_state(&id, &named, Durability::Disk).await.unwrap();
        std::fs::create_dir(root.path().join("containers/cd34")).unwrap();
        std::fs::write(root.path().join("containers/cd34/spec.json"), b"{\"id\":").unwrap();
        std::fs::write(root.path().join("containers/cd34/state.json"), b"{}").unwrap();
        let (good, bad) = records.load_all().await.unwrap();
        assert_eq!((good.len(), good[0].state.name.as_str(), bad.len()), (1, "web", 1));
        let restarted = ContainerSpec { restart: ("always".into(), 0), ..spec };
        records.save_spec(&id, &restarted, Durability::Disk).await.unwrap();
        assert_eq!(records.load(&id).await.unwrap().spec, restarted);
        assert_eq!(records.load_all().await.unwrap().1.len(), 0);
        records.remove(&id).await.unwrap();
        assert_eq!(records.load(&id).await.unwrap_err().kind, Kind::NotFound);
        assert_eq!(records.load(&ContainerId::new("../x")).await.unwrap_err().kind, Kind::Invalid);
    }

    #[tokio::test]
    async fn what_a_killed_daemon_was_removing_is_gone_after_the_next_start() {
        let root = tempfile::tempdir().unwrap();
        let left = root.path().join("containers/.removing-00ff");
        std::fs::create_dir_all(left.join("spool")).unwrap();
        let (good, bad) = FileRecords::new(root.path()).load_all().await.unwrap();
        assert_eq!((good.len(), bad.len(), left.exists()), (0, 0, false));
    }

    #[tokio::test]
    async fn a_create_that_was_broken_off_leaves_nothing() {
        // It was set aside as broken, and stayed for ever.
        let root = tempfile::tempdir().unwrap();
        let records = FileRecords::new(root.path());
        let half = root.path().join("containers/cd34");
        std::fs::create_dir_all(&half).unwrap();
        std::fs::write(half.join("state.json"), b"{}").unwrap();
        let (good, bad) = records.load_all().await.unwrap();
        assert_eq!((good.len(), bad.len()), (0, 0));
        assert!(!half.exists());
    }
}
