//! Running exec sessions: for clients, and for health checks.

use super::ExecInfo;
use crate::container::messages::ExecChanged;
use crate::shared::{Shared, lock};
use crate::{Snapshot, Status};
use contract::runtime::{Attachment, ExecSpec, Target};
use contract::{ContainerId, ExecId, Kind, PortError};
use std::sync::Arc;

impl Shared {
    /// A container in which something can be run.
    pub(crate) fn running(&self, id: &ContainerId) -> Result<Arc<Snapshot>, PortError> {
        let snapshot = self.board.find(id.as_str())?;
        let name = &snapshot.state.name;
        let refused = match snapshot.status {
            Status::Running => return Ok(snapshot),
            Status::Paused => format!("container {name} is paused, unpause the container before exec"),
            Status::Restarting => {
                format!("container {id} is restarting, wait until the container is running")
            }
            _ => format!("container {id} is not running"),
        };
        Err(PortError::new(Kind::Conflict, refused))
    }

    /// Prepares a session, with the container's environment, user and folder where it names none.
    pub(crate) fn prepare_exec(&self, id: &ContainerId, mut spec: ExecSpec) -> Result<ExecId, PortError> {
        let snapshot = self.running(id)?;
        let exec = crate::random_id()?;
        let own = |key: &str| spec.env.iter().any(|e| e.split_once('=').is_some_and(|(k, _)| k == key));
        let linked = crate::links::environment(&self.board, &snapshot);
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
        let action = format!("exec_create: {}", spec.args.join(" "));
        self.execs.insert(ExecInfo {
            id: exec.clone(),
            container: id.to_string(),
            spec,
            running: false,
            exit_code: None,
            pid: 0,
        });
        self.snapshot_event(&snapshot, &action, &[("execID", exec.clone())]);
        Ok(ExecId::new(exec))
    }

    /// Runs a prepared session; with its stdio if asked for.
    pub(crate) async fn run_exec(
        self: &Arc<Self>,
        exec: &ExecId,
        attached: bool,
    ) -> Result<Option<Attachment>, PortError> {
        let execs = &self.execs;
        let id = ContainerId::new(execs.get(exec)?.container);
        let snapshot = self.running(&id)?;
        let info = execs.begin(exec)?;
        let runtime = &self.ports.runtime;
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
        self.snapshot_event(&snapshot, &action, std::slice::from_ref(&session));
        let attachment = match attached {
            true => Some(runtime.attach(&id, &Target::Exec(exec.clone())).await),
            false => None,
        };
        let (this, own) = (Arc::clone(self), exec.clone());
        tokio::spawn(async move {
            let code = this.ports.runtime.exec_exited(&id, &own).await.unwrap_or(137);
            this.execs.update(&own, |i| (i.running, i.exit_code) = (false, Some(code)));
            this.exec_changed(&id).await;
            let attributes = [session, ("exitCode", code.to_string())];
            this.snapshot_event(&snapshot, "exec_die", &attributes);
        });
        let mut attachment = attachment.transpose()?;
        if let Some(attachment) = attachment.as_mut().filter(|_| !spec.stdin) {
            attachment.input = None;
        }
        Ok(attachment)
    }

    /// The snapshot shows which sessions run.
    async fn exec_changed(&self, id: &ContainerId) {
        let link = lock(&self.containers).get(id.as_str()).cloned();
        let Some(link) = link else { return };
        if let Err(error) = link.push(ExecChanged {}).await {
            // Its next incarnation publishes the table as it is.
            tracing::debug!(%error, "an exec's change was not published");
        }
    }
}

/// The exit code and the words of a session that could not be started.
fn in_docker_words(error: PortError) -> (i32, PortError) {
    let cause = error.chain();
    // Docker resolves users itself, before it asks its runtime.
    let own = [
        "unable to find user ",
        "unable to find group ",
        "Unable to find group ",
        "uids and gids must be in range ",
    ];
    if own.iter().any(|t| cause.starts_with(t)) {
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
