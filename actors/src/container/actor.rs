//! The shell around a container's machine: messages in, effects out. It never waits and never touches the system.

use super::effects;
use super::machine::{Ended, Machine, Phase, Verdict};
use super::messages::*;
use super::snapshot::{Snapshot, Status};
use crate::events::Event;
use crate::shared::Shared;
use crate::supervise::{Answer, Ctx, Link, Member, Reply};
use contract::error::Kind;
use contract::record::{ContainerRecord, ContainerSpec, ContainerState};
use contract::runtime::{Exit, TaskStatus};
use contract::{ContainerId, PortError};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::oneshot;

/// Seconds between stop signal and kill (Docker's default).
const GRACE: i64 = 10;
const SIGKILL: i32 = 9;

type Answers<T> = Vec<Reply<Result<T, PortError>>>;

/// One container.
pub struct Container {
    shared: Arc<Shared>,
    me: Link<Container>,
    id: ContainerId,
    spec: Arc<ContainerSpec>,
    state: ContainerState,
    machine: Machine,
    pid: i32,
    execs: Vec<String>,
    starters: Answers<bool>,
    stoppers: Answers<bool>,
    removers: Answers<()>,
    waiters: Vec<(WaitCondition, oneshot::Sender<Result<i32, PortError>>)>,
    /// Requests that came before the state was known.
    early: Vec<Box<dyn FnOnce(&mut Self) + Send>>,
    seed: Option<ContainerRecord>,
}

/// A record just written, handed to the first incarnation so that it need not be read again.
pub type Seed = Arc<Mutex<Option<ContainerRecord>>>;

impl Container {
    /// Knows its id; everything else is adopted.
    pub fn new(shared: Arc<Shared>, id: ContainerId, me: Link<Self>, seed: &Seed) -> Self {
        let seed = crate::shared::lock(seed).take();
        Self {
            shared,
            me,
            id,
            spec: Arc::default(),
            state: ContainerState::default(),
            machine: Machine::new(0),
            pid: 0,
            execs: Vec::new(),
            starters: Vec::new(),
            stoppers: Vec::new(),
            removers: Vec::new(),
            waiters: Vec::new(),
            early: Vec::new(),
            seed,
        }
    }

    fn status(&self) -> Status {
        match self.machine.phase {
            Phase::Created | Phase::Starting | Phase::Adopting if !self.state.started => Status::Created,
            Phase::Running | Phase::Stopping => Status::Running,
            Phase::Paused => Status::Paused,
            Phase::Restarting => Status::Restarting,
            Phase::Removing => Status::Removing,
            Phase::Created | Phase::Starting | Phase::Adopting | Phase::Exited => Status::Exited,
        }
    }

    fn publish(&self) {
        self.shared.board.publish(Snapshot {
            spec: Arc::clone(&self.spec),
            state: self.state.clone(),
            status: self.status(),
            pid: self.pid,
            execs: self.execs.clone(),
            generation: 0,
        });
    }

    fn event(&self, action: &str, extra: &[(&str, String)]) {
        let mut attributes: BTreeMap<String, String> = self.spec.labels.clone();
        attributes.insert("image".into(), self.spec.image_name.clone());
        attributes.insert("name".into(), self.state.name.clone());
        attributes.extend(extra.iter().map(|(k, v)| ((*k).to_owned(), v.clone())));
        self.shared.event(Event {
            kind: "container",
            action: action.to_owned(),
            id: self.id.to_string(),
            attributes,
            time_ns: crate::now_ns(),
        });
    }

    /// Runs an effect outside the actor.
    fn effect<F: Future<Output = ()> + Send + 'static>(
        &self,
        work: impl FnOnce(Arc<Shared>, Link<Self>) -> F,
    ) {
        tokio::spawn(work(Arc::clone(&self.shared), self.me.clone()));
    }

    fn save(&self) {
        let (id, state) = (self.id.clone(), self.state.clone());
        let lane = self.shared.lane(id.as_str());
        self.effect(|shared, _| async move {
            let _lane = lane.lock().await;
            if let Err(error) = shared.ports.records.save_state(&id, &state).await {
                tracing::error!(container = id.short(), "saving the container's state: {}", error.chain());
            }
        });
    }

    fn conflict<T>(reply: Reply<Result<T, PortError>>, text: String) {
        answer(reply, Err(PortError::new(Kind::Conflict, text)));
    }

    fn launch(&mut self) {
        let attempt = self.machine.attempt;
        self.state.attempt = attempt;
        let (spec, name, lane) =
            (Arc::clone(&self.spec), self.state.name.clone(), self.shared.lane(self.id.as_str()));
        let mut state = self.state.clone();
        self.effect(|shared, me| async move {
            let _lane = lane.lock().await;
            let mut outcome = effects::start(&shared, &spec, &name).await;
            if let Ok(started) = &outcome {
                state.endpoint.clone_from(&started.endpoint);
                state.started = true;
                state.wanted = true;
                state.started_ns = crate::now_ns();
                state.error.clear();
                state.exit_code = 0;
                state.oom_killed = false;
                if let Err(error) =
                    shared.ports.records.save_state(&ContainerId::new(spec.id.clone()), &state).await
                {
                    effects::settle(&shared, &spec, started.endpoint.as_ref()).await;
                    outcome = Err(effects::StartFailure { error, code: 128 });
                }
            }
            deliver(&me, StartDone { attempt, outcome }).await;
        });
    }

    fn watch(&self) {
        let (attempt, id) = (self.machine.attempt, self.id.clone());
        self.effect(|shared, me| async move {
            match shared.ports.runtime.exited(&id).await {
                Ok(exit) => deliver(&me, Exited { attempt, exit }).await,
                Err(error) => tracing::error!(container = id.short(), "watching: {}", error.chain()),
            }
        });
    }

    fn signal(&self, signal: i32, thaw: bool, reply: Option<Reply<Result<(), PortError>>>) {
        let id = self.id.clone();
        self.effect(|shared, _| async move {
            let runtime = &shared.ports.runtime;
            let mut outcome = runtime.signal(&id, signal).await;
            if thaw {
                outcome = outcome.and(runtime.set_frozen(&id, false).await);
            }
            match reply {
                Some(reply) => answer(reply, outcome),
                None => {
                    if let Err(error) = outcome {
                        tracing::warn!(container = id.short(), "signal {signal}: {}", error.chain());
                    }
                }
            }
        });
    }

    fn begin_removal(&mut self) {
        self.publish();
        let (spec, endpoint) = (Arc::clone(&self.spec), self.state.endpoint.take());
        let lane = self.shared.lane(self.id.as_str());
        self.effect(|shared, me| async move {
            let outcome = {
                let _lane = lane.lock().await;
                effects::remove(&shared, &spec, endpoint.as_ref()).await
            };
            deliver(&me, RemoveDone { outcome }).await;
        });
    }

    fn wake(&mut self, ended: impl Fn(WaitCondition) -> bool) {
        let code = self.state.exit_code;
        for (condition, done) in std::mem::take(&mut self.waiters) {
            if ended(condition) {
                // Whoever waited may have left.
                let _left = done.send(Ok(code));
            } else {
                self.waiters.push((condition, done));
            }
        }
    }

    /// Runs now, or once the state is known.
    fn when_known(&mut self, work: impl FnOnce(&mut Self) + Send + 'static) {
        if self.machine.phase == Phase::Adopting {
            self.early.push(Box::new(work));
        } else {
            work(self);
        }
    }

    fn end(&mut self, exit: Exit) {
        let ran = Duration::from_nanos(u64::try_from(exit.at_ns - self.state.started_ns).unwrap_or(0));
        let ended = Ended { code: exit.code, restarts: self.state.restart_count, ran };
        let Some(again) = self.machine.exited(self.machine.attempt, ended, &self.spec) else { return };
        self.state.exit_code = exit.code;
        self.state.finished_ns = exit.at_ns;
        self.state.oom_killed = exit.oom_killed;
        self.state.wanted = again.is_some();
        self.pid = 0;
        self.execs.clear();
        let endpoint = self.state.endpoint.take();
        let removal = !self.removers.is_empty() || self.spec.auto_remove;
        let (spec, id, state, lane) =
            (Arc::clone(&self.spec), self.id.clone(), self.state.clone(), self.shared.lane(self.id.as_str()));
        self.effect(|shared, _| async move {
            let _lane = lane.lock().await;
            if !removal && let Err(error) = shared.ports.records.save_state(&id, &state).await {
                tracing::error!(container = id.short(), "saving the container's end: {}", error.chain());
            }
            effects::settle(&shared, &spec, endpoint.as_ref()).await;
        });
        if exit.oom_killed {
            self.event("oom", &[]);
        }
        self.event(
            "die",
            &[("exitCode", exit.code.to_string()), ("execDuration", ran.as_secs().to_string())],
        );
        if self.machine.stopped_by_user && self.removers.is_empty() {
            self.event("stop", &[]);
        }
        self.publish();
        self.wake(|c| c != WaitCondition::Removed);
        for reply in std::mem::take(&mut self.stoppers) {
            answer(reply, Ok(true));
        }
        if let Some(pause) = again {
            self.me.tell_after(pause, RestartDue { attempt: self.machine.attempt });
        } else if removal && self.machine.remove(false) == Verdict::Proceed {
            self.begin_removal();
        }
    }
}

fn answer<T>(reply: Reply<Result<T, PortError>>, outcome: Result<T, PortError>) {
    // Whoever asked may have left.
    let _left = reply.send(outcome);
}

/// Brings an effect's result home; an actor that was respawned meanwhile finds it out by itself.
async fn deliver<M>(me: &Link<Container>, message: M)
where
    M: crate::supervise::Message<Result = ()> + Send + 'static,
    Container: Answer<M>,
{
    if let Err(error) = me.push(message).await {
        tracing::debug!(%error, "a result found no actor");
    }
}

impl Member for Container {
    fn started(&mut self, _: &mut Ctx<Self>) {
        let (id, seed, lane) = (self.id.clone(), self.seed.take(), self.shared.lane(self.id.as_str()));
        self.effect(|shared, me| async move {
            if let Some(record) = seed {
                return deliver(&me, Adopted { record, status: TaskStatus::Absent }).await;
            }
            // An earlier incarnation's effect may still be at work.
            let _lane = lane.lock().await;
            let record = match shared.ports.records.load(&id).await {
                Ok(record) => record,
                Err(error) => return deliver(&me, AdoptFailed { error }).await,
            };
            let mut status = shared.ports.runtime.status(&id).await.unwrap_or(TaskStatus::Absent);
            match status {
                TaskStatus::Created { .. } => {
                    effects::settle(&shared, &record.spec, record.state.endpoint.as_ref()).await;
                    status = TaskStatus::Absent;
                }
                TaskStatus::Running { pid } | TaskStatus::Paused { pid } => {
                    effects::readopt(&shared, pid, &record.state).await;
                }
                TaskStatus::Absent | TaskStatus::Exited(_) => {}
            }
            // Output may wait in the spool whatever the process does.
            if let Err(error) = shared.logging(&record.spec, &record.state.name) {
                tracing::error!(container = id.short(), "opening its log: {}", error.chain());
            }
            deliver(&me, Adopted { record, status }).await;
        });
    }
}

impl Answer<Adopted> for Container {
    fn answer(&mut self, message: Adopted, _: &mut Ctx<Self>) {
        let ContainerRecord { spec, state } = message.record;
        self.spec = Arc::new(spec);
        self.state = state;
        self.machine.attempt = self.state.attempt;
        let alive = |pid, phase| (pid, phase);
        let unrecorded_end = self.state.wanted && self.state.started_ns > self.state.finished_ns;
        (self.pid, self.machine.phase) = match message.status {
            TaskStatus::Running { pid } => alive(pid, Phase::Running),
            TaskStatus::Paused { pid } => alive(pid, Phase::Paused),
            _ if unrecorded_end => alive(0, Phase::Running),
            _ if self.state.started => alive(0, Phase::Exited),
            _ => alive(0, Phase::Created),
        };
        match message.status {
            TaskStatus::Running { .. } | TaskStatus::Paused { .. } => self.watch(),
            // It ended while no daemon was there to see it.
            TaskStatus::Exited(exit) if unrecorded_end => self.end(exit),
            _ if unrecorded_end => {
                self.state.error = "the container's shim was lost".into();
                self.end(Exit { code: 137, at_ns: crate::now_ns(), oom_killed: false });
            }
            _ => {
                let again =
                    matches!(self.spec.restart.0.as_str(), "always" | "unless-stopped") && self.state.wanted;
                if again && self.machine.phase == Phase::Exited {
                    self.machine.phase = Phase::Restarting;
                    self.me.tell_after(Duration::ZERO, RestartDue { attempt: self.machine.attempt });
                }
            }
        }
        self.publish();
        for work in std::mem::take(&mut self.early) {
            work(self);
        }
    }
}

impl Answer<AdoptFailed> for Container {
    fn answer(&mut self, message: AdoptFailed, ctx: &mut Ctx<Self>) {
        tracing::error!(container = self.id.short(), "its record cannot be read: {}", message.error.chain());
        crate::supervise::ActorContext::stop(ctx);
    }
}

impl Answer<Start> for Container {
    fn answer(&mut self, message: Start, _: &mut Ctx<Self>) {
        self.when_known(move |this| match this.machine.start() {
            Verdict::AlreadyThere => answer(message.reply, Ok(false)),
            Verdict::Refused(text) => Self::conflict(message.reply, text.to_owned()),
            Verdict::Join => this.starters.push(message.reply),
            Verdict::Proceed => {
                this.starters.push(message.reply);
                this.state.restart_count = 0;
                this.launch();
            }
        });
    }
}

impl Answer<StartDone> for Container {
    fn answer(&mut self, message: StartDone, _: &mut Ctx<Self>) {
        if !self.machine.started(message.attempt, message.outcome.is_ok(), self.state.started) {
            return;
        }
        match message.outcome {
            Ok(started) => {
                self.pid = started.pid;
                self.state.endpoint = started.endpoint;
                self.state.started = true;
                self.state.wanted = true;
                self.state.started_ns = crate::now_ns();
                self.state.error.clear();
                self.state.exit_code = 0;
                self.state.oom_killed = false;
                self.publish();
                self.watch();
                self.event("start", &[]);
                for reply in std::mem::take(&mut self.starters) {
                    answer(reply, Ok(true));
                }
            }
            Err(failure) => {
                let text = failure.error.chain();
                self.state.error.clone_from(&text);
                self.state.exit_code = failure.code;
                self.state.wanted = false;
                self.publish();
                self.save();
                for reply in std::mem::take(&mut self.starters) {
                    answer(reply, Err(PortError::new(failure.error.kind, text.clone())));
                }
                self.wake(|c| c != WaitCondition::Removed);
                // Docker removes an --rm container whose start failed; its client waits for that.
                if self.spec.auto_remove && self.machine.remove(false) == Verdict::Proceed {
                    self.begin_removal();
                }
            }
        }
    }
}

impl Answer<Exited> for Container {
    fn answer(&mut self, message: Exited, _: &mut Ctx<Self>) {
        if message.attempt == self.machine.attempt {
            self.end(message.exit);
        }
    }
}

impl Answer<Stop> for Container {
    fn answer(&mut self, message: Stop, _: &mut Ctx<Self>) {
        self.when_known(move |this| {
            let paused = this.machine.phase == Phase::Paused;
            match this.machine.stop() {
                Verdict::AlreadyThere => {
                    this.state.wanted = false;
                    this.publish();
                    this.save();
                    answer(message.reply, Ok(false));
                }
                Verdict::Refused(text) => Self::conflict(message.reply, text.to_owned()),
                Verdict::Join => this.stoppers.push(message.reply),
                Verdict::Proceed => {
                    this.stoppers.push(message.reply);
                    let own = crate::container::signals::parse(&this.spec.stop_signal).unwrap_or(15);
                    this.signal(message.signal.unwrap_or(own), paused, None);
                    let grace = message.grace.or(this.spec.stop_timeout).unwrap_or(GRACE);
                    if let Ok(seconds) = u64::try_from(grace) {
                        let over = GraceOver { attempt: this.machine.attempt };
                        this.me.tell_after(Duration::from_secs(seconds), over);
                    }
                }
            }
        });
    }
}

impl Answer<GraceOver> for Container {
    fn answer(&mut self, message: GraceOver, _: &mut Ctx<Self>) {
        if self.machine.phase == Phase::Stopping && message.attempt == self.machine.attempt {
            self.signal(SIGKILL, false, None);
        }
    }
}

impl Answer<Kill> for Container {
    fn answer(&mut self, message: Kill, _: &mut Ctx<Self>) {
        self.when_known(move |this| {
            if !this.machine.phase.is_alive() {
                let text = format!(
                    "cannot kill container: {}: container {} is not running",
                    this.state.name, this.id
                );
                return Self::conflict(message.reply, text);
            }
            let own = crate::container::signals::parse(&this.spec.stop_signal).unwrap_or(15);
            if message.signal == SIGKILL || message.signal == own {
                this.machine.stopped_by_user = true;
            }
            this.event("kill", &[("signal", message.signal.to_string())]);
            this.signal(message.signal, false, Some(message.reply));
        });
    }
}

impl Answer<Freeze> for Container {
    fn answer(&mut self, message: Freeze, _: &mut Ctx<Self>) {
        self.when_known(move |this| {
            let wrong = match (this.machine.phase, message.frozen) {
                (Phase::Running, true) | (Phase::Paused, false) => None,
                (Phase::Paused, true) => Some("is already paused"),
                (Phase::Running, false) => Some("is not paused"),
                _ => Some("is not running"),
            };
            if let Some(wrong) = wrong {
                return Self::conflict(message.reply, format!("container {} {wrong}", this.id));
            }
            let (id, frozen) = (this.id.clone(), message.frozen);
            this.effect(|shared, me| async move {
                let outcome = shared.ports.runtime.set_frozen(&id, frozen).await;
                if outcome.is_ok() {
                    deliver(&me, Frozen { frozen }).await;
                }
                answer(message.reply, outcome);
            });
        });
    }
}

impl Answer<Frozen> for Container {
    fn answer(&mut self, message: Frozen, _: &mut Ctx<Self>) {
        if matches!(self.machine.phase, Phase::Running | Phase::Paused) {
            self.machine.phase = if message.frozen { Phase::Paused } else { Phase::Running };
            self.publish();
            self.event(if message.frozen { "pause" } else { "unpause" }, &[]);
        }
    }
}

impl Answer<Wait> for Container {
    fn answer(&mut self, message: Wait, _: &mut Ctx<Self>) {
        self.when_known(move |this| {
            let over = message.condition == WaitCondition::NotRunning
                && !this.machine.phase.is_alive()
                && !matches!(this.machine.phase, Phase::Starting | Phase::Restarting);
            if over {
                // Whoever waited may have left.
                let _left = message.done.send(Ok(this.state.exit_code));
            } else {
                this.waiters.push((message.condition, message.done));
            }
        });
    }
}

impl Answer<Remove> for Container {
    fn answer(&mut self, message: Remove, _: &mut Ctx<Self>) {
        self.when_known(move |this| {
            let paused = this.machine.phase == Phase::Paused;
            match this.machine.remove(message.force) {
                Verdict::Refused(text) => {
                    let text = format!("cannot remove container \"/{}\": {text}", this.state.name);
                    Self::conflict(message.reply, text);
                }
                Verdict::Join => {
                    this.removers.push(message.reply);
                    this.signal(SIGKILL, paused, None);
                }
                Verdict::Proceed | Verdict::AlreadyThere => {
                    this.removers.push(message.reply);
                    this.begin_removal();
                }
            }
        });
    }
}

impl Answer<RemoveDone> for Container {
    fn answer(&mut self, message: RemoveDone, _: &mut Ctx<Self>) {
        match message.outcome {
            Ok(()) => {
                self.event("destroy", &[]);
                self.wake(|_| true);
                for reply in std::mem::take(&mut self.removers) {
                    answer(reply, Ok(()));
                }
                self.shared.forget(self.id.as_str());
            }
            Err(error) => {
                let text = error.chain();
                self.machine.phase = Phase::Exited;
                self.state.error.clone_from(&text);
                self.publish();
                for reply in std::mem::take(&mut self.removers) {
                    answer(reply, Err(PortError::new(error.kind, text.clone())));
                }
            }
        }
    }
}

impl Answer<RestartDue> for Container {
    fn answer(&mut self, message: RestartDue, _: &mut Ctx<Self>) {
        if self.machine.phase == Phase::Restarting
            && message.attempt == self.machine.attempt
            && self.machine.start() == Verdict::Proceed
        {
            self.state.restart_count += 1;
            self.launch();
        }
    }
}

impl Answer<Renamed> for Container {
    fn answer(&mut self, message: Renamed, _: &mut Ctx<Self>) {
        self.when_known(move |this| {
            let old = std::mem::replace(&mut this.state.name, message.name);
            this.publish();
            this.save();
            this.event("rename", &[("oldName", format!("/{old}"))]);
            answer(message.reply, Ok(()));
        });
    }
}

impl Answer<ExecChanged> for Container {
    fn answer(&mut self, message: ExecChanged, _: &mut Ctx<Self>) {
        self.execs.retain(|e| *e != message.exec);
        if message.running {
            self.execs.push(message.exec);
        }
        self.publish();
    }
}
