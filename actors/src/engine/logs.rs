//! A container's output: stored, followed, attached to.

use super::Engine;
use crate::Status;
use crate::log::{FollowRequest, read_logs};
use contract::log::StoredLine;
use contract::runtime::{Attachment, Target};
use contract::{ContainerId, PortError};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// What of a container's stored output is wanted.
pub type LogsRequest = FollowRequest;

/// What an attach wants.
#[derive(Debug, Clone, Copy)]
pub struct AttachRequest {
    /// Input too.
    pub stdin: bool,
}

impl Engine {
    /// Stored lines, and those to come.
    pub async fn logs(
        &self,
        id: &ContainerId,
        mut request: LogsRequest,
    ) -> Result<mpsc::Receiver<Result<StoredLine, PortError>>, PortError> {
        let snapshot = self.find(id.as_str())?;
        let logging = self.shared.logging(&snapshot.spec, &snapshot.state.name)?;
        let alive = matches!(snapshot.status, Status::Running | Status::Paused | Status::Restarting);
        if !alive {
            request.follow = false;
            if snapshot.state.started {
                // What it wrote last is on its way; a sink that is stuck does not hold the reader up for long.
                logging.router.drain(Duration::from_secs(2)).await;
            }
        }
        let attributes = (self.shared.ports.attributes)(&logging.source, &snapshot.spec.log_opts)?;
        let directory = self.shared.directory(id.as_str());
        let spool = self.shared.ports.spools.open(id, directory);
        read_logs(Arc::clone(&logging.source), &logging.sinks, spool, attributes, request).await
    }

    /// Joins the main process's stdio; before a start it waits for it.
    pub async fn attach(&self, id: &ContainerId, request: AttachRequest) -> Result<Attachment, PortError> {
        let snapshot = self.find(id.as_str())?;
        let mut attachment = self.shared.ports.runtime.attach(id, &Target::Main).await?;
        if !request.stdin || !snapshot.spec.open_stdin {
            attachment.input = None;
        }
        self.event("container", "attach", id.as_str(), &[("name", snapshot.state.name.clone())]);
        Ok(attachment)
    }

    /// A client left by its detach keys.
    pub fn detached(&self, id: &ContainerId) {
        self.event("container", "detach", id.as_str(), &[]);
    }
}
