//! What is done with containers.

use super::{ASK, Engine, away, random_id};
use crate::container::messages::*;
use crate::container::{Adopt, Claim, Rename, Unclaim, signals};
use crate::{Snapshot, Status};
use contract::record::{ContainerRecord, ContainerSpec, ContainerState};
use contract::runtime::Target;
use contract::{ContainerId, Kind, PortError};
use futures::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

impl Engine {
    /// Records a new container.
    pub async fn create(
        &self,
        name: Option<String>,
        mut spec: ContainerSpec,
    ) -> Result<ContainerId, PortError> {
        let ports = &self.shared.ports;
        (ports.validate)(&spec.log_driver, &spec.log_opts)?;
        spec.id = random_id()?;
        spec.created_ns = crate::now_ns();
        if spec.hostname.is_empty() {
            spec.hostname = spec.id.get(..12).unwrap_or_default().to_owned();
        }
        let id = ContainerId::new(spec.id.clone());
        let name = match name {
            Some(name) => checked_name(name)?,
            None => crate::container::names::random(&spec.id),
        };
        let claim = Claim { name: name.clone(), id: spec.id.clone() };
        self.containers.ask(claim, ASK).await.map_err(away)??;
        let state = ContainerState { name: name.clone(), ..ContainerState::default() };
        let written = async {
            ports.records.save_spec(&spec).await?;
            ports.records.save_state(&id, &state).await
        };
        if let Err(error) = written.await {
            if let Err(error) = ports.records.remove(&id).await {
                tracing::warn!("undoing a create: {}", error.chain());
            }
            self.containers.ask(Unclaim { id: spec.id }, ASK).await.map_err(away)?;
            return Err(error);
        }
        let event = [("image", spec.image_name.clone()), ("name", name.clone())];
        let seed = Some(ContainerRecord { spec, state });
        self.containers.ask(Adopt { id: id.clone(), name, seed }, ASK).await.map_err(away)?;
        self.published(id.as_str()).await;
        self.event("container", "create", id.as_str(), &event);
        Ok(id)
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
    pub async fn restart(&self, id: &ContainerId, grace: Option<i64>) -> Result<(), PortError> {
        self.stop(id, grace, None).await?;
        self.start(id).await?;
        let snapshot = self.shared.board.get(id.as_str());
        let name = snapshot.map(|s| s.state.name.clone()).unwrap_or_default();
        self.event("container", "restart", id.as_str(), &[("name", name)]);
        Ok(())
    }

    /// Signals.
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
        let (done, first) = oneshot::channel();
        link.push(Wait { condition, done }).await.map_err(away)?;
        let (shared, id) = (Arc::clone(&self.shared), id.clone());
        Ok(Box::pin(async move {
            let mut waiting = first;
            loop {
                if let Ok(answer) = waiting.await {
                    return answer;
                }
                // Its actor was respawned, and does not know of us.
                let Some(snapshot) = shared.board.get(id.as_str()) else { return Ok(0) };
                let ended = !matches!(snapshot.status, Status::Running | Status::Paused | Status::Restarting);
                if ended && condition != WaitCondition::Removed {
                    return Ok(snapshot.state.exit_code);
                }
                let (done, next) = oneshot::channel();
                while link.push(Wait { condition, done }).await.is_err() {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    break;
                }
                waiting = next;
            }
        }))
    }

    /// Removes. Anonymous volumes do not exist, so there is nothing more to take along.
    pub async fn remove(&self, id: &ContainerId, force: bool, _volumes: bool) -> Result<(), PortError> {
        self.call(id, |reply| Remove { force, reply }).await?;
        let board = self.shared.board.clone();
        self.execs.retain(|container| board.get(container).is_some());
        Ok(())
    }

    /// Renames.
    pub async fn rename(&self, id: &ContainerId, name: &str) -> Result<(), PortError> {
        if name.is_empty() {
            return Err(PortError::new(Kind::Invalid, "Neither old nor new names may be empty"));
        }
        let name = checked_name(name.to_owned())?;
        let rename = Rename { id: id.to_string(), name: name.clone() };
        self.containers.ask(rename, ASK).await.map_err(away)??;
        self.call(id, |reply| Renamed { name, reply }).await
    }

    /// Freezes.
    pub async fn pause(&self, id: &ContainerId) -> Result<(), PortError> {
        self.call(id, |reply| Freeze { frozen: true, reply }).await
    }

    /// Thaws.
    pub async fn unpause(&self, id: &ContainerId) -> Result<(), PortError> {
        self.call(id, |reply| Freeze { frozen: false, reply }).await
    }

    pub(super) fn running(&self, id: &ContainerId) -> Result<Arc<Snapshot>, PortError> {
        let snapshot = self.find(id.as_str())?;
        match snapshot.status {
            Status::Running => Ok(snapshot),
            Status::Paused => Err(PortError::new(
                Kind::Conflict,
                format!("container {} is paused, unpause the container before exec", snapshot.state.name),
            )),
            _ => Err(PortError::new(Kind::Conflict, format!("container {id} is not running"))),
        }
    }

    /// Sets the terminal's size.
    pub async fn resize(&self, id: &ContainerId, rows: u16, cols: u16) -> Result<(), PortError> {
        self.running(id)?;
        self.shared.ports.runtime.resize(id, &Target::Main, rows, cols).await
    }

    /// Host pids of a container's processes.
    pub async fn processes(&self, id: &ContainerId) -> Result<Vec<i32>, PortError> {
        self.running(id)?;
        self.shared.ports.runtime.processes(id).await
    }
}

fn parse_signal(text: &str) -> Result<i32, PortError> {
    signals::parse(text).ok_or_else(|| PortError::new(Kind::Invalid, format!("Invalid signal: {text}")))
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
