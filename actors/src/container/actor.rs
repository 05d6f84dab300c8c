//! The shell around a container's machine: messages in, effects out. It never waits and never touches the system.

use super::machine::{Machine, Phase};
use super::messages::*;
use super::snapshot::{Snapshot, Status};
use crate::events::Event;
use crate::shared::Shared;
use crate::supervise::{Answer, Ctx, Link, Reply};
use contract::error::Kind;
use contract::record::{ContainerRecord, ContainerSpec, ContainerState};
use contract::{ContainerId, PortError};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::sync::oneshot;

type Answers<T> = Vec<Reply<Result<T, PortError>>>;

/// One container.
pub struct Container {
    pub(super) shared: Arc<Shared>,
    pub(super) me: Link<Container>,
    pub(super) id: ContainerId,
    pub(super) spec: Arc<ContainerSpec>,
    pub(super) state: ContainerState,
    pub(super) machine: Machine,
    pub(super) pid: i32,
    pub(super) execs: Vec<String>,
    pub(super) starters: Answers<bool>,
    pub(super) stoppers: Answers<bool>,
    pub(super) removers: Answers<()>,
    pub(super) waiters: Vec<(WaitCondition, oneshot::Sender<Result<i32, PortError>>)>,
    /// Requests that came before the state was known.
    pub(super) early: Vec<Box<dyn FnOnce(&mut Self) + Send>>,
    pub(super) seed: Option<ContainerRecord>,
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

    pub(super) fn status(&self) -> Status {
        match self.machine.phase {
            Phase::Created | Phase::Starting | Phase::Adopting if !self.state.started => Status::Created,
            Phase::Running | Phase::Stopping => Status::Running,
            Phase::Paused => Status::Paused,
            Phase::Restarting => Status::Restarting,
            Phase::Removing => Status::Removing,
            Phase::Created | Phase::Starting | Phase::Adopting | Phase::Exited => Status::Exited,
        }
    }

    pub(super) fn publish(&self) {
        self.shared.board.publish(Snapshot {
            spec: Arc::clone(&self.spec),
            state: self.state.clone(),
            status: self.status(),
            pid: self.pid,
            execs: self.execs.clone(),
            generation: 0,
        });
    }

    pub(super) fn event(&self, action: &str, extra: &[(&str, String)]) {
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
    pub(super) fn effect<F: Future<Output = ()> + Send + 'static>(
        &self,
        work: impl FnOnce(Arc<Shared>, Link<Self>) -> F,
    ) {
        tokio::spawn(work(Arc::clone(&self.shared), self.me.clone()));
    }

    pub(super) fn save(&self) {
        let (id, state) = (self.id.clone(), self.state.clone());
        let lane = self.shared.lane(id.as_str());
        self.effect(|shared, _| async move {
            let _lane = lane.lock().await;
            if let Err(error) = shared.ports.records.save_state(&id, &state).await {
                tracing::error!(container = id.short(), "saving the container's state: {}", error.chain());
            }
        });
    }

    pub(super) fn conflict<T>(reply: Reply<Result<T, PortError>>, text: String) {
        answer(reply, Err(PortError::new(Kind::Conflict, text)));
    }

    /// Runs now, or once the state is known.
    pub(super) fn when_known(&mut self, work: impl FnOnce(&mut Self) + Send + 'static) {
        if self.machine.phase == Phase::Adopting {
            self.early.push(Box::new(work));
        } else {
            work(self);
        }
    }
}

pub(super) fn answer<T>(reply: Reply<Result<T, PortError>>, outcome: Result<T, PortError>) {
    // Whoever asked may have left.
    let _left = reply.send(outcome);
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
