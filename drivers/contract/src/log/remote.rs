//! Lines that a far side gives back.

use super::{LogSource, Options, StoredLine};
use crate::error::PortError;
use async_trait::async_trait;
use tokio::sync::mpsc;

/// What of a container's lines a far side is asked for. What it gives beyond that is left out by whoever asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RemoteRequest {
    /// From this time on, ns since the epoch.
    pub since_ns: Option<i64>,
    /// Up to this time.
    pub until_ns: Option<i64>,
    /// Only the last so many.
    pub tail: Option<usize>,
    /// Those to come, too.
    pub follow: bool,
}

/// What it gives, oldest first; bounded, so that a slow reader holds nothing up. After an error nothing comes. Dropping it
/// ends the reading.
pub type RemoteLines = mpsc::Receiver<Result<Vec<StoredLine>, PortError>>;

/// Asks a far side for what it has of a container's lines, which is nothing that can be relied on: a driver that has this
/// needs a cursor in the spool and a copy as any other does.
#[async_trait]
pub trait RemoteReader: Send + Sync {
    /// Whether the far side gives anything back; an error where it never said that and cannot be asked.
    async fn reads(&self) -> Result<bool, PortError>;
    /// Starts reading in the background.
    async fn read(
        &self,
        source: &LogSource,
        options: &Options,
        request: RemoteRequest,
    ) -> Result<RemoteLines, PortError>;
}
