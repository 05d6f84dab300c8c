//! The daemon's side of the shims: launches them, speaks with them, reads the spools they write.

mod archives;
mod attach;
mod devices;
pub mod files;
mod groups;
mod launch;
mod link;
pub mod oci;
mod others;
pub mod resolv;
mod shortage;
mod spool;
mod usage;

pub use archives::{Order, VERB};
pub use launch::throttles;
pub use link::Signals;
pub use others::{OtherRuntime, OtherRuntimes};
pub use spool::FileSpools;

use async_trait::async_trait;
use contract::log::Position;
use contract::record::Resources;
use contract::runtime::{
    Attachment, Created, ExecSpec, Exit, Runtime, SandboxSpec, Target, TaskStatus, WhenFull,
};
use contract::usage::{Shortage, Usage};
use contract::{ContainerId, ExecId, Kind, PortError};
use groups::Groups;
use link::Task;
use sandbox::protocol::{Answer, ExecProcess, Request, State};
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::OnceCell;

/// Where things lie and how shims are started.
#[derive(Debug, Clone)]
pub struct RuntimeConfig {
    /// Folder of the containers' folders.
    pub containers: PathBuf,
    /// Folder of the shims' sockets.
    pub exec_root: PathBuf,
    /// The `gantry-shim` program.
    pub shim: PathBuf,
    /// cgroup under which containers get theirs.
    pub cgroup_parent: String,
    /// Bytes of unread output a container may have on disk.
    pub spool_budget: u64,
    /// Files a container's processes may open unless it says otherwise; `None` = as many as the daemon.
    pub open_files: Option<u64>,
    /// Other OCI runtimes that containers may name.
    pub runtimes: OtherRuntimes,
}

/// Runs containers through shims.
pub struct ShimRuntime {
    config: RuntimeConfig,
    facts: oci::HostFacts,
    signals: Signals,
    tasks: Mutex<HashMap<String, Arc<Task>>>,
    /// The shim's program, guarded, once it was needed.
    program: OnceCell<OwnedFd>,
}

impl ShimRuntime {
    /// Edits a container's mounted /etc/hosts in place.
    async fn edit_hosts(&self, id: &str, edit: impl FnOnce(&str) -> Option<String>) -> Result<(), PortError> {
        let file = self.config.containers.join(id).join("hosts");
        let failed = |e| PortError::caused(Kind::Bug, format!("rewrite {}", file.display()), e);
        let hosts = tokio::fs::read_to_string(&file).await.map_err(failed)?;
        match edit(&hosts) {
            Some(changed) => tokio::fs::write(&file, changed).await.map_err(failed),
            None => Ok(()),
        }
    }

    /// A runtime; `signals` is shared with the spools.
    pub fn new(config: RuntimeConfig, signals: Signals) -> Self {
        let facts = oci::HostFacts {
            cgroup_parent: config.cgroup_parent.clone(),
            devices: devices::of_host(),
            throttles: launch::throttles().to_vec(),
        };
        Self { config, facts, signals, tasks: Mutex::new(HashMap::new()), program: OnceCell::new() }
    }

    fn socket(&self, id: &ContainerId) -> PathBuf {
        // A socket's path has 107 bytes.
        self.config.exec_root.join(format!("{}.sock", id.as_str().get(..32).unwrap_or(id.as_str())))
    }

    /// The path of a container's groups: as its shim was told.
    fn cgroup(&self, id: &ContainerId) -> String {
        let tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = tasks.get(id.as_str()) {
            return task.cgroup.clone();
        }
        drop(tasks);
        let recorded = groups::recorded(&self.config.containers.join(id.as_str()));
        recorded.unwrap_or_else(|| format!("{}/{}", self.config.cgroup_parent.trim_end_matches('/'), id))
    }

    /// The watched task of a container whose shim is (or was) there.
    fn task(&self, id: &ContainerId) -> Arc<Task> {
        let cgroup = self.cgroup(id);
        self.task_in(id, cgroup)
    }

    fn task_in(&self, id: &ContainerId, cgroup: String) -> Arc<Task> {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        let task = tasks.entry(id.to_string()).or_insert_with(|| {
            let exit_file = self.config.containers.join(id.as_str()).join("exit.json");
            Task::watch(id.to_string(), self.socket(id), exit_file, cgroup, self.signals.clone())
        });
        Arc::clone(task)
    }

    /// The task of a container that has not been cleared away.
    fn present(&self, id: &ContainerId) -> Result<Arc<Task>, PortError> {
        let tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        let known = tasks.get(id.as_str()).cloned();
        drop(tasks);
        match known {
            Some(task) => Ok(task),
            None if self.socket(id).exists() => Ok(self.task(id)),
            None => Err(PortError::new(Kind::NotFound, format!("container {id} has ended"))),
        }
    }

    /// Works on a container's groups where that may block.
    async fn on_groups<T: Send + 'static>(
        &self,
        id: &ContainerId,
        work: impl FnOnce(&Groups) -> T + Send + 'static,
    ) -> Result<T, PortError> {
        let task = self.present(id)?;
        tokio::task::spawn_blocking(move || work(task.groups()))
            .await
            .map_err(|e| PortError::caused(Kind::Bug, "looking at a control group", e))
    }

    fn forget(&self, id: &ContainerId) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).remove(id.as_str());
    }

    async fn ask(&self, id: &ContainerId, request: Request) -> Result<Answer, PortError> {
        link::ask(&self.socket(id), &request).await
    }

    async fn done(&self, id: &ContainerId, request: Request) -> Result<(), PortError> {
        self.ask(id, request).await.map(drop)
    }

    async fn read_status(&self, id: &ContainerId) -> TaskStatus {
        match self.ask(id, Request::Status).await {
            Ok(Answer::Status { exit: Some(exit), .. }) => TaskStatus::Exited(link::exit(exit)),
            Ok(Answer::Status { state: State::Created, pid, .. }) => TaskStatus::Created { pid },
            Ok(Answer::Status { state: State::Paused, pid, .. }) => TaskStatus::Paused { pid },
            Ok(Answer::Status { pid, .. }) => TaskStatus::Running { pid },
            _ => {
                let file = self.config.containers.join(id.as_str()).join("exit.json");
                match link::read_exit(&file).await {
                    Some(exit) => TaskStatus::Exited(exit),
                    None => TaskStatus::Absent,
                }
            }
        }
    }
}

#[async_trait]
impl Runtime for ShimRuntime {
    async fn ensure_created(&self, spec: &SandboxSpec) -> Result<Created, PortError> {
        let id = ContainerId::new(spec.container.id.clone());
        if let Ok(Answer::Status { state: State::Created, pid, .. }) = self.ask(&id, Request::Status).await {
            return Ok(Created { pid });
        }
        self.forget(&id);
        let program = self.program.get_or_try_init(|| launch::program(&self.config.shim)).await?;
        let pid = launch::shim(&self.config, &self.facts, spec, program, &self.socket(&id)).await?;
        self.task_in(&id, oci::limits::group(&spec.container, &self.facts));
        Ok(Created { pid })
    }

    async fn ensure_started(&self, id: &ContainerId) -> Result<(), PortError> {
        self.done(id, Request::Start).await
    }

    async fn status(&self, id: &ContainerId) -> Result<TaskStatus, PortError> {
        Ok(self.read_status(id).await)
    }

    async fn exited(&self, id: &ContainerId) -> Result<Exit, PortError> {
        self.task(id).exited().await
    }

    async fn signal(&self, id: &ContainerId, signal: i32) -> Result<(), PortError> {
        self.done(id, Request::Signal { signal }).await
    }

    async fn set_frozen(&self, id: &ContainerId, frozen: bool) -> Result<(), PortError> {
        self.done(id, Request::Freeze { frozen }).await
    }

    async fn resize(&self, id: &ContainerId, target: &Target, rows: u16, cols: u16) -> Result<(), PortError> {
        let exec = match target {
            Target::Main => None,
            Target::Exec(exec) => Some(exec.to_string()),
        };
        self.done(id, Request::Resize { exec, rows, cols }).await
    }

    async fn attach(&self, id: &ContainerId, target: &Target) -> Result<Attachment, PortError> {
        match target {
            Target::Main => {
                let (_, output) = tokio::sync::mpsc::channel(1);
                Ok(Attachment { input: Some(attach::lazy_input(self.socket(id))), output })
            }
            Target::Exec(exec) => attach::session(&self.socket(id), exec.as_str()).await,
        }
    }

    async fn exec(&self, id: &ContainerId, exec: &ExecId, spec: &ExecSpec) -> Result<i32, PortError> {
        let record = self.config.containers.join(id.as_str()).join("spec.json");
        let container = launch::read_spec(&record).await?;
        let capabilities = if spec.privileged {
            oci::effective_capabilities(&contract::record::ContainerSpec {
                privileged: true,
                ..Default::default()
            })
        } else {
            oci::effective_capabilities(&container)
        };
        let process = ExecProcess {
            args: spec.args.clone(),
            env: spec.env.clone(),
            cwd: spec.working_dir.clone(),
            user: spec.user.clone(),
            groups: container.groups.join(","),
            capabilities: capabilities.into_iter().map(str::to_owned).collect(),
            no_new_privileges: oci::no_new_privileges(&container),
            seccomp: (oci::filtered(&container) && !spec.privileged).then(|| "default".to_owned()),
            tty: spec.tty,
            stdin: spec.stdin,
            output: spec.output,
            bound: spec.bound,
        };
        // The end is heard by the watcher, which must be there before it can come.
        self.task(id).connected().await;
        match self.ask(id, Request::Exec { id: exec.to_string(), process }).await? {
            Answer::Started { pid } => Ok(pid),
            other => Err(PortError::new(Kind::Bug, format!("the shim answered {other:?} to exec"))),
        }
    }

    async fn exec_exited(&self, id: &ContainerId, exec: &ExecId) -> Result<i32, PortError> {
        self.task(id).exec_exited(exec.as_str()).await
    }

    async fn rewrite_hosts(
        &self,
        id: &ContainerId,
        name: &str,
        addresses: &[std::net::IpAddr],
    ) -> Result<(), PortError> {
        self.edit_hosts(id.as_str(), |hosts| files::readdressed(hosts, name, addresses)).await
    }

    async fn move_hosts(
        &self,
        container: &contract::record::ContainerSpec,
        from: &[std::net::IpAddr],
        to: &[std::net::IpAddr],
    ) -> Result<(), PortError> {
        self.edit_hosts(&container.id, |hosts| files::moved(hosts, container, from, to)).await
    }

    async fn rewrite_resolver(&self, container: &contract::record::ContainerSpec) -> Result<(), PortError> {
        let folder = self.config.containers.join(&container.id);
        let ask = resolv::Ask { container, answers: contract::runtime::Answers::Daemon, six: false };
        let failed = |e| PortError::caused(Kind::Bug, format!("rewrite {}/resolv.conf", folder.display()), e);
        ask.write(&folder).map_err(failed)
    }

    async fn processes(&self, id: &ContainerId) -> Result<Vec<i32>, PortError> {
        match self.ask(id, Request::Pids).await? {
            Answer::Pids { pids } => Ok(pids),
            other => Err(PortError::new(Kind::Bug, format!("the shim answered {other:?} to pids"))),
        }
    }

    async fn set_when_full(&self, id: &ContainerId, when_full: WhenFull) -> Result<(), PortError> {
        let asked = self.done(id, Request::WhenFull { drop: when_full == WhenFull::Drop }).await;
        // What a shim says to a request of a later version.
        asked.map_err(|e| match e.text.contains("unknown variant") {
            true => PortError::new(
                Kind::Unsupported,
                "the container was started by an older gantry, whose shim cannot change `mode` while it runs: restart \
                 the container first",
            ),
            false => e,
        })
    }

    async fn unspooled(&self, id: &ContainerId) -> Result<u64, PortError> {
        match self.ask(id, Request::Status).await? {
            Answer::Status { unspooled, .. } => Ok(unspooled),
            other => Err(PortError::new(Kind::Bug, format!("the shim answered {other:?} to status"))),
        }
    }

    async fn change_limits(
        &self,
        id: &ContainerId,
        from: &Resources,
        to: &Resources,
    ) -> Result<(), PortError> {
        let failed = |e: String| PortError::new(Kind::Exhausted, e);
        let change =
            serde_json::from_value(oci::limits::change(from, to)).map_err(|e| failed(e.to_string()))?;
        let path = self.cgroup(id);
        let work = move || sandbox::cgroup::Cgroup::existing(&path).change(&change);
        let outcome = tokio::task::spawn_blocking(work).await;
        outcome.map_err(|e| failed(e.to_string()))?.map_err(|e| failed(e.to_string()))
    }

    async fn usage(&self, id: &ContainerId, network: Option<i32>) -> Result<Usage, PortError> {
        self.on_groups(id, move |groups| usage::read(groups, network)).await
    }

    async fn shortage(&self, id: &ContainerId, told: Shortage) -> Result<Shortage, PortError> {
        let task = self.present(id)?;
        shortage::next(task.groups(), told)
            .await
            .map_err(|e| PortError::caused(Kind::NotFound, format!("watch the memory of {id}"), e))
    }

    async fn remove(&self, id: &ContainerId) -> Result<(), PortError> {
        let (socket, cgroup) = (self.socket(id), self.cgroup(id));
        link::shut_down(&socket).await;
        self.forget(id);
        launch::clear(&cgroup, &socket).await
    }
}

/// A place in a spool, in the contract's words.
pub(crate) fn position(place: sandbox::spool::Place) -> Position {
    Position { segment: place.segment, offset: place.offset }
}

pub(crate) fn place(position: Position) -> sandbox::spool::Place {
    sandbox::spool::Place { segment: position.segment, offset: position.offset }
}
