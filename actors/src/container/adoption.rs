//! Each incarnation's first act: finding out what exists of its container.

use super::actor::{Container, deliver};
use super::effects;
use super::machine::Phase;
use super::messages::*;
use crate::supervise::{Answer, Ctx, Member};
use contract::record::ContainerRecord;
use contract::runtime::{Exit, TaskStatus};
use std::sync::Arc;
use std::time::Duration;

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
