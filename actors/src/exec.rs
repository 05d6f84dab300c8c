//! Exec sessions: what was asked for, what runs, how it ended. Kept as long as their container.

use contract::runtime::ExecSpec;
use contract::{ExecId, Kind, PortError};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::shared::lock;

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

/// All sessions.
#[derive(Clone, Default)]
pub struct Execs(Arc<Mutex<HashMap<String, ExecInfo>>>);

impl Execs {
    /// Notes a session.
    pub fn insert(&self, info: ExecInfo) {
        lock(&self.0).insert(info.id.clone(), info);
    }

    /// Looks a session up by id or unique prefix.
    pub fn get(&self, id: &ExecId) -> Result<ExecInfo, PortError> {
        let map = lock(&self.0);
        map.get(id.as_str())
            .cloned()
            .ok_or_else(|| PortError::new(Kind::NotFound, format!("No such exec instance: {id}")))
    }

    /// Changes a session.
    pub fn update(&self, id: &ExecId, change: impl FnOnce(&mut ExecInfo)) {
        if let Some(info) = lock(&self.0).get_mut(id.as_str()) {
            change(info);
        }
    }

    /// Forgets the sessions of containers that are gone.
    pub fn retain(&self, exists: impl Fn(&str) -> bool) {
        lock(&self.0).retain(|_, info| exists(&info.container));
    }
}
