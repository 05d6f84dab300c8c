//! Signals: stop with its grace, kill, freeze.

use super::actor::{Container, answer, deliver};
use super::machine::{Phase, Verdict};
use super::messages::*;
use crate::supervise::{Answer, Ctx, Reply};
use contract::PortError;
use std::time::Duration;

/// Seconds between stop signal and kill (Docker's default).
const GRACE: i64 = 10;
pub(super) const SIGKILL: i32 = 9;

impl Container {
    pub(super) fn signal(&self, signal: i32, thaw: bool, reply: Option<Reply<Result<(), PortError>>>) {
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
