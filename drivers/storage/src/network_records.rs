//! Records of networks: `networks/<id>.json`.

use crate::file::{Sync, blocking, failed, replace};
use async_trait::async_trait;
use contract::record::NetworkSpec;
use contract::storage::NetworkRecords;
use contract::{Kind, PortError};
use std::io;
use std::path::{Path, PathBuf};

/// Records under `<data_root>/networks`.
#[derive(Debug, Clone)]
pub struct FileNetworkRecords {
    base: PathBuf,
}

impl FileNetworkRecords {
    /// Records of this data root; the folder appears with the first.
    pub fn new(data_root: impl AsRef<Path>) -> Self {
        Self { base: data_root.as_ref().join("networks") }
    }

    fn file(&self, id: &str) -> Result<PathBuf, PortError> {
        let fine = !id.is_empty() && id.bytes().all(|b| b.is_ascii_hexdigit());
        match fine {
            true => Ok(self.base.join(format!("{id}.json"))),
            false => Err(PortError::new(Kind::Invalid, format!("invalid network id {id:?}"))),
        }
    }
}

fn read(file: &Path) -> Result<NetworkSpec, PortError> {
    let bytes = std::fs::read(file).map_err(failed("reading", file))?;
    serde_json::from_slice(&bytes)
        .map_err(|e| PortError::caused(Kind::Bug, format!("reading {}", file.display()), e))
}

fn read_all(base: &Path) -> Result<(Vec<NetworkSpec>, Vec<PortError>), PortError> {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    let entries = match std::fs::read_dir(base) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok((good, bad)),
        entries => entries.map_err(failed("listing", base))?,
    };
    for entry in entries {
        let file = entry.map_err(failed("listing", base))?.path();
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with('.') {
            // What a write that was broken off left.
            std::fs::remove_file(&file).map_err(failed("removing", &file))?;
        } else if name.ends_with(".json") {
            match read(&file) {
                Ok(network) => good.push(network),
                Err(error) => {
                    // Set aside, so that it is told of once.
                    let _left = std::fs::rename(&file, base.join(format!("{name}.broken")));
                    bad.push(error);
                }
            }
        }
    }
    good.sort_by(|a, b| (a.created_ns, &a.id).cmp(&(b.created_ns, &b.id)));
    Ok((good, bad))
}

#[async_trait]
impl NetworkRecords for FileNetworkRecords {
    async fn load_all(&self) -> Result<(Vec<NetworkSpec>, Vec<PortError>), PortError> {
        let base = self.base.clone();
        blocking(move || read_all(&base)).await
    }

    async fn save(&self, network: &NetworkSpec) -> Result<(), PortError> {
        let (base, file) = (self.base.clone(), self.file(&network.id)?);
        let bytes = serde_json::to_vec(network)
            .map_err(|e| PortError::caused(Kind::Bug, format!("encoding {}", file.display()), e))?;
        blocking(move || {
            std::fs::create_dir_all(&base).map_err(failed("making", &base))?;
            replace(&file, &bytes, Sync::Name).map_err(failed("writing", &file))
        })
        .await
    }

    async fn remove(&self, id: &str) -> Result<(), PortError> {
        let file = self.file(id)?;
        blocking(move || match std::fs::remove_file(&file) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(failed("removing", &file)(e)),
            _ => Ok(()),
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_broken_record_is_told_of_once_and_does_not_hide_the_others() {
        let root = tempfile::tempdir().unwrap();
        let records = FileNetworkRecords::new(root.path());
        let text = r#"{"id":"ab","name":"n","created_ns":1,"bridge":{"name":"b","gateway":"10.0.0.1","prefix":24,
            "mtu":1500},"range":null,"auxiliary":{},"asked":[false,false],"host_binding":null,"attachable":false,
            "labels":{},"options":{},"ipam_options":null}"#;
        let network: NetworkSpec = serde_json::from_str(text).unwrap();
        records.save(&network).await.unwrap();
        std::fs::write(root.path().join("networks/cd.json"), "{").unwrap();
        std::fs::write(root.path().join("networks/.ef.json.00.tmp"), "{").unwrap();
        let (good, bad) = records.load_all().await.unwrap();
        assert_eq!((good, bad.len()), (vec![network], 1));
        assert_eq!(records.load_all().await.unwrap().1.len(), 0);
        records.remove("ab").await.unwrap();
        assert_eq!(records.load_all().await.unwrap().0, []);
        assert_eq!(records.remove("../x").await.unwrap_err().kind, Kind::Invalid);
    }
}
