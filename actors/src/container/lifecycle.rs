//! Starts and ends: by request, by policy.

use super::actor::{Container, answer, answer_all, deliver};
use super::effects;
use super::machine::{By, Ended, Force, Next, Phase, Verdict};
use super::messages::*;
use crate::supervise::{Answer, Ctx};
use contract::PortError;
use contract::runtime::{Exit, TaskStatus};
use contract::storage::Durability;
use std::sync::Arc;
use std::time::Duration;

/// Pause before a shim that cannot be watched is looked at again.
const WATCH_AGAIN: Duration = Duration::from_millis(200);

/// When an end was heard of. What is only found when the daemon starts is restarted without a pause, as Docker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// As it came.
    AtOnce,
    /// It came while no daemon was there.
    Late,
    /// It left no trace, as when the host was restarted: the container is not to blame.
    Never,
}

impl Container {
    pub(super) fn launch(&mut self) {
        let attempt = self.machine.attempt;
        self.state.attempt = attempt;
        let (spec, state) = (Arc::clone(&self.spec), self.state.clone());
        self.in_lane(|shared, me| async move {
            let (outcome, state) = effects::start(&shared, &spec, state).await;
            deliver(&me, StartDone { attempt, state: Box::new(state), outcome }).await;
        });
    }

    pub(super) fn watch(&mut self) {
        self.watch_memory();
        let (attempt, id) = (self.machine.attempt, self.id.clone());
        self.effect(|shared, me| async move {
            let runtime = &shared.ports.runtime;
            loop {
                let error = match runtime.exited(&id).await {
                    Ok(exit) => return deliver(&me, Exited { attempt, exit }).await,
                    Err(error) => error,
                };
                tracing::error!(container = id.short(), "watching: {}", error.chain());
                // The watch failed, not the container: what is there decides.
                match runtime.status(&id).await {
                    Ok(TaskStatus::Exited(exit)) => return deliver(&me, Exited { attempt, exit }).await,
                    Ok(TaskStatus::Absent) => {
                        let exit = Exit { code: 137, at_ns: crate::now_ns(), oom_killed: false };
                        return deliver(&me, Exited { attempt, exit }).await;
                    }
                    Ok(_) | Err(_) => tokio::time::sleep(WATCH_AGAIN).await,
                }
            }
        });
    }

    pub(super) fn end(&mut self, exit: Exit, heard: Heard) {
        let ran = Duration::from_nanos(u64::try_from(exit.at_ns - self.state.started_ns).unwrap_or(0));
        let ended = Ended { code: exit.code, restarts: self.state.restart_count, ran };
        let Some(next) = self.machine.exited(self.machine.attempt, ended, &self.spec) else { return };
        self.close_checks();
        self.state.exit_code = exit.code;
        self.state.finished_ns = exit.at_ns;
        let oom_untold = exit.oom_killed && !self.state.oom_killed;
        self.state.oom_killed |= exit.oom_killed;
        self.state.wanted = next != Next::Rest;
        self.state.restart_count += i64::from(matches!(next, Next::After(_)) && heard != Heard::Never);
        self.state.stopped = self.machine.stopped_by_user;
        self.state.ends += 1;
        self.state.ended_with = exit.code;
        self.pid = 0;
        let endpoints = std::mem::take(&mut self.state.endpoints);
        let removal = next == Next::Rest && (!self.removers.is_empty() || self.spec.auto_remove);
        let (spec, id, state) = (Arc::clone(&self.spec), self.id.clone(), self.state.clone());
        // Whoever hears of its end may want its address and ports at once.
        let departs = self.shared.departures.expect();
        self.in_lane(|shared, _| async move {
            effects::settle(&shared, &spec, &endpoints).await;
            drop(departs);
            // A record that goes at once is not written before.
            let durability = Durability::of(&spec);
            if !removal && let Err(error) = shared.ports.records.save_state(&id, &state, durability).await {
                tracing::error!(container = id.short(), "saving the container's end: {}", error.chain());
            }
        });
        if oom_untold {
            self.told.kills = self.told.kills.max(1);
            self.event("oom", &[]);
        }
        self.shared.network_events(&self.spec, &self.state, "disconnect");
        self.shared.unmount_events(&self.spec);
        self.event(
            "die",
            &[("exitCode", exit.code.to_string()), ("execDuration", ran.as_secs().to_string())],
        );
        if !self.stoppers.is_empty() || next == Next::Again {
            self.event("stop", &[]);
        }
        self.shared.attachments.over(self.id.as_str());
        self.publish();
        self.wake();
        answer_all(&mut self.stoppers, &Ok(true));
        answer_all(&mut self.killers, &Ok(()));
        if next != Next::Again {
            // A stop came after the restart: it is as if that had come to its end before.
            answer_all(&mut self.restarters, &Ok(()));
        }
        match next {
            Next::After(pause) => {
                let pause = if heard == Heard::AtOnce { pause } else { Duration::ZERO };
                self.me.tell_after(pause, RestartDue { attempt: self.machine.attempt });
            }
            Next::Again => {
                self.state.restart_count = 0;
                self.state.stopped = false;
                self.launch();
            }
            Next::Rest if removal && self.machine.remove(Force::No) == Verdict::Proceed => {
                let patience = if self.removers.is_empty() { effects::ATTACHED } else { effects::PATIENCE };
                self.begin_removal(patience);
            }
            Next::Rest | Next::Later => {}
        }
    }
}

impl Answer<Start> for Container {
    fn answer(&mut self, message: Start, _: &mut Ctx<Self>) {
        if self.machine.phase == Phase::Adopting {
            return self.when_settled(|this| this.start(message));
        }
        self.start(message);
    }
}

impl Container {
    fn start(&mut self, message: Start) {
        match self.machine.start(By::User) {
            Verdict::Refused(text) => Self::conflict(message.reply, text.to_owned()),
            Verdict::Join => self.starters.push(message.reply),
            Verdict::Later => self.when_settled(|this| this.start(message)),
            Verdict::AlreadyThere | Verdict::Ended => answer(message.reply, Ok(false)),
            Verdict::Proceed => {
                self.starters.push(message.reply);
                self.state.restart_count = 0;
                self.state.stopped = false;
                self.launch();
            }
        }
    }
}

impl Answer<StartDone> for Container {
    fn answer(&mut self, message: StartDone, _: &mut Ctx<Self>) {
        if !self.machine.started(message.attempt, message.outcome.is_ok(), self.state.started) {
            return;
        }
        self.state = *message.state;
        match message.outcome {
            Ok(pid) => {
                self.pid = pid;
                self.open_checks();
                self.publish();
                self.watch();
                answer_all(&mut self.starters, &Ok(true));
                if !self.restarters.is_empty() {
                    self.event("restart", &[]);
                }
                answer_all(&mut self.restarters, &Ok(()));
            }
            Err(error) => {
                self.publish();
                self.wake();
                self.shared.attachments.cut(self.id.as_str());
                // Docker removes an --rm container whose start failed before it tells so.
                if self.spec.auto_remove && self.machine.remove(Force::No) == Verdict::Proceed {
                    self.unstarted = Some(error);
                    self.begin_removal(effects::PATIENCE);
                } else {
                    self.not_started(error);
                }
            }
        }
        self.settled();
    }
}

impl Container {
    /// Tells those who wait for a start.
    pub(super) fn not_started(&mut self, error: PortError) {
        let kind = error.kind;
        let text = error.chain();
        answer_all(&mut self.starters, &Err(error));
        let text = format!("Cannot restart container {}: {text}", self.state.name);
        answer_all(&mut self.restarters, &Err(PortError::new(kind, text)));
    }
}

impl Answer<Exited> for Container {
    fn answer(&mut self, message: Exited, _: &mut Ctx<Self>) {
        if message.attempt == self.machine.attempt {
            self.end(message.exit, Heard::AtOnce);
        }
    }
}

impl Answer<RestartDue> for Container {
    fn answer(&mut self, message: RestartDue, _: &mut Ctx<Self>) {
        if self.machine.phase == Phase::Restarting
            && !self.machine.ending
            && message.attempt == self.machine.attempt
            && self.machine.start(By::Policy) == Verdict::Proceed
        {
            self.launch();
        }
    }
}
