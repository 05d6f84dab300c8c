use super::Script;
use crate::archive::{Archives, BlockingStream, PathStat, Placing, Put, Sighting, Stream, Subject};
use crate::error::PortError;
use crate::runtime::RootSpec;
use async_trait::async_trait;
use std::path::PathBuf;
use tokio::io::AsyncReadExt;

/// Containers without any files. Verbs: `archive_stat`, `archive_read`, `archive_write`,
/// `archive_export`, `archive_changes`, `archive_layer`, `archive_usage`, `archive_survey`, `archive_place`.
pub struct FakeArchives {
    script: Script,
}

impl FakeArchives {
    pub(super) fn new(script: Script) -> Self {
        Self { script }
    }
}

#[async_trait]
impl Archives for FakeArchives {
    async fn stat(&self, of: &Subject, _: &[u8]) -> Result<PathStat, PortError> {
        self.script.at("archive_stat", &of.spec.id).await?;
        Ok(PathStat::default())
    }

    async fn read(&self, of: &Subject, _: &[u8]) -> Result<(PathStat, Stream), PortError> {
        self.script.at("archive_read", &of.spec.id).await?;
        Ok((PathStat::default(), Box::new(tokio::io::empty())))
    }

    async fn write(&self, of: &Subject, _: Put, mut content: Stream) -> Result<(), PortError> {
        self.script.at("archive_write", &of.spec.id).await?;
        let mut all = Vec::new();
        let read = content.read_to_end(&mut all).await;
        read.map(drop).map_err(|e| PortError::caused(crate::Kind::Invalid, "receive the archive", e))
    }

    async fn export(&self, of: &Subject) -> Result<Stream, PortError> {
        self.script.at("archive_export", &of.spec.id).await?;
        Ok(Box::new(tokio::io::empty()))
    }

    async fn changes(&self, of: &Subject) -> Result<Stream, PortError> {
        self.script.at("archive_changes", &of.spec.id).await?;
        Ok(Box::new(&b"null"[..]))
    }

    async fn layer(&self, of: &Subject) -> Result<BlockingStream, PortError> {
        self.script.at("archive_layer", &of.spec.id).await?;
        Ok(Box::new(std::io::empty()))
    }

    async fn usage(&self, folders: Vec<PathBuf>) -> Result<Vec<u64>, PortError> {
        self.script.at("archive_usage", "").await?;
        Ok(vec![0; folders.len()])
    }

    async fn survey(&self, _: Vec<PathBuf>, _: Vec<String>) -> Result<Vec<Sighting>, PortError> {
        self.script.at("archive_survey", "").await?;
        Ok(Vec::new())
    }

    async fn place(&self, root: &RootSpec, _: Placing) -> Result<(), PortError> {
        self.script.at("archive_place", &root.target.to_string_lossy()).await
    }
}
