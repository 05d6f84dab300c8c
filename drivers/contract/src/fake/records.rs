use super::{FakeSpools, Script, lock};
use crate::error::{Kind, PortError};
use crate::id::ContainerId;
use crate::record::{ContainerRecord, ContainerSpec, ContainerState};
use crate::runtime::RootSpec;
use crate::storage::{Durability, Records, Roots};
use async_trait::async_trait;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// Container records. Verbs: `load_all`, `load`, `create`, `save_state`, `save_spec`, `remove`.
pub struct FakeRecords {
    script: Script,
    spools: Arc<FakeSpools>,
    map: Mutex<BTreeMap<String, ContainerRecord>>,
}

impl FakeRecords {
    pub(super) fn new(script: Script, spools: Arc<FakeSpools>) -> Self {
        Self { script, spools, map: Mutex::default() }
    }

    /// What is on disk of a container.
    pub fn get(&self, id: &str) -> Option<ContainerRecord> {
        lock(&self.map).get(id).cloned()
    }

    /// Puts a record there as an earlier daemon would have.
    pub fn put(&self, record: ContainerRecord) {
        lock(&self.map).insert(record.spec.id.clone(), record);
    }
}

#[async_trait]
impl Records for FakeRecords {
    async fn load_all(&self) -> Result<(Vec<ContainerRecord>, Vec<PortError>), PortError> {
        self.script.at("load_all", "").await?;
        Ok((lock(&self.map).values().cloned().collect(), Vec::new()))
    }

    async fn load(&self, id: &ContainerId) -> Result<ContainerRecord, PortError> {
        self.script.at("load", id.as_str()).await?;
        let gone = || PortError::new(Kind::NotFound, format!("no record of {id}"));
        lock(&self.map).get(id.as_str()).cloned().ok_or_else(gone)
    }

    async fn create(&self, spec: &ContainerSpec, state: &ContainerState) -> Result<(), PortError> {
        self.script.at("create", &spec.id).await?;
        let record = ContainerRecord { spec: spec.clone(), state: state.clone() };
        lock(&self.map).insert(spec.id.clone(), record);
        Ok(())
    }

    async fn save_state(
        &self,
        id: &ContainerId,
        state: &ContainerState,
        _: Durability,
    ) -> Result<(), PortError> {
        self.script.at("save_state", id.as_str()).await?;
        match lock(&self.map).get_mut(id.as_str()) {
            Some(record) => {
                record.state = state.clone();
                Ok(())
            }
            None => Err(PortError::new(Kind::NotFound, format!("no folder of {id}"))),
        }
    }

    async fn save_spec(
        &self,
        id: &ContainerId,
        spec: &ContainerSpec,
        _: Durability,
    ) -> Result<(), PortError> {
        self.script.at("save_spec", id.as_str()).await?;
        match lock(&self.map).get_mut(id.as_str()) {
            Some(record) => {
                record.spec = spec.clone();
                Ok(())
            }
            None => Err(PortError::new(Kind::NotFound, format!("no folder of {id}"))),
        }
    }

    fn directory(&self, id: &ContainerId) -> PathBuf {
        PathBuf::from("/containers").join(id.as_str())
    }

    async fn remove(&self, id: &ContainerId) -> Result<(), PortError> {
        self.script.at("remove", id.as_str()).await?;
        lock(&self.map).remove(id.as_str());
        self.spools.remove(id.as_str());
        Ok(())
    }
}

/// Container roots. Verbs: `limit_root`, `ensure_root`, `remove_root`.
pub struct FakeRoots {
    script: Script,
    made: Mutex<BTreeSet<String>>,
}

impl FakeRoots {
    pub(super) fn new(script: Script) -> Self {
        Self { script, made: Mutex::default() }
    }

    /// Containers that have a root.
    pub fn made(&self) -> Vec<String> {
        lock(&self.made).iter().cloned().collect()
    }
}

#[async_trait]
impl Roots for FakeRoots {
    async fn ensure_root(&self, id: &ContainerId, _image: &str) -> Result<RootSpec, PortError> {
        self.script.at("ensure_root", id.as_str()).await?;
        lock(&self.made).insert(id.to_string());
        let folder = PathBuf::from("/roots").join(id.as_str());
        Ok(RootSpec {
            lower: vec![PathBuf::from("/layers/0")],
            upper: folder.join("upper"),
            work: folder.join("work"),
            target: folder.join("merged"),
        })
    }

    async fn limit_root(&self, id: &ContainerId, _: u64) -> Result<(), PortError> {
        self.script.at("limit_root", id.as_str()).await?;
        lock(&self.made).insert(id.to_string());
        Ok(())
    }

    fn root(&self, id: &ContainerId, _image: &str) -> Result<RootSpec, PortError> {
        let part = |name: &str| PathBuf::from("/roots").join(id.as_str()).join(name);
        Ok(RootSpec { lower: Vec::new(), upper: part("upper"), work: part("work"), target: part("merged") })
    }

    fn own_layer(&self, id: &ContainerId) -> PathBuf {
        PathBuf::from("/roots").join(id.as_str()).join("upper")
    }

    async fn remove_root(&self, id: &ContainerId) -> Result<(), PortError> {
        self.script.at("remove_root", id.as_str()).await?;
        lock(&self.made).remove(id.as_str());
        Ok(())
    }

    async fn sweep(&self) -> Result<(), PortError> {
        Ok(())
    }
}
