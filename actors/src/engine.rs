//! The engine as the gateway sees it: one method an operation, each a thin ask to the actor that answers it.

use crate::container::actor::Container;
use crate::container::messages::*;
use crate::container::{Adopt, Claim, Containers, Rename, Unclaim, signals};
use crate::events::{Event, Events, Subscribe, Subscription};
use crate::exec::{ExecInfo, Execs};
use crate::image::{ImagesActor, Join, PullRequest, PullerFor};
use crate::log::{FollowRequest, read_logs};
use crate::network::Network;
use crate::shared::{Links, Ports, Shared, lock};
use crate::supervise::{
    ActorInfo, Backoff, ChildSpec, Ctx, Intensity, Link, Member, Registry, Reply, Root, RootHandle,
    Unavailable,
};
use crate::{Snapshot, Status};
use contract::id::ImageId;
use contract::image::{Credentials, ImageSummary, ProgressSink, Removed};
use contract::log::StoredLine;
use contract::network::BridgeSpec;
use contract::record::{ContainerRecord, ContainerSpec, ContainerState};
use contract::runtime::{Attachment, ExecSpec, Target};
use contract::{ContainerId, ExecId, Kind, PortError};
use futures::future::BoxFuture;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{broadcast, mpsc, oneshot};

/// How long a short ask may take.
const ASK: Duration = Duration::from_secs(10);

/// What of a container's stored output is wanted.
pub type LogsRequest = FollowRequest;

/// What an attach wants.
#[derive(Debug, Clone, Copy)]
pub struct AttachRequest {
    /// Input too.
    pub stdin: bool,
}

/// Holds the place of the routers in the tree.
struct Logs;

impl Member for Logs {
    fn started(&mut self, _: &mut Ctx<Self>) {}
}

/// All operations.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
    events: Link<Events>,
    images: Link<ImagesActor>,
    containers: Link<Containers>,
    execs: Execs,
    root: Arc<RootHandle>,
}

fn away(error: Unavailable) -> PortError {
    PortError::caused(Kind::Unavailable, "the engine is not able to answer now", error)
}

/// 64 random hex digits.
fn random_id() -> Result<String, PortError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|e| PortError::new(Kind::Bug, format!("random bytes: {e}")))?;
    Ok(hex::encode(bytes))
}

impl Engine {
    /// Starts the tree. Containers found on disk are adopted by [`Engine::recover`].
    pub fn launch(ports: Ports, bridge: BridgeSpec, registry: Registry) -> Self {
        let shared = Arc::new(Shared::new(ports, bridge.clone(), registry.clone()));
        let intensity = Intensity { max_respawns: 5, window: Duration::from_secs(60) };
        let backoff = Backoff { min: Duration::from_millis(50), max: Duration::from_secs(2) };
        let mut root = Root::new(&registry, intensity, backoff);
        let (live, _) = broadcast::channel(1024);
        let events = root.add(ChildSpec::new("events", "events", move |_| Events::new(live.clone())));
        let (ports, tree) = (shared.ports.clone(), registry.clone());
        let images = root
            .add(ChildSpec::new("images", "images", move |_| ImagesActor::new(ports.clone(), tree.clone())));
        let board = shared.board.clone();
        let name = format!("network:{}", bridge.name);
        let network =
            root.add(ChildSpec::new(name, "network", move |_| Network::new(bridge.clone(), &board)));
        root.add(ChildSpec::new("logs", "logs", |_| Logs));
        let own = Arc::clone(&shared);
        let containers =
            root.add(ChildSpec::new("containers", "containers", move |_| Containers::new(Arc::clone(&own))));
        shared.connect(Links { events: events.clone(), network });
        let root = Arc::new(root.start());
        Self { shared, events, images, containers, execs: Execs::default(), root }
    }

    /// Resolves when the root gave up: the daemon is to exit and be restarted.
    pub async fn gave_up(&self) {
        self.root.gave_up().await;
    }

    /// Adopts every recorded container and sweeps what a killed daemon left half made.
    pub async fn recover(&self) -> Result<(), PortError> {
        let ports = &self.shared.ports;
        ports.networks.ensure_bridge(&self.shared.bridge).await?;
        let (records, broken) = ports.records.load_all().await?;
        for error in broken {
            tracing::error!("a container's record is set aside: {}", error.chain());
        }
        for record in records {
            let id = ContainerId::new(record.spec.id.clone());
            let name = record.state.name.clone();
            self.containers.ask(Adopt { id, name, seed: None }, ASK).await.map_err(away)?;
            self.published(&record.spec.id).await;
        }
        ports.images.sweep().await
    }

    /// Waits until a container's actor has published it.
    async fn published(&self, id: &str) {
        for _ in 0..2000 {
            if self.shared.board.get(id).is_some() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// All containers.
    pub fn list(&self) -> Vec<Arc<Snapshot>> {
        self.shared.board.list()
    }

    /// One container by id, name or prefix.
    pub fn find(&self, name: &str) -> Result<Arc<Snapshot>, PortError> {
        self.shared.board.find(name)
    }

    /// A container's folder.
    pub fn directory(&self, id: &ContainerId) -> PathBuf {
        self.shared.directory(id.as_str())
    }

    /// The file that holds a container's log, for drivers that have one.
    pub fn log_path(&self, snapshot: &Snapshot) -> Option<PathBuf> {
        let driver = self.shared.ports.drivers.iter().find(|d| d.name() == snapshot.spec.log_driver)?;
        let source = contract::log::LogSource {
            container_id: snapshot.spec.id.clone(),
            directory: self.shared.directory(&snapshot.spec.id),
            ..Default::default()
        };
        driver.path(&source)
    }

    fn container(&self, id: &ContainerId) -> Result<Link<Container>, PortError> {
        lock(&self.shared.containers)
            .get(id.as_str())
            .cloned()
            .ok_or_else(|| PortError::new(Kind::NotFound, format!("No such container: {id}")))
    }

    /// Asks a container's actor for something that may take as long as it takes.
    async fn call<M, T: Send + 'static>(
        &self,
        id: &ContainerId,
        message: impl FnOnce(Reply<Result<T, PortError>>) -> M,
    ) -> Result<T, PortError>
    where
        M: crate::supervise::Message<Result = ()> + Send + 'static,
        Container: crate::supervise::Answer<M>,
    {
        self.container(id)?.call(message, Duration::MAX).await.map_err(away)?
    }

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

    fn running(&self, id: &ContainerId) -> Result<Arc<Snapshot>, PortError> {
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

    /// Stored lines, and those to come.
    pub async fn logs(
        &self,
        id: &ContainerId,
        mut request: LogsRequest,
    ) -> Result<mpsc::Receiver<Result<StoredLine, PortError>>, PortError> {
        let snapshot = self.find(id.as_str())?;
        let logging = self.shared.logging(&snapshot.spec, &snapshot.state.name)?;
        let alive = matches!(snapshot.status, Status::Running | Status::Paused | Status::Restarting);
        if !alive {
            request.follow = false;
            if snapshot.state.started {
                // What it wrote last is on its way; a sink that is stuck does not hold the reader up for long.
                logging.router.drain(Duration::from_secs(2)).await;
            }
        }
        let attributes = (self.shared.ports.attributes)(&logging.source, &snapshot.spec.log_opts)?;
        let directory = self.shared.directory(id.as_str());
        let spool = self.shared.ports.spools.open(id, directory);
        read_logs(Arc::clone(&logging.source), &logging.sinks, spool, attributes, request).await
    }

    /// Joins the main process's stdio; before a start it waits for it.
    pub async fn attach(&self, id: &ContainerId, request: AttachRequest) -> Result<Attachment, PortError> {
        let snapshot = self.find(id.as_str())?;
        let mut attachment = self.shared.ports.runtime.attach(id, &Target::Main).await?;
        if !request.stdin || !snapshot.spec.open_stdin {
            attachment.input = None;
        }
        self.event("container", "attach", id.as_str(), &[("name", snapshot.state.name.clone())]);
        Ok(attachment)
    }

    /// A client left by its detach keys.
    pub fn detached(&self, id: &ContainerId) {
        self.event("container", "detach", id.as_str(), &[]);
    }

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
                    "OCI runtime exec failed: exec failed: unable to start container process: {}",
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

    async fn exec_changed(&self, link: &Link<Container>, exec: &ExecId, running: bool) {
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

    /// All images.
    pub async fn images(&self) -> Result<Vec<ImageSummary>, PortError> {
        self.shared.ports.images.list().await
    }

    /// One image.
    pub async fn find_image(&self, name: &str) -> Result<ImageSummary, PortError> {
        self.shared.ports.images.find(name).await
    }

    /// Pulls, together with everybody else who pulls the same.
    pub async fn pull(
        &self,
        name: &str,
        platform: Option<String>,
        auth: Option<Credentials>,
        progress: ProgressSink,
    ) -> Result<ImageId, PortError> {
        let request = PullRequest { name: name.to_owned(), platform, auth };
        let puller = self.images.ask(PullerFor(request), ASK).await.map_err(away)?;
        let pulled = puller.call(|reply| Join { progress, reply }, Duration::MAX).await;
        let id = pulled.map_err(|_| crate::image::gone(name))??;
        self.event("image", "pull", name, &[("name", name.to_owned())]);
        Ok(id)
    }

    /// Loads an archive.
    pub async fn load(&self, archive: PathBuf, progress: ProgressSink) -> Result<Vec<String>, PortError> {
        let names = self.shared.ports.images.load(archive, progress).await?;
        for name in &names {
            self.event("image", "load", name, &[("name", name.clone())]);
        }
        Ok(names)
    }

    /// Imports a root file system.
    pub async fn import(
        &self,
        archive: PathBuf,
        name: Option<String>,
        message: String,
        changes: Vec<String>,
    ) -> Result<ImageId, PortError> {
        let id = self.shared.ports.images.import(archive, name, message, changes).await?;
        self.event("image", "import", id.as_str(), &[]);
        Ok(id)
    }

    /// Names an image.
    pub async fn tag(&self, image: &ImageId, name: &str) -> Result<(), PortError> {
        self.shared.ports.images.tag(image, name).await?;
        self.event("image", "tag", image.as_str(), &[("name", name.to_owned())]);
        Ok(())
    }

    /// Removes a name or an image that no container needs.
    pub async fn remove_image(&self, name: &str, force: bool) -> Result<Vec<Removed>, PortError> {
        let image = self.find_image(name).await?;
        let users = self.list().into_iter().filter(|s| s.spec.image == image.id);
        let used_by = users.map(|s| (s.spec.id.clone(), s.state.name.clone(), s.pid != 0)).collect();
        let removed = self.shared.ports.images.remove(name, force, used_by).await?;
        for one in &removed {
            match one {
                Removed::Untagged(_) => self.event("image", "untag", &image.id, &[]),
                Removed::Deleted(id) if *id == image.id => self.event("image", "delete", id, &[]),
                Removed::Deleted(_) => {}
            }
        }
        Ok(removed)
    }

    /// Recent events and those to come.
    pub async fn subscribe(&self) -> Result<Subscription, PortError> {
        self.events.ask(Subscribe, ASK).await.map_err(away)
    }

    /// The live supervision tree.
    pub fn actors(&self) -> Vec<ActorInfo> {
        self.shared.registry.snapshot()
    }

    /// Arms a panic in the actors of a name or kind, at their `nth` next message; answers how many.
    #[cfg(feature = "fault")]
    pub fn inject(&self, target: &str, nth: u32) -> usize {
        self.shared.registry.inject(target, nth)
    }

    fn event(&self, kind: &'static str, action: &str, id: &str, attributes: &[(&str, String)]) {
        let attributes: BTreeMap<String, String> =
            attributes.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
        self.shared.event(Event {
            kind,
            action: action.to_owned(),
            id: id.to_owned(),
            attributes,
            time_ns: crate::now_ns(),
        });
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
