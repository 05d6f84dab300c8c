//! Health checks: probes one after the other while the container runs.

use super::actor::{Container, deliver};
use super::machine::Phase;
use super::messages::*;
use super::{checks, effects};
use crate::supervise::{Answer, Ctx};
use contract::record::{HealthState, Wellbeing};
use std::sync::Arc;
use std::time::Duration;

/// The probes of one stretch of running.
#[derive(Debug, Default)]
pub(super) struct Probing {
    /// Counts the stretches: what is due for an earlier one is not done any more.
    round: u64,
    /// ns since the epoch: what was begun before does not count.
    since_ns: i64,
}

impl Container {
    /// It runs: probes are due from now on.
    pub(super) fn open_checks(&mut self) {
        if self.spec.probe().is_none() || self.machine.phase != Phase::Running {
            return;
        }
        self.probing.round += 1;
        self.probing.since_ns = crate::now_ns();
        self.state.health.get_or_insert_default();
        self.schedule_probe();
    }

    /// It runs no more, or is frozen. Docker calls that unhealthy.
    pub(super) fn close_checks(&mut self) {
        if self.spec.probe().is_none() {
            return;
        }
        self.probing.round += 1;
        if let Some(health) = &mut self.state.health {
            health.status = Wellbeing::Unhealthy;
        }
    }

    /// What the incarnation before this one had seen of the same run.
    pub(super) fn recall_checks(&mut self) {
        let last = self.shared.board.get(self.id.as_str());
        if let Some(last) = last.filter(|l| l.state.attempt == self.state.attempt) {
            self.state.health.clone_from(&last.state.health);
        }
    }

    fn schedule_probe(&self) {
        let (Some(health), Some(state)) = (self.spec.probe(), &self.state.health) else { return };
        let ran = crate::now_ns() - self.state.started_ns;
        let ran = Duration::from_nanos(u64::try_from(ran).unwrap_or(0));
        let due = ProbeDue { attempt: self.machine.attempt, round: self.probing.round };
        self.me.tell_after(checks::pause(health, state, ran), due);
    }

    fn concerns(&self, attempt: u64) -> bool {
        attempt == self.machine.attempt && matches!(self.machine.phase, Phase::Running | Phase::Stopping)
    }
}

impl Answer<ProbeDue> for Container {
    fn answer(&mut self, message: ProbeDue, _: &mut Ctx<Self>) {
        let Some(health) = self.spec.probe() else { return };
        if !self.concerns(message.attempt) || message.round != self.probing.round {
            return;
        }
        // One begun before a pause, or before this actor was rebuilt, is still under way.
        let Some(place) = self.shared.execs.probe(self.id.as_str()) else { return self.schedule_probe() };
        let (health, id, timeout) = (health.clone(), self.id.clone(), checks::timeout(health));
        let ProbeDue { attempt, round } = message;
        self.effect(|shared, me| async move {
            let probe = effects::probe(&shared, &id, &health, timeout).await;
            drop(place);
            deliver(&me, Probed { attempt, round, probe }).await;
        });
    }
}

impl Answer<Probed> for Container {
    fn answer(&mut self, message: Probed, _: &mut Ctx<Self>) {
        if !self.concerns(message.attempt) || message.probe.start_ns < self.probing.since_ns {
            return;
        }
        let spec = Arc::clone(&self.spec);
        let Some(health) = spec.probe() else { return };
        let state = self.state.health.get_or_insert_default();
        let changed = checks::judge(health, state, message.probe, self.state.started_ns);
        let status = state.status;
        self.publish();
        if changed {
            // The verdict outlives the daemon; the probes between are not worth a write each.
            self.save();
            self.event(&format!("health_status: {}", word(status)), &[]);
        }
        if message.round == self.probing.round {
            self.schedule_probe();
        }
    }
}

fn word(status: Wellbeing) -> &'static str {
    match status {
        Wellbeing::Starting => "starting",
        Wellbeing::Healthy => "healthy",
        Wellbeing::Unhealthy => "unhealthy",
    }
}

/// What is known of its health when a start begins.
pub(super) fn at_start(before: Option<&HealthState>, probed: bool) -> Option<HealthState> {
    probed.then(|| checks::begun(before))
}
