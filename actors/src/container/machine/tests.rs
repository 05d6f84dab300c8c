use super::*;
use proptest::prelude::*;

fn machine(phase: Phase) -> Machine {
    Machine { phase, ..Machine::new(0) }
}

fn ended(code: i32) -> Ended {
    Ended { code, restarts: 0, ran: Duration::from_secs(1) }
}

fn policy(name: &str, most: i64) -> ContainerSpec {
    ContainerSpec { restart: (name.into(), most), ..ContainerSpec::default() }
}

#[test]
fn a_second_start_joins_the_first() {
    let mut m = machine(Phase::Created);
    assert_eq!((m.start(By::User), m.start(By::User)), (Verdict::Proceed, Verdict::Join));
    assert!(m.started(1, true, false));
    assert_eq!(m.start(By::User), Verdict::AlreadyThere);
}

#[test]
fn a_stale_exit_changes_nothing() {
    let mut m = machine(Phase::Running);
    m.attempt = 2;
    assert_eq!(m.exited(1, ended(0), &ContainerSpec::default()), None);
    assert_eq!(m.phase, Phase::Running);
}

#[test]
fn on_failure_restarts_with_doubling_pauses_until_its_count() {
    let spec = policy("on-failure", 2);
    let mut m = machine(Phase::Running);
    assert_eq!(m.exited(0, ended(1), &spec), Some(Next::After(Duration::from_millis(100))));
    m.phase = Phase::Running;
    assert_eq!(m.exited(0, ended(1), &spec), Some(Next::After(Duration::from_millis(200))));
    m.phase = Phase::Running;
    assert_eq!(m.exited(0, Ended { restarts: 2, ..ended(1) }, &spec), Some(Next::Rest));
}

#[test]
fn a_daemon_that_ends_leaves_the_restart_to_the_next_one() {
    for (name, code, wanted) in [
        ("always", 0, Next::Later),
        ("unless-stopped", 143, Next::Later),
        ("on-failure", 143, Next::Later),
        ("on-failure", 0, Next::Rest),
        ("no", 143, Next::Rest),
    ] {
        let mut m = machine(Phase::Running);
        assert_eq!(m.quit(), Verdict::Proceed);
        assert_eq!(m.exited(0, ended(code), &policy(name, 0)), Some(wanted), "{name} {code}");
        assert_eq!(m.phase, Phase::Exited);
    }
    let mut m = machine(Phase::Running);
    assert_eq!((m.stop(), m.quit()), (Verdict::Proceed, Verdict::Proceed));
    assert_eq!(m.exited(0, ended(143), &policy("always", 0)), Some(Next::Rest));
    let mut m = machine(Phase::Running);
    assert_eq!((m.restart(), m.quit()), (Verdict::Join, Verdict::Proceed));
    assert_eq!(m.exited(0, ended(143), &policy("always", 0)), Some(Next::Later));
}

#[test]
fn a_containers_own_pauses_take_the_place_of_dockers() {
    let mut spec = policy("always", 0);
    let seconds = Duration::from_secs;
    spec.backoff = contract::record::Backoff { min: seconds(5), max: seconds(12), reset: seconds(100) };
    let mut m = machine(Phase::Running);
    for (ran, pause) in [(1, 5), (99, 10), (1, 12), (1, 12), (100, 5), (1, 10)] {
        m.phase = Phase::Running;
        let ended = Ended { ran: seconds(ran), ..ended(0) };
        assert_eq!(m.exited(0, ended, &spec), Some(Next::After(seconds(pause))), "{ran}");
    }
}

#[test]
fn a_stopped_container_is_not_restarted_by_its_policy() {
    let mut m = machine(Phase::Running);
    assert_eq!(m.stop(), Verdict::Proceed);
    assert_eq!(m.exited(0, ended(143), &policy("always", 0)), Some(Next::Rest));
    assert_eq!(m.stop(), Verdict::AlreadyThere);
}

#[test]
fn a_container_waiting_for_its_policy_counts_as_running_until_it_is_stopped() {
    let mut m = machine(Phase::Restarting);
    assert_eq!(m.start(By::User), Verdict::AlreadyThere);
    assert!(matches!(m.remove(Force::No), Verdict::Refused(_)));
    assert_eq!((m.stop(), m.phase), (Verdict::Ended, Phase::Exited));
    assert_eq!(m.remove(Force::No), Verdict::Proceed);
}

#[test]
fn what_is_asked_during_a_start_waits_for_it() {
    let mut m = machine(Phase::Starting);
    assert_eq!([m.stop(), m.kill(true), m.remove(Force::Kill)], [Verdict::Later; 3]);
    assert_eq!(m.phase, Phase::Starting);
}

#[test]
fn a_restart_starts_again_whatever_the_policy_unless_a_stop_or_removal_came_after_it() {
    for (after, next) in [(0, Next::Again), (1, Next::Rest), (2, Next::Rest), (3, Next::Rest)] {
        let mut m = machine(Phase::Running);
        assert_eq!(m.restart(), Verdict::Join);
        match after {
            0 => {}
            1 => assert_eq!(m.stop(), Verdict::Proceed),
            2 => assert_eq!(m.remove(Force::Kill), Verdict::Join),
            _ => assert_eq!(m.kill(true), Verdict::Proceed),
        }
        assert_eq!(m.exited(0, ended(143), &policy("no", 0)), Some(next));
        assert_eq!(m.phase == Phase::Starting, next == Next::Again);
    }
}

proptest! {
    #[test]
    fn requests_and_results_in_any_order_keep_the_machine_sound(
        steps in prop::collection::vec((0u8..12, any::<bool>(), 0u64..3), 0..80),
        restart in prop::sample::select(vec!["no", "always", "unless-stopped", "on-failure"]),
    ) {
        let mut m = machine(Phase::Created);
        let spec = policy(restart, 0);
        // A model of what exists: one start at most is under way, one process at most runs.
        let (mut under_way, mut process) = (None, None);
        for (step, flag, back) in steps {
            let before = (m.phase, m.attempt);
            let stale = m.attempt.saturating_sub(back);
            match step {
                0 | 1 => {
                    let by = if flag { By::User } else { By::Policy };
                    if m.start(by) == Verdict::Proceed {
                        prop_assert!(under_way.is_none() && process.is_none());
                        under_way = Some(m.attempt);
                    }
                }
                2 | 3 => {
                    let taken = m.started(stale, flag, true);
                    prop_assert_eq!(taken, under_way == Some(stale));
                    if taken {
                        under_way = None;
                        process = flag.then_some(stale);
                    }
                }
                4 | 5 => match m.exited(stale, ended(i32::from(flag)), &spec) {
                    None => prop_assert!(process != Some(stale)),
                    Some(next) => {
                        prop_assert_eq!(process, Some(stale));
                        process = None;
                        under_way = (next == Next::Again).then_some(m.attempt);
                    }
                },
                6 => drop(m.stop()),
                7 => if m.restart() == Verdict::Proceed { under_way = Some(m.attempt); },
                8 => drop(m.kill(flag)),
                9 => m.survived(),
                10 => if m.phase == Phase::Running { m.phase = Phase::Paused },
                _ => {
                    let force = if flag { Force::Kill } else { Force::No };
                    let verdict = m.remove(force);
                    if process.is_some() || under_way.is_some() {
                        prop_assert_ne!(verdict, Verdict::Proceed, "removed alive");
                    }
                }
            }
            prop_assert_eq!(m.phase.is_alive(), process.is_some());
            prop_assert_eq!(m.phase == Phase::Starting, under_way.is_some());
            prop_assert!(m.attempt >= before.1);
            if before.0 == Phase::Removing { prop_assert_eq!(m.phase, Phase::Removing); }
        }
    }
}
