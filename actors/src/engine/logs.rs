//! A container's output: stored, followed, attached to.

use super::Engine;
use crate::log::{FollowRequest, Lines, Origin, Purpose, Run, Stores, past, read_logs, read_remote};
use crate::shared::lock;
use crate::{Snapshot, Status};
use contract::log::StoredLine;
use contract::runtime::{Attachment, Output, Target};
use contract::{ContainerId, Kind, PortError};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// How long a reader waits for what an ended container wrote last.
const DRAIN: Duration = Duration::from_secs(2);

/// What of a container's stored output is wanted.
pub type LogsRequest = FollowRequest;

/// What an attach wants.
#[derive(Debug, Clone, Copy, Default)]
pub struct AttachRequest {
    /// Input too.
    pub stdin: bool,
    /// What was written before, first.
    pub logs: bool,
    /// Only that: nothing of what is written from now on.
    pub past_only: bool,
}

impl Engine {
    /// All lines there are, and those to come.
    pub async fn logs(&self, id: &ContainerId, mut request: LogsRequest) -> Result<Lines, PortError> {
        let snapshot = self.find(id.as_str())?;
        if matches!(snapshot.status, Status::Removing | Status::Dead) {
            let text = "can not get logs from container which is dead or marked for removal";
            return Err(PortError::new(Kind::Conflict, text));
        }
        let logging = self.shared.logging(&snapshot.spec, &snapshot.state.name)?;
        request.follow &= snapshot.is_alive();
        let unreadable =
            || PortError::new(Kind::Unsupported, "configured logging driver does not support reading");
        let (board, own, attempt) = (self.shared.board.clone(), id.clone(), snapshot.state.attempt);
        let goes_on =
            move || board.get(own.as_str()).is_some_and(|s| s.is_alive() && s.state.attempt == attempt);
        let Some(feed) = logging.feed else {
            return match (logging.stores.is_empty(), request.follow) {
                (true, _) => {
                    let afar = read_remote(&logging.sinks, &logging.source, request, goes_on).await?;
                    afar.ok_or_else(unreadable)
                }
                (false, true) => Err(unreadable()),
                (false, false) => past(&logging.stores, &logging.source, request).await,
            };
        };
        // A copy's lines have those that were chosen for the driver it stands beside.
        let readable = logging.stores.main.as_ref();
        let chosen = readable.filter(|s| s.purpose == Purpose::Asked).or(logging.sinks.first());
        let options = chosen.map(|s| s.options.clone()).unwrap_or_default();
        let attributes = (self.shared.ports.attributes)(&logging.source, &options)?;
        let run = Run::new(self.shared.board.changed(), goes_on);
        let (shared, own, first) = (Arc::downgrade(&self.shared), id.clone(), logging.stores);
        let stores = move || {
            let now =
                shared.upgrade().and_then(|s| Some(Arc::clone(&lock(&s.logging).get(own.as_str())?.stores)));
            now.and_then(|now| Stores::with_main(&now)).unwrap_or_else(|| Arc::clone(&first))
        };
        let source = Arc::clone(&logging.source);
        read_logs(Origin { source, feed, attributes, run, stores: Arc::new(stores) }, request).await
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
        if request.past_only {
            let (_, empty) = mpsc::channel(1);
            let mut attachment = Attachment { input: None, output: empty };
            if request.logs {
                attachment.output = self.preceded(&snapshot, None, attachment.output).await?;
            }
            self.shared.snapshot_event(&snapshot, "attach", &[]);
            return Ok(attachment);
        }
        let logging = self.shared.logging(&snapshot.spec, &snapshot.state.name)?;
        let mut attachment = self.shared.ports.runtime.attach(id, &Target::Main).await?;
        attachment.output = self.shared.attachments.follow(id.as_str(), logging.spool).await?;
        if request.logs {
            // What is written from here on comes by the attachment.
            let until = crate::now_ns();
            attachment.output = self.preceded(&snapshot, Some(until), attachment.output).await?;
        }
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

    /// Output with what is stored of earlier times before it.
    async fn preceded(
        &self,
        snapshot: &Snapshot,
        until_ns: Option<i64>,
        mut rest: Output,
    ) -> Result<Output, PortError> {
        let id = ContainerId::new(snapshot.spec.id.clone());
        let logging = self.shared.logging(&snapshot.spec, &snapshot.state.name)?;
        if let Some(sink) = &logging.stores.main {
            logging.router.drain(Some(&sink.name), DRAIN).await;
        }
        let stored = LogsRequest { stdout: true, stderr: true, until_ns, ..LogsRequest::default() };
        let mut stored = self.logs(&id, stored).await?;
        let (to, output) = mpsc::channel(1);
        tokio::spawn(async move {
            while let Some(lines) = stored.recv().await {
                let lines = match lines {
                    Ok(lines) => lines,
                    Err(error) => {
                        tracing::warn!(container = id.short(), "reading its log: {}", error.chain());
                        break;
                    }
                };
                for StoredLine { line, .. } in lines.iter() {
                    if to.send((line.stream, line.data.clone())).await.is_err() {
                        return;
                    }
                }
            }
            while let Some(piece) = rest.recv().await {
                if to.send(piece).await.is_err() {
                    return;
                }
            }
        });
        Ok(output)
    }

    /// A client left by its detach keys.
    pub fn detached(&self, id: &ContainerId) {
        if let Some(snapshot) = self.shared.board.get(id.as_str()) {
            self.shared.snapshot_event(&snapshot, "detach", &[]);
        }
    }
}
