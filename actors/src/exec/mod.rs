//! Exec sessions: what was asked for, what runs, how it ended. Kept as long as their container, the finished ones up to
//! a bound. The table outlives the actors; a daemon that is restarted knows none.

use contract::runtime::ExecSpec;
use contract::{ExecId, Kind, PortError};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

use crate::shared::lock;

mod session;

/// Finished sessions kept of one container. Docker forgets finished ones after some minutes; health checks make many.
const FINISHED: usize = 64;

/// One session.
#[derive(Debug, Clone)]
pub struct ExecInfo {
    /// 64 hex digits.
    pub id: String,
    /// Its container's id.
    pub container: String,
    /// What runs.
    pub spec: ExecSpec,
    /// It runs now.
    pub running: bool,
    /// How it ended.
    pub exit_code: Option<i32>,
    /// Host pid; 0 before the start.
    pub pid: i32,
}

#[derive(Default)]
struct Table {
    sessions: HashMap<String, (u64, ExecInfo)>,
    made: u64,
    /// Containers being probed.
    probed: HashSet<String>,
}

/// The only probe of a container, while this lives.
#[must_use]
pub(crate) struct ProbePlace(Execs, String);

impl Drop for ProbePlace {
    fn drop(&mut self) {
        lock(&self.0.table).probed.remove(&self.1);
    }
}

/// All sessions.
#[derive(Clone)]
pub struct Execs {
    table: Arc<Mutex<Table>>,
    changed: Arc<watch::Sender<u64>>,
}

impl Default for Execs {
    fn default() -> Self {
        Self { table: Arc::default(), changed: Arc::new(watch::Sender::new(0)) }
    }
}

fn missing(id: &ExecId) -> PortError {
    PortError::new(Kind::NotFound, format!("No such exec instance: {id}"))
}

impl Execs {
    /// Notes a session; beyond the bound the container's oldest finished one is forgotten.
    pub fn insert(&self, info: ExecInfo) {
        let mut table = lock(&self.table);
        let finished =
            table.sessions.values().filter(|(_, i)| i.container == info.container && i.exit_code.is_some());
        let mut ages: Vec<u64> = finished.map(|(age, _)| *age).collect();
        ages.sort_unstable();
        if let Some(oldest) = ages.first().filter(|_| ages.len() >= FINISHED).copied() {
            table.sessions.retain(|_, (age, _)| *age != oldest);
        }
        table.made += 1;
        let age = table.made;
        table.sessions.insert(info.id.clone(), (age, info));
    }

    /// Looks a session up.
    pub fn get(&self, id: &ExecId) -> Result<ExecInfo, PortError> {
        lock(&self.table).sessions.get(id.as_str()).map(|(_, i)| i.clone()).ok_or_else(|| missing(id))
    }

    /// Changes a session.
    pub fn update(&self, id: &ExecId, change: impl FnOnce(&mut ExecInfo)) {
        if let Some((_, info)) = lock(&self.table).sessions.get_mut(id.as_str()) {
            change(info);
        }
        self.changed.send_modify(|n| *n += 1);
    }

    /// Takes a session that has not run; of two takers one gets it.
    pub fn begin(&self, id: &ExecId) -> Result<ExecInfo, PortError> {
        let mut table = lock(&self.table);
        let (_, info) = table.sessions.get_mut(id.as_str()).ok_or_else(|| missing(id))?;
        let refused = |how| Err(PortError::new(Kind::Conflict, format!("exec command {id} {how}")));
        match (info.running, info.exit_code) {
            (_, Some(_)) => refused("has already run"),
            (true, None) => refused("is already running"),
            (false, None) => {
                info.running = true;
                Ok(info.clone())
            }
        }
    }

    /// Takes the place of a container's only probe.
    pub(crate) fn probe(&self, container: &str) -> Option<ProbePlace> {
        let free = lock(&self.table).probed.insert(container.to_owned());
        free.then(|| ProbePlace(self.clone(), container.to_owned()))
    }

    /// Sessions that run in a container, the oldest first.
    pub fn running(&self, container: &str) -> Vec<String> {
        let table = lock(&self.table);
        let mut running: Vec<_> =
            table.sessions.values().filter(|(_, i)| i.container == container && i.running).collect();
        running.sort_by_key(|(age, _)| *age);
        running.into_iter().map(|(_, i)| i.id.clone()).collect()
    }

    /// Resolves once a session has ended or is not known any more.
    pub async fn ended(&self, id: &ExecId) {
        let mut changed = self.changed.subscribe();
        loop {
            changed.mark_unchanged();
            if self.get(id).map_or(true, |i| i.exit_code.is_some()) || changed.changed().await.is_err() {
                return;
            }
        }
    }

    /// Forgets a removed container's sessions.
    pub fn forget(&self, container: &str) {
        lock(&self.table).sessions.retain(|_, (_, info)| info.container != container);
        self.changed.send_modify(|n| *n += 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(n: usize) -> ExecInfo {
        let (id, container) = (n.to_string(), "c".to_owned());
        ExecInfo { id, container, spec: ExecSpec::default(), running: false, exit_code: None, pid: 0 }
    }

    #[test]
    fn finished_sessions_do_not_pile_up_and_others_are_kept() {
        let execs = Execs::default();
        execs.insert(info(0));
        for n in 1..500 {
            execs.insert(info(n));
            execs.update(&ExecId::new(n.to_string()), |i| i.exit_code = Some(0));
        }
        assert!(lock(&execs.table).sessions.len() <= FINISHED + 2);
        assert!(execs.get(&ExecId::new("0")).is_ok() && execs.get(&ExecId::new("499")).is_ok());
        assert!(execs.begin(&ExecId::new("0")).is_ok());
        assert_eq!(execs.begin(&ExecId::new("0")).unwrap_err().text, "exec command 0 is already running");
    }
}
