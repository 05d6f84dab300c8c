//! The parts of a create request that speak of mounts. Read leniently, so that what is wrong with them can be told in
//! Docker's words.

use super::invalid;
use contract::PortError;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::collections::BTreeMap;

/// All of them.
#[derive(Debug, Default)]
pub struct Asked {
    pub binds: Vec<String>,
    pub mounts: Vec<Mount>,
    pub tmpfs: BTreeMap<String, String>,
    pub volumes_from: Vec<String>,
    pub volume_driver: String,
    /// `Volumes`: paths.
    pub declared: Vec<String>,
}

/// What Go takes as a zero value: nothing, or `null`.
fn zero<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

macro_rules! lenient {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $kind:ty),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Default, Deserialize)]
        #[serde(default, rename_all = "PascalCase")]
        pub struct $name { $(#[serde(deserialize_with = "zero")] pub $field: $kind),* }
    )*};
}

lenient! {
    Host {
        binds: Vec<String>, mounts: Vec<Mount>, tmpfs: BTreeMap<String, String>, volumes_from: Vec<String>,
        volume_driver: String,
    }
    /// One of `Mounts`.
    Mount {
        r#type: String, source: String, target: String, read_only: bool, bind_options: Option<BindOptions>,
        volume_options: Option<VolumeOptions>, tmpfs_options: Option<TmpfsOptions>, image_options: Option<Value>,
    }
    BindOptions {
        propagation: String, non_recursive: bool, create_mountpoint: bool, read_only_non_recursive: bool,
        read_only_force_recursive: bool,
    }
    VolumeOptions {
        no_copy: bool, labels: Option<BTreeMap<String, String>>, driver_config: Option<DriverConfig>, subpath: String,
    }
    DriverConfig { name: String, options: Option<BTreeMap<String, String>> }
    TmpfsOptions { size_bytes: i64, mode: u32, options: Vec<Vec<String>> }
}

impl Asked {
    /// Reads a request's body.
    pub fn read(request: &Value) -> Result<Self, PortError> {
        let host = request.get("HostConfig").filter(|h| !h.is_null()).cloned();
        let host = host.map(serde_json::from_value::<Host>).transpose();
        let host = host.map_err(|e| invalid(format!("invalid JSON: {e}")))?.unwrap_or_default();
        let declared = request.get("Volumes").and_then(Value::as_object);
        Ok(Self {
            binds: host.binds,
            mounts: host.mounts,
            tmpfs: host.tmpfs,
            volumes_from: host.volumes_from,
            volume_driver: host.volume_driver,
            declared: declared.into_iter().flat_map(|m| m.keys().cloned()).collect(),
        })
    }
}

/// A request without its `Mounts`, whose types and words a strict reader would refuse in words of its own.
pub fn without_mounts(request: &Value) -> Value {
    let mut out = request.clone();
    if let Some(host) = out.get_mut("HostConfig").and_then(Value::as_object_mut) {
        host.remove("Mounts");
    }
    out
}
