//! Each incarnation's first act: finding out what exists of its container.

use super::actor::{Container, deliver};
use super::effects;
use super::lifecycle::Heard;
use super::machine::{Force, Phase, Verdict};
use super::messages::*;
use crate::supervise::{Answer, Ctx, Member};
use contract::record::ContainerRecord;
use contract::runtime::{Exit, TaskStatus};
use contract::{Kind, PortError};
use std::sync::Arc;
use std::time::Duration;

/// Pause before a record or a shim that could not be read is read again.
const AGAIN: Duration = Duration::from_secs(1);

impl Container {
    fn adopt(&mut self) {
        let id = self.id.clone();
        self.in_lane(|shared, me| async move {
            let mut record = match shared.ports.records.load(&id).await {
                Ok(record) => record,
                Err(error) if error.kind == Kind::NotFound => return deliver(&me, Gone {}).await,
                Err(error) => return deliver(&me, AdoptFailed { error }).await,
            };
            let status = match shared.ports.runtime.status(&id).await {
                Ok(status) => status,
                Err(error) => return deliver(&me, AdoptFailed { error }).await,
            };
            let alive = match status {
                TaskStatus::Running { pid } | TaskStatus::Paused { pid } => Some(pid),
                _ => None,
            };
            effects::abandon(&shared, &record.spec, alive, &mut record.state).await;
            match status {
                TaskStatus::Running { pid } | TaskStatus::Paused { pid } => {
                    effects::readopt(&shared, pid, &record).await;
                }
                // Made and never let go, by a daemon that ended in between.
                TaskStatus::Created { .. } => {
                    effects::settle(&shared, &record.spec, &record.state.endpoints).await;
                }
                TaskStatus::Absent | TaskStatus::Exited(_) => {}
            }
            // Output may wait in the spool whatever the process does.
            match shared.logging(&record.spec, &record.state.name) {
                Ok(logging) => {
                    effects::settle_logging(&shared, &record.spec, &logging, alive.is_some()).await
                }
                Err(error) => tracing::error!(container = id.short(), "opening its log: {}", error.chain()),
            }
            deliver(&me, Adopted { record, status }).await;
        });
    }

    /// The daemon has just started, as opposed to: this actor was rebuilt, or its container just made.
    fn daemon_restarted(&self) -> bool {
        self.me.incarnation() == 0 && !self.fresh
    }
}

impl Member for Container {
    fn started(&mut self, _: &mut Ctx<Self>) {
        if let Some(record) = self.seed.take() {
            self.fresh = true;
            self.in_lane(|_, me| async move {
                deliver(&me, Adopted { record, status: TaskStatus::Absent }).await;
            });
        } else {
            self.adopt();
        }
    }
}

impl Answer<Adopted> for Container {
    fn answer(&mut self, message: Adopted, _: &mut Ctx<Self>) {
        if self.machine.phase != Phase::Adopting {
            return;
        }
        let ContainerRecord { spec, state } = message.record;
        self.spec = Arc::new(spec);
        self.state = state;
        self.machine.attempt = self.state.attempt;
        self.machine.stopped_by_user = self.state.stopped;
        self.recall_checks();
        let unrecorded_end = self.state.wanted && self.state.started_ns > self.state.finished_ns;
        (self.pid, self.machine.phase) = match message.status {
            TaskStatus::Running { pid } => (pid, Phase::Running),
            TaskStatus::Paused { pid } => (pid, Phase::Paused),
            _ if unrecorded_end => (0, Phase::Running),
            _ if self.state.started => (0, Phase::Exited),
            _ => (0, Phase::Created),
        };
        match message.status {
            TaskStatus::Running { .. } | TaskStatus::Paused { .. } => {
                self.watch();
                self.open_checks();
            }
            // It ended while no daemon was there to see it.
            TaskStatus::Exited(exit) if unrecorded_end && exit.at_ns >= self.state.started_ns => {
                self.end(exit, if self.daemon_restarted() { Heard::Late } else { Heard::AtOnce });
            }
            TaskStatus::Absent if unrecorded_end => self.lost("the container's shim was lost"),
            _ if unrecorded_end => self.lost("the daemon ended while it started the container"),
            _ => self.resume(),
        }
        self.publish();
        self.settled();
    }
}

impl Container {
    fn lost(&mut self, why: &str) {
        self.state.error = why.into();
        let exit = Exit { code: 137, at_ns: crate::now_ns(), oom_killed: false };
        self.end(exit, if self.daemon_restarted() { Heard::Never } else { Heard::AtOnce });
    }

    /// What was due to a container that does not run.
    fn resume(&mut self) {
        let (policy, restarted) = (self.spec.restart.0.as_str(), self.daemon_restarted());
        let due = match policy {
            // Docker starts these with the daemon even when the user had stopped them.
            "always" => self.state.wanted || restarted,
            // Also one whose last start failed: whatever stood in its way may be gone.
            "unless-stopped" => self.state.wanted || (restarted && !self.state.stopped),
            "on-failure" => self.state.wanted,
            _ => false,
        };
        if self.machine.phase == Phase::Exited && due {
            self.machine.phase = Phase::Restarting;
            self.me.tell_after(Duration::ZERO, RestartDue { attempt: self.machine.attempt });
        } else if self.spec.auto_remove
            && (self.state.ends > 0 || restarted)
            && self.machine.remove(Force::No) == Verdict::Proceed
        {
            self.begin_removal(effects::ATTACHED);
        }
    }
}

impl Answer<Gone> for Container {
    fn answer(&mut self, _: Gone, _: &mut Ctx<Self>) {
        if self.machine.phase != Phase::Adopting {
            return;
        }
        if let Some(last) = self.shared.board.get(self.id.as_str()) {
            self.spec = Arc::clone(&last.spec);
            self.state = last.state.clone();
        }
        self.machine.phase = Phase::Removing;
        self.settled();
        self.removed();
    }
}

impl Answer<AdoptFailed> for Container {
    fn answer(&mut self, message: AdoptFailed, _: &mut Ctx<Self>) {
        let error: PortError = message.error;
        tracing::error!(container = self.id.short(), "it cannot be adopted yet: {}", error.chain());
        self.me.tell_after(AGAIN, AdoptAgain {});
    }
}

impl Answer<AdoptAgain> for Container {
    fn answer(&mut self, _: AdoptAgain, _: &mut Ctx<Self>) {
        if self.machine.phase == Phase::Adopting {
            self.adopt();
        }
    }
}
