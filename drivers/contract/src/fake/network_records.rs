use super::{Script, lock};
use crate::error::PortError;
use crate::record::NetworkSpec;
use crate::storage::NetworkRecords;
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// Records of networks. Verbs: `save_network`, `remove_network`.
pub struct FakeNetworkRecords {
    script: Script,
    map: Mutex<BTreeMap<String, NetworkSpec>>,
}

impl FakeNetworkRecords {
    pub(super) fn new(script: Script) -> Self {
        Self { script, map: Mutex::default() }
    }
}

#[async_trait]
impl NetworkRecords for FakeNetworkRecords {
    async fn load_all(&self) -> Result<(Vec<NetworkSpec>, Vec<PortError>), PortError> {
        Ok((lock(&self.map).values().cloned().collect(), Vec::new()))
    }

    async fn save(&self, network: &NetworkSpec) -> Result<(), PortError> {
        self.script.at("save_network", &network.id).await?;
        lock(&self.map).insert(network.id.clone(), network.clone());
        Ok(())
    }

    async fn remove(&self, id: &str) -> Result<(), PortError> {
        self.script.at("remove_network", id).await?;
        lock(&self.map).remove(id);
        Ok(())
    }
}
