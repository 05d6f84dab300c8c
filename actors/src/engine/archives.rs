//! What is inside containers: copied in and out, listed, measured.

use super::Engine;
use crate::container::messages::{Borrow, Borrowed, Part};
use crate::{Snapshot, Status};
use contract::archive::{PathStat, Put, Stream, Subject};
use contract::{ContainerId, Kind, PortError};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, ReadBuf};

/// How often a container that ends just then is asked for again, and the pause between.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(20);

/// A stream out of a container, which stays as it is while somebody reads.
struct Held {
    stream: Stream,
    _borrowed: Borrowed,
}

impl AsyncRead for Held {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl Engine {
    /// What a path inside a container is.
    pub async fn stat_path(&self, id: &ContainerId, path: &[u8]) -> Result<PathStat, PortError> {
        let archives = &self.shared.ports.archives;
        self.reach(id, Part::Mounts, |of| async move { archives.stat(&of, path).await })
            .await
            .map(|(stat, _)| stat)
    }

    /// A file or folder of a container as a tar stream.
    pub async fn read_path(&self, id: &ContainerId, path: &[u8]) -> Result<(PathStat, Stream), PortError> {
        let archives = &self.shared.ports.archives;
        let read = self.reach(id, Part::Mounts, |of| async move { archives.read(&of, path).await }).await?;
        let ((stat, stream), borrowed) = read;
        self.shared.snapshot_event(&*self.find(id.as_str())?, "archive-path", &[]);
        Ok((stat, Box::new(Held { stream, _borrowed: borrowed })))
    }

    /// Unpacks a tar stream into a folder of a container. `put` says how; what is mounted there is filled in here.
    pub async fn write_path(&self, id: &ContainerId, mut put: Put, content: Stream) -> Result<(), PortError> {
        let snapshot = self.find(id.as_str())?;
        let spec = &snapshot.spec;
        put.read_only = spec.read_only;
        put.mounts = spec.binds.iter().map(|b| (b.target.clone(), b.read_only)).collect();
        put.mounts.extend(spec.volumes.iter().map(|v| (v.target.clone(), v.read_only)));
        if snapshot.is_alive() {
            put.mounts.extend(spec.tmpfs.keys().map(|target| (target.clone(), false)));
        }
        put.owner = put.owner.filter(|_| !spec.user.is_empty()).map(|_| spec.user.clone());
        let (of, _borrowed) = self.borrow(id, Part::Mounts).await?;
        self.shared.ports.archives.write(&of, put, content).await?;
        self.shared.snapshot_event(&snapshot, "extract-to-dir", &[]);
        Ok(())
    }

    /// The whole root of a container as a tar stream, without what is mounted in it.
    pub async fn export(&self, id: &ContainerId) -> Result<Stream, PortError> {
        let snapshot = self.find(id.as_str())?;
        takeable(&snapshot, "export")?;
        let archives = &self.shared.ports.archives;
        // Once it is entered nothing done to the container harms the stream.
        let (stream, _) =
            self.reach(id, Part::Layers, |of| async move { archives.export(&of).await }).await?;
        self.shared.snapshot_event(&snapshot, "export", &[]);
        Ok(stream)
    }

    /// What a container changed of its image, as Docker's JSON.
    pub async fn changes(&self, id: &ContainerId) -> Result<Stream, PortError> {
        let archives = &self.shared.ports.archives;
        let reached = self.reach(id, Part::Layers, |of| async move { archives.changes(&of).await });
        self.shared.meters.timed("changes", reached).await.map(|(stream, _)| stream)
    }

    /// Bytes of each of these containers' own layers.
    pub async fn sizes(&self, of: &[Arc<Snapshot>]) -> Result<Vec<u64>, PortError> {
        if of.is_empty() {
            return Ok(Vec::new());
        }
        let ports = &self.shared.ports;
        let layer = |s: &Arc<Snapshot>| ports.roots.own_layer(&ContainerId::new(s.spec.id.clone()));
        ports.archives.usage(of.iter().map(layer).collect()).await
    }

    /// Does something with a container as it is then: running, or kept from starting.
    pub(super) async fn reach<T, F: Future<Output = Result<T, PortError>>>(
        &self,
        id: &ContainerId,
        part: Part,
        work: impl Fn(Subject) -> F,
    ) -> Result<(T, Borrowed), PortError> {
        let mut tries = 0;
        loop {
            let (of, borrowed) = self.borrow(id, part).await?;
            match work(of).await {
                // It has ended meanwhile, and its actor is about to hear of it.
                Err(error) if error.kind == Kind::Unavailable && borrowed.pid != 0 && tries < TRIES => {
                    tries += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                other => return other.map(|done| (done, borrowed)),
            }
        }
    }

    pub(super) async fn borrow(
        &self,
        id: &ContainerId,
        part: Part,
    ) -> Result<(Subject, Borrowed), PortError> {
        let borrowed = self.call(id, |reply| Borrow { part, reply }).await?;
        let spec = Arc::clone(&borrowed.spec);
        let root = self.shared.ports.roots.ensure_root(id, &spec.image).await?;
        Ok((Subject { spec, root, pid: borrowed.pid }, borrowed))
    }
}

/// What is being removed is not taken any more.
pub(super) fn takeable(snapshot: &Snapshot, what: &str) -> Result<(), PortError> {
    let why = match snapshot.status {
        Status::Dead => "Dead",
        Status::Removing => "being removed",
        _ => return Ok(()),
    };
    let text = format!("You cannot {what} container {} which is {why}", snapshot.spec.id);
    Err(PortError::new(Kind::Conflict, text))
}
