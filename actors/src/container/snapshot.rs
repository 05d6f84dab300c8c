//! What outsiders see of containers: published by the actors, read without asking them.

use contract::PortError;
use contract::error::Kind;
use contract::record::{ContainerSpec, ContainerState};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tokio::sync::watch;

/// Docker's states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Never started.
    Created,
    /// Its process runs.
    Running,
    /// Its processes are frozen.
    Paused,
    /// Ended, to be started again by its policy.
    Restarting,
    /// Being removed.
    Removing,
    /// Ended.
    Exited,
    /// Its actor gave up, or its removal failed.
    Dead,
}

impl Status {
    /// Docker's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Removing => "removing",
            Self::Exited => "exited",
            Self::Dead => "dead",
        }
    }
}

/// A container at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// What the user asked for.
    pub spec: Arc<ContainerSpec>,
    /// What happened to it.
    pub state: ContainerState,
    /// What it is doing.
    pub status: Status,
    /// Host pid of its main process; 0 when none runs.
    pub pid: i32,
    /// Its running exec sessions.
    pub execs: Vec<String>,
    /// Counts the changes.
    pub generation: u64,
}

impl Snapshot {
    /// A process exists, or its policy is about to start one.
    pub fn is_alive(&self) -> bool {
        matches!(self.status, Status::Running | Status::Paused | Status::Restarting)
    }

    /// Its names on a network that a user made, where it has these aliases; its own first (moby `buildEndpointDNSNames`).
    pub fn dns_names(&self, aliases: &[String]) -> Vec<String> {
        let short = self.spec.id.get(..12).unwrap_or(&self.spec.id).to_owned();
        let own = std::iter::once(self.state.name.clone()).chain(aliases.iter().cloned());
        let mut all: Vec<String> = Vec::new();
        for name in own.chain([short, self.spec.hostname.clone()]) {
            if !name.is_empty() && !all.contains(&name) {
                all.push(name);
            }
        }
        all
    }
}

/// The latest snapshot of every container.
#[derive(Debug, Clone)]
pub struct Board {
    map: Arc<RwLock<HashMap<String, Arc<Snapshot>>>>,
    /// With which code the containers removed last had ended.
    departed: Arc<Mutex<VecDeque<(String, i32)>>>,
    changed: Arc<watch::Sender<u64>>,
}

/// Removed containers whose end is still known, to those who waited for it and lost their place.
const DEPARTED: usize = 256;

impl Default for Board {
    fn default() -> Self {
        Self { map: Arc::default(), departed: Arc::default(), changed: Arc::new(watch::Sender::new(0)) }
    }
}

impl Board {
    /// Puts a container's newest snapshot up.
    pub fn publish(&self, mut snapshot: Snapshot) {
        let mut map = self.map.write().unwrap_or_else(PoisonError::into_inner);
        let id = snapshot.spec.id.clone();
        snapshot.generation = map.get(&id).map_or(0, |old| old.generation + 1);
        map.insert(id, Arc::new(snapshot));
        drop(map);
        self.changed.send_modify(|n| *n += 1);
    }

    /// Changes whenever any container did.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// The id of the container that has this name.
    pub fn holder(&self, name: &str) -> Option<String> {
        let map = self.map.read().unwrap_or_else(PoisonError::into_inner);
        map.values().find(|s| s.state.name == name).map(|s| s.spec.id.clone())
    }

    /// Takes a removed container down.
    pub fn withdraw(&self, id: &str) {
        let last = self.map.write().unwrap_or_else(PoisonError::into_inner).remove(id);
        if let Some(last) = last {
            let mut departed = crate::shared::lock(&self.departed);
            departed.truncate(DEPARTED - 1);
            departed.push_front((id.to_owned(), last.state.ended_with));
        }
        self.changed.send_modify(|n| *n += 1);
    }

    /// With which code a removed container had ended.
    pub fn departed(&self, id: &str) -> Option<i32> {
        let departed = crate::shared::lock(&self.departed);
        departed.iter().find(|(gone, _)| gone == id).map(|(_, code)| *code)
    }

    /// All of them.
    pub fn list(&self) -> Vec<Arc<Snapshot>> {
        self.map.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// By full id.
    pub fn get(&self, id: &str) -> Option<Arc<Snapshot>> {
        self.map.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// By id, name or unique prefix, in this order, as Docker does.
    pub fn find(&self, name: &str) -> Result<Arc<Snapshot>, PortError> {
        let wanted = name.trim_start_matches('/');
        if let Some(exact) = self.get(wanted) {
            return Ok(exact);
        }
        let map = self.map.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(named) = map.values().find(|s| s.state.name == wanted) {
            return Ok(Arc::clone(named));
        }
        let mut matching = map.values().filter(|s| !wanted.is_empty() && s.spec.id.starts_with(wanted));
        match (matching.next(), matching.next()) {
            (Some(one), None) => Ok(Arc::clone(one)),
            (Some(_), Some(_)) => Err(PortError::new(
                Kind::Invalid,
                format!("Multiple IDs found with provided prefix: {wanted}"),
            )),
            (None, _) => Err(PortError::new(Kind::NotFound, format!("No such container: {wanted}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(id: &str, name: &str) -> Snapshot {
        let spec = Arc::new(ContainerSpec { id: id.into(), ..ContainerSpec::default() });
        let state = ContainerState { name: name.into(), ..ContainerState::default() };
        Snapshot { spec, state, status: Status::Created, pid: 0, execs: vec![], generation: 0 }
    }

    #[test]
    fn a_name_goes_before_a_prefix_and_an_ambiguous_prefix_is_refused() {
        let board = Board::default();
        board.publish(snapshot("abc1", "web"));
        board.publish(snapshot("abc2", "abc"));
        assert_eq!(board.find("abc").unwrap().spec.id, "abc2");
        assert_eq!(board.find("abc1").unwrap().state.name, "web");
        assert_eq!(board.find("ab").unwrap_err().kind, Kind::Invalid);
        assert_eq!(board.find("zz").unwrap_err().text, "No such container: zz");
    }
}
