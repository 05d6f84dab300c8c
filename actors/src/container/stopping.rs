//! Signals: stop with its grace, restart, kill, freeze.

use super::actor::{Container, answer, answer_all, deliver};
use super::machine::{Phase, Verdict};
use super::messages::*;
use crate::supervise::{Answer, Ctx, Reply};
use contract::{Kind, PortError};
use std::time::Duration;

/// Seconds between stop signal and kill (Docker's default).
const GRACE: i64 = 10;
pub(super) const SIGKILL: i32 = 9;
/// How long a killed container may take to end before that counts as failure (moby waits 10 s and 2 s more).
const DEATH: Duration = Duration::from_secs(12);

impl Container {
    fn stop_signal(&self) -> i32 {
        super::signals::parse(&self.spec.stop_signal).unwrap_or(15)
    }

    /// Sends a signal outside the lane, and thaws what is frozen so that it can act on it.
    pub(super) fn signal(&self, signal: i32, thaw: bool, reply: Option<Reply<Result<(), PortError>>>) {
        self.event("kill", &[("signal", signal.to_string())]);
        let (id, attempt) = (self.id.clone(), self.machine.attempt);
        self.effect(|shared, me| async move {
            let runtime = &shared.ports.runtime;
            let mut outcome = runtime.signal(&id, signal).await;
            if thaw && outcome.is_ok() {
                outcome = runtime.set_frozen(&id, false).await;
                deliver(&me, Frozen { frozen: false, attempt, reply: None }).await;
            }
            let outcome = outcome
                .map_err(|e| PortError::new(e.kind, format!("Cannot kill container {id}: {}", e.chain())));
            match (reply, outcome) {
                (Some(reply), outcome) => answer(reply, outcome),
                (None, Err(error)) => deliver(&me, NotSent { attempt, error }).await,
                (None, Ok(())) => {}
            }
        });
        if signal == SIGKILL {
            self.me.tell_after(DEATH, KillOver { attempt });
        }
    }

    /// What the user wants must be known to a daemon that comes after this one.
    fn note_stop(&mut self) {
        if self.machine.stopped_by_user && !self.state.stopped {
            self.state.stopped = true;
            if !matches!(self.spec.restart.0.as_str(), "" | "no") {
                self.save();
            }
        }
    }

    pub(super) fn begin_stop(&mut self, grace: Option<i64>, signal: Option<i32>, thaw: bool) {
        self.note_stop();
        self.signal(signal.unwrap_or_else(|| self.stop_signal()), thaw, None);
        let grace = grace.or(self.spec.stop_timeout).unwrap_or(GRACE);
        if let Ok(seconds) = u64::try_from(grace) {
            let over = GraceOver { attempt: self.machine.attempt };
            self.me.tell_after(Duration::from_secs(seconds), over);
        }
    }

    /// It only waited for its policy, and was stopped.
    fn ended_waiting(&mut self) {
        (self.state.wanted, self.state.stopped) = (false, true);
        self.publish();
        self.save();
        self.wake();
    }
}

impl Answer<Stop> for Container {
    fn answer(&mut self, message: Stop, _: &mut Ctx<Self>) {
        self.when_settled(move |this| {
            let paused = this.machine.phase == Phase::Paused;
            match this.machine.stop() {
                Verdict::Refused(text) => Self::conflict(message.reply, text.to_owned()),
                Verdict::Ended => {
                    this.ended_waiting();
                    this.event("stop", &[]);
                    answer(message.reply, Ok(true));
                }
                Verdict::Proceed | Verdict::Join => {
                    this.stoppers.push(message.reply);
                    this.begin_stop(message.grace, message.signal, paused);
                }
                Verdict::AlreadyThere | Verdict::Later => answer(message.reply, Ok(false)),
            }
        });
    }
}

impl Answer<Restart> for Container {
    fn answer(&mut self, message: Restart, _: &mut Ctx<Self>) {
        self.when_settled(move |this| {
            let paused = this.machine.phase == Phase::Paused;
            match this.machine.restart() {
                Verdict::Refused(text) => {
                    let text = format!("Cannot restart container {}: {text}", this.state.name);
                    Self::conflict(message.reply, text);
                }
                Verdict::Join => {
                    this.restarters.push(message.reply);
                    this.begin_stop(message.grace, message.signal, paused);
                }
                Verdict::Proceed => {
                    this.restarters.push(message.reply);
                    (this.state.restart_count, this.state.stopped) = (0, false);
                    this.launch();
                }
                Verdict::AlreadyThere | Verdict::Later | Verdict::Ended => answer(message.reply, Ok(())),
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

impl Answer<NotSent> for Container {
    fn answer(&mut self, message: NotSent, _: &mut Ctx<Self>) {
        // A process that has just ended cannot be signalled either: its end, or the time after a kill, decides.
        if message.attempt == self.machine.attempt && self.machine.phase.is_alive() {
            tracing::warn!(container = self.id.short(), "{}", message.error.chain());
        }
    }
}

impl Answer<KillOver> for Container {
    fn answer(&mut self, message: KillOver, _: &mut Ctx<Self>) {
        if message.attempt != self.machine.attempt || !self.machine.phase.is_alive() {
            return;
        }
        self.machine.survived();
        let why = "tried to kill container, but did not receive an exit event";
        let failed = |text: String| PortError::new(Kind::Bug, text);
        let name = &self.state.name;
        answer_all(&mut self.stoppers, &Err(failed(format!("cannot stop container: {name}: {why}"))));
        answer_all(&mut self.killers, &Err(failed(format!("cannot kill container: {name}: {why}"))));
        answer_all(&mut self.restarters, &Err(failed(format!("Cannot restart container {name}: {why}"))));
        let text = format!("cannot remove container \"/{name}\": could not kill container: {why}");
        answer_all(&mut self.removers, &Err(failed(text)));
        self.publish();
    }
}

impl Answer<Kill> for Container {
    fn answer(&mut self, message: Kill, _: &mut Ctx<Self>) {
        self.when_settled(move |this| {
            let own = &this.spec.stop_signal;
            let ends = message.signal == SIGKILL || own.is_empty() || this.stop_signal() == message.signal;
            let paused = this.machine.phase == Phase::Paused;
            match this.machine.kill(ends) {
                Verdict::Proceed => {
                    this.note_stop();
                    let thaw = ends && paused;
                    if message.signal == SIGKILL {
                        this.killers.push(message.reply);
                        this.signal(SIGKILL, thaw, None);
                    } else {
                        this.signal(message.signal, thaw, Some(message.reply));
                    }
                }
                Verdict::Ended => {
                    this.ended_waiting();
                    answer(message.reply, Ok(()));
                }
                Verdict::AlreadyThere => answer(message.reply, Ok(())),
                Verdict::Refused(_) | Verdict::Join | Verdict::Later => {
                    let (name, id) = (&this.state.name, &this.id);
                    let text = format!("cannot kill container: {name}: container {id} is not running");
                    Self::conflict(message.reply, text);
                }
            }
        });
    }
}

impl Answer<Freeze> for Container {
    fn answer(&mut self, message: Freeze, _: &mut Ctx<Self>) {
        self.when_settled(move |this| {
            let id = this.id.clone();
            let wrong = match (this.machine.phase, message.frozen) {
                (Phase::Running, true) | (Phase::Paused, false) => None,
                (Phase::Paused, true) => Some(format!("container {id} is already paused")),
                (Phase::Restarting, true) => {
                    Some(format!("Container {id} is restarting, wait until the container is running"))
                }
                (_, true) => Some(format!("container {id} is not running")),
                (_, false) => Some(format!("Container {id} is not paused")),
            };
            if let Some(wrong) = wrong {
                return Self::conflict(message.reply, wrong);
            }
            let (frozen, attempt, reply) = (message.frozen, this.machine.attempt, message.reply);
            this.effect(|shared, me| async move {
                match shared.ports.runtime.set_frozen(&id, frozen).await {
                    Ok(()) => deliver(&me, Frozen { frozen, attempt, reply: Some(reply) }).await,
                    Err(error) => answer(reply, Err(error)),
                }
            });
        });
    }
}

impl Answer<Frozen> for Container {
    fn answer(&mut self, message: Frozen, _: &mut Ctx<Self>) {
        let now = if message.frozen { Phase::Paused } else { Phase::Running };
        let before = self.machine.phase;
        if message.attempt == self.machine.attempt
            && matches!(before, Phase::Running | Phase::Paused)
            && before != now
        {
            self.machine.phase = now;
            if message.frozen {
                self.close_checks()
            } else {
                self.open_checks()
            }
            self.publish();
            self.event(if message.frozen { "pause" } else { "unpause" }, &[]);
        }
        if let Some(reply) = message.reply {
            answer(reply, Ok(()));
        }
    }
}
