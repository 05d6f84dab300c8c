//! What is done with containers.

use super::{ASK, Engine, away};
use crate::container::claims::Claim;
use crate::container::machine::Force;
use crate::container::messages::*;
use crate::container::update::Changes;
use crate::container::{Adopt, ClaimName, signals};
use crate::supervise::{Unavailable, Why};
use crate::{Snapshot, Status, random_id};
use contract::record::{ContainerRecord, ContainerSpec, ContainerState};
use contract::runtime::{RootSpec, Target};
use contract::{ContainerId, Kind, PortError};
use futures::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Pause before an actor that is being rebuilt is asked again.
const PAUSE: Duration = Duration::from_millis(20);

impl Engine {
    /// Records a new container. Goes on to its end when whoever asked leaves.
    pub async fn create(&self, name: Option<String>, spec: ContainerSpec) -> Result<ContainerId, PortError> {
        let this = self.clone();
        whole(async move { this.shared.meters.timed("create", this.create_whole(name, spec)).await }).await
    }

    async fn create_whole(
        &self,
        name: Option<String>,
        mut spec: ContainerSpec,
    ) -> Result<ContainerId, PortError> {
        let ports = &self.shared.ports;
        ports.drivers.validate(&spec.log_driver, &spec.log_opts).await?;
        spec.id = random_id()?;
        spec.created_ns = crate::now_ns();
        if spec.hostname.is_empty() {
            spec.hostname = spec.id.get(..12).unwrap_or_default().to_owned();
        }
        if crate::links::apply(&spec) {
            spec.links = crate::links::resolved(&self.shared.board, spec.links)?;
        }
        if let Some(owner) = spec.network_mode.strip_prefix("container:")
            && let Ok(owner) = self.find(owner)
        {
            // By its id, whatever it will be called.
            spec.network_mode = format!("container:{}", owner.spec.id);
            spec.hostname.clone_from(&owner.spec.hostname);
            spec.domainname.clone_from(&owner.spec.domainname);
        }
        let networks = self.attachments(&spec.network_mode, &spec.attachments)?;
        let id = ContainerId::new(spec.id.clone());
        let name = match name {
            Some(name) => checked_name(name)?,
            None => crate::container::names::random(&spec.id),
        };
        let _in_use = self.shared.images_in_use.read().await;
        // It may have been removed since it was looked at.
        let folders = match spec.image.as_str() {
            // A step of a build from scratch: there is nothing below it.
            "" => Vec::new(),
            image => ports.images.find(image).await?.folders,
        };
        let _claim = self.claim(&name, &spec.id).await?;
        let state = ContainerState { name, networks, ..ContainerState::default() };
        let in_use = match spec.volumes.as_slice() {
            [] => None,
            _ => Some(self.shared.volumes_in_use.read().await),
        };
        let mut volumes = Vec::new();
        let made = async {
            if let Some(bytes) = spec.storage_size {
                ports.roots.limit_root(&id, bytes).await?;
            }
            self.make_volumes(&mut spec, &folders, &mut volumes).await?;
            ports.records.create(&spec, &state).await?;
            let record = ContainerRecord { spec: spec.clone(), state: state.clone() };
            self.adopt(&id, Some(record)).await
        };
        if let Err(error) = made.await {
            self.shared.forget(id.as_str());
            let limited = spec.storage_size.is_some();
            let root = if limited { ports.roots.remove_root(&id).await } else { Ok(()) };
            for undone in [root, ports.records.remove(&id).await] {
                if let Err(error) = undone {
                    tracing::warn!("undoing a create: {}", error.chain());
                }
            }
            drop(in_use);
            self.unmake_volumes(volumes).await;
            return Err(error);
        }
        self.keep_volumes(&spec).await;
        self.shared.container_event(&spec, &state.name, "create", &[]);
        Ok(id)
    }

    /// Where the parts of a container's root are.
    pub fn root(&self, container: &Snapshot) -> Result<RootSpec, PortError> {
        let spec = &container.spec;
        self.shared.ports.roots.root(&ContainerId::new(spec.id.clone()), &spec.image)
    }

    /// The claim is the answer itself: one that does not arrive is given back.
    async fn claim(&self, name: &str, id: &str) -> Result<Claim, PortError> {
        let claim = ClaimName { name: name.to_owned(), id: id.to_owned() };
        self.containers.insist(|| claim.clone(), ASK).await.map_err(away)?
    }

    /// Gives a container its actor, and waits until that knows what exists.
    pub(crate) async fn adopt(
        &self,
        id: &ContainerId,
        seed: Option<ContainerRecord>,
    ) -> Result<(), PortError> {
        let adopt = Adopt { id: id.clone(), seed };
        self.containers.insist(|| adopt.clone(), ASK).await.map_err(away)?;
        loop {
            match self.container(id)?.call(|reply| Known { reply }, ASK).await {
                Ok(()) => return Ok(()),
                Err(Unavailable { why: Why::Restarting, .. }) => tokio::time::sleep(PAUSE).await,
                Err(error) => return Err(away(error)),
            }
        }
    }

    /// Starts; false when it already runs.
    pub async fn start(&self, id: &ContainerId) -> Result<bool, PortError> {
        self.call(id, |reply| Start { reply }).await
    }

    /// Stops; false when it does not run.
    pub async fn stop(
        &self,
        id: &ContainerId,
        grace: Option<i64>,
        signal: Option<String>,
    ) -> Result<bool, PortError> {
        let signal = signal.map(|s| parse_signal(&s)).transpose()?;
        self.call(id, |reply| Stop { grace, signal, reply }).await
    }

    /// Stops and starts.
    pub async fn restart(
        &self,
        id: &ContainerId,
        grace: Option<i64>,
        signal: Option<String>,
    ) -> Result<(), PortError> {
        let signal = signal.map(|s| parse_signal(&s)).transpose()?;
        self.call(id, |reply| Restart { grace, signal, reply }).await
    }

    /// Signals; after SIGKILL it answers once the container has ended.
    pub async fn kill(&self, id: &ContainerId, signal: &str) -> Result<(), PortError> {
        let signal = parse_signal(signal)?;
        self.call(id, |reply| Kill { signal, reply }).await
    }

    /// Registers a wait; the future resolves with the exit code.
    pub async fn wait(
        &self,
        id: &ContainerId,
        condition: WaitCondition,
    ) -> Result<BoxFuture<'static, Result<i32, PortError>>, PortError> {
        let link = self.container(id)?;
        let seen = self.find(id.as_str())?.state.ends;
        let (done, first) = oneshot::channel();
        link.push(Wait { condition, seen, done }).await.map_err(away)?;
        let (shared, id) = (Arc::clone(&self.shared), id.clone());
        Ok(Box::pin(async move {
            let mut waiting = first;
            loop {
                if let Ok(answer) = waiting.await {
                    return answer;
                }
                // Its actor was rebuilt, and does not know of us.
                if shared.board.get(id.as_str()).is_none() {
                    return Ok(shared.board.departed(id.as_str()).unwrap_or_default());
                }
                let (done, next) = oneshot::channel();
                if link.push(Wait { condition, seen, done }).await.is_err() {
                    tokio::time::sleep(PAUSE).await;
                }
                waiting = next;
            }
        }))
    }

    /// Removes, with its anonymous volumes if that is wanted.
    pub async fn remove(&self, id: &ContainerId, force: bool, volumes: bool) -> Result<(), PortError> {
        let force = if force { Force::Kill } else { Force::No };
        let along = if volumes { Along::Volumes } else { Along::Nothing };
        self.call(id, |reply| Remove { force, along, reply }).await
    }

    /// Renames. Goes on to its end when whoever asked leaves.
    pub async fn rename(&self, id: &ContainerId, name: &str) -> Result<(), PortError> {
        let invalid = |text| Err(PortError::new(Kind::Invalid, text));
        if name.is_empty() {
            return invalid("Neither old nor new names may be empty");
        }
        let found = self.find(id.as_str())?;
        if found.state.name == name {
            return invalid("Renaming a container with the same name as its current name");
        }
        let (this, id, name) = (self.clone(), id.clone(), name.to_owned());
        let allocating =
            |e: PortError| PortError::new(e.kind, format!("Error when allocating new name: {}", e.chain()));
        whole(async move {
            let name = checked_name(name).map_err(allocating)?;
            // The next daemon opens the log of what runs under this name.
            if matches!(found.status, Status::Running | Status::Paused) {
                this.shared.fits(&found.spec, &name).map_err(allocating)?;
            }
            let _claim = this.claim(&name, id.as_str()).await.map_err(allocating)?;
            this.call(&id, |reply| Renamed { name, reply }).await
        })
        .await
    }

    /// Changes limits, restart policy and log driver. Goes on to its end when whoever asked leaves.
    pub async fn update(&self, id: &ContainerId, changes: Changes) -> Result<(), PortError> {
        if let Some((driver, options)) = &changes.log {
            self.shared.ports.drivers.validate(driver, options).await?;
        }
        self.call(id, |reply| Update { changes, reply }).await
    }

    /// Freezes.
    pub async fn pause(&self, id: &ContainerId) -> Result<(), PortError> {
        self.call(id, |reply| Freeze { frozen: true, reply }).await
    }

    /// Thaws.
    pub async fn unpause(&self, id: &ContainerId) -> Result<(), PortError> {
        self.call(id, |reply| Freeze { frozen: false, reply }).await
    }

    /// Sets the terminal's size.
    pub async fn resize(&self, id: &ContainerId, rows: u16, cols: u16) -> Result<(), PortError> {
        let snapshot = self.shared.running(id)?;
        self.shared.ports.runtime.resize(id, &Target::Main, rows, cols).await?;
        let size = [("height", rows.to_string()), ("width", cols.to_string())];
        self.shared.snapshot_event(&snapshot, "resize", &size);
        Ok(())
    }

    /// Host pids of a container's processes.
    pub async fn processes(&self, id: &ContainerId) -> Result<Vec<i32>, PortError> {
        let snapshot = self.find(id.as_str())?;
        let refused = match snapshot.status {
            Status::Running | Status::Paused => None,
            Status::Restarting => Some("is restarting, wait until the container is running"),
            _ => Some("is not running"),
        };
        if let Some(refused) = refused {
            return Err(PortError::new(Kind::Conflict, format!("container {id} {refused}")));
        }
        self.shared.ports.runtime.processes(id).await
    }

    /// Its processes were shown.
    pub fn topped(&self, id: &ContainerId) {
        if let Some(snapshot) = self.shared.board.get(id.as_str()) {
            self.shared.snapshot_event(&snapshot, "top", &[]);
        }
    }

    /// Bytes of a container's own layer.
    pub async fn own_size(&self, id: &ContainerId) -> Result<u64, PortError> {
        let sizes = self.sizes(&[self.find(id.as_str())?]).await?;
        Ok(sizes.first().copied().unwrap_or_default())
    }

    /// Unused objects of a kind were removed, and so many bytes are free again.
    pub fn pruned(&self, kind: &'static str, bytes: u64) {
        let attributes = [("reclaimed".to_owned(), bytes.to_string())].into();
        self.shared.event(crate::Event::now(kind, "prune", "", attributes));
    }
}

/// Runs to its end even when whoever waits for it goes: a half done operation would leave names or records behind.
pub(super) async fn whole<T: Send + 'static>(
    work: impl Future<Output = Result<T, PortError>> + Send + 'static,
) -> Result<T, PortError> {
    match tokio::spawn(work).await {
        Ok(outcome) => outcome,
        Err(error) => Err(PortError::caused(Kind::Bug, "the operation was interrupted", error)),
    }
}

fn parse_signal(text: &str) -> Result<i32, PortError> {
    signals::parse(text).ok_or_else(|| PortError::new(Kind::Invalid, format!("invalid signal: {text}")))
}

/// `[a-zA-Z0-9][a-zA-Z0-9_.-]+`.
fn checked_name(name: String) -> Result<String, PortError> {
    let mut characters = name.chars();
    let first = characters.next().is_some_and(|c| c.is_ascii_alphanumeric());
    let rest = characters.clone().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
    if first && rest && characters.next().is_some() {
        return Ok(name);
    }
    Err(PortError::new(
        Kind::Invalid,
        format!("Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"),
    ))
}
