//! Exec sessions.

use super::Engine;
use super::containers::whole;
use crate::exec::ExecInfo;
use contract::runtime::{Attachment, ExecSpec, Target};
use contract::{ContainerId, ExecId, PortError};
use std::sync::Arc;

impl Engine {
    /// Prepares an exec session.
    pub fn exec_create(&self, id: &ContainerId, spec: ExecSpec) -> Result<ExecId, PortError> {
        self.shared.prepare_exec(id, spec)
    }

    /// Runs a prepared session; with its stdio if asked for. Goes on to its end when whoever asked leaves.
    pub async fn exec_run(&self, exec: &ExecId, attached: bool) -> Result<Option<Attachment>, PortError> {
        let (shared, exec) = (Arc::clone(&self.shared), exec.clone());
        whole(async move { shared.run_exec(&exec, attached).await }).await
    }

    /// One session.
    pub async fn exec_inspect(&self, exec: &ExecId) -> Result<ExecInfo, PortError> {
        self.shared.execs.get(exec)
    }

    /// Resolves once a session has ended.
    pub async fn exec_ended(&self, exec: &ExecId) {
        self.shared.execs.ended(exec).await;
    }

    /// A session's client left by its detach keys.
    pub fn exec_detached(&self, exec: &ExecId) {
        let info = self.shared.execs.get(exec);
        if let Some(snapshot) = info.ok().and_then(|i| self.shared.board.get(&i.container)) {
            self.shared.snapshot_event(&snapshot, "exec_detach", &[("execID", exec.to_string())]);
        }
    }

    /// Sets a session's terminal size.
    pub async fn exec_resize(&self, exec: &ExecId, rows: u16, cols: u16) -> Result<(), PortError> {
        let info = self.shared.execs.get(exec)?;
        let id = ContainerId::new(info.container);
        self.shared.ports.runtime.resize(&id, &Target::Exec(exec.clone()), rows, cols).await
    }
}
