//! The shell around a container's machine: messages in, effects out. It never waits and never touches the system.

use super::health::Probing;
use super::lane::Lane;
use super::machine::{Machine, Phase};
use super::messages::*;
use super::snapshot::{Snapshot, Status};
use crate::shared::Shared;
use crate::supervise::{Answer, Ctx, Link, Reply};
use contract::error::Kind;
use contract::record::{ContainerRecord, ContainerSpec, ContainerState};
use contract::storage::Durability;
use contract::usage::Shortage;
use contract::{ContainerId, PortError};
use std::sync::{Arc, Mutex};
use tokio::sync::oneshot;

pub(super) type Answers<T> = Vec<Reply<Result<T, PortError>>>;

/// A request that waits until what exists is known.
type Later = Box<dyn FnOnce(&mut Container) + Send>;

/// Somebody who waits for an end.
pub(super) struct Waiter {
    pub(super) condition: WaitCondition,
    pub(super) done: oneshot::Sender<Result<i32, PortError>>,
}

/// One container.
pub struct Container {
    pub(super) shared: Arc<Shared>,
    pub(super) me: Link<Container>,
    pub(super) lane: Lane,
    pub(super) id: ContainerId,
    pub(super) spec: Arc<ContainerSpec>,
    pub(super) state: ContainerState,
    pub(super) machine: Machine,
    pub(super) probing: Probing,
    pub(super) pid: i32,
    pub(super) starters: Answers<bool>,
    pub(super) restarters: Answers<()>,
    pub(super) stoppers: Answers<bool>,
    pub(super) killers: Answers<()>,
    pub(super) removers: Answers<()>,
    /// What goes with it once it is removed.
    pub(super) along: Along,
    pub(super) waiters: Vec<Waiter>,
    /// What its present process's want of memory has led to, as far as told.
    pub(super) told: Shortage,
    /// Why a container that removes itself was not started: told once it is gone.
    pub(super) unstarted: Option<PortError>,
    later: Vec<Later>,
    /// Its networks are being changed.
    pub(super) switching: bool,
    /// Its wish is being changed.
    pub(super) updating: bool,
    /// Changes that wait for that one.
    pub(super) updates: Vec<Update>,
    pub(super) seed: Option<ContainerRecord>,
    /// This incarnation was made with its container.
    pub(super) fresh: bool,
}

/// A record just written, handed to the first incarnation so that it need not be read again.
pub type Seed = Arc<Mutex<Option<ContainerRecord>>>;

impl Container {
    /// Knows its id; everything else is adopted.
    pub fn new(shared: Arc<Shared>, id: ContainerId, me: Link<Self>, seed: &Seed) -> Self {
        let seed = crate::shared::lock(seed).take();
        let lane = shared.lane(id.as_str());
        Self {
            shared,
            me,
            lane,
            id,
            spec: Arc::default(),
            state: ContainerState::default(),
            machine: Machine::new(0),
            probing: Probing::default(),
            pid: 0,
            starters: Vec::new(),
            restarters: Vec::new(),
            stoppers: Vec::new(),
            killers: Vec::new(),
            removers: Vec::new(),
            along: Along::Nothing,
            waiters: Vec::new(),
            told: Shortage::default(),
            unstarted: None,
            later: Vec::new(),
            switching: false,
            updating: false,
            updates: Vec::new(),
            seed,
            fresh: false,
        }
    }

    fn status(&self) -> Status {
        match self.machine.phase {
            Phase::Created | Phase::Starting | Phase::Adopting if !self.state.started => Status::Created,
            Phase::Running | Phase::Stopping => Status::Running,
            Phase::Paused => Status::Paused,
            Phase::Restarting => Status::Restarting,
            Phase::Removing => Status::Removing,
            Phase::Dead => Status::Dead,
            Phase::Created | Phase::Starting | Phase::Adopting | Phase::Exited => Status::Exited,
        }
    }

    pub(super) fn publish(&self) {
        self.shared.board.publish(Snapshot {
            spec: Arc::clone(&self.spec),
            state: self.state.clone(),
            status: self.status(),
            pid: self.pid,
            execs: self.shared.execs.running(self.id.as_str()),
            generation: 0,
        });
        self.shared.zone.rename(self.id.as_str(), &self.state.name);
    }

    pub(super) fn event(&self, action: &str, extra: &[(&str, String)]) {
        self.shared.container_event(&self.spec, &self.state.name, action, extra);
    }

    /// Runs an effect outside the actor and its lane.
    pub(super) fn effect<F: Future<Output = ()> + Send + 'static>(
        &self,
        work: impl FnOnce(Arc<Shared>, Link<Self>) -> F,
    ) {
        tokio::spawn(work(Arc::clone(&self.shared), self.me.clone()));
    }

    /// Runs an effect outside the actor, after those given before it.
    pub(super) fn in_lane<F: Future<Output = ()> + Send + 'static>(
        &self,
        work: impl FnOnce(Arc<Shared>, Link<Self>) -> F,
    ) {
        self.lane.run(work(Arc::clone(&self.shared), self.me.clone()));
    }

    /// Writes what is known now.
    pub(super) fn save(&self) {
        let (id, state, durability) = (self.id.clone(), self.state.clone(), Durability::of(&self.spec));
        self.in_lane(move |shared, _| async move {
            if let Err(error) = shared.ports.records.save_state(&id, &state, durability).await {
                tracing::error!(container = id.short(), "saving the container's state: {}", error.chain());
            }
        });
    }

    pub(super) fn conflict<T>(reply: Reply<Result<T, PortError>>, text: String) {
        answer(reply, Err(PortError::new(Kind::Conflict, text)));
    }

    fn is_unsettled(&self) -> bool {
        self.switching || self.machine.phase.is_unsettled()
    }

    /// Runs now, or once what is under way has come to its end.
    pub(super) fn when_settled(&mut self, work: impl FnOnce(&mut Self) + Send + 'static) {
        if self.is_unsettled() {
            self.later.push(Box::new(work));
        } else {
            work(self);
        }
    }

    /// What had to wait, in order; what one of them begins holds the others up again.
    pub(super) fn settled(&mut self) {
        for work in std::mem::take(&mut self.later) {
            if self.is_unsettled() {
                self.later.push(work);
            } else {
                work(self);
            }
        }
    }
}

pub(super) fn answer<T>(reply: Reply<Result<T, PortError>>, outcome: Result<T, PortError>) {
    // Whoever asked may have left.
    let _left = reply.send(outcome);
}

/// Everybody gets the same answer.
pub(super) fn answer_all<T: Clone>(replies: &mut Answers<T>, outcome: &Result<T, PortError>) {
    for reply in replies.drain(..) {
        let own = match outcome {
            Ok(value) => Ok(value.clone()),
            Err(error) => Err(PortError::new(error.kind, error.chain())),
        };
        answer(reply, own);
    }
}

/// Brings an effect's result home; an actor that was respawned meanwhile finds it out by itself.
pub(super) async fn deliver<M>(me: &Link<Container>, message: M)
where
    M: crate::supervise::Message<Result = ()> + Send + 'static,
    Container: Answer<M>,
{
    if let Err(error) = me.push(message).await {
        tracing::debug!(%error, "a result found no actor");
    }
}

impl Answer<Known> for Container {
    fn answer(&mut self, message: Known, _: &mut Ctx<Self>) {
        if self.machine.phase == Phase::Adopting {
            self.later.push(Box::new(|_| {
                let _left = message.reply.send(());
            }));
        } else {
            let _left = message.reply.send(());
        }
    }
}

impl Answer<Renamed> for Container {
    fn answer(&mut self, message: Renamed, _: &mut Ctx<Self>) {
        self.when_settled(move |this| {
            let old = std::mem::replace(&mut this.state.name, message.name);
            this.publish();
            let (id, state, durability) = (this.id.clone(), this.state.clone(), Durability::of(&this.spec));
            this.event("rename", &[("oldName", format!("/{old}"))]);
            this.in_lane(move |shared, _| async move {
                answer(message.reply, shared.ports.records.save_state(&id, &state, durability).await);
            });
        });
    }
}

impl Answer<ExecChanged> for Container {
    fn answer(&mut self, _: ExecChanged, _: &mut Ctx<Self>) {
        if self.machine.phase != Phase::Adopting {
            self.publish();
        }
    }
}
