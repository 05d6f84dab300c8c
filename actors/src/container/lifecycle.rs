//! Starts and ends: by request, by policy.

use super::actor::{Container, answer, deliver};
use super::effects;
use super::machine::{Ended, Phase, Verdict};
use super::messages::*;
use crate::supervise::{Answer, Ctx};
use contract::runtime::Exit;
use contract::{ContainerId, PortError};
use std::sync::Arc;
use std::time::Duration;

impl Container {
    pub(super) fn launch(&mut self) {
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

    pub(super) fn watch(&self) {
        let (attempt, id) = (self.machine.attempt, self.id.clone());
        self.effect(|shared, me| async move {
            match shared.ports.runtime.exited(&id).await {
                Ok(exit) => deliver(&me, Exited { attempt, exit }).await,
                Err(error) => tracing::error!(container = id.short(), "watching: {}", error.chain()),
            }
        });
    }

    pub(super) fn end(&mut self, exit: Exit) {
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
