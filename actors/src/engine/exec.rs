//! Exec sessions.

use super::{Engine, random_id};
use crate::container::actor::Container;
use crate::container::messages::ExecChanged;
use crate::exec::ExecInfo;
use crate::supervise::Link;
use contract::runtime::{Attachment, ExecSpec, Target};
use contract::{ContainerId, ExecId, Kind, PortError};
use std::time::Duration;

impl Engine {
    /// Prepares an exec session.
    pub fn exec_create(&self, id: &ContainerId, mut spec: ExecSpec) -> Result<ExecId, PortError> {
        let snapshot = self.running(id)?;
        let exec = random_id()?;
        let own = |key: &str| spec.env.iter().any(|e| e.split_once('=').is_some_and(|(k, _)| k == key));
        let mut env: Vec<String> = snapshot
            .spec
            .env
            .iter()
            .filter(|e| !e.split_once('=').is_some_and(|(k, _)| own(k)))
            .cloned()
            .collect();
        if !env.iter().chain(&spec.env).any(|e| e.starts_with("PATH=")) {
            env.insert(0, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into());
        }
        env.insert(1.min(env.len()), format!("HOSTNAME={}", snapshot.spec.hostname));
        if spec.tty && !own("TERM") {
            env.push("TERM=xterm".into());
        }
        env.append(&mut spec.env);
        spec.env = env;
        if spec.user.is_empty() {
            spec.user.clone_from(&snapshot.spec.user);
        }
        if spec.working_dir.is_empty() {
            spec.working_dir.clone_from(&snapshot.spec.working_dir);
        }
        let command = spec.args.join(" ");
        let info = ExecInfo {
            id: exec.clone(),
            container: id.to_string(),
            spec,
            running: false,
            exit_code: None,
            pid: 0,
        };
        self.execs.insert(info);
        let action = format!("exec_create: {command}");
        self.event("container", &action, id.as_str(), &[("execID", exec.clone())]);
        Ok(ExecId::new(exec))
    }

    /// Runs a prepared session; with its stdio if asked for.
    pub async fn exec_run(&self, exec: &ExecId, attached: bool) -> Result<Option<Attachment>, PortError> {
        let info = self.execs.get(exec)?;
        let id = ContainerId::new(info.container.clone());
        self.running(&id)?;
        if info.running || info.exit_code.is_some() {
            return Err(PortError::new(Kind::Conflict, format!("exec {exec} has already run")));
        }
        let runtime = &self.shared.ports.runtime;
        let mut spec = info.spec.clone();
        spec.output &= attached;
        spec.stdin &= attached;
        let pid = match runtime.exec(&id, exec, &spec).await {
            Ok(pid) => pid,
            Err(error) => {
                let code = match error.kind {
                    Kind::NotFound => 127,
                    Kind::Denied => 126,
                    _ => 128,
                };
                self.execs.update(exec, |i| i.exit_code = Some(code));
                let text = format!(
                    "OCI runtime exec failed: exec failed: unable to start container process: {}: unknown",
                    error.chain()
                );
                return Err(PortError::new(error.kind, text));
            }
        };
        self.execs.update(exec, |i| (i.running, i.pid) = (true, pid));
        let link = self.container(&id)?;
        self.exec_changed(&link, exec, true).await;
        self.event(
            "container",
            &format!("exec_start: {}", spec.args.join(" ")),
            id.as_str(),
            &[("execID", exec.to_string())],
        );
        let (this, own, container) = (self.clone(), exec.clone(), id.clone());
        tokio::spawn(async move {
            let code = this.shared.ports.runtime.exec_exited(&container, &own).await.unwrap_or(137);
            this.execs.update(&own, |i| (i.running, i.exit_code) = (false, Some(code)));
            this.exec_changed(&link, &own, false).await;
            let attributes = [("execID", own.to_string()), ("exitCode", code.to_string())];
            this.event("container", "exec_die", container.as_str(), &attributes);
        });
        if !attached {
            return Ok(None);
        }
        let mut attachment = runtime.attach(&id, &Target::Exec(exec.clone())).await?;
        if !spec.stdin {
            attachment.input = None;
        }
        Ok(Some(attachment))
    }

    pub(super) async fn exec_changed(&self, link: &Link<Container>, exec: &ExecId, running: bool) {
        if let Err(error) = link.push(ExecChanged { exec: exec.to_string(), running }).await {
            tracing::debug!(%error, "an exec's change was not published");
        }
    }

    /// One session. Right after its output ended its exit is waited for, shortly.
    pub async fn exec_inspect(&self, exec: &ExecId) -> Result<ExecInfo, PortError> {
        self.execs.get(exec)
    }

    /// Resolves once a session has ended.
    pub async fn exec_ended(&self, exec: &ExecId) {
        let Ok(info) = self.execs.get(exec) else { return };
        let id = ContainerId::new(info.container);
        if self.shared.ports.runtime.exec_exited(&id, exec).await.is_ok() {
            for _ in 0..100 {
                if self.execs.get(exec).is_ok_and(|i| i.exit_code.is_some()) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }

    /// Sets a session's terminal size.
    pub async fn exec_resize(&self, exec: &ExecId, rows: u16, cols: u16) -> Result<(), PortError> {
        let info = self.execs.get(exec)?;
        let id = ContainerId::new(info.container);
        self.shared.ports.runtime.resize(&id, &Target::Exec(exec.clone()), rows, cols).await
    }
}
