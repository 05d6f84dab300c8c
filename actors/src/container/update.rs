//! Changes of limits and restart policy: what may be changed to what, and the change as a whole or not at all.

use super::actor::{Container, answer, deliver};
use super::effects::{self, Relogging};
use super::machine::Phase;
use super::messages::{Update, Updated};
use crate::log::swap;
use crate::shared::Shared;
use crate::supervise::{Answer, Ctx};
use contract::log::Options;
use contract::record::{ContainerSpec, Resources};
use contract::runtime::TaskStatus;
use contract::storage::Durability;
use contract::{ContainerId, Kind, PortError};
use futures::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

/// What is to change.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Changes {
    /// Limits; what is 0, empty or `None` stays.
    pub resources: Resources,
    /// Restart policy and maximum retry count.
    pub restart: Option<(String, i64)>,
    /// Log driver and its options, all of them.
    pub log: Option<(String, Options)>,
}

/// The wish with the changes in it; Docker's refusals (moby `UpdateContainer`).
fn apply(spec: &ContainerSpec, changes: &Changes) -> Result<ContainerSpec, &'static str> {
    let (wanted, mut out) = (&changes.resources, spec.clone());
    let has = &mut out.resources;
    if wanted.nano_cpus > 0 && has.cpu_period > 0 {
        return Err("Conflicting options: Nano CPUs cannot be updated as CPU Period has already been set");
    }
    if wanted.nano_cpus > 0 && has.cpu_quota > 0 {
        return Err("Conflicting options: Nano CPUs cannot be updated as CPU Quota has already been set");
    }
    if wanted.cpu_period > 0 && has.nano_cpus > 0 {
        return Err("Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set");
    }
    if wanted.cpu_quota > 0 && has.nano_cpus > 0 {
        return Err("Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set");
    }
    let unlimited = has.memory_swap < 0;
    if wanted.memory > has.memory_swap && wanted.memory_swap == 0 && !unlimited {
        return Err(
            "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time",
        );
    }
    for (from, to) in [
        (wanted.memory, &mut has.memory),
        (wanted.memory_swap, &mut has.memory_swap),
        (wanted.memory_reservation, &mut has.memory_reservation),
        (wanted.cpu_shares, &mut has.cpu_shares),
        (wanted.nano_cpus, &mut has.nano_cpus),
        (wanted.cpu_period, &mut has.cpu_period),
        (wanted.cpu_quota, &mut has.cpu_quota),
        (wanted.rt_period, &mut has.rt_period),
        (wanted.rt_runtime, &mut has.rt_runtime),
    ] {
        if from != 0 {
            *to = from;
        }
    }
    for (from, to) in
        [(&wanted.cpuset_cpus, &mut has.cpuset_cpus), (&wanted.cpuset_mems, &mut has.cpuset_mems)]
    {
        if !from.is_empty() {
            to.clone_from(from);
        }
    }
    if wanted.blkio_weight != 0 {
        has.blkio_weight = wanted.blkio_weight;
    }
    has.pids_limit = wanted.pids_limit.or(has.pids_limit);
    if let Some(restart) = &changes.restart {
        if spec.auto_remove && restart.0 != "no" {
            return Err("Restart policy cannot be updated because AutoRemove is enabled for the container");
        }
        out.restart.clone_from(restart);
    }
    if let Some((driver, options)) = &changes.log {
        out.log_driver.clone_from(driver);
        out.log_opts.clone_from(options);
    }
    Ok(out)
}

/// Writes a change to the kernel and to the record; a failure leaves both as they were.
async fn carry_out(shared: &Arc<Shared>, change: Relogging<'_>) -> Result<(), PortError> {
    let Relogging { before, after, alive, .. } = change;
    let id = ContainerId::new(after.id.clone());
    let runtime = &shared.ports.runtime;
    let limits = alive && before.resources != after.resources;
    if limits && let Err(error) = runtime.change_limits(&id, &before.resources, &after.resources).await {
        // One that has just ended gets its limits with its next start.
        let status = runtime.status(&id).await?;
        if matches!(status, TaskStatus::Running { .. } | TaskStatus::Paused { .. }) {
            return Err(error);
        }
    }
    let outcome = match relogs(before, after) {
        true => effects::swap(shared, change).await,
        false => shared.ports.records.save_spec(&id, after, Durability::of(after)).await,
    };
    let Err(error) = outcome else { return Ok(()) };
    if limits && let Err(error) = runtime.change_limits(&id, &after.resources, &before.resources).await {
        tracing::warn!(container = id.short(), "taking a change back: {}", error.chain());
    }
    Err(error)
}

fn relogs(before: &ContainerSpec, after: &ContainerSpec) -> bool {
    (&before.log_driver, &before.log_opts) != (&after.log_driver, &after.log_opts)
}

impl Container {
    /// The wish with the changes in it, and where lines are found that the changed log driver does not have.
    fn changed(&self, changes: &Changes) -> Result<ContainerSpec, PortError> {
        let mut after = apply(&self.spec, changes).map_err(|why| self.cannot_update(Kind::Conflict, why))?;
        if relogs(&self.spec, &after) {
            let (old, new) = (self.shared.sinks(&self.spec)?, self.shared.sinks(&after)?);
            after.log_stores = swap::stores((&old, &self.spec.log_stores), &new);
        }
        Ok(after)
    }

    fn cannot_update(&self, kind: Kind, why: &str) -> PortError {
        PortError::new(kind, format!("Cannot update container {}: {why}", self.id))
    }

    fn update(&mut self, message: Update) {
        if self.updating {
            // Whether the one under way fails is to be known: what fails must not stay in a wish that follows it.
            return self.updates.push(message);
        }
        if matches!(self.machine.phase, Phase::Removing | Phase::Dead) {
            let why = "container is marked for removal and cannot be \"update\"";
            return answer(message.reply, Err(self.cannot_update(Kind::Exhausted, why)));
        }
        let after = match self.changed(&message.changes) {
            Ok(after) => Arc::new(after),
            Err(error) => return answer(message.reply, Err(error)),
        };
        self.updating = true;
        // In force at once, so that what is asked or started meanwhile goes by it.
        let before = std::mem::replace(&mut self.spec, Arc::clone(&after));
        let (attempt, alive, reply) = (self.machine.attempt, self.machine.phase.is_alive(), message.reply);
        let name = self.state.name.clone();
        self.in_lane(move |shared, me| async move {
            let change = Relogging { before: &before, after: &after, name: &name, alive };
            // Others wait until it is over, however that comes.
            let work = AssertUnwindSafe(carry_out(&shared, change)).catch_unwind().await;
            let outcome = work.unwrap_or_else(|_| Err(PortError::new(Kind::Bug, "the change panicked")));
            deliver(&me, Updated { before, after, attempt, outcome, reply }).await;
        });
    }
}

impl Answer<Update> for Container {
    fn answer(&mut self, message: Update, _: &mut Ctx<Self>) {
        self.when_settled(move |this| this.update(message));
    }
}

impl Answer<Updated> for Container {
    fn answer(&mut self, message: Updated, _: &mut Ctx<Self>) {
        let Updated { before, after, attempt, outcome, reply } = message;
        if self.machine.phase == Phase::Adopting {
            // Begun by an incarnation that is gone: this one reads what is recorded.
            return answer(reply, outcome.map_err(|error| self.cannot_update(error.kind, &error.chain())));
        }
        self.updating = false;
        match outcome {
            Ok(()) => {
                self.publish();
                self.event("update", &[]);
                if relogs(&before, &after) {
                    let drivers = [("from", before.log_driver.clone()), ("driver", after.log_driver.clone())];
                    self.event("log_driver_set", &drivers);
                }
                answer(reply, Ok(()));
            }
            Err(error) => {
                // A wish that stands on it was written whole and stays.
                if Arc::ptr_eq(&self.spec, &after) {
                    self.spec = Arc::clone(&before);
                }
                // What was published meanwhile told of the change.
                self.publish();
                if attempt != self.machine.attempt {
                    // It was started with what is taken back now.
                    let name = self.state.name.clone();
                    self.in_lane(move |shared, _| async move {
                        let change = Relogging { before: &after, after: &before, name: &name, alive: true };
                        if let Err(error) = carry_out(&shared, change).await {
                            tracing::warn!("taking a change back: {}", error.chain());
                        }
                    });
                }
                answer(reply, Err(self.cannot_update(error.kind, &error.chain())));
            }
        }
        for next in std::mem::take(&mut self.updates) {
            self.when_settled(move |this| this.update(next));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(resources: Resources) -> ContainerSpec {
        ContainerSpec { resources, ..ContainerSpec::default() }
    }

    fn change(has: Resources, wanted: Resources) -> Result<Resources, &'static str> {
        let changes = Changes { resources: wanted, ..Changes::default() };
        apply(&with(has), &changes).map(|spec| spec.resources)
    }

    #[test]
    fn what_is_not_named_stays() {
        let has = Resources { memory: 10, memory_swap: 20, pids_limit: Some(5), ..Resources::default() };
        let wanted = Resources { cpu_shares: 7, memory: 15, ..Resources::default() };
        let left = Resources { cpu_shares: 7, memory: 15, ..has.clone() };
        assert_eq!(change(has, wanted), Ok(left));
    }

    #[test]
    fn memory_beyond_memory_with_swap_needs_both() {
        let has = Resources { memory: 10, memory_swap: 20, ..Resources::default() };
        let more = Resources { memory: 30, ..Resources::default() };
        assert!(change(has.clone(), more.clone()).unwrap_err().starts_with("Memory limit should be smaller"));
        assert!(change(has.clone(), Resources { memory_swap: 40, ..more.clone() }).is_ok());
        assert!(change(Resources { memory_swap: -1, ..has }, more).is_ok());
    }

    #[test]
    fn cpus_and_their_quota_exclude_each_other() {
        let cpus = Resources { nano_cpus: 1, ..Resources::default() };
        let quota = Resources { cpu_quota: 5000, ..Resources::default() };
        assert!(change(cpus.clone(), quota.clone()).is_err());
        assert!(change(quota, cpus).is_err());
    }

    #[test]
    fn what_removes_itself_is_not_started_again() {
        let spec = ContainerSpec { auto_remove: true, ..ContainerSpec::default() };
        let to = |policy: &str| Changes { restart: Some((policy.into(), 0)), ..Changes::default() };
        assert!(apply(&spec, &to("always")).is_err());
        assert!(apply(&spec, &to("no")).is_ok());
    }
}
