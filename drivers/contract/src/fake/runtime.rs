use super::{FakeSpools, Script, lock};
use crate::error::{Kind, PortError};
use crate::id::{ContainerId, ExecId};
use crate::log::Stream;
use crate::record::Resources;
use crate::runtime::{
    Attachment, Created, ExecSpec, Exit, Runtime, SandboxSpec, Target, TaskStatus, WhenFull,
};
use crate::usage::{Shortage, Usage};
use async_trait::async_trait;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};
use tokio::sync::{mpsc, watch};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shim {
    Gate,
    Running,
    Paused,
    Ended,
}

struct Sandbox {
    shim: Option<Shim>,
    pid: i32,
    starts: u32,
    signals: Vec<i32>,
    ignores: Vec<i32>,
    execs: HashMap<String, Option<i32>>,
    limits: Resources,
    shortage: Shortage,
    unspooled: u64,
    /// Sessions that end with their client.
    bound: HashSet<String>,
}

#[derive(Default)]
struct State {
    sandboxes: BTreeMap<String, Sandbox>,
    exits: HashMap<String, Exit>,
    ignores: Vec<i32>,
    pids: i32,
    clock: i64,
}

/// Shims and what they leave. Verbs: `ensure_created`, `ensure_started`, `status`, `exited`, `signal`, `set_frozen`,
/// `exec`, `set_when_full`, `unspooled`, `change_limits`, `usage`, `runtime_remove`.
///
/// A main process ends by [`FakeRuntime::exit`], or by a signal it does not ignore.
pub struct FakeRuntime {
    script: Script,
    spools: Arc<FakeSpools>,
    state: Arc<Mutex<State>>,
    changed: Arc<watch::Sender<u64>>,
}

fn away(id: &ContainerId) -> PortError {
    PortError::new(Kind::Conflict, format!("the shim of {id} does not answer"))
}

impl FakeRuntime {
    pub(super) fn new(script: Script, spools: Arc<FakeSpools>) -> Self {
        let clock = 1_000_000_000_000_000_000;
        let state = State { clock, ..State::default() };
        Self { script, spools, state: Arc::new(Mutex::new(state)), changed: Arc::new(watch::Sender::new(0)) }
    }

    fn change<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let out = work(&mut lock(&self.state));
        self.changed.send_modify(|n| *n += 1);
        out
    }

    /// Sandboxes made from now on ignore these signals.
    pub fn ignore(&self, signals: &[i32]) {
        self.change(|s| s.ignores = signals.to_vec());
    }

    /// The main process writes to its standard output.
    pub fn write(&self, id: &str, text: &str) {
        self.spools.of(id).write(Stream::Stdout, text.to_owned());
    }

    /// So many bytes that the main process wrote found no room, and the spool does not tell of them.
    pub fn leave_out(&self, id: &str, bytes: u64) {
        self.change(|s| {
            if let Some(sandbox) = s.sandboxes.get_mut(id) {
                sandbox.unspooled = bytes;
            }
        });
    }

    /// The main process ends; its output is whole in the spool before anybody hears of it.
    pub fn exit(&self, id: &str, code: i32) {
        let running = lock(&self.state).sandboxes.get(id).is_some_and(|s| s.shim.is_some());
        if !running {
            return;
        }
        self.spools.of(id).end();
        self.change(|state| {
            let at_ns = i64::MAX / 2 + state.clock;
            state.clock += 1;
            if let Some(sandbox) = state.sandboxes.get_mut(id) {
                sandbox.shim = Some(Shim::Ended);
                sandbox.execs.values_mut().for_each(|code| *code = code.or(Some(137)));
            }
            state.exits.insert(id.to_owned(), Exit { code, at_ns, oom_killed: false });
        });
        self.spools.of(id).wake();
    }

    /// The shim vanishes with its container and leaves no exit record.
    pub fn lose(&self, id: &str) {
        self.change(|s| {
            s.sandboxes.remove(id);
            s.exits.remove(id);
        });
    }

    /// A session ends.
    pub fn exec_exit(&self, id: &str, exec: &str, code: i32) {
        self.change(|s| {
            s.sandboxes.get_mut(id).map(|b| b.execs.insert(exec.to_owned(), Some(code)));
        });
    }

    /// Whether a main process runs (frozen or not).
    pub fn runs(&self, id: &str) -> bool {
        let state = lock(&self.state);
        state.sandboxes.get(id).is_some_and(|s| matches!(s.shim, Some(Shim::Running | Shim::Paused)))
    }

    /// Shims there are.
    pub fn shims(&self) -> Vec<String> {
        let state = lock(&self.state);
        state.sandboxes.iter().filter(|(_, s)| s.shim.is_some()).map(|(id, _)| id.clone()).collect()
    }

    /// How often a container's process was let go.
    pub fn starts(&self, id: &str) -> u32 {
        lock(&self.state).sandboxes.get(id).map_or(0, |s| s.starts)
    }

    /// Signals a container was sent.
    pub fn signals(&self, id: &str) -> Vec<i32> {
        lock(&self.state).sandboxes.get(id).map(|s| s.signals.clone()).unwrap_or_default()
    }

    /// The limits that are in force.
    pub fn limits(&self, id: &str) -> Option<Resources> {
        lock(&self.state).sandboxes.get(id).map(|s| s.limits.clone())
    }

    /// The kernel kills a member other than the main process for memory.
    pub fn kill_member(&self, id: &str) {
        self.change(|s| {
            if let Some(sandbox) = s.sandboxes.get_mut(id) {
                sandbox.shortage.kills += 1;
            }
        });
    }

    async fn until<T>(&self, mut look: impl FnMut(&State) -> Option<T>) -> T {
        let mut changed = self.changed.subscribe();
        loop {
            changed.mark_unchanged();
            if let Some(found) = look(&lock(&self.state)) {
                return found;
            }
            if changed.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    fn living<T>(&self, id: &ContainerId, work: impl FnOnce(&mut Sandbox) -> T) -> Result<T, PortError> {
        self.change(|s| {
            let sandbox = s.sandboxes.get_mut(id.as_str());
            let sandbox = sandbox.filter(|s| matches!(s.shim, Some(Shim::Running | Shim::Paused)));
            sandbox.map(work).ok_or_else(|| away(id))
        })
    }
}

#[async_trait]
impl Runtime for FakeRuntime {
    async fn ensure_created(&self, spec: &SandboxSpec) -> Result<Created, PortError> {
        let id = &spec.container.id;
        self.script.at("ensure_created", id).await?;
        self.change(|s| {
            s.pids += 1;
            let (pid, ignores) = (1000 + s.pids, s.ignores.clone());
            let fresh = Sandbox {
                shim: None,
                pid,
                starts: 0,
                signals: Vec::new(),
                ignores: Vec::new(),
                execs: HashMap::new(),
                limits: spec.container.resources.clone(),
                shortage: Shortage::default(),
                unspooled: 0,
                bound: HashSet::new(),
            };
            let sandbox = s.sandboxes.entry(id.clone()).or_insert(fresh);
            match sandbox.shim {
                Some(Shim::Running | Shim::Paused) => {
                    return Err(PortError::new(Kind::Bug, format!("{id} runs and is made again")));
                }
                Some(Shim::Gate) => {}
                Some(Shim::Ended) | None => {
                    (sandbox.shim, sandbox.pid, sandbox.ignores) = (Some(Shim::Gate), pid, ignores);
                    sandbox.signals.clear();
                    (sandbox.limits, sandbox.shortage) =
                        (spec.container.resources.clone(), Shortage::default());
                    s.exits.remove(id);
                }
            }
            Ok(Created { pid: sandbox.pid })
        })
    }

    async fn ensure_started(&self, id: &ContainerId) -> Result<(), PortError> {
        self.script.at("ensure_started", id.as_str()).await?;
        self.change(|s| match s.sandboxes.get_mut(id.as_str()) {
            Some(sandbox) if sandbox.shim == Some(Shim::Gate) => {
                sandbox.shim = Some(Shim::Running);
                sandbox.starts += 1;
                Ok(())
            }
            Some(sandbox) if sandbox.shim.is_some() => Ok(()),
            _ => Err(away(id)),
        })
    }

    async fn status(&self, id: &ContainerId) -> Result<TaskStatus, PortError> {
        self.script.at("status", id.as_str()).await?;
        let state = lock(&self.state);
        let exit = state.exits.get(id.as_str()).copied();
        let sandbox = state.sandboxes.get(id.as_str());
        Ok(match sandbox.and_then(|s| s.shim.map(|shim| (shim, s.pid))) {
            Some((Shim::Gate, pid)) => TaskStatus::Created { pid },
            Some((Shim::Running, pid)) => TaskStatus::Running { pid },
            Some((Shim::Paused, pid)) => TaskStatus::Paused { pid },
            Some((Shim::Ended, _)) | None => exit.map_or(TaskStatus::Absent, TaskStatus::Exited),
        })
    }

    async fn exited(&self, id: &ContainerId) -> Result<Exit, PortError> {
        self.script.at("exited", id.as_str()).await?;
        Ok(self
            .until(|s| {
                if let Some(exit) = s.exits.get(id.as_str()) {
                    return Some(*exit);
                }
                let gone = s.sandboxes.get(id.as_str()).is_none_or(|b| b.shim.is_none());
                gone.then_some(Exit { code: 137, at_ns: i64::MAX / 2, oom_killed: false })
            })
            .await)
    }

    async fn signal(&self, id: &ContainerId, signal: i32) -> Result<(), PortError> {
        self.script.at("signal", id.as_str()).await?;
        let ends = self.living(id, |s| {
            s.signals.push(signal);
            let deadly = signal == 9 || (matches!(signal, 1 | 2 | 3 | 15) && !s.ignores.contains(&signal));
            // A frozen process acts on nothing.
            deadly && s.shim == Some(Shim::Running)
        })?;
        if ends {
            self.exit(id.as_str(), 128 + signal);
        }
        Ok(())
    }

    async fn set_frozen(&self, id: &ContainerId, frozen: bool) -> Result<(), PortError> {
        self.script.at("set_frozen", id.as_str()).await?;
        let pending = self.living(id, |s| {
            s.shim = Some(if frozen { Shim::Paused } else { Shim::Running });
            let deadly = |n: &&i32| **n == 9 || (matches!(**n, 1 | 2 | 3 | 15) && !s.ignores.contains(n));
            s.signals.iter().rev().find(deadly).copied()
        })?;
        if let Some(signal) = pending.filter(|_| !frozen) {
            self.exit(id.as_str(), 128 + signal);
        }
        Ok(())
    }

    async fn resize(&self, id: &ContainerId, _: &Target, _: u16, _: u16) -> Result<(), PortError> {
        self.living(id, |_| ())
    }

    async fn attach(&self, id: &ContainerId, target: &Target) -> Result<Attachment, PortError> {
        self.script.at("attach", id.as_str()).await?;
        let (to, output) = mpsc::channel(8);
        match target {
            Target::Main => drop(to),
            Target::Exec(exec) => {
                let (state, mut changed) = (Arc::clone(&self.state), self.changed.subscribe());
                let (id, exec, told) = (id.to_string(), exec.to_string(), Arc::clone(&self.changed));
                tokio::spawn(async move {
                    loop {
                        changed.mark_unchanged();
                        let running = {
                            let state = lock(&state);
                            let code = state.sandboxes.get(&id).and_then(|b| b.execs.get(&exec)).copied();
                            code == Some(None)
                        };
                        tokio::select! {
                            moved = changed.changed(), if running => if moved.is_err() { return },
                            () = std::future::ready(()), if !running => return,
                            () = to.closed() => {
                                let mut state = lock(&state);
                                let sandbox = state.sandboxes.get_mut(&id).filter(|b| b.bound.contains(&exec));
                                sandbox.map(|b| b.execs.insert(exec.clone(), Some(137)));
                                drop(state);
                                return told.send_modify(|n| *n += 1);
                            }
                        }
                    }
                });
            }
        }
        Ok(Attachment { input: Some(Box::new(tokio::io::sink())), output })
    }

    async fn exec(&self, id: &ContainerId, exec: &ExecId, spec: &ExecSpec) -> Result<i32, PortError> {
        self.script.at("exec", id.as_str()).await?;
        self.living(id, |s| {
            if spec.bound {
                s.bound.insert(exec.to_string());
            }
            s.execs.insert(exec.to_string(), None);
            s.pid + 1000
        })
    }

    async fn exec_exited(&self, id: &ContainerId, exec: &ExecId) -> Result<i32, PortError> {
        Ok(self
            .until(|s| match s.sandboxes.get(id.as_str()) {
                Some(sandbox) => sandbox.execs.get(exec.as_str()).copied().unwrap_or(Some(137)),
                None => Some(137),
            })
            .await)
    }

    async fn rewrite_hosts(
        &self,
        id: &ContainerId,
        _: &str,
        _: &[std::net::IpAddr],
    ) -> Result<(), PortError> {
        self.script.at("rewrite_hosts", id.as_str()).await
    }

    async fn move_hosts(
        &self,
        container: &crate::record::ContainerSpec,
        _: &[std::net::IpAddr],
        _: &[std::net::IpAddr],
    ) -> Result<(), PortError> {
        self.script.at("move_hosts", &container.id).await
    }

    async fn rewrite_resolver(&self, container: &crate::record::ContainerSpec) -> Result<(), PortError> {
        self.script.at("rewrite_resolver", &container.id).await
    }

    async fn processes(&self, id: &ContainerId) -> Result<Vec<i32>, PortError> {
        self.living(id, |s| vec![s.pid])
    }

    async fn set_when_full(&self, id: &ContainerId, _: WhenFull) -> Result<(), PortError> {
        self.script.at("set_when_full", id.as_str()).await?;
        self.living(id, |_| ())
    }

    async fn unspooled(&self, id: &ContainerId) -> Result<u64, PortError> {
        self.script.at("unspooled", id.as_str()).await?;
        self.living(id, |s| s.unspooled)
    }

    async fn change_limits(
        &self,
        id: &ContainerId,
        _from: &Resources,
        to: &Resources,
    ) -> Result<(), PortError> {
        self.script.at("change_limits", id.as_str()).await?;
        self.living(id, |s| s.limits = to.clone())
    }

    async fn usage(&self, id: &ContainerId, _: Option<i32>) -> Result<Usage, PortError> {
        self.script.at("usage", id.as_str()).await?;
        self.living(id, |_| Usage { at_ns: 1, ..Usage::default() })
    }

    async fn shortage(&self, id: &ContainerId, told: Shortage) -> Result<Shortage, PortError> {
        let runs = |s: &Sandbox| matches!(s.shim, Some(Shim::Running | Shim::Paused));
        self.until(|s| match s.sandboxes.get(id.as_str()).filter(|s| runs(s)) {
            Some(sandbox) => (sandbox.shortage != told).then_some(Ok(sandbox.shortage)),
            None => Some(Err(away(id))),
        })
        .await
    }

    async fn remove(&self, id: &ContainerId) -> Result<(), PortError> {
        self.script.at("runtime_remove", id.as_str()).await?;
        if self.runs(id.as_str()) {
            self.exit(id.as_str(), 137);
        }
        self.change(|s| {
            if let Some(sandbox) = s.sandboxes.get_mut(id.as_str()) {
                sandbox.shim = None;
            }
        });
        Ok(())
    }
}
