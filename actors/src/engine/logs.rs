//! A container's output: stored, followed, attached to.

use super::Engine;
use crate::Status;
use crate::log::{FollowRequest, Origin, Run, read_logs};
use contract::log::StoredLine;
use contract::runtime::{Attachment, Target};
use contract::{ContainerId, Kind, PortError};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// How long a reader waits for what an ended container wrote last.
const DRAIN: Duration = Duration::from_secs(2);

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
        if matches!(snapshot.status, Status::Removing | Status::Dead) {
            let text = "can not get logs from container which is dead or marked for removal";
            return Err(PortError::new(Kind::Conflict, text));
        }
        let logging = self.shared.logging(&snapshot.spec, &snapshot.state.name)?;
        if !snapshot.is_alive() {
            request.follow = false;
            let readable = logging.sinks.iter().find(|s| s.kind.reader().is_some());
            if let Some(sink) = readable.filter(|_| snapshot.state.started) {
                // What it wrote last is on its way; a sink that is stuck does not hold the reader up for long.
                logging.router.drain(Some(&sink.name), DRAIN).await;
            }
        }
        let attributes = (self.shared.ports.attributes)(&logging.source, &snapshot.spec.log_opts)?;
        let (board, own, attempt) = (self.shared.board.clone(), id.clone(), snapshot.state.attempt);
        let run = Run::new(self.shared.board.changed(), move || {
            board.get(own.as_str()).is_some_and(|s| s.is_alive() && s.state.attempt == attempt)
        });
        let of = Origin { source: Arc::clone(&logging.source), spool: logging.spool, attributes, run };
        read_logs(of, &logging.sinks, request).await
    }

    /// Joins the main process's stdio; before a start it waits for it.
    pub async fn attach(&self, id: &ContainerId, request: AttachRequest) -> Result<Attachment, PortError> {
        let snapshot = self.find(id.as_str())?;
        let refused = match snapshot.status {
            Status::Paused => Some("is paused, unpause the container before attach"),
            Status::Restarting => Some("is restarting, wait until the container is running"),
            _ => None,
        };
        if let Some(refused) = refused {
            let text = format!("container {} {refused}", snapshot.state.name);
            return Err(PortError::new(Kind::Conflict, text));
        }
        let logging = self.shared.logging(&snapshot.spec, &snapshot.state.name)?;
        let mut attachment = self.shared.ports.runtime.attach(id, &Target::Main).await?;
        attachment.output = self.shared.attachments.follow(id.as_str(), logging.spool).await?;
        if !request.stdin || !snapshot.spec.open_stdin {
            attachment.input = None;
        }
        if self.shared.board.get(id.as_str()).is_none() {
            // It went meanwhile, and nobody is left to end this.
            self.shared.attachments.forget(id.as_str());
        }
        self.shared.snapshot_event(&snapshot, "attach", &[]);
        Ok(attachment)
    }

    /// A client left by its detach keys.
    pub fn detached(&self, id: &ContainerId) {
        if let Some(snapshot) = self.shared.board.get(id.as_str()) {
            self.shared.snapshot_event(&snapshot, "detach", &[]);
        }
    }
}
