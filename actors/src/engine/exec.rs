//! Exec sessions.

use super::containers::whole;
use super::{Engine, random_id};
use crate::container::messages::ExecChanged;
use crate::exec::ExecInfo;
use contract::runtime::{Attachment, ExecSpec, Target};
use contract::{ContainerId, ExecId, Kind, PortError};

impl Engine {
    /// Prepares an exec session.
    pub fn exec_create(&self, id: &ContainerId, mut spec: ExecSpec) -> Result<ExecId, PortError> {
        let snapshot = self.running(id)?;
        let exec = random_id()?;
        let own = |key: &str| spec.env.iter().any(|e| e.split_once('=').is_some_and(|(k, _)| k == key));
        let linked = crate::links::environment(&self.shared.board, &snapshot);
        let mut env: Vec<String> = linked
            .iter()
            .chain(&snapshot.spec.env)
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
        self.shared.execs.insert(info);
        let action = format!("exec_create: {command}");
        self.shared.snapshot_event(&snapshot, &action, &[("execID", exec.clone())]);
        Ok(ExecId::new(exec))
    }

    /// Runs a prepared session; with its stdio if asked for. Goes on to its end when whoever asked leaves.
    pub async fn exec_run(&self, exec: &ExecId, attached: bool) -> Result<Option<Attachment>, PortError> {
        let (this, exec) = (self.clone(), exec.clone());
        whole(async move { this.exec_whole(&exec, attached).await }).await
    }

    async fn exec_whole(&self, exec: &ExecId, attached: bool) -> Result<Option<Attachment>, PortError> {
        let execs = &self.shared.execs;
        let id = ContainerId::new(execs.get(exec)?.container);
        let snapshot = self.running(&id)?;
        let info = execs.begin(exec)?;
        let runtime = &self.shared.ports.runtime;
        let mut spec = info.spec;
        spec.output &= attached;
        spec.stdin &= attached;
        let pid = match runtime.exec(&id, exec, &spec).await {
            Ok(pid) => pid,
            Err(error) => {
                let (code, error) = in_docker_words(error);
                execs.update(exec, |i| (i.running, i.exit_code) = (false, Some(code)));
                return Err(error);
            }
        };
        execs.update(exec, |i| i.pid = pid);
        self.exec_changed(&id).await;
        let session = ("execID", exec.to_string());
        let action = format!("exec_start: {}", spec.args.join(" "));
        self.shared.snapshot_event(&snapshot, &action, std::slice::from_ref(&session));
        let attachment = match attached {
            true => Some(runtime.attach(&id, &Target::Exec(exec.clone())).await),
            false => None,
        };
        let (this, own) = (self.clone(), exec.clone());
        tokio::spawn(async move {
            let code = this.shared.ports.runtime.exec_exited(&id, &own).await.unwrap_or(137);
            this.shared.execs.update(&own, |i| (i.running, i.exit_code) = (false, Some(code)));
            this.exec_changed(&id).await;
            let attributes = [session, ("exitCode", code.to_string())];
            this.shared.snapshot_event(&snapshot, "exec_die", &attributes);
        });
        let mut attachment = attachment.transpose()?;
        if let Some(attachment) = attachment.as_mut().filter(|_| !spec.stdin) {
            attachment.input = None;
        }
        Ok(attachment)
    }

    /// The snapshot shows which sessions run.
    async fn exec_changed(&self, id: &ContainerId) {
        let Ok(link) = self.container(id) else { return };
        if let Err(error) = link.push(ExecChanged {}).await {
            // Its next incarnation publishes the table as it is.
            tracing::debug!(%error, "an exec's change was not published");
        }
    }

    /// One session.
    pub async fn exec_inspect(&self, exec: &ExecId) -> Result<ExecInfo, PortError> {
        self.shared.execs.get(exec)
    }

    /// Resolves once a session has ended.
    pub async fn exec_ended(&self, exec: &ExecId) {
        self.shared.execs.ended(exec).await;
    }

    /// Sets a session's terminal size.
    pub async fn exec_resize(&self, exec: &ExecId, rows: u16, cols: u16) -> Result<(), PortError> {
        let info = self.shared.execs.get(exec)?;
        let id = ContainerId::new(info.container);
        self.shared.ports.runtime.resize(&id, &Target::Exec(exec.clone()), rows, cols).await
    }
}

/// The exit code and the words of a session that could not be started.
fn in_docker_words(error: PortError) -> (i32, PortError) {
    let cause = error.chain();
    // Docker resolves users itself, before it asks its runtime.
    if ["unable to find user ", "unable to find group "].iter().any(|t| cause.starts_with(t)) {
        return (126, error);
    }
    let code = match error.kind {
        Kind::NotFound => 127,
        Kind::Denied => 126,
        _ => 128,
    };
    let text =
        format!("OCI runtime exec failed: exec failed: unable to start container process: {cause}: unknown");
    (code, PortError::new(error.kind, text))
}
