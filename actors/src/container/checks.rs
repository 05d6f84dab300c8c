//! Health checks, decided: when the next probe is due, and what the last one means.

use contract::record::{Health, HealthState, Probe, Wellbeing};
use std::time::Duration;

/// Docker's defaults (moby `daemon/health.go`).
const INTERVAL: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(30);
const START_INTERVAL: Duration = Duration::from_secs(5);
const RETRIES: i64 = 3;
/// Probes remembered.
const KEPT: usize = 5;

fn or(configured_ns: i64, default: Duration) -> Duration {
    match u64::try_from(configured_ns) {
        Ok(ns) if ns > 0 => Duration::from_nanos(ns),
        _ => default,
    }
}

/// How long one probe may take.
pub(super) fn timeout(health: &Health) -> Duration {
    or(health.timeout_ns, TIMEOUT)
}

/// The time to the next probe of a container that has run for so long.
pub(super) fn pause(health: &Health, state: &HealthState, ran: Duration) -> Duration {
    if ran < or(health.start_period_ns, Duration::ZERO) && state.status == Wellbeing::Starting {
        or(health.start_interval_ns, START_INTERVAL)
    } else {
        or(health.interval_ns, INTERVAL)
    }
}

/// Takes a probe's outcome in; true when the verdict is another one now.
pub(super) fn judge(health: &Health, state: &mut HealthState, probe: Probe, started_ns: i64) -> bool {
    let before = state.status;
    let early = Duration::from_nanos(u64::try_from(probe.start_ns - started_ns).unwrap_or(0))
        < or(health.start_period_ns, Duration::ZERO);
    if probe.exit_code == 0 {
        (state.failing_streak, state.status) = (0, Wellbeing::Healthy);
    } else if !(early && before == Wellbeing::Starting) {
        state.failing_streak += 1;
        if state.failing_streak >= if health.retries > 0 { health.retries } else { RETRIES } {
            state.status = Wellbeing::Unhealthy;
        }
    }
    state.log.push(probe);
    let surplus = state.log.len().saturating_sub(KEPT);
    state.log.drain(..surplus);
    state.status != before
}

/// A new run: nothing is known yet, but what earlier probes said can still be read.
pub(super) fn begun(before: Option<&HealthState>) -> HealthState {
    HealthState { log: before.map(|h| h.log.clone()).unwrap_or_default(), ..HealthState::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn probe(at: i64, exit_code: i32) -> Probe {
        Probe { start_ns: at, end_ns: at, exit_code, output: at.to_string() }
    }

    #[test]
    fn failures_in_a_row_make_it_unhealthy_and_one_success_makes_it_healthy() {
        let (health, mut state) = (Health { retries: 2, ..Health::default() }, HealthState::default());
        let told: Vec<bool> = [1, 1, 1, 0, 1, 0, 1, 1]
            .iter()
            .map(|code| judge(&health, &mut state, probe(0, *code), 0))
            .collect();
        assert_eq!(told, [false, true, false, true, false, false, false, true]);
        assert_eq!((state.status, state.failing_streak), (Wellbeing::Unhealthy, 2));
    }

    #[test]
    fn three_failures_are_dockers_default() {
        let mut state = HealthState::default();
        for wanted in [Wellbeing::Starting, Wellbeing::Starting, Wellbeing::Unhealthy] {
            judge(&Health::default(), &mut state, probe(0, -1), 0);
            assert_eq!(state.status, wanted);
        }
    }

    #[test]
    fn failures_in_the_start_period_do_not_count_until_it_was_healthy_once() {
        let health = Health { start_period_ns: 10 * SECOND, retries: 1, ..Health::default() };
        let mut state = HealthState::default();
        judge(&health, &mut state, probe(9 * SECOND, 1), 0);
        assert_eq!((state.status, state.failing_streak), (Wellbeing::Starting, 0));
        judge(&health, &mut state, probe(9 * SECOND, 0), 0);
        judge(&health, &mut state, probe(9 * SECOND, 1), 0);
        assert_eq!(state.status, Wellbeing::Unhealthy);
        let mut late = HealthState::default();
        judge(&health, &mut late, probe(10 * SECOND, 1), 0);
        assert_eq!(late.status, Wellbeing::Unhealthy);
    }

    #[test]
    fn the_last_five_probes_are_kept() {
        let mut state = HealthState::default();
        for n in 0..9 {
            judge(&Health::default(), &mut state, probe(n, 0), 0);
        }
        let kept: Vec<&str> = state.log.iter().map(|p| p.output.as_str()).collect();
        assert_eq!(kept, ["4", "5", "6", "7", "8"]);
        assert_eq!(begun(Some(&state)).log.len(), 5);
    }

    #[test]
    fn it_is_probed_more_often_while_it_starts() {
        let health = Health { start_period_ns: 20 * SECOND, interval_ns: 60 * SECOND, ..Health::default() };
        let (mut state, ran) = (HealthState::default(), Duration::from_secs);
        assert_eq!(pause(&health, &state, ran(1)), START_INTERVAL);
        assert_eq!(pause(&health, &state, ran(20)), Duration::from_secs(60));
        state.status = Wellbeing::Healthy;
        assert_eq!(pause(&health, &state, ran(1)), Duration::from_secs(60));
        assert_eq!(pause(&Health::default(), &state, ran(0)), INTERVAL);
    }
}
